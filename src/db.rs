//! The only part that knows that there are two database drivers.
//!
//! Models write one SQL text for both (`$1` placeholders, TEXT, BIGINT, BYTEA, `on conflict … returning`)
//! and say where it runs: [`Db::reader`], [`Db::writer`] or a [`Tx`].

mod advisory_lock;
mod connect;
mod error;
mod open;
mod pool;
mod postgres;
mod row;
mod server;
mod skip_locked;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::sqlite::SqliteRow;
use sqlx::{ConnectOptions, Connection, FromRow, PgConnection, SqliteConnection};
use tokio::sync::Notify;
use tokio::time::timeout;

pub use advisory_lock::AdvisoryLock;
pub use error::DbError;
pub use open::latest_version;
use pool::{Pool, PooledConnection, RollBack};
pub(crate) use row::row;
pub(crate) use server::Server;
pub use skip_locked::SkipLocked;
pub(crate) use skip_locked::skip_locked;
use writer::{WriteGuard, Writer};

/// How long a statement waits for a connection, and then for a lock, before the request is answered
/// 503.
pub const WAIT: Duration = Duration::from_secs(5);

/// A statement that is not answered within so many waits never will be: the server hangs, or the
/// line is cut.
const STATEMENT_WAITS: u32 = 3;

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

/// A database that is open. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Db(Engine);

#[derive(Clone, Debug)]
enum Engine {
    /// Any number of readers beside one writer: SQLite has one writer at a time, and a queue in
    /// front of one connection is fairer and faster than retries on `SQLITE_BUSY`. Readers cannot write.
    Sqlite { readers: Pool<SqliteConnection>, writer: Writer },
    /// One pool for all.
    Postgres(Pool<PgConnection>),
}

/// A transaction, rolled back unless it is committed.
pub struct Tx {
    transaction: Transaction,
    after_commit: Option<Arc<Notify>>,
}

enum Transaction {
    Sqlite(WriteGuard),
    Postgres(PooledConnection<PgConnection>),
}

/// Where a statement runs.
pub struct Executor<'a>(Target<'a>);

enum Target<'a> {
    Readers(&'a Pool<SqliteConnection>),
    Writer(&'a Writer),
    Guard(&'a mut WriteGuard),
    Reading(&'a Pool<PgConnection>),
    Writing(&'a Pool<PgConnection>),
    Transaction(&'a mut PooledConnection<PgConnection>),
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
            Location::Sqlite(path) => Ok(Self(open::sqlite(path, wait).await?)),
            Location::Postgres(url) => Ok(Self(open::postgres(url, wait).await?)),
        }
    }

    /// Brings the schema to this program's version; on PostgreSQL under an advisory lock.
    ///
    /// # Errors
    /// See [`DbError::TooNew`] and [`DbError::Migrate`].
    pub async fn migrate(&self) -> Result<(), DbError> {
        open::migrate(&self.0).await
    }

    /// For statements that only read.
    pub fn reader(&self) -> Executor<'_> {
        Executor(match &self.0 {
            Engine::Sqlite { readers, .. } => Target::Readers(readers),
            Engine::Postgres(pool) => Target::Reading(pool),
        })
    }

    /// For a single statement that writes.
    pub fn writer(&self) -> Executor<'_> {
        Executor(match &self.0 {
            Engine::Sqlite { writer, .. } => Target::Writer(writer),
            Engine::Postgres(pool) => Target::Writing(pool),
        })
    }

    /// Begins a transaction that may write. Never hold it across hashing or mail.
    ///
    /// # Errors
    /// When no connection is free within [`WAIT`], or the database is away.
    pub async fn begin(&self) -> Result<Tx, DbError> {
        tracing::trace!("begin");
        let transaction = match &self.0 {
            Engine::Sqlite { writer, .. } => Transaction::Sqlite(writer.begin().await?),
            Engine::Postgres(pool) => match postgres::begin(pool).await {
                Err(error) if error.is_connection_lost() => {
                    Transaction::Postgres(postgres::begin(pool).await?)
                }
                begun => Transaction::Postgres(begun?),
            },
        };
        Ok(Tx { transaction, after_commit: None })
    }

    /// Whether the database takes writes, as far as can be told without one: SQLite gives the lock of
    /// its one writer, and PostgreSQL is no standby.
    ///
    /// # Errors
    /// When it does not, or does not answer.
    pub async fn check_writable(&self) -> Result<(), DbError> {
        let mut tx = self.begin().await?;
        if let Transaction::Postgres(connection) = &mut tx.transaction {
            postgres::check_writable(connection).await?;
        }
        tx.commit().await
    }

    /// Closes every connection, once what runs on them is done.
    pub async fn close(&self) {
        match &self.0 {
            Engine::Sqlite { readers, writer } => {
                readers.close().await;
                writer.close().await;
            }
            Engine::Postgres(pool) => pool.close().await,
        }
    }
}

impl Tx {
    /// For a statement within this transaction.
    pub fn on(&mut self) -> Executor<'_> {
        Executor(match &mut self.transaction {
            Transaction::Sqlite(guard) => Target::Guard(guard),
            Transaction::Postgres(connection) => Target::Transaction(connection),
        })
    }

    /// Makes it last: when this returns, it is on disk.
    ///
    /// # Errors
    /// When the commit failed; then nothing of it happened, unless the database took it and could
    /// not say so.
    pub async fn commit(self) -> Result<(), DbError> {
        let done = match self.transaction {
            Transaction::Sqlite(guard) => guard.finish().await,
            Transaction::Postgres(connection) => postgres::commit(connection).await,
        };
        // After an error, too: the commit may have happened.
        if let Some(notify) = self.after_commit {
            notify.notify_one();
        }
        done?;
        tracing::trace!("committed");
        Ok(())
    }

    /// Calls `notify_one` after the commit; never for a transaction that is dropped.
    pub fn notify_after_commit(&mut self, notify: &Arc<Notify>) {
        self.after_commit = Some(Arc::clone(notify));
    }
}

