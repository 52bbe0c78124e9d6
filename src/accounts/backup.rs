//! Backs up a SQLite database into a file, and puts such a file in its place.

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::db::{DbError, Location, Replacement, TableCount, back_up};
use crate::models::device::delete_all_devices;
use crate::models::one_time_code::delete_all_codes;
use crate::models::outbox;
use crate::models::session::delete_all_sessions;
use crate::models::ticket::delete_all_tickets;
use crate::{disk, files};

/// A backup that was written and checked.
pub struct Backup {
    pub tables: Vec<TableCount>,
    /// The key, which is not in it; none if it is in `VESTIBULE_SECRET`.
    pub key: Option<PathBuf>,
}

/// What was ended in a restored database.
pub struct Restored {
    pub sessions: u64,
    pub devices: u64,
    pub mails: u64,
    /// As of [`Backup`].
    pub key: Option<PathBuf>,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error("the data is in PostgreSQL: {0}")]
    Postgres(&'static str),
    #[error("{0} exists: a backup overwrites nothing, name a new file")]
    FileExists(String),
    #[error("there is a database at {0}: its accounts are lost with --force, back it up first")]
    DatabaseExists(String),
    #[error("{0}")]
    Unreadable(String),
    #[error("{0} is the database itself")]
    SameFile(String),
}

/// Writes a backup into the new file `to`.
pub async fn back_up_to(config: &Config, to: &Path) -> Result<Backup, BackupError> {
    let path = sqlite_file(
        config,
        "back it up with `pg_dump --format=custom --file FILE URL`, and VESTIBULE_SECRET apart from it",
    )?;
    config.database.require_existing()?;
    if to.symlink_metadata().is_ok() {
        return Err(BackupError::FileExists(to.display().to_string()));
    }
    Ok(Backup { tables: back_up(path, to).await?, key: config.key_file() })
}

/// Replaces the database with a backup. What lets somebody in is ended: it may have been ended since.
pub async fn restore_from(
    config: &Config,
    from: &Path,
    force: bool,
) -> Result<Restored, BackupError> {
    let path = sqlite_file(
        config,
        "restore it with `pg_restore --clean --if-exists --dbname URL FILE`, then delete from vestibule_sessions, vestibule_tickets, vestibule_devices, vestibule_one_time_codes and vestibule_outbox",
    )?;
    drop(disk::open(from).map_err(BackupError::Unreadable)?);
    if files::is_same(path, from) {
        return Err(BackupError::SameFile(from.display().to_string()));
    }
    if path.exists() && !force {
        return Err(BackupError::DatabaseExists(path.display().to_string()));
    }
    let replacement = Replacement::begin(path, from).await?;
    let mut tx = replacement.db.begin().await?;
    delete_all_tickets(tx.executor()).await?;
    delete_all_codes(tx.executor()).await?;
    let sessions = delete_all_sessions(tx.executor()).await?;
    let devices = delete_all_devices(tx.executor()).await?;
    // Most have been sent since, and their codes are not valid.
    let mails = outbox::clear(tx.executor()).await?;
    tx.commit().await?;
    replacement.finish().await?;
    Ok(Restored { sessions, devices, mails, key: config.key_file() })
}

fn sqlite_file<'a>(config: &'a Config, advice: &'static str) -> Result<&'a Path, BackupError> {
    match &config.database {
        Location::Sqlite(path) => Ok(path),
        _ => Err(BackupError::Postgres(advice)),
    }
}
