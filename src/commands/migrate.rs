//! `vestibule migrate`: bring the database's schema to this program's version.

use std::collections::BTreeMap;

use super::CommandError;
use crate::db::{Db, latest_version};

/// Bring the database to this program's version (serve does it too)
#[derive(clap::Args)]
#[command(
    after_help = "Example, for PostgreSQL (VESTIBULE_SECRET as for serve):\n  VESTIBULE_DATABASE_URL=postgres://vestibule@db/vestibule VESTIBULE_SECRET_FILE=secret vestibule migrate"
)]
pub struct Arguments {}

pub async fn run() -> Result<(), CommandError> {
    let config = super::load_config(&BTreeMap::new())?;
    let db = Db::open(&config.database).await?;
    eprintln!("The database is at schema version {}.", latest_version());
    db.close().await;
    Ok(())
}
