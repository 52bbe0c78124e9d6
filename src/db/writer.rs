//! SQLite's one writer, and the transaction that those who wait for it share.
//!
//! A commit is an `fsync`, and a disk does a few hundred to a few thousand of them a second. Who finds
//! others waiting for the writer leaves the transaction open for them and stands in line once more, to
//! commit for all who came in between: the more there is to write, the more goes into one commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, SqliteConnection};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio::time::timeout;

use super::{DbError, in_time};

type Outcome = Option<Result<(), Arc<str>>>;

/// The way to the writer. Clones lead to the same one.
#[derive(Clone)]
pub struct Writer {
    line: Arc<Mutex<Line>>,
    /// How many stand in line for a turn: a hint, on which only speed rests.
    waiting: Arc<AtomicUsize>,
    wait: Duration,
}

/// What whoever has the turn holds.
struct Line {
    options: SqliteConnectOptions,
    /// None after a failure that it may not have survived: the next turn opens another.
    connection: Option<SqliteConnection>,
    group: Option<Group>,
    /// The connection is in a state that fails every write, as that to a file that was moved away.
    is_useless: bool,
    is_closed: bool,
}

/// A transaction that is open for more.
struct Group {
    /// Whether it lasts, or why not; none as long as that is open. Whoever shares it holds a receiver.
    lasts: watch::Sender<Outcome>,
}

/// The writer on loan. Dropped without [`Loan::finish`], what was done in it is undone.
pub struct Loan {
    line: Option<OwnedMutexGuard<Line>>,
    undo: Undo,
    /// For the others, if they have to be undone with it.
    why: Option<String>,
    writer: Writer,
}

/// What has to be undone when a turn fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Undo {
    /// Nothing: SQLite undoes a single statement by itself.
    Nothing,
    /// What came after the savepoint: the transaction is others', too.
    Savepoint,
    /// The whole transaction, perhaps others' with it: it is this turn's own, or lost.
    Group,
}

/// Counts whoever stands in line, also while they leave.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Writer {
    /// The writer of the file that `options` name. Whoever finds it taken waits for `wait`.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub async fn open(options: SqliteConnectOptions, wait: Duration) -> Result<Self, sqlx::Error> {
        let connection = Some(options.connect().await?);
        let line = Line { options, connection, group: None, is_useless: false, is_closed: false };
        Ok(Self { line: Arc::new(Mutex::new(line)), waiting: Arc::default(), wait })
    }

    /// How long the writer is waited for.
    pub fn wait(&self) -> Duration {
        self.wait
    }

    /// The writer for one statement. Alone it is a transaction by itself.
    ///
    /// # Errors
    /// When it is not free in time, or the database cannot be written.
    pub async fn statement(&self) -> Result<Loan, DbError> {
        let mut loan = self.lend().await?;
        if loan.group().is_none() && self.waiting.load(Ordering::Relaxed) > 0 {
            loan.begin().await?;
        }
        loan.undo = Undo::Nothing;
        Ok(loan)
    }

    /// The writer for any number of statements, all of which last or none.
    ///
    /// # Errors
    /// As [`Writer::statement`].
    pub async fn transaction(&self) -> Result<Loan, DbError> {
        let mut loan = self.lend().await?;
        if loan.group().is_none() {
            loan.begin().await?;
        } else {
            loan.undo = Undo::Savepoint;
            loan.run("SAVEPOINT loan").await?;
        }
        Ok(loan)
    }

    /// The writer outside of any transaction.
    ///
    /// # Errors
    /// As [`Writer::statement`].
    pub async fn alone(&self) -> Result<Loan, DbError> {
        let mut loan = self.lend().await?;
        loan.held()?.commit(self.wait).await;
        Ok(loan)
    }

    async fn lend(&self) -> Result<Loan, DbError> {
        let waiting = Waiting::begin(&self.waiting);
        let line = timeout(self.wait, Arc::clone(&self.line).lock_owned()).await;
        let mut line = line.map_err(|_| sqlx::Error::PoolTimedOut)?;
        drop(waiting);
        line.open().await?;
        Ok(Loan { line: Some(line), undo: Undo::Nothing, why: None, writer: self.clone() })
    }

    /// Stands in line once more, and commits unless another of the group was first.
    async fn commit(self, mut lasts: watch::Receiver<Outcome>) -> Result<(), DbError> {
        let known = lasts.clone();
        tokio::select! {
            biased;
            _ = lasts.changed() => {}
            mut line = self.line.lock() => {
                if known.borrow().is_none() {
                    line.commit(self.wait).await;
                }
            }
        }
        let lasts = known.borrow().clone().unwrap_or_else(|| Err("it was left".into()));
        lasts.map_err(DbError::NotKept)
    }

    /// Ends what is open and closes the file.
    pub async fn close(&self) {
        let mut line = self.line.lock().await;
        line.commit(self.wait).await;
        line.is_closed = true;
        if let Some(connection) = line.connection.take() {
            let _ = connection.close().await;
        }
    }
}

