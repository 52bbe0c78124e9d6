//! A connection pool.
//!
//! sqlx's own pool asks a connection for a sign of life before each use and after it. On SQLite that
//! is three conversations with the connection's thread in the place of one, on PostgreSQL three round
//! trips: a page of an account took 0.11 ms of CPU with it, and 0.05 ms without (measured).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::Connection;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::DbError;

/// Used so lately, it lives: a database that was restarted in between costs
/// each form under way a 503.
const FRESH: Duration = Duration::from_millis(500);

/// After it a connection is closed rather than used: a firewall may have forgotten it, and what the
/// server keeps for it grows.
const LONGEST_IDLE: Duration = Duration::from_mins(10);
const LONGEST_LIFE: Duration = Duration::from_mins(30);

/// A kind of connection that can be pooled.
pub trait RollBack: Connection + Sized + 'static {
    /// Where to connect, and what to set on each connection.
    type Source: Send + Sync + 'static;

    /// Makes a connection.
    fn connect_to(source: &Self::Source) -> impl Future<Output = Result<Self, sqlx::Error>> + Send;

    /// Ends whatever was left open on a connection by a caller who went away.
    ///
    /// Waits for the statement that runs, and rolls back.
    fn reset(&mut self) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
}

/// Any number of tasks share so many connections. Clones share them, too.
pub struct Pool<C: RollBack> {
    shared: Arc<Shared<C>>,
}

struct Shared<C: RollBack> {
    source: C::Source,
    most: u32,
    wait: Duration,
    places: Arc<Semaphore>,
    unused: Mutex<Unused<C>>,
}

struct Unused<C> {
    /// The one that was used last is the last.
    idle: Vec<Idle<C>>,
    /// Connections that were made before are closed, not used again.
    closed: Option<Instant>,
}

struct Idle<C> {
    connection: C,
    born: Instant,
    since: Instant,
}

/// A connection in use. It returns to the pool by [`PooledConnection::release`], or, when its user was dropped in the middle of
/// a statement, as soon as that is over.
pub struct PooledConnection<C: RollBack> {
    /// None once it went back.
    held: Option<Held<C>>,
    /// No statement will do better on it.
    is_useless: bool,
    shared: Arc<Shared<C>>,
}

struct Held<C> {
    connection: C,
    born: Instant,
    _place: OwnedSemaphorePermit,
}

impl<C: RollBack> Pool<C> {
    /// At most `most` connections, made when they are needed. Who finds none waits for `wait`.
    pub fn new(source: C::Source, most: u32, wait: Duration) -> Self {
        let places = Arc::new(Semaphore::new(most as usize));
        let unused = Mutex::new(Unused { idle: Vec::new(), closed: None });
        Self { shared: Arc::new(Shared { source, most, wait, places, unused }) }
    }

    /// Where its connections lead.
    pub fn source(&self) -> &C::Source {
        &self.shared.source
    }

    /// How long a connection is waited for.
    pub fn wait(&self) -> Duration {
        self.shared.wait
    }

    /// A connection of the caller's own, beside the pool.
    ///
    /// # Errors
    /// When none can be made.
    pub async fn connect(&self) -> Result<C, sqlx::Error> {
        C::connect_to(&self.shared.source).await
    }

    /// A connection that works, as far as can be told.
    ///
    /// # Errors
    /// When none is free in time, or none can be made.
    pub async fn acquire(&self) -> Result<PooledConnection<C>, sqlx::Error> {
        let connection = timeout(self.shared.wait, self.find()).await;
        connection.map_err(|_| sqlx::Error::PoolTimedOut)?
    }

    async fn find(&self) -> Result<PooledConnection<C>, sqlx::Error> {
        let place = Arc::clone(&self.shared.places).acquire_owned().await;
        let place = place.map_err(|_| sqlx::Error::PoolClosed)?;
        let (connection, born) = match self.shared.usable().await {
            Some(found) => found,
            None => (self.connect().await?, Instant::now()),
        };
        let held = Some(Held { connection, born, _place: place });
        Ok(PooledConnection { held, is_useless: false, shared: Arc::clone(&self.shared) })
    }

