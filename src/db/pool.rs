//! A connection pool that pings a connection only when it was idle.
//!
//! sqlx's own pool pings before each use and, without a timeout, after it. The account page took 0.11 ms of
//! CPU with it, and 0.05 ms without (measured). deadpool 0.13 costs as little, but would replace little of
//! this file: not the rollback, and not the closing of all connections after a failover.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::DbError;
use super::connection::{Connection, Source};

/// A connection that was idle for longer is pinged before use. Otherwise the first forms after a restart of
/// the database would be answered 503.
const PING_AFTER_IDLE: Duration = Duration::from_millis(500);

/// Older connections are closed: a firewall may have dropped an idle one, and the server's memory for each
/// one grows.
const MAX_IDLE: Duration = Duration::from_mins(10);
const MAX_AGE: Duration = Duration::from_mins(30);

/// Timeouts of a statement, in waits for a lock: it may wait for two, and then works. After that the server
/// hangs, or the network is cut.
const STATEMENT_WAITS: u32 = 3;

/// Up to `max` connections, opened when they are needed.
pub struct Pool {
    pub source: Source,
    max: u32,
    /// How long a caller waits for a connection.
    wait: Duration,
    permits: Arc<Semaphore>,
    idle: Mutex<Idle>,
}

struct Idle {
    /// The most recently used is the last.
    connections: Vec<Open>,
    /// Connections that were opened before are closed when they return.
    valid_since: Instant,
}

struct Open {
    connection: Connection,
    opened: Instant,
    used: Instant,
}

/// A connection in use. [`PooledConnection::finish`] returns it to the pool. After an error, or when it is
/// dropped first because a client disconnected, it returns after a rollback.
pub struct PooledConnection {
    /// None once it is lost or has returned.
    held: Option<(Open, OwnedSemaphorePermit)>,
    is_in_transaction: bool,
    pub pool: Arc<Pool>,
}

impl Pool {
    /// A pool without connections yet.
    pub fn new(source: Source, max: u32, wait: Duration) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(max as usize));
        let idle = Mutex::new(Idle { connections: Vec::new(), valid_since: Instant::now() });
        Arc::new(Self { source, max, wait, permits, idle })
    }

    /// A connection outside of a transaction.
    pub async fn acquire(self: &Arc<Self>) -> Result<PooledConnection, DbError> {
        let acquired = timeout(self.wait, async {
            let permit = Arc::clone(&self.permits).acquire_owned().await;
            let permit = permit.map_err(|_| sqlx::Error::PoolClosed)?;
            let open = if let Some(open) = self.take_idle().await {
                open
            } else {
                let (connection, now) = (self.source.connect().await?, Instant::now());
                Open { connection, opened: now, used: now }
            };
            Ok::<_, sqlx::Error>((open, permit))
        });
        let held = Some(acquired.await.map_err(|_| sqlx::Error::PoolTimedOut)??);
        Ok(PooledConnection { held, is_in_transaction: false, pool: Arc::clone(self) })
    }

    /// A connection in a transaction that may write.
    pub async fn begin(self: &Arc<Self>) -> Result<PooledConnection, DbError> {
        match self.try_begin().await {
            // The next connection is a new one.
            Err(error) if error.is_connection_lost() => self.try_begin().await,
            begun => begun,
        }
    }

    async fn try_begin(self: &Arc<Self>) -> Result<PooledConnection, DbError> {
        let mut connection = self.acquire().await?;
        connection.is_in_transaction = true;
        connection.run(async |connection| connection.run(&self.source.begin()).await).await?;
        Ok(connection)
    }

    /// A connection for one statement.
    pub async fn acquire_for_statement(self: &Arc<Self>) -> Result<PooledConnection, DbError> {
        if self.source.is_per_transaction() { self.begin().await } else { self.acquire().await }
    }

    /// Closes every connection when it is no longer used. Later callers get an error.
    pub async fn close(&self) {
        let _all = self.permits.acquire_many(self.max).await;
        self.permits.close();
        let idle = std::mem::take(&mut self.idle().connections);
        for open in idle {
            let _ = open.connection.close().await;
        }
    }

    /// The most recently used connection that still works.
    async fn take_idle(&self) -> Option<Open> {
        loop {
            let mut open = self.idle().connections.pop()?;
            let idle = open.used.elapsed();
            if idle < PING_AFTER_IDLE {
                return Some(open);
            }
            let is_young = idle < MAX_IDLE && open.opened.elapsed() < MAX_AGE;
            if is_young && open.connection.run("SELECT 1").await.is_ok() {
                return Some(open);
            }
        }
    }

    fn put_back(&self, open: Open) {
        let mut idle = self.idle();
        if open.opened > idle.valid_since {
            // The first ones were used only at a peak.
            idle.connections.retain(|open| open.used.elapsed() < MAX_IDLE);
            idle.connections.push(Open { used: Instant::now(), ..open });
        }
    }

    /// Closes the idle connections now, and those in use when they return.
    fn close_all(&self) {
        *self.idle() = Idle { connections: Vec::new(), valid_since: Instant::now() };
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PooledConnection {
    /// For work without a time limit.
    pub fn get(&mut self) -> Result<&mut Connection, DbError> {
        let (open, _) = self.held.as_mut().ok_or(sqlx::Error::WorkerCrashed)?;
        Ok(&mut open.connection)
    }

    /// Runs one statement. After an error the connection is given up: SQLite may have ended the transaction,
    /// and later statements would be committed without it.
    pub async fn run<T>(
        &mut self,
        statement: impl AsyncFnOnce(&mut Connection) -> Result<T, sqlx::Error>,
    ) -> Result<T, DbError> {
        let limit = self.pool.wait * STATEMENT_WAITS;
        let done = with_timeout(limit, statement(self.get()?)).await;
        if let Err(error) = &done {
            self.close_if_useless(error);
            self.roll_back();
        }
        done
    }

    /// Closes a connection that is lost or useless, and all others, which are as old. If a new connection is
    /// useless, too, the fault is the server's, and the others are kept for reads.
    fn close_if_useless(&mut self, error: &DbError) {
        if error.is_connection_lost() || error.is_session_broken() {
            let useless = self.held.take();
            let is_new = useless.is_some_and(|(open, _)| open.opened.elapsed() < PING_AFTER_IDLE);
            if error.is_connection_lost() || !is_new {
                self.pool.close_all();
            }
        }
    }

    /// Commits the transaction, if one was begun, and returns the connection to the pool.
    pub async fn finish(mut self) -> Result<(), DbError> {
        if self.is_in_transaction {
            self.run(async |connection| connection.run("COMMIT").await).await?;
        }
        if let Some((open, _permit)) = self.held.take() {
            self.pool.put_back(open);
        }
        Ok(())
    }

    /// Rolls back the transaction, if there is one, and returns the connection to the pool.
    fn roll_back(&mut self) {
        let Some((mut open, permit)) = self.held.take() else { return };
        let Ok(runtime) = Handle::try_current() else { return };
        let pool = Arc::clone(&self.pool);
        runtime.spawn(async move {
            // Twice, because an abandoned statement may still wait for a lock.
            if with_timeout(pool.wait * 2, open.connection.roll_back()).await.is_ok() {
                pool.put_back(open);
            }
            drop(permit);
        });
    }
}

/// A caller that is dropped during `BEGIN` leaves an open transaction (sqlx #4393). On such a connection
/// the writes of others would be lost.
impl Drop for PooledConnection {
    fn drop(&mut self) {
        self.roll_back();
    }
}

async fn with_timeout<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, DbError> {
    Ok(timeout(limit, work).await.map_err(|_| DbError::Timeout)??)
}
