//! Opens the SQLite file and keeps it private.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

use super::connection::Source;
use super::error::sqlite_code;
use super::pool::Pool;
use super::{Db, DbError, migrations};
use crate::event::Event;
use crate::permissions;

/// In WAL mode they never wait for the writer.
const MAX_READERS: u32 = 4;

/// Opens `path`, creating the file if there is none.
pub(super) async fn open(path: &Path, wait: Duration) -> Result<Db, DbError> {
    // Only for its owner; SQLite gives its other files the same mode. What cannot be created here,
    // SQLite reports below.
    drop(OpenOptions::new().write(true).create_new(true).mode(0o600).open(path));
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(wait)
        .journal_mode(SqliteJournalMode::Wal)
        // NORMAL could, after a power cut, give back a used code or an ended session.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .pragma("trusted_schema", "OFF")
        .pragma("journal_size_limit", "16777216");
    let writing = options.clone().create_if_missing(true);
    let writers = Pool::new(Source::Sqlite(writing), 1, wait);
    let readers = Pool::new(Source::Sqlite(options.read_only(true)), MAX_READERS, wait);
    migrations::migrate(&writers).await.map_err(|error| explain(error, path))?;
    make_private(path);
    // Opened before the disk is full: the first connection to the file must write its -shm file.
    readers.acquire().await?.finish().await?;
    Ok(Db { readers, writers })
}

/// Removes the rights of other users to the files and logs that it did.
fn make_private(path: &Path) {
    // Of a link: SQLite's other files have the name of the file that it leads to.
    let Ok(path) = path.canonicalize() else { return };
    let found = ["", "-wal", "-shm"].iter().filter_map(|end| {
        let mut file = path.clone().into_os_string();
        file.push(end);
        permissions::make_private(Path::new(&file))
    });
    let folder = path.parent().and_then(permissions::why_folder_not_trusted);
    for cause in found.chain(folder) {
        Event::FileExposed { cause: &cause }.write();
    }
}

fn explain(error: DbError, path: &Path) -> DbError {
    let cause = match sqlite_code(&error.code()) {
        Some(8 | 14) => {
            "cannot be opened or written: check that the folder exists and that this user may write to it, or set VESTIBULE_DATABASE_URL"
        }
        Some(26) => "is not a SQLite database: move it away, or set VESTIBULE_DATABASE_URL",
        Some(5 | 6) => "is locked by another program: stop it first",
        Some(13) => "cannot grow: the disk is full",
        _ => return error,
    };
    DbError::Unusable { path: path.display().to_string(), cause: cause.to_owned() }
}
