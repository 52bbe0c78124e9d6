//! `vestibule migrate`: bring the database's schema to this program's version.

use clap::{ArgMatches, Command};

use super::CommandError;
use crate::db::Db;

/// The arguments.
pub fn command() -> Command {
    Command::new("migrate")
        .about("Bring the database to this program's version (serve does it too)")
        .after_help("Example, for PostgreSQL (VESTIBULE_SECRET as for serve):\n  VESTIBULE_DATABASE_URL=postgres://vestibule@db/vestibule VESTIBULE_SECRET_FILE=secret vestibule migrate")
}

/// Runs it.
pub async fn run(matches: &ArgMatches) -> Result<(), CommandError> {
    let config = super::settings(matches)?;
    let db = Db::open(&config.database).await.map_err(CommandError::failed)?;
    eprintln!("The database is at schema version {}.", crate::db::latest_version());
    db.close().await;
    Ok(())
}
