//! Replaces the key beside a SQLite database.

use std::path::PathBuf;
use std::time::Duration;

use crate::app::App;
use crate::config::Config;
use crate::db::{DbError, Location, UseLock};
use crate::key::file;

/// A new key in its file.
pub struct Rotated {
    pub key: PathBuf,
    /// Whether a process uses the database. A server uses the old key until it is started again.
    pub is_in_use: bool,
}

/// Why the key was not replaced.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    #[error(
        "the key is set in VESTIBULE_SECRET: make a new one with `openssl rand -base64 32`, stop all nodes, put it in front of the old one there, with a space between them, and start the nodes. After a day remove the old one and start them again"
    )]
    Setting,
    #[error("{0}")]
    Failed(String),
}

/// Puts a new key in front of the old ones. A server puts it into force when it starts.
pub async fn rotate_key(config: &Config) -> Result<Rotated, RotateError> {
    if config.database.require_existing().is_ok() {
        // As a start does, it refuses a key that is not the database's.
        let app = App::for_reading(config.clone()).await;
        app.map_err(|why| RotateError::Failed(why.to_string()))?.db.close().await;
    }
    let (None, Location::Sqlite(database)) = (&config.secret, &config.database) else {
        return Err(RotateError::Setting);
    };
    let key = file::beside(database);
    file::rotate(&key).map_err(RotateError::Failed)?;
    let alone = UseLock::take_alone(database, Duration::ZERO).await;
    Ok(Rotated { key, is_in_use: matches!(alone, Err(DbError::InUse(_))) })
}
