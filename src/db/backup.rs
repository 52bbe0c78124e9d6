//! Backups of a SQLite database: written beside processes that change it, checked, and put in its place.

use std::fmt::Display;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection as _, SqliteConnection};

use super::error::sqlite_code;
use super::sqlite::{explain, open_writer};
use super::use_lock::UseLock;
use super::{Db, DbError, WAIT, migrations};
use crate::disk::why_not_writable;
use crate::files::{BESIDE_SQLITE, Draft, with_end};

/// A table and its number of rows.
pub type TableCount = (String, i64);

/// Copies the database at `path` into the new file `to`, checks the copy, and returns its tables. The
/// changes of other processes go on meanwhile; those that are not complete are not in it.
pub async fn back_up(path: &Path, to: &Path) -> Result<Vec<TableCount>, DbError> {
    let (draft, file) = Draft::create(to).map_err(|cause| not_written(to, &cause))?;
    drop(file);
    let counted = write_copy(path, &draft.path, to).await.map_err(|error| explain(error, path))?;
    let mut copy = open_unchanged(&draft.path).await?;
    check(&mut copy, path).await.map_err(|error| explain(error, path))?;
    let tables = count_rows(&mut copy).await?;
    copy.close().await?;
    if counted.is_some_and(|counted| counted != tables) {
        return Err(unusable(to, &"has other rows than the database: it was not kept"));
    }
    draft.publish().map_err(|cause| unusable(to, &cause))?;
    Ok(tables)
}

/// Returns the tables of the database, unless another process has changed it meanwhile.
async fn write_copy(
    path: &Path,
    draft: &Path,
    to: &Path,
) -> Result<Option<Vec<TableCount>>, DbError> {
    // A connection that only reads would leave files beside the database.
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(WAIT);
    let mut source = options.connect().await?;
    let counted = copy_from(&mut source, path, draft, to).await;
    source.close().await?;
    counted
}

async fn copy_from(
    source: &mut SqliteConnection,
    path: &Path,
    draft: &Path,
    to: &Path,
) -> Result<Option<Vec<TableCount>>, DbError> {
    const CHANGES: &str = "select data_version from pragma_data_version";
    require_ours(source, path).await?;
    let before: (i64,) = sqlx::query_as(CHANGES).fetch_one(&mut *source).await?;
    let target = draft.display().to_string();
    let written = sqlx::query("vacuum into $1").bind(target).execute(&mut *source).await;
    written.map_err(|error| explain_copy(error.into(), to))?;
    let counted = count_rows(source).await?;
    let after: (i64,) = sqlx::query_as(CHANGES).fetch_one(source).await?;
    Ok((before == after).then_some(counted))
}

/// A database that is built beside another one, and replaces it in one step.
#[derive(Debug)]
pub struct Replacement {
    /// What is being built.
    pub db: Db,
    draft: Draft,
    path: PathBuf,
    _lock: UseLock,
}

impl Replacement {
    /// Copies the backup into a draft beside `path`, checks it and migrates it. No other process uses `path`
    /// until this is dropped.
    pub async fn begin(path: &Path, backup: &Path) -> Result<Self, DbError> {
        // Of a link: SQLite's other files have the name of the file that it leads to.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let lock = UseLock::take_alone(&path, WAIT).await?;
        let (draft, mut file) = Draft::create(&path).map_err(|cause| not_written(&path, &cause))?;
        let mut from = fs::File::open(backup).map_err(|cause| unusable(backup, &cause))?;
        let copied = io::copy(&mut from, &mut file);
        if copied.map_err(|cause| not_written(&path, &cause))? == 0 {
            return Err(unusable(backup, &"is empty: name another file"));
        }
        // Before SQLite opens it: closing a file ends the locks of a process.
        drop(file);
        let log = with_end(backup, "-wal");
        if log.exists() {
            let copied = fs::copy(&log, with_end(&draft.path, "-wal"));
            copied.map_err(|cause| unusable(&log, &cause))?;
        }
        let shown = backup.display().to_string();
        let prepared = prepare(&draft.path, backup).await;
        let db = prepared.map_err(|error| explain(error, backup).at(&shown))?;
        Ok(Self { db, draft, path, _lock: lock })
    }

