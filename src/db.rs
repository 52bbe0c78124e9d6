//! The database: SQLite or PostgreSQL, which only this module knows.
//!
//! Models write one SQL text for both (`$1` placeholders, TEXT, BIGINT, BYTEA, `on conflict … returning`)
//! and run it on [`Db::reader`], [`Db::writer`] or a [`Tx`].

mod advisory_lock;
mod backup;
mod connection;
mod copy;
mod error;
mod inspect;
mod location;
mod migrations;
mod pool;
mod postgres;
mod row;
mod server;
mod sqlite;
mod statement;
mod use_lock;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sqlx::SqliteConnection;
use tokio::sync::Notify;

pub use advisory_lock::AdvisoryLock;
pub use backup::{Replacement, TableCount, back_up};
use connection::Source;
pub use copy::{CopiedTable, CopyError, copy};
pub use error::DbError;
pub use location::Location;
pub use migrations::{Migrations, latest_version};
use pool::{Pool, PooledConnection};
pub(crate) use row::row;
pub use server::Server;
/// Of a host application.
pub use sqlx::{PgPool, SqlitePool};
pub use statement::{Row, Statement, sql};
pub use use_lock::UseLock;

/// How long a request waits for a connection, and then for a lock, before it is answered 503.
pub const WAIT: Duration = Duration::from_secs(5);

/// An open database. Clones share its connections.
#[derive(Clone)]
pub struct Db {
    /// On SQLite they cannot write. On PostgreSQL this is the pool of writers.
    readers: Arc<Pool>,
    /// One on SQLite, which allows one writer: a queue is fairer and faster than retries on `SQLITE_BUSY`.
    writers: Arc<Pool>,
    /// Keeps a database in memory while the pools have no connection.
    _memory: Option<Arc<SqliteConnection>>,
    /// Shows other processes that the SQLite file is in use.
    in_use: Option<Arc<UseLock>>,
}

