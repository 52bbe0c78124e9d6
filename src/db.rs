//! The only part that knows that there are two database drivers.
//!
//! Models write one SQL text for both (`$1` placeholders, TEXT, BIGINT, BYTEA, `on conflict … returning`)
//! and say where it runs: [`Db::reader`], [`Db::writer`] or a [`Tx`].

mod advisory_lock;
mod error;
mod location;
mod migrations;
mod pool;
mod postgres;
mod row;
mod server;
mod skip_locked;
mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, PgConnection, SqliteConnection};
use tokio::sync::Notify;
use tokio::time::timeout;

pub use advisory_lock::AdvisoryLock;
pub use error::DbError;
pub use location::Location;
pub use migrations::latest_version;
use pool::{Pool, PooledConnection};
pub(crate) use row::row;
pub use server::Server;
pub use skip_locked::SkipLocked;
pub(crate) use skip_locked::skip_locked;

/// How long a statement waits for a connection, and then for a lock, before the request is answered
/// 503.
pub const WAIT: Duration = Duration::from_secs(5);

/// An open database. Clones share its connections.
#[derive(Clone)]
pub struct Db(Engine);

#[derive(Clone)]
enum Engine {
    /// Several readers and one writer: SQLite has one writer at a time, and a queue for one connection is
    /// fairer and faster than retries on `SQLITE_BUSY`. Readers cannot write.
    Sqlite {
        readers: Arc<Pool<SqliteConnection>>,
        writer: Arc<Pool<SqliteConnection>>,
    },
    Postgres(Arc<Pool<PgConnection>>),
}

/// A transaction, rolled back unless it is committed.
pub struct Tx {
    transaction: Transaction,
    after_commit: Option<Arc<Notify>>,
}

enum Transaction {
    Sqlite(PooledConnection<SqliteConnection>),
    Postgres(PooledConnection<PgConnection>),
}

/// Where a statement runs.
pub struct Executor<'a>(Target<'a>);

