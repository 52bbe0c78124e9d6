//! A connection pool that pings a connection only when it was idle.
//!
//! sqlx's own pool pings before each use and, without a timeout, after it: on SQLite two more messages
//! to the connection's thread, on PostgreSQL two more round trips. A page of an account took 0.11 ms of
//! CPU with it, and 0.05 ms without (measured). deadpool 0.13 costs as little, but what is not its own
//! (the rollback, replacing all connections after a failover) is most of this file.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::Connection;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::{DbError, with_timeout};

/// A connection idle for longer is pinged before use: after a restart of the database each form would
/// be answered with a 503.
const FRESH: Duration = Duration::from_millis(500);

/// Then a connection is closed instead of used: a firewall may have forgotten it, and what the server
/// keeps for it grows.
const MAX_IDLE: Duration = Duration::from_mins(10);
const MAX_AGE: Duration = Duration::from_mins(30);

/// A statement may wait for two locks; the rest is for its work. One without an answer after so many
/// waits gets none: the server hangs, or the network is cut.
const STATEMENT_WAITS: u32 = 3;

/// A driver's connection.
pub trait Driver: Connection + Sized + 'static {
    /// Where to connect, and the settings of each connection.
    type Source: Send + Sync + 'static;

    /// Opens a connection.
    fn connect_to(source: &Self::Source) -> impl Future<Output = Result<Self, sqlx::Error>> + Send;

    /// Runs a statement without values.
    fn run(&mut self, text: &str) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// The statement that begins a transaction that may write.
    fn begin_statement(source: &Self::Source) -> &str;

    /// Whether each transaction may run on another connection of the server, behind a pooler.
    fn is_per_transaction(_: &Self::Source) -> bool {
        false
    }
}

/// Up to `max` connections, opened when they are needed.
pub struct Pool<C: Driver> {
    source: C::Source,
    max: u32,
    /// How long a caller waits for a connection.
    wait: Duration,
    permits: Arc<Semaphore>,
    idle: Mutex<Idle<C>>,
}

struct Idle<C> {
    /// The one used last is the last.
    connections: Vec<Open<C>>,
    /// Connections opened before are closed, not used again.
    valid_since: Instant,
}

struct Open<C> {
    connection: C,
    opened: Instant,
    used: Instant,
}

/// A connection in use. It returns to the pool by [`PooledConnection::finish`]. When it is dropped
/// before, as when a client hangs up, it returns after a rollback.
pub struct PooledConnection<C: Driver> {
    /// None once it was returned.
    held: Option<(Open<C>, OwnedSemaphorePermit)>,
    is_in_transaction: bool,
    /// A statement failed in a way that may have ended the transaction: no other may follow it.
    has_failed: bool,
    /// It is lost, or in a state that fails every statement: it is closed, not returned.
    is_useless: bool,
    pool: Arc<Pool<C>>,
}