impl Line {
    async fn open(&mut self) -> Result<(), sqlx::Error> {
        if self.is_closed {
            return Err(sqlx::Error::PoolClosed);
        }
        if self.is_useless && self.group.is_none() {
            self.connection = None;
        }
        if self.connection.is_none() {
            self.is_useless = false;
            self.connection = Some(self.options.connect().await?);
        }
        Ok(())
    }

    async fn run(&mut self, text: &'static str, wait: Duration) -> Result<(), DbError> {
        let connection = self.connection.as_mut().ok_or(sqlx::Error::WorkerCrashed)?;
        let done = in_time(super::longest(wait), connection.execute(text)).await.map(drop);
        self.is_useless |= done.as_ref().is_err_and(DbError::is_of_session);
        done
    }

    /// Makes what is open last, and says so to all who share it.
    async fn commit(&mut self, wait: Duration) {
        if self.group.is_none() {
            return;
        }
        match self.run("COMMIT", wait).await {
            Ok(()) => self.tell(Ok(())),
            Err(error) => self.roll_back(&error.to_string(), wait).await,
        }
    }

    async fn roll_back(&mut self, why: &str, wait: Duration) {
        // SQLite may have done so already, for want of space: then there is nothing to roll back.
        if let Err(error) = self.run("ROLLBACK", wait).await
            && !error.is_wrong_sql()
        {
            self.connection = None;
        }
        self.tell(Err(why.into()));
    }

    fn tell(&mut self, lasts: Result<(), Arc<str>>) {
        if let Some(group) = self.group.take() {
            group.lasts.send_replace(Some(lasts));
        }
    }
}

impl Loan {
    /// The connection itself.
    ///
    /// # Errors
    /// When it is gone.
    pub fn connection(&mut self) -> Result<&mut SqliteConnection, DbError> {
        Ok(self.held()?.connection.as_mut().ok_or(sqlx::Error::WorkerCrashed)?)
    }

    /// Notes how a statement of this turn ended: some failures end the whole transaction.
    pub fn note<T>(&mut self, done: Result<T, DbError>) -> Result<T, DbError> {
        if let Err(error) = &done
            && !error.leaves_transaction()
        {
            self.undo = Undo::Group;
            self.why = Some(error.to_string());
            if let Some(line) = &mut self.line {
                line.is_useless |= error.is_of_session();
            }
        }
        done
    }

    /// Makes what was done in this turn last: when this returns, it is on disk.
    ///
    /// # Errors
    /// When nothing of it lasts.
    pub async fn finish(mut self) -> Result<(), DbError> {
        if self.undo == Undo::Savepoint {
            // Sent is done: a caller who leaves now must not have it all undone for want of a savepoint.
            self.undo = Undo::Nothing;
            self.run("RELEASE loan").await?;
        }
        let lasts = self.group().map(|group| group.lasts.subscribe());
        // From here on it is the group's affair.
        drop(self.line.take());
        let Some(lasts) = lasts else { return Ok(()) };
        // In a task of its own: a caller who leaves must not leave the transaction open.
        let committed = tokio::spawn(self.writer.clone().commit(lasts)).await;
        committed.unwrap_or_else(|panic| Err(DbError::NotKept(panic.to_string().into())))
    }

    async fn begin(&mut self) -> Result<(), DbError> {
        // Noted first: SQLite's thread begins it even when the caller leaves before it has.
        self.held()?.group = Some(Group { lasts: watch::Sender::new(None) });
        self.undo = Undo::Group;
        self.run("BEGIN IMMEDIATE").await
    }

    async fn run(&mut self, text: &'static str) -> Result<(), DbError> {
        let wait = self.writer.wait;
        let done = self.held()?.run(text, wait).await;
        self.note(done)
    }

    fn held(&mut self) -> Result<&mut Line, DbError> {
        Ok(self.line.as_deref_mut().ok_or(sqlx::Error::PoolClosed)?)
    }

    fn group(&self) -> Option<&Group> {
        self.line.as_ref()?.group.as_ref()
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let (Some(line), Ok(runtime)) = (self.line.take(), Handle::try_current()) else {
            return;
        };
        let why = self.why.take().unwrap_or_else(|| "it was left".to_owned());
        // Whoever is next in line waits until this is done.
        runtime.spawn(undone(line, self.undo, why, self.writer.wait));
    }
}

async fn undone(mut line: OwnedMutexGuard<Line>, undo: Undo, why: String, wait: Duration) {
    let is_whole = match undo {
        Undo::Group => true,
        Undo::Savepoint => {
            let back = line.run("ROLLBACK TO loan", wait).await;
            back.is_err() || line.run("RELEASE loan", wait).await.is_err()
        }
        // The others of the group, if there are any, stand in line to commit.
        Undo::Nothing => line.group.as_ref().is_some_and(|group| group.lasts.is_closed()),
    };
    if is_whole {
        line.roll_back(&why, wait).await;
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Writer").field("wait", &self.wait).finish_non_exhaustive()
    }
}
