//! `vestibule migrate`: bring the database's schema to this program's version.

use super::CommandError;
use crate::config::Config;
use crate::db::{Db, latest_version};

pub const EXAMPLE: &str = "Example, for PostgreSQL (VESTIBULE_SECRET as for serve):\n  VESTIBULE_DATABASE_URL=postgres://vestibule@db/vestibule \\\n    VESTIBULE_SECRET_FILE=secret vestibule migrate";

pub async fn run(config: &Config) -> Result<(), CommandError> {
    let db = Db::open(&config.database).await?;
    eprintln!("The database is at schema version {}.", latest_version());
    db.close().await;
    Ok(())
}