impl<C: Driver> Pool<C> {
    /// A pool without connections yet.
    pub fn new(source: C::Source, max: u32, wait: Duration) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(max as usize));
        let idle = Mutex::new(Idle { connections: Vec::new(), valid_since: Instant::now() });
        Arc::new(Self { source, max, wait, permits, idle })
    }

    /// A new connection that is not of the pool.
    pub async fn connect(&self) -> Result<C, sqlx::Error> {
        C::connect_to(&self.source).await
    }

    /// A connection outside of a transaction.
    pub async fn acquire(self: &Arc<Self>) -> Result<PooledConnection<C>, DbError> {
        let acquired = timeout(self.wait, async {
            let permit = Arc::clone(&self.permits).acquire_owned().await;
            let permit = permit.map_err(|_| sqlx::Error::PoolClosed)?;
            let open = if let Some(open) = self.take_idle().await {
                open
            } else {
                let (connection, now) = (self.connect().await?, Instant::now());
                Open { connection, opened: now, used: now }
            };
            Ok::<_, sqlx::Error>((open, permit))
        });
        Ok(PooledConnection {
            held: Some(acquired.await.map_err(|_| sqlx::Error::PoolTimedOut)??),
            is_in_transaction: false,
            has_failed: false,
            is_useless: false,
            pool: Arc::clone(self),
        })
    }

    /// A connection in a transaction that may write.
    pub async fn begin(self: &Arc<Self>) -> Result<PooledConnection<C>, DbError> {
        match self.try_begin().await {
            // The next connection is a new one.
            Err(error) if error.is_connection_lost() => self.try_begin().await,
            begun => begun,
        }
    }

    async fn try_begin(self: &Arc<Self>) -> Result<PooledConnection<C>, DbError> {
        let mut connection = self.acquire().await?;
        // Set before: the database begins it even when the caller is dropped meanwhile.
        connection.is_in_transaction = true;
        connection.run(C::begin_statement(&self.source)).await?;
        Ok(connection)
    }

    /// A connection for one statement.
    pub async fn acquire_for_statement(self: &Arc<Self>) -> Result<PooledConnection<C>, DbError> {
        if C::is_per_transaction(&self.source) { self.begin().await } else { self.acquire().await }
    }

    /// Closes every connection, once what runs on it is done. Later callers get an error.
    pub async fn close(&self) {
        let all = self.permits.acquire_many(self.max).await;
        self.permits.close();
        let idle = std::mem::take(&mut self.idle().connections);
        for open in idle {
            let _ = open.connection.close().await;
        }
        drop(all);
    }

    /// The connection that was used last, unless it was lost since.
    async fn take_idle(&self) -> Option<Open<C>> {
        loop {
            let mut open = self.idle().connections.pop()?;
            let idle = open.used.elapsed();
            if idle < FRESH {
                return Some(open);
            }
            let is_young = idle < MAX_IDLE && open.opened.elapsed() < MAX_AGE;
            if is_young && open.connection.ping().await.is_ok() {
                return Some(open);
            }
        }
    }

    fn put_back(&self, open: Open<C>) {
        let mut idle = self.idle();
        if open.opened > idle.valid_since {
            // Those at the bottom are used at peaks only.
            idle.connections.retain(|open| open.used.elapsed() < MAX_IDLE);
            idle.connections.push(Open { used: Instant::now(), ..open });
        }
    }

    /// Closes every connection: those in use when they return.
    fn close_all(&self) {
        *self.idle() = Idle { connections: Vec::new(), valid_since: Instant::now() };
    }

    fn idle(&self) -> MutexGuard<'_, Idle<C>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Driver> PooledConnection<C> {
    /// The connection, unless its transaction was ended by a failure.
    pub fn get(&mut self) -> Result<&mut C, DbError> {
        let usable = self.held.as_mut().filter(|_| !self.has_failed);
        Ok(usable.map(|(open, _)| &mut open.connection).ok_or(sqlx::Error::WorkerCrashed)?)
    }

    /// See [`Driver::is_per_transaction`].
    pub fn is_per_transaction(&self) -> bool {
        C::is_per_transaction(&self.pool.source)
    }

    /// After which a statement is given up.
    pub fn statement_timeout(&self) -> Duration {
        self.pool.wait * STATEMENT_WAITS
    }

    /// Notes how a statement ended. Where a connection is lost, or left behind by a failover, so are
    /// the others: all are closed. Not where a new one fares no better: then it is the server.
    pub fn note<T>(&mut self, done: Result<T, DbError>) -> Result<T, DbError> {
        let Err(error) = &done else { return done };
        self.has_failed |= self.is_in_transaction && !error.keeps_transaction();
        let is_new = self.held.as_ref().is_some_and(|(open, _)| open.opened.elapsed() < FRESH);
        if error.is_connection_lost() || error.is_session_broken() {
            self.is_useless = true;
            if error.is_connection_lost() || !is_new {
                self.pool.close_all();
            }
        }
        done
    }

    /// Commits the transaction, if one was begun, and returns the connection to the pool.
    pub async fn finish(mut self) -> Result<(), DbError> {
        if self.is_in_transaction {
            self.run("COMMIT").await?;
        }
        if let Some((open, _permit)) = self.held.take() {
            self.pool.put_back(open);
        }
        Ok(())
    }

    async fn run(&mut self, text: &str) -> Result<(), DbError> {
        let limit = self.statement_timeout();
        let done = with_timeout(limit, self.get()?.run(text)).await;
        self.note(done)
    }
}

/// sqlx-postgres 0.9 would put a connection back inside a transaction whose `BEGIN` its caller has not
/// waited for, and what others then write on it would not last (shown by clients that hang up).
impl<C: Driver> Drop for PooledConnection<C> {
    fn drop(&mut self) {
        let (Some((mut open, permit)), Ok(runtime)) = (self.held.take(), Handle::try_current())
        else {
            return;
        };
        if self.is_useless {
            return;
        }
        let pool = Arc::clone(&self.pool);
        runtime.spawn(async move {
            // Twice: the statement that was abandoned may wait for a lock itself.
            let rolled_back = with_timeout(pool.wait * 2, open.connection.run("ROLLBACK")).await;
            // SQLite calls it an error when there is no transaction.
            if rolled_back.map_or_else(|error| error.is_wrong_sql(), |()| true) {
                pool.put_back(open);
            }
            drop(permit);
        });
    }
}
