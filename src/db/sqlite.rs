//! Opens the SQLite file and keeps it private.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, SqlitePool};

use super::connection::Source;
use super::error::sqlite_code;
use super::pool::Pool;
use super::use_lock::UseLock;
use super::{Db, DbError, Executor, migrations, sql};
use crate::event::Event;
use crate::files::with_end;
use crate::{disk, permissions};

/// In WAL mode they never wait for the writer.
const MAX_READERS: u32 = 4;

/// Opens `path`, creating the file if there is none.
pub(super) async fn open(path: &Path, wait: Duration) -> Result<Db, DbError> {
    // Only for its owner; SQLite gives its other files the same mode. What cannot be created here,
    // SQLite reports below.
    drop(OpenOptions::new().write(true).create_new(true).mode(0o600).open(path));
    let lock = UseLock::take(path).await?;
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let db = open_writer(&options, wait).await.map_err(|error| explain(error, path))?;
    add_readers(Db { in_use: Some(Arc::new(lock)), ..db }, options, path, wait).await
}

/// As [`open`], for this process alone.
pub(super) async fn open_alone(path: &Path, wait: Duration) -> Result<Db, DbError> {
    drop(OpenOptions::new().write(true).create_new(true).mode(0o600).open(path));
    let lock = UseLock::take_alone(path, wait).await?;
    let options = SqliteConnectOptions::new().filename(path);
    let writers = open_writer(&options, wait).await.map_err(|error| explain(error, path))?;
    Ok(Db { in_use: Some(Arc::new(lock)), ..writers })
}

/// Opens the file of another program, which is only read.
pub(super) async fn open_foreign(path: &Path, wait: Duration) -> Result<Arc<Pool>, DbError> {
    try_to_read(SqliteConnectOptions::new().read_only(true), path, wait).await
}

/// Opens the file as it is: without creating, migrating or setting anything. Not read-only: such a connection
/// would leave a `-wal` file behind.
pub(super) async fn open_as_is(path: &Path, wait: Duration) -> Result<Arc<Pool>, DbError> {
    try_to_read(SqliteConnectOptions::new(), path, wait).await
}

async fn try_to_read(
    options: SqliteConnectOptions,
    path: &Path,
    wait: Duration,
) -> Result<Arc<Pool>, DbError> {
    let options = options.filename(path).busy_timeout(wait).pragma("trusted_schema", "OFF");
    let mut pool = Pool::new(Source::Sqlite(options.clone()), 1, wait);
    let mut tried = read_names(&pool).await;
    // On a read-only disk SQLite cannot create its files beside the database. Without a log all is in the file.
    if let Err(error) = &tried
        && matches!(sqlite_code(&error.code()), Some(8 | 10 | 14))
        && !with_end(path, "-wal").exists()
    {
        pool = Pool::new(Source::Sqlite(options.immutable(true)), 1, wait);
        tried = read_names(&pool).await;
    }
    tried.map_err(|error| explain(error, path))?;
    Ok(pool)
}

async fn read_names(pool: &Arc<Pool>) -> Result<u64, DbError> {
    sql("select name from sqlite_master limit 1").execute(Executor::Reader(pool)).await
}

/// Opens the database that a host application's pool connects to. The connections are our own: what is
/// promised of transactions and durability must not depend on how the pool is set up.
pub(super) async fn open_pool(pool: &SqlitePool, wait: Duration) -> Result<Db, DbError> {
    let options = pool.connect_options().as_ref().clone();
    let named = |error| {
        let path = options.get_filename();
        explain(error, path).at(&path.display().to_string())
    };
    let db = open_writer(&options, wait).await.map_err(named)?;
    if let Some(path) = db.sqlite_file().await? {
        let lock = UseLock::take(&path).await?;
        return add_readers(Db { in_use: Some(Arc::new(lock)), ..db }, options, &path, wait).await;
    }
    // In memory there are no readers beside a writer: one connection does everything.
    let shared = sqlx::query("select 1 from vestibule_migrations").fetch_optional(pool).await;
    shared.map_err(|_| DbError::Unusable {
        path: "the SQLite pool".to_owned(),
        cause: "each of its connections has a database in memory of its own: connect it to sqlite::memory:, whose connections share one".to_owned(),
    })?;
    Ok(Db { _memory: Some(Arc::new(options.connect().await?)), ..db })
}

/// Migrates the database and opens the one connection that writes.
pub(super) async fn open_writer(
    options: &SqliteConnectOptions,
    wait: Duration,
) -> Result<Db, DbError> {
    let writers = Pool::new(Source::Sqlite(protected(options, wait)), 1, wait);
    migrations::migrate(&writers).await?;
    Ok(Db { readers: Arc::clone(&writers), writers, _memory: None, in_use: None })
}

async fn add_readers(
    db: Db,
    options: SqliteConnectOptions,
    path: &Path,
    wait: Duration,
) -> Result<Db, DbError> {
    if let Some(lock) = &db.in_use {
        lock.share().await?;
    }
    make_private(path);
    let options = protected(&options.create_if_missing(false), wait).read_only(true);
    let readers = Pool::new(Source::Sqlite(options), MAX_READERS, wait);
    // Opened before the disk is full: the first connection to the file must write its -shm file.
    readers.acquire().await?.finish().await?;
    Ok(Db { readers, ..db })
}

fn protected(options: &SqliteConnectOptions, wait: Duration) -> SqliteConnectOptions {
    let options = options.clone().busy_timeout(wait).journal_mode(SqliteJournalMode::Wal);
    options
        // NORMAL could, after a power cut, give back a used code or an ended session.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .pragma("trusted_schema", "OFF")
        .pragma("journal_size_limit", "16777216")
}

/// Removes the rights of other users to the files and logs that it did.
fn make_private(path: &Path) {
    // Of a link: SQLite's other files have the name of the file that it leads to.
    let Ok(path) = path.canonicalize() else { return };
    let found = ["", "-wal", "-shm"]
        .iter()
        .filter_map(|end| permissions::make_private(&with_end(&path, end)));
    let folder = path.parent().and_then(permissions::why_folder_not_trusted);
    for cause in found.chain(folder) {
        Event::FileExposed { cause: &cause }.write();
    }
}

pub(super) fn explain(error: DbError, path: &Path) -> DbError {
    let cause = match sqlite_code(&error.code()) {
        // Each of the first three can have any of the causes.
        Some(8 | 10 | 13 | 14) => match disk::why_not_writable(path) {
            Some(cause) => format!("cannot be opened or written: {cause}"),
            None => {
                format!("cannot be opened or written ({error}): check its folder and its disk")
            }
        },
        Some(26) => "is not a SQLite database: name another file".to_owned(),
        Some(5 | 6) => "is locked by another program: stop it first".to_owned(),
        Some(11) => "is damaged: restore an undamaged backup".to_owned(),
        _ => return error,
    };
    DbError::of_file(path, cause)
}