    /// Replaces the database. A crash leaves the old or the new one.
    pub async fn finish(self) -> Result<(), DbError> {
        self.db.close().await;
        if with_end(&self.draft.path, "-wal").metadata().is_ok_and(|log| log.len() > 0) {
            return Err(unusable(&self.path, &"the restored file was not completed"));
        }
        // What is only in the old log, into the old database, for a crash before the next step.
        if self.path.exists() {
            drop(complete(&self.path).await);
        }
        let put = || {
            // With another database they would destroy it.
            for end in BESIDE_SQLITE {
                match fs::remove_file(with_end(&self.path, end)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            self.draft.replace()
        };
        put().map_err(|cause| unusable(&self.path, &cause))
    }
}

/// Checks the copy of a backup, and migrates it.
async fn prepare(draft: &Path, backup: &Path) -> Result<Db, DbError> {
    let options = SqliteConnectOptions::new().filename(draft);
    let mut copy = options.clone().busy_timeout(WAIT).connect().await?;
    require_ours(&mut copy, backup).await?;
    check(&mut copy, backup).await?;
    copy.close().await?;
    open_writer(&options, WAIT).await
}

/// Moves the log of a database into its file.
async fn complete(path: &Path) -> Result<(), sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(1));
    let mut old = options.connect().await?;
    sqlx::query("pragma wal_checkpoint(truncate)").execute(&mut old).await?;
    old.close().await
}

/// Opens a file that no other process changes. Nothing is created beside it.
async fn open_unchanged(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    SqliteConnectOptions::new().filename(path).immutable(true).read_only(true).connect().await
}

async fn require_ours(connection: &mut SqliteConnection, path: &Path) -> Result<(), DbError> {
    let table = "select name from sqlite_schema where name = 'vestibule_migrations'";
    if sqlx::query(table).fetch_optional(&mut *connection).await?.is_none() {
        return Err(DbError::of_file(path, "is not a database of Vestibule: name another file"));
    }
    let applied = sqlx::query_scalar("select version from vestibule_migrations");
    let applied: Vec<i64> = applied.fetch_all(connection).await?;
    migrations::compare(&applied).map(drop)
}

/// Reads every page.
async fn check(connection: &mut SqliteConnection, path: &Path) -> Result<(), DbError> {
    let damaged = |what: String| {
        DbError::of_file(path, format!("is damaged ({what}): restore an undamaged backup"))
    };
    let found: Vec<(String,)> =
        sqlx::query_as("pragma integrity_check(1)").fetch_all(&mut *connection).await?;
    if let Some((fault,)) = found.into_iter().find(|(fault,)| fault != "ok") {
        return Err(damaged(fault));
    }
    let dangling = sqlx::query("pragma foreign_key_check").fetch_all(&mut *connection).await?;
    if !dangling.is_empty() {
        return Err(damaged(format!("{} rows refer to rows that are missing", dangling.len())));
    }
    Ok(())
}

async fn count_rows(connection: &mut SqliteConnection) -> Result<Vec<TableCount>, DbError> {
    let names = "select name from sqlite_schema where type = 'table' and name like 'vestibule%'
        order by name";
    let names: Vec<(String,)> = sqlx::query_as(names).fetch_all(&mut *connection).await?;
    let mut tables = Vec::new();
    for (name,) in names {
        let count = AssertSqlSafe(format!("select count(*) from \"{name}\""));
        let (rows,) = sqlx::query_as(count).fetch_one(&mut *connection).await?;
        tables.push((name, rows));
    }
    Ok(tables)
}

fn explain_copy(error: DbError, to: &Path) -> DbError {
    match sqlite_code(&error.code()) {
        Some(8 | 10 | 13 | 14) => not_written(to, &error),
        _ => error,
    }
}

fn not_written(path: &Path, error: &dyn Display) -> DbError {
    let cause = why_not_writable(path).unwrap_or_else(|| error.to_string());
    unusable(path, &format!("cannot be written: {cause}"))
}

fn unusable(path: &Path, cause: &dyn Display) -> DbError {
    DbError::Unusable { path: path.display().to_string(), cause: cause.to_string() }
}