/// Where a statement runs.
pub enum Executor<'a> {
    /// A connection for one statement, which only reads.
    Reader(&'a Arc<Pool>),
    /// A connection for one statement.
    Writer(&'a Arc<Pool>),
    Transaction(&'a mut PooledConnection),
}

impl Db {
    /// Opens `location`, creating the SQLite file if there is none, and migrates it.
    pub async fn open(location: &Location) -> Result<Self, DbError> {
        Self::open_for(location, WAIT).await
    }

    /// As [`Db::open`], with another timeout than [`WAIT`].
    pub async fn open_for(location: &Location, wait: Duration) -> Result<Self, DbError> {
        match location {
            Location::Sqlite(path) => sqlite::open(path, wait).await,
            Location::Postgres(server) => postgres::open(server, wait).await,
            Location::SqlitePool(pool) => sqlite::open_pool(pool, wait).await,
            Location::PostgresPool(pool) => {
                let opened = postgres::open(&Server::of_pool(pool), wait).await;
                opened.map_err(|error| error.at("the PostgreSQL pool"))
            }
        }
    }

    /// As [`Db::open`], while no other process of this program uses the database.
    pub async fn open_alone(location: &Location) -> Result<Self, DbError> {
        match location {
            Location::Sqlite(path) => sqlite::open_alone(path, WAIT).await,
            Location::Postgres(server) => postgres::open_alone(server, WAIT).await,
            Location::SqlitePool(_) | Location::PostgresPool(_) => Self::open(location).await,
        }
    }

    /// Opens the database of another program, only to read it.
    pub async fn open_foreign(location: &Location) -> Result<Self, DbError> {
        let pool = match location {
            Location::Postgres(server) => postgres::connect_pool(server, WAIT, "", 1).await?,
            Location::Sqlite(path) => sqlite::open_foreign(path, WAIT).await?,
            Location::SqlitePool(_) | Location::PostgresPool(_) => {
                return Self::open(location).await;
            }
        };
        Ok(Self { readers: Arc::clone(&pool), writers: pool, _memory: None, in_use: None })
    }

    /// Opens the database as it is, for a command that reads. Fails if its schema is not that of this program.
    pub async fn open_to_read(location: &Location) -> Result<Self, DbError> {
        let lock = match location {
            Location::Sqlite(path) => UseLock::take_to_read(path).await,
            _ => None,
        };
        let db = Self { in_use: lock.map(Arc::new), ..Self::open_as_is(location).await? };
        if db.migrations().await?.pending > 0 { Err(DbError::Outdated) } else { Ok(db) }
    }

    /// Opens the database as it is: without creating, migrating or setting anything.
    pub async fn open_as_is(location: &Location) -> Result<Self, DbError> {
        let pool = match location {
            Location::Postgres(server) => postgres::connect_pool(server, WAIT, "", 1).await?,
            Location::Sqlite(path) => sqlite::open_as_is(path, WAIT).await?,
            Location::SqlitePool(_) | Location::PostgresPool(_) => {
                return Self::open(location).await;
            }
        };
        Ok(Self { readers: Arc::clone(&pool), writers: pool, _memory: None, in_use: None })
    }

    /// Whether it is PostgreSQL.
    pub fn is_postgres(&self) -> bool {
        matches!(self.readers.source, Source::Postgres { .. })
    }

    /// For a statement that only reads.
    pub fn reader(&self) -> Executor<'_> {
        Executor::Reader(&self.readers)
    }

    /// For a single statement that writes.
    pub fn writer(&self) -> Executor<'_> {
        Executor::Writer(&self.writers)
    }

    /// Begins a transaction that may write. Never hold it across hashing or mail.
    pub async fn begin(&self) -> Result<Tx, DbError> {
        tracing::trace!("begin");
        Ok(Tx { connection: self.writers.begin().await?, after_commit: Vec::new() })
    }

    /// Fails if the database answers nothing.
    pub async fn check_readable(&self) -> Result<(), DbError> {
        sql("select cast(1 as bigint)").fetch_optional::<(i64,)>(self.reader()).await.map(drop)
    }

    /// Fails if the database takes no writes, on a read-only disk or a standby, or if its file was deleted.
    pub async fn check_writable(&self) -> Result<(), DbError> {
        if self.in_use.as_ref().is_some_and(|lock| lock.database_is_replaced()) {
            return Err(DbError::Replaced);
        }
        let mut tx = self.begin().await?;
        let changes_nothing = sql("update vestibule_migrations set version = version where 1 = 0");
        changes_nothing.execute(tx.executor()).await?;
        tx.commit().await
    }

    /// The SQLite file; `None` for a database in memory, and on PostgreSQL.
    pub async fn sqlite_file(&self) -> Result<Option<PathBuf>, DbError> {
        let Source::Sqlite(_) = self.writers.source else { return Ok(None) };
        let file = sql("select file from pragma_database_list where name = 'main'");
        let file = file.fetch_optional::<(String,)>(self.reader()).await?;
        Ok(file.map(|(path,)| PathBuf::from(path)).filter(|path| !path.as_os_str().is_empty()))
    }

    /// Closes every connection when it is no longer used.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }
}

impl std::fmt::Debug for Db {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("Db")
    }
}

/// A transaction, rolled back unless it is committed. After an error nothing more can be done in it.
pub struct Tx {
    connection: PooledConnection,
    after_commit: Vec<Arc<Notify>>,
}

impl Tx {
    /// For a statement within this transaction.
    pub fn executor(&mut self) -> Executor<'_> {
        Executor::Transaction(&mut self.connection)
    }

    /// After success the changes are on disk. After an error they are rolled back, unless the connection was
    /// lost after the commit and before its answer.
    pub async fn commit(self) -> Result<(), DbError> {
        let done = self.connection.finish().await;
        // After an error, too: the database may have committed.
        for notify in self.after_commit {
            notify.notify_one();
        }
        done?;
        tracing::trace!("committed");
        Ok(())
    }

    /// Calls `notify_one` after the commit; never for a transaction that is dropped.
    pub fn notify_after_commit(&mut self, notify: &Arc<Notify>) {
        self.after_commit.push(Arc::clone(notify));
    }
}
