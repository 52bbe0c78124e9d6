//! Opens the SQLite file, and keeps it private.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

use super::connection::Source;
use super::pool::Pool;
use super::{Db, DbError, migrations};
use crate::event::Event;
use crate::permissions;

/// Readers beside SQLite's one writer: in WAL mode they never wait for it.
const READERS: u32 = 4;

/// Opens `path`, creating the file if there is none.
pub(super) async fn open(path: &Path, wait: Duration) -> Result<Db, DbError> {
    create_private(path);
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
    let readers = Pool::new(Source::Sqlite(options.read_only(true)), READERS, wait);
    migrations::migrate(&writers).await.map_err(|error| match error {
        DbError::Driver(driver) => unusable(path, driver),
        other => other,
    })?;
    make_private(path);
    Ok(Db { readers, writers })
}

/// Creates the file for its owner alone; SQLite gives the files beside it the same mode. What cannot be
/// created here, SQLite reports a moment later.
fn create_private(path: &Path) {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    drop(options.open(path));
}

/// Removes the rights of other users to an open database, with a line in the log.
fn make_private(path: &Path) {
    // SQLite's other files lie beside the file itself, not beside a link to it.
    let Ok(path) = path.canonicalize() else { return };
    let found = ["", "-wal", "-shm"].iter().filter_map(|end| {
        let mut file = path.clone().into_os_string();
        file.push(end);
        permissions::make_private(Path::new(&file))
    });
    let folder = path.parent().map(permissions::why_folder_not_trusted);
    for cause in found.chain(folder.and_then(Result::ok).flatten()) {
        Event::FileExposed { cause: &cause }.write();
    }
}

fn unusable(path: &Path, error: sqlx::Error) -> DbError {
    let code =
        error.as_database_error().and_then(|cause| cause.code().map(std::borrow::Cow::into_owned));
    let number = code.and_then(|code| code.parse::<u32>().ok()).unwrap_or_default() & 0xff;
    let cause = match number {
        8 | 14 => {
            "cannot be opened or written: check that the folder exists and that this user may write to it, or set VESTIBULE_DATABASE_URL"
        }
        26 => "is not a SQLite database: move it away, or set VESTIBULE_DATABASE_URL",
        5 | 6 => "is locked by another program: stop it first",
        13 => "cannot grow: the disk is full",
        _ => return DbError::Driver(error),
    };
    DbError::Unusable { path: path.display().to_string(), cause: cause.to_owned() }
}
