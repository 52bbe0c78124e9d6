//! The only file that knows that there are two database drivers.
//!
//! Models write one SQL text for both (`$1` placeholders, TEXT, BIGINT, BYTEA, `on conflict … returning`)
//! and say where it runs: [`Db::reader`], [`Db::writer`] or a [`Tx`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgRow, PgTransaction};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{Connection, FromRow, PgConnection, SqliteConnection};
use tokio::time::timeout;

const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "accounts", include_str!("../migrations/0001_accounts.sql")),
    (2, "trusted devices", include_str!("../migrations/0002_trusted_devices.sql")),
    (
        3,
        "resets without foreign key",
        include_str!("../migrations/0003_resets_without_foreign_key.sql"),
    ),
];

/// Our own table, so that a host application's sqlx migrations are left alone.
const MIGRATIONS_TABLE: &str = "vestibule_migrations";

/// How long a statement waits for a connection, and then for a lock, before the request is answered
/// 503.
pub const WAIT: Duration = Duration::from_secs(5);

/// A statement that is not answered within so many waits never will be: the server hangs, or the
/// line is cut. Of two waits each has its own bound; the third is for the work.
const LONGEST: u32 = 3;

/// Connections that one node opens to PostgreSQL, whose default limit is 100 for all nodes.
const POSTGRES_CONNECTIONS: u32 = 16;

/// No transaction is left open: the next one finds the rows free.
const POSTGRES_IDLE: (&str, &str) = ("idle_in_transaction_session_timeout", "30s");

/// Readers beside SQLite's one writer: they never wait for it in WAL mode.
const SQLITE_READERS: u32 = 4;

/// Where the data is.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A file, made at the first start.
    Sqlite(PathBuf),
    /// A `postgres://` URL. It may hold a password: never print it.
    Postgres(String),
}

impl std::fmt::Debug for Location {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => to.debug_tuple("Sqlite").field(path).finish(),
            Self::Postgres(_) => to.write_str("Postgres(…)"),
        }
    }
}

/// What a statement or a connection can fail with. Outcomes ("taken", "none found") are not errors.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The driver's own error: the database is away, busy, full, or the SQL is wrong.
    #[error(transparent)]
    Driver(#[from] sqlx::Error),
    /// The database took the statement and says nothing.
    #[error("the database does not answer")]
    Silent,
    /// A migration failed half way; it was rolled back.
    #[error("the database could not be migrated: {0}")]
    Migrate(MigrateError),
    /// The database knows a migration that this program does not.
    #[error(
        "the database is at schema version {0}, newer than this Vestibule ({known}): start the Vestibule that made it, or restore a backup",
        known = latest_version()
    )]
    TooNew(i64),
    /// The SQLite file or its folder, or the PostgreSQL server, cannot be used.
    #[error("{path}: {cause}")]
    Unusable {
        /// The file as it was configured, or the setting's name: a URL may hold a password.
        path: String,
        /// What to do, in words.
        cause: String,
    },
}

impl DbError {
    /// Whether trying again may help: the database is away, busy or out of connections.
    pub fn is_passing(&self) -> bool {
        let error = match self {
            Self::Driver(error) => error,
            other => return matches!(other, Self::Silent),
        };
        match error {
            sqlx::Error::PoolTimedOut | sqlx::Error::Io(_) | sqlx::Error::PoolClosed => true,
            sqlx::Error::Database(cause) => is_passing_code(cause.code().as_deref()),
            _ => false,
        }
    }
}

/// SQLite: busy (5), locked (6), read-only (8), I/O (10), full (13), cannot open (14), each also in
/// its extended forms.
/// PostgreSQL: classes 08 (connection), 53 (resources), 57 (shutdown, cancelled), 58 (its own disk),
/// 40 (serialisation), 55P (a lock that was not free in time), 25006 (read-only, as after a switch
/// to a standby), 25P03 (a transaction that waited too long).
fn is_passing_code(code: Option<&str>) -> bool {
    let Some(code) = code else { return false };
    if let Ok(number) = code.parse::<u32>()
        && code.len() < 5
    {
        return matches!(number & 0xff, 5 | 6 | 8 | 10 | 13 | 14);
    }
    ["08", "53", "57", "58", "40", "55P", "25006", "25P03"]
        .iter()
        .any(|class| code.starts_with(class))
}

/// A database that is open. Clones share its connections.
#[derive(Clone, Debug)]
pub enum Db {
    /// Any number of readers beside one writer: SQLite has one writer at a time, and a queue in
    /// front of one connection is fairer and faster than retries on `SQLITE_BUSY`.
    Sqlite {
        /// Connections that cannot write.
        readers: SqlitePool,
        /// The one connection that can.
        writer: SqlitePool,
    },
    /// One pool for all.
    Postgres(PgPool),
}