enum Target<'a> {
    /// A connection of the pool, for this statement alone.
    Sqlite(&'a Arc<Pool<SqliteConnection>>, Access),
    Postgres(&'a Arc<Pool<PgConnection>>, Access),
    Transaction(&'a mut Transaction),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

impl Db {
    /// Opens `location`, creating the SQLite file if there is none, and migrates it.
    pub async fn open(location: &Location) -> Result<Self, DbError> {
        Self::open_for(location, WAIT).await
    }

    /// As [`Db::open`], with another timeout than [`WAIT`].
    pub async fn open_for(location: &Location, wait: Duration) -> Result<Self, DbError> {
        match location {
            Location::Sqlite(path) => Ok(Self(sqlite::open(path, wait).await?)),
            Location::Postgres(server) => {
                Ok(Self(postgres::open(Server::clone(server), wait).await?))
            }
        }
    }

    /// Brings the schema to this program's version; on PostgreSQL under an advisory lock.
    pub async fn migrate(&self) -> Result<(), DbError> {
        migrations::migrate(&self.0).await
    }

    /// For statements that only read.
    pub fn reader(&self) -> Executor<'_> {
        Executor(match &self.0 {
            Engine::Sqlite { readers, .. } => Target::Sqlite(readers, Access::Read),
            Engine::Postgres(pool) => Target::Postgres(pool, Access::Read),
        })
    }

    /// For a single statement that writes.
    pub fn writer(&self) -> Executor<'_> {
        Executor(match &self.0 {
            Engine::Sqlite { writer, .. } => Target::Sqlite(writer, Access::Write),
            Engine::Postgres(pool) => Target::Postgres(pool, Access::Write),
        })
    }

    /// Begins a transaction that may write. Never hold it across hashing or mail.
    pub async fn begin(&self) -> Result<Tx, DbError> {
        tracing::trace!("begin");
        let transaction = match &self.0 {
            Engine::Sqlite { writer, .. } => Transaction::Sqlite(writer.begin().await?),
            Engine::Postgres(pool) => Transaction::Postgres(pool.begin().await?),
        };
        Ok(Tx { transaction, after_commit: None })
    }

    /// Whether the database takes writes: the file is writable, and PostgreSQL is no standby.
    pub async fn check_writable(&self) -> Result<(), DbError> {
        let mut tx = self.begin().await?;
        let changes_nothing = sql("update vestibule_migrations set version = version where 1 = 0");
        changes_nothing.execute(tx.on()).await?;
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

impl std::fmt::Debug for Db {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("Db")
    }
}

impl Tx {
    /// For a statement within this transaction.
    pub fn on(&mut self) -> Executor<'_> {
        Executor(Target::Transaction(&mut self.transaction))
    }

    /// Commits: when this returns, what was done is on disk. After an error nothing of it was done,
    /// unless the database committed and the connection was lost before it could say so.
    pub async fn commit(self) -> Result<(), DbError> {
        let done = match self.transaction {
            Transaction::Sqlite(connection) => connection.finish().await,
            Transaction::Postgres(connection) => connection.finish().await,
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

/// Runs `$method` of `$query` with `$values` where `$on` says, and maps what comes back.
macro_rules! dispatch {
    ($on:expr, $query:expr, $values:expr, $method:ident, $map:expr) => {
        match $on.0 {
            Target::Sqlite(pool, access) => {
                run_alone!(pool, access, $query, $values, $method).map($map)
            }
            Target::Postgres(pool, access) => {
                run_alone!(pool, access, $query, $values, $method).map($map)
            }
            Target::Transaction(Transaction::Sqlite(connection)) => {
                run_on!(connection, $query, $values, $method).map($map)
            }
            Target::Transaction(Transaction::Postgres(connection)) => {
                run_on!(connection, $query, $values, $method).map($map)
            }
        }
    };
}

/// Runs a query on a connection of its own.
macro_rules! run_alone {
    ($pool:expr, $access:expr, $query:expr, $values:expr, $method:ident) => {{
        let mut may_retry = $access == Access::Read;
        loop {
            let mut connection = $pool.acquire_for_statement().await?;
            match run_on!(connection, $query, $values, $method) {
                // Reading twice does no harm, and the next connection is a new one.
                Err(error) if may_retry && error.is_connection_lost() => may_retry = false,
                Err(error) => break Err(error),
                Ok(done) => break connection.finish().await.map(|()| done),
            }
        }
    }};
}

/// Runs a query on `$connection`.
macro_rules! run_on {
    ($connection:expr, $query:expr, $values:expr, $method:ident) => {{
        let query = $query.persistent(!$connection.is_per_transaction());
        let query = $values.iter().cloned().fold(query, |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Int(number) => query.bind(number),
            Value::Bytes(bytes) => query.bind(bytes),
        });
        let limit = $connection.statement_timeout();
        let done = with_timeout(limit, query.$method($connection.get()?)).await;
        $connection.note(done)
    }};
}

impl Statement {
    /// Binds the next placeholder.
    #[must_use]
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// The first row, or none.
    pub async fn optional<R: Row>(self, on: Executor<'_>) -> Result<Option<R>, DbError> {
        // For the first row alone sqlx stops the statement as soon as it has that: before a change
        // outside of a transaction is on disk, and without an error when it cannot be.
        if matches!(on.0, Target::Sqlite(_, Access::Write) | Target::Postgres(_, Access::Write)) {
            return Ok(self.all(on).await?.into_iter().next());
        }
        dispatch!(on, sqlx::query_as(self.text), self.values, fetch_optional, |row| row)
    }

    /// Every row.
    pub async fn all<R: Row>(self, on: Executor<'_>) -> Result<Vec<R>, DbError> {
        dispatch!(on, sqlx::query_as(self.text), self.values, fetch_all, |rows| rows)
    }

    /// Runs it and answers how many rows it changed.
    pub async fn execute(self, on: Executor<'_>) -> Result<u64, DbError> {
        dispatch!(on, sqlx::query(self.text), self.values, execute, |done| done.rows_affected())
    }
}

/// No request waits for a database that hangs, or for a network that was cut silently.
async fn with_timeout<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, DbError> {
    Ok(timeout(limit, work).await.map_err(|_| DbError::Timeout)??)
}