impl RollBack for SqliteConnection {
    type Source = SqliteConnectOptions;

    async fn connect_to(source: &SqliteConnectOptions) -> Result<Self, sqlx::Error> {
        source.connect().await
    }

    async fn reset(&mut self) -> Result<(), sqlx::Error> {
        self.ping().await
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

/// A row that either driver can fill: a struct of the macro `row`, or a tuple of `String`, `i64`,
/// `Vec<u8>` and their `Option`s.
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
        match $on.0 {
            Target::Readers(pool) => pooled!(pool, bound!($start, $values), $method).map($map),
            Target::Reading(pool) | Target::Writing(pool) if pool.source().is_per_transaction() => {
                let mut connection = postgres::begin(pool).await?;
                let query = bound!($start.persistent(false), $values);
                let done = with_timeout(
                    statement_timeout(pool.wait()),
                    query.$method(connection.connection()?),
                )
                .await;
                let done = connection.note(done)?;
                postgres::commit(connection).await.map(|()| done).map($map)
            }
            Target::Writing(pool) => pooled!(pool, bound!($start, $values), $method).map($map),
            Target::Reading(pool) => {
                let read = pooled!(pool, bound!($start, $values.clone()), $method);
                match read {
                    // To read twice does no harm, and the next connection is a new one.
                    Err(error) if error.is_connection_lost() => {
                        pooled!(pool, bound!($start, $values), $method).map($map)
                    }
                    read => read.map($map),
                }
            }
            Target::Writer(writer) => {
                let mut guard = writer.acquire().await?;
                let query = bound!($start, $values).$method(guard.connection()?);
                let done = with_timeout(statement_timeout(writer.wait()), query).await;
                let done = guard.note(done)?;
                guard.finish().await.map(|()| done).map($map)
            }
            Target::Guard(guard) => {
                let query = bound!($start, $values).$method(guard.connection()?);
                let done = with_timeout(statement_timeout(WAIT), query).await;
                guard.note(done).map($map)
            }
            Target::Transaction(connection) => {
                let is_kept = !connection.source().is_per_transaction();
                let query = bound!($start.persistent(is_kept), $values);
                let done =
                    with_timeout(statement_timeout(WAIT), query.$method(connection.connection()?))
                        .await;
                connection.note(done).map($map)
            }
        }
    };
}

/// Runs `$method` of `$query` on a connection of `$pool`.
macro_rules! pooled {
    ($pool:expr, $query:expr, $method:ident) => {{
        let mut connection = $pool.acquire().await?;
        let done =
            with_timeout(statement_timeout($pool.wait()), $query.$method(connection.connection()?))
                .await;
        let done = connection.note(done);
        if done.is_ok() {
            connection.release();
        }
        done
    }};
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
    pub async fn optional<R: Row>(self, on: Executor<'_>) -> Result<Option<R>, DbError> {
        // For the first row alone sqlx stops the statement as soon as that is there: before a change
        // that stands alone is on disk, and without a word when it cannot be.
        if matches!(on.0, Target::Writer(_) | Target::Writing(_)) {
            return Ok(self.all(on).await?.into_iter().next());
        }
        dispatch!(on, sqlx::query_as(self.text), self.values, fetch_optional, |row| row)
    }

    /// Every row.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn all<R: Row>(self, on: Executor<'_>) -> Result<Vec<R>, DbError> {
        dispatch!(on, sqlx::query_as(self.text), self.values, fetch_all, |rows| rows)
    }

    /// Runs it and answers how many rows it changed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn execute(self, on: Executor<'_>) -> Result<u64, DbError> {
        dispatch!(on, sqlx::query(self.text), self.values, execute, |done| done.rows_affected())
    }
}

/// No request waits for a database that hangs, or for a line that was cut without a word.
async fn with_timeout<T>(
    longest: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, DbError> {
    let done = timeout(longest, work).await.map_err(|_| DbError::Timeout)?;
    Ok(done?)
}

/// Of two waits each has its own bound; the third is for the work.
fn statement_timeout(wait: Duration) -> Duration {
    wait * STATEMENT_WAITS
}