/// A transaction, rolled back unless it is committed.
pub enum Tx {
    /// `BEGIN IMMEDIATE` on the one writer.
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    /// `BEGIN`.
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
}

/// Where a statement runs.
pub enum On<'a> {
    #[doc(hidden)]
    SqlitePool(&'a SqlitePool),
    #[doc(hidden)]
    Sqlite(&'a mut SqliteConnection),
    #[doc(hidden)]
    PostgresPool(&'a PgPool),
    #[doc(hidden)]
    Postgres(&'a mut PgConnection),
}

impl Db {
    /// Opens `location`, making the SQLite file if there is none, and migrates it.
    ///
    /// # Errors
    /// When it cannot be opened, or was made by a newer program.
    pub async fn open(location: &Location) -> Result<Self, DbError> {
        Self::open_for(location, WAIT).await
    }

    /// As [`Db::open`], with another bound than [`WAIT`].
    ///
    /// # Errors
    /// See [`Db::open`].
    pub async fn open_for(location: &Location, wait: Duration) -> Result<Self, DbError> {
        match location {
            Location::Sqlite(path) => {
                let db = open_sqlite(path, wait).await?;
                db.migrate().await.map_err(|error| match error {
                    DbError::Driver(driver) => unusable(path, driver),
                    other => other,
                })?;
                Ok(db)
            }
            Location::Postgres(url) => {
                let db = open_postgres(url, wait).await?;
                db.migrate().await?;
                Ok(db)
            }
        }
    }

    /// Brings the schema to this program's version; on PostgreSQL under an advisory lock.
    ///
    /// # Errors
    /// See [`DbError::TooNew`] and [`DbError::Migrate`].
    pub async fn migrate(&self) -> Result<(), DbError> {
        let migrator = migrator();
        let done = match self {
            Self::Sqlite { writer, .. } => migrator.run(writer).await,
            Self::Postgres(pool) => migrate_postgres(&migrator, pool).await,
        };
        done.map_err(|error| match error {
            MigrateError::VersionMissing(version) => DbError::TooNew(version),
            MigrateError::Execute(driver) => DbError::Driver(driver),
            other => DbError::Migrate(other),
        })
    }

    /// For statements that only read.
    pub fn reader(&self) -> On<'_> {
        match self {
            Self::Sqlite { readers, .. } => On::SqlitePool(readers),
            Self::Postgres(pool) => On::PostgresPool(pool),
        }
    }

    /// For a single statement that writes.
    pub fn writer(&self) -> On<'_> {
        match self {
            Self::Sqlite { writer, .. } => On::SqlitePool(writer),
            Self::Postgres(pool) => On::PostgresPool(pool),
        }
    }

    /// Begins a transaction that may write. Never hold it across hashing or mail.
    ///
    /// # Errors
    /// When no connection is free within [`WAIT`], or the database is away.
    pub async fn begin(&self) -> Result<Tx, DbError> {
        tracing::trace!("begin");
        Ok(match self {
            Self::Sqlite { writer, .. } => {
                let begin = writer.begin_with("BEGIN IMMEDIATE");
                Tx::Sqlite(in_time(longest(writer), begin).await?)
            }
            Self::Postgres(pool) => {
                Tx::Postgres(in_time(longest(pool), begin_postgres(pool.clone())).await?)
            }
        })
    }

    /// Asks the database for nothing, to see whether it answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), DbError> {
        sql("select 1").execute(self.reader()).await.map(drop)
    }

    /// Closes every connection, once what runs on them is done.
    pub async fn close(&self) {
        match self {
            Self::Sqlite { readers, writer } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

impl Tx {
    /// For a statement within this transaction.
    pub fn on(&mut self) -> On<'_> {
        match self {
            Self::Sqlite(tx) => On::Sqlite(tx),
            Self::Postgres(tx) => On::Postgres(tx),
        }
    }

    /// Makes it last: when this returns, it is on disk.
    ///
    /// # Errors
    /// When the commit failed; then nothing of it happened, unless the database took it and could
    /// not say so.
    pub async fn commit(self) -> Result<(), DbError> {
        match self {
            Self::Sqlite(tx) => in_time(WAIT * LONGEST, tx.commit()).await,
            Self::Postgres(tx) => in_time(WAIT * LONGEST, tx.commit()).await,
        }
        .inspect(|()| tracing::trace!("committed"))
    }
}

/// A value bound to a placeholder.
#[derive(Clone, Debug)]
pub enum Value {
    /// TEXT, or null.
    Text(Option<String>),
    /// BIGINT, or null.
    Int(Option<i64>),
    /// BYTEA.
    Bytes(Vec<u8>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}
impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(Some(text.clone()))
    }
}
impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}
impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(Some(number))
    }
}
impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        Self::Int(number)
    }
}
impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

