//! SQLite's one write connection, which one caller at a time uses.

use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, SqliteConnection};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;

use super::{DbError, statement_timeout, with_timeout};

/// The write connection. Clones share it.
#[derive(Clone)]
pub struct Writer {
    state: Arc<Mutex<State>>,
    wait: Duration,
}

struct State {
    options: SqliteConnectOptions,
    /// None after a failure that it may not have survived: the next caller opens another.
    connection: Option<SqliteConnection>,
    is_closed: bool,
}

/// The write connection while one caller uses it. Dropped without [`WriteGuard::finish`], what was
/// done in its transaction is rolled back before anybody else gets the connection.
pub struct WriteGuard {
    /// None once it was given back.
    state: Option<OwnedMutexGuard<State>>,
    is_in_transaction: bool,
    /// A statement failed in a way that may have ended the transaction: no other may follow it.
    has_failed: bool,
    /// The connection is in a state that fails every write, as on a disk that was read-only.
    is_useless: bool,
    wait: Duration,
}

impl Writer {
    /// Opens the file that `options` name. A caller waits for the connection for `wait`.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub async fn open(options: SqliteConnectOptions, wait: Duration) -> Result<Self, sqlx::Error> {
        let connection = Some(options.connect().await?);
        let state = State { options, connection, is_closed: false };
        Ok(Self { state: Arc::new(Mutex::new(state)), wait })
    }

    /// How long the connection is waited for.
    pub fn wait(&self) -> Duration {
        self.wait
    }

    /// The connection outside of a transaction: a single statement is one by itself.
    ///
    /// # Errors
    /// When it is not free in time, or the file cannot be opened.
    pub async fn acquire(&self) -> Result<WriteGuard, DbError> {
        let state = timeout(self.wait, Arc::clone(&self.state).lock_owned()).await;
        let mut state = state.map_err(|_| sqlx::Error::PoolTimedOut)?;
        if state.is_closed {
            return Err(sqlx::Error::PoolClosed.into());
        }
        if state.connection.is_none() {
            state.connection = Some(state.options.connect().await?);
        }
        Ok(WriteGuard {
            state: Some(state),
            is_in_transaction: false,
            has_failed: false,
            is_useless: false,
            wait: self.wait,
        })
    }

    /// The connection in a transaction that holds SQLite's write lock from its begin.
    ///
    /// # Errors
    /// As [`Writer::acquire`], and when another process holds the lock for too long.
    pub async fn begin(&self) -> Result<WriteGuard, DbError> {
        let mut guard = self.acquire().await?;
        // Noted first: SQLite's thread begins it even when the caller leaves before it has.
        guard.is_in_transaction = true;
        guard.run("BEGIN IMMEDIATE").await?;
        Ok(guard)
    }

    /// Closes the file, once what is under way is done.
    pub async fn close(&self) {
        let mut state = self.state.lock().await;
        state.is_closed = true;
        if let Some(connection) = state.connection.take() {
            let _ = connection.close().await;
        }
    }
}

impl WriteGuard {
    /// The connection itself.
    ///
    /// # Errors
    /// When it is gone, or when the transaction has ended by a failure.
    pub fn connection(&mut self) -> Result<&mut SqliteConnection, DbError> {
        let usable = self.state.as_deref_mut().filter(|_| !self.has_failed);
        let connection = usable.and_then(|state| state.connection.as_mut());
        Ok(connection.ok_or(sqlx::Error::WorkerCrashed)?)
    }

    /// Notes how a statement ended: after some failures SQLite has rolled the transaction back.
    ///
    /// # Errors
    /// Those of `done`.
    pub fn note<T>(&mut self, done: Result<T, DbError>) -> Result<T, DbError> {
        if let Err(error) = &done {
            self.has_failed |= !error.keeps_transaction();
            self.is_useless |= error.is_session_broken();
        }
        done
    }

    /// Commits: when this returns, what was done is on disk.
    ///
    /// # Errors
    /// When nothing of it lasts.
    pub async fn finish(mut self) -> Result<(), DbError> {
        if self.is_in_transaction {
            self.run("COMMIT").await?;
        }
        // Given back as it is.
        self.state = None;
        Ok(())
    }

    async fn run(&mut self, text: &'static str) -> Result<(), DbError> {
        let longest = statement_timeout(self.wait);
        let done = with_timeout(longest, self.connection()?.execute(text)).await.map(drop);
        self.note(done)
    }
}

impl Drop for WriteGuard {
    fn drop(&mut self) {
        let Some(mut state) = self.state.take() else { return };
        let Ok(runtime) = Handle::try_current() else {
            state.connection = None;
            return;
        };
        let (is_in_transaction, longest) = (self.is_in_transaction, statement_timeout(self.wait));
        let is_kept = !self.is_useless;
        // The next caller gets the connection when this is done.
        runtime.spawn(async move {
            let Some(mut connection) = state.connection.take() else { return };
            let is_clean = timeout(longest, clean(&mut connection, is_in_transaction)).await;
            if is_kept && is_clean == Ok(true) {
                state.connection = Some(connection);
            }
        });
    }
}

/// Waits for the statement that runs, and rolls back. Answers whether nothing is left open.
async fn clean(connection: &mut SqliteConnection, is_in_transaction: bool) -> bool {
    if !is_in_transaction {
        return connection.ping().await.is_ok();
    }
    match connection.execute("ROLLBACK").await.map_err(DbError::from) {
        Ok(_) => true,
        // There was nothing to roll back: SQLite had done so, for want of space, or committed.
        Err(error) => error.is_wrong_sql(),
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Writer").field("wait", &self.wait).finish_non_exhaustive()
    }
}