    /// Closes every connection, once what runs on it is done. Whoever asks for one later fails.
    pub async fn close(&self) {
        let all = self.shared.places.acquire_many(self.shared.most).await;
        self.shared.places.close();
        for idle in self.shared.take_idle() {
            let _ = idle.connection.close().await;
        }
        drop(all);
    }
}

impl<C: RollBack> Shared<C> {
    /// The connection that was used last, unless it has died since.
    async fn usable(&self) -> Option<(C, Instant)> {
        while let Some(Idle { mut connection, born, since }) = self.pop() {
            let (idle, life) = (since.elapsed(), born.elapsed());
            if idle < FRESH {
                return Some((connection, born));
            }
            if idle < LONGEST_IDLE && life < LONGEST_LIFE && connection.ping().await.is_ok() {
                return Some((connection, born));
            }
        }
        None
    }

    fn pop(&self) -> Option<Idle<C>> {
        self.unused().idle.pop()
    }

    fn take_back(&self, Held { connection, born, .. }: Held<C>) {
        let mut unused = self.unused();
        if unused.closed.is_some_and(|closed| born <= closed) {
            return;
        }
        // Those at the bottom are used in a rush alone.
        unused.idle.retain(|idle| idle.since.elapsed() < LONGEST_IDLE);
        unused.idle.push(Idle { connection, born, since: Instant::now() });
    }

    fn take_idle(&self) -> Vec<Idle<C>> {
        std::mem::take(&mut self.unused().idle)
    }

    /// Closes every connection that there is: those in use when they come back.
    fn close_all(&self) {
        let mut unused = self.unused();
        unused.closed = Some(Instant::now());
        unused.idle.clear();
    }

    fn unused(&self) -> MutexGuard<'_, Unused<C>> {
        self.unused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: RollBack> PooledConnection<C> {
    /// The connection itself.
    ///
    /// # Errors
    /// When it has gone back.
    pub fn connection(&mut self) -> Result<&mut C, sqlx::Error> {
        self.held.as_mut().map(|held| &mut held.connection).ok_or(sqlx::Error::PoolClosed)
    }

    /// Where it leads.
    pub fn source(&self) -> &C::Source {
        &self.shared.source
    }

    /// Notes how a statement ended. Where a connection has died, or was left behind by a failover, so
    /// were the others: all are closed, and the next ones are new. Not where one that is new fares no
    /// better: then it is the server.
    ///
    /// # Errors
    /// Those of `done`.
    pub fn note<T>(&mut self, done: Result<T, DbError>) -> Result<T, DbError> {
        let is_new = self.held.as_ref().is_some_and(|held| held.born.elapsed() < FRESH);
        if let Err(error) = &done
            && (error.is_connection_lost() || error.is_session_broken())
        {
            self.is_useless = true;
            if error.is_connection_lost() || !is_new {
                self.shared.close_all();
            }
        }
        done
    }

    /// Gives it back: nothing runs on it, and no transaction is open.
    pub fn release(mut self) {
        if let Some(held) = self.held.take() {
            self.shared.take_back(held);
        }
    }
}

/// sqlx-postgres 0.9 would put a connection back inside a transaction whose `BEGIN` its caller has not
/// waited for, and what others then write on it would not last (shown by clients that hang up).
impl<C: RollBack> Drop for PooledConnection<C> {
    fn drop(&mut self) {
        let (Some(mut held), Ok(runtime)) = (self.held.take(), Handle::try_current()) else {
            return;
        };
        if self.is_useless {
            return;
        }
        let shared = Arc::clone(&self.shared);
        runtime.spawn(async move {
            // Twice: the statement that was left may be waiting for a lock itself.
            let was_reset = timeout(shared.wait * 2, held.connection.reset()).await;
            if matches!(was_reset, Ok(Ok(()))) {
                shared.take_back(held);
            }
        });
    }
}

impl<C: RollBack> Clone for Pool<C> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<C: RollBack> std::fmt::Debug for Pool<C> {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Pool").field("most", &self.shared.most).finish_non_exhaustive()
    }
}