/// A row that either driver can fill: tuples of `String`, `i64`, `Vec<u8>` and their `Option`s.
pub trait Row: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}
impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{}

/// One SQL statement and its values, in the order of their placeholders.
pub struct Statement {
    text: &'static str,
    values: Vec<Value>,
}

/// Starts a [`Statement`]. The text is a constant: no input can become SQL (ASVS 1.2.4).
pub fn sql(text: &'static str) -> Statement {
    Statement { text, values: Vec::new() }
}

/// Runs `$method` of a sqlx query on whichever driver `$on` is, and maps what comes back.
macro_rules! dispatch {
    ($on:expr, $start:expr, $values:expr, $method:ident, $map:expr) => {
        match $on {
            On::SqlitePool(to) => {
                in_time(longest(to), bound!($start, $values).$method(to)).await.map($map)
            }
            On::Sqlite(to) => {
                in_time(WAIT * LONGEST, bound!($start, $values).$method(to)).await.map($map)
            }
            On::PostgresPool(to) => {
                in_time(longest(to), bound!($start, $values).$method(to)).await.map($map)
            }
            On::Postgres(to) => {
                in_time(WAIT * LONGEST, bound!($start, $values).$method(to)).await.map($map)
            }
        }
    };
}

macro_rules! bound {
    ($start:expr, $values:expr) => {
        $values.into_iter().fold($start, |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Int(number) => query.bind(number),
            Value::Bytes(bytes) => query.bind(bytes),
        })
    };
}

impl Statement {
    /// Binds the next placeholder.
    #[must_use]
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// The first row, or none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn optional<R: Row>(self, on: On<'_>) -> Result<Option<R>, DbError> {
        dispatch!(on, sqlx::query_as(self.text), self.values, fetch_optional, |row| row)
    }

    /// Every row.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn all<R: Row>(self, on: On<'_>) -> Result<Vec<R>, DbError> {
        dispatch!(on, sqlx::query_as(self.text), self.values, fetch_all, |rows| rows)
    }

    /// Runs it and answers how many rows it changed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn execute(self, on: On<'_>) -> Result<u64, DbError> {
        dispatch!(on, sqlx::query(self.text), self.values, execute, |done| done.rows_affected())
    }
}

/// No request waits for a database that hangs, or for a line that was cut without a word.
async fn in_time<T>(
    longest: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, DbError> {
    let done = timeout(longest, work).await.map_err(|_| DbError::Silent)?;
    Ok(done?)
}

fn longest<D: sqlx::Database>(pool: &sqlx::Pool<D>) -> Duration {
    pool.options().get_acquire_timeout() * LONGEST
}

fn migrator() -> Migrator {
    let migrations = MIGRATIONS.iter().map(|&(version, name, text)| {
        let text = sqlx::SqlSafeStr::into_sql_str(text);
        Migration::new(version, name.into(), MigrationType::Simple, text, false)
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    migrator.dangerous_set_table_name(MIGRATIONS_TABLE);
    migrator
}

/// The schema version that this program knows.
pub fn latest_version() -> i64 {
    MIGRATIONS.last().map_or(0, |&(version, ..)| version)
}

/// On a connection that waits for the lock as long as another node migrates, and is closed then.
async fn migrate_postgres(migrator: &Migrator, pool: &PgPool) -> Result<(), MigrateError> {
    let mut connection = pool.acquire().await.map_err(MigrateError::Execute)?.detach();
    let patient = sqlx::query("set lock_timeout = 0").execute(&mut connection).await;
    patient.map_err(MigrateError::Execute)?;
    migrator.run(&mut connection).await?;
    connection.close().await.map_err(MigrateError::Execute)
}

/// In a task of its own, which a caller who leaves cannot cut off half-way: sqlx-postgres 0.9 would
/// put the connection back into the pool inside the transaction, and what others then write on it
/// would not last (shown by clients that hang up while `BEGIN` is under way).
async fn begin_postgres(pool: PgPool) -> Result<PgTransaction<'static>, sqlx::Error> {
    let begun = tokio::spawn(async move { pool.begin().await }).await;
    begun.unwrap_or(Err(sqlx::Error::WorkerCrashed))
}

/// One connection first, because a pool would only say that it waited in vain.
async fn open_postgres(url: &str, wait: Duration) -> Result<Db, DbError> {
    let options: PgConnectOptions =
        url.parse().map_err(|_| no_postgres("the URL cannot be read"))?;
    let options = options.options([POSTGRES_IDLE]);
    let options = options.options([("lock_timeout", wait.as_millis().to_string())]);
    let first = timeout(wait, PgConnection::connect_with(&options)).await;
    let first = first.map_err(|_| no_postgres("nothing answers within 5 seconds"))?;
    first.map_err(|error| why_no_postgres(&error))?.close().await?;
    let pool = PgPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS)
        .acquire_timeout(wait)
        .after_release(move |connection, _| Box::pin(can_be_kept(connection, wait)))
        .connect_lazy_with(options);
    Ok(Db::Postgres(pool))
}

/// Whether a connection may go back into its pool; an error closes it, too.
///
/// sqlx 0.9 waits without a bound for one that was left in the middle of a statement: its place would
/// be lost for as long as the server hangs. And when SQLite ends a transaction by itself, for want of
/// space on the disk, sqlx believes for ever that it is in it: nothing could begin on the one writer
/// until the next start (shown by a full disk).
async fn can_be_kept<C: Connection>(
    connection: &mut C,
    wait: Duration,
) -> Result<bool, sqlx::Error> {
    let answer = timeout(wait, connection.ping()).await;
    answer.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
    Ok(!connection.is_in_transaction())
}

/// PostgreSQL's classes 28 (user or password) and 3D (database), and a socket that does not answer.
fn why_no_postgres(error: &sqlx::Error) -> DbError {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    match (error, code.as_deref()) {
        (sqlx::Error::Io(cause), _) => no_postgres(&format!(
            "no PostgreSQL answers there ({cause}): start it, or mend host and port"
        )),
        (_, Some("28P01" | "28000")) => no_postgres("PostgreSQL refuses the user or the password"),
        (_, Some("3D000")) => no_postgres("the database does not exist: make it with createdb"),
        _ => no_postgres(&error.to_string()),
    }
}

fn no_postgres(cause: &str) -> DbError {
    DbError::Unusable { path: "VESTIBULE_DATABASE_URL".to_owned(), cause: cause.to_owned() }
}

async fn open_sqlite(path: &Path, wait: Duration) -> Result<Db, DbError> {
    make_private(path);
    let options = sqlite_options(path).busy_timeout(wait);
    let writer = SqlitePoolOptions::new().max_connections(1).acquire_timeout(wait);
    let writer = writer
        // A statement that its caller has left may still wait for a lock.
        .after_release(move |connection, _| Box::pin(can_be_kept(connection, wait * 2)))
        .connect_with(options.clone().create_if_missing(true))
        .await
        .map_err(|error| unusable(path, error))?;
    let readers = SqlitePoolOptions::new()
        .max_connections(SQLITE_READERS)
        .acquire_timeout(wait)
        .connect_lazy_with(options.read_only(true));
    Ok(Db::Sqlite { readers, writer })
}

fn sqlite_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        // NORMAL could, after a power cut, give back a used code or an ended session.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .pragma("trusted_schema", "OFF")
        .pragma("journal_size_limit", "16777216")
}

/// Addresses and hashes are nobody else's: a new file is made for its owner alone, and SQLite gives
/// the files beside it the same mode. What cannot be made here, SQLite reports a moment later.
fn make_private(path: &Path) {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    drop(options.open(path));
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

#[cfg(test)]
mod tests {
    use super::is_passing_code;

    #[test]
    fn a_database_that_is_busy_read_only_full_or_away_is_worth_another_try() {
        for code in [
            // SQLite: busy, locked, and read-only, failing, full and unopenable disks.
            "5", "6", "8", "10", "13", "14",
            // In their extended forms: the file was moved, a read, a write and an fsync failed.
            "1032", "266", "778", "1034",
            // PostgreSQL: read-only, shut down, disk full, memory, connections, its own I/O, locks.
            "25006", "57P01", "53100", "53200", "53300", "58030", "55P03", "40001", "40P01",
            "08006", "25P03",
        ] {
            assert!(is_passing_code(Some(code)), "{code}");
        }
    }

    #[test]
    fn what_fails_each_time_is_not_tried_again() {
        // Wrong SQL, a corrupt file, no database, a row that is there, a wrong password. In their
        // last byte 22021 and 42501 are what SQLite has for a lock.
        for code in
            ["1", "11", "26", "2067", "42601", "42P01", "XX001", "23505", "22021", "42501", "28P01"]
        {
            assert!(!is_passing_code(Some(code)), "{code}");
        }
        assert!(!is_passing_code(None));
    }
}
