//! The threads of the hash pool and the work that waits for them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use argon2::Block;

use super::queue::{FairQueue, Path};
use super::{HashError, failed};

/// A job, called once: with a thread's memory, or with the reason why it is refused.
pub type Job = Box<dyn FnOnce(Result<&mut Vec<Block>, HashError>) + Send>;

/// What the threads do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Makes or verifies a password hash.
    Hash,
    /// Checks the strength of a new password. Anybody can ask for that, so at most half of the threads
    /// do it, and a single thread alternates between the kinds: a flood of it slows no login much.
    StrengthCheck,
}

/// A pool of threads. They end when it is dropped.
pub struct Pool(Arc<Shared>);

struct Shared {
    waiting: Mutex<Waiting>,
    job_added: Condvar,
}

struct Waiting {
    hashes: FairQueue<Job>,
    strength_checks: FairQueue<Job>,
    checking: usize,
    most_checking: usize,
    /// What the next thread looks for first.
    next: Kind,
    is_closed: bool,
}

impl Pool {
    /// Starts `threads` threads; of each kind `queue` jobs may wait.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(threads: usize, queue: usize) -> Result<Self, HashError> {
        let waiting = Waiting {
            hashes: FairQueue::new(queue),
            strength_checks: FairQueue::new(queue),
            checking: 0,
            most_checking: (threads / 2).max(1),
            next: Kind::Hash,
            is_closed: false,
        };
        let shared = Arc::new(Shared { waiting: Mutex::new(waiting), job_added: Condvar::new() });
        let pool = Self(Arc::clone(&shared));
        for number in 0..threads {
            let shared = Arc::clone(&shared);
            let thread = std::thread::Builder::new().name(format!("argon2-{number}"));
            thread.spawn(move || shared.work()).map_err(failed)?;
        }
        Ok(pool)
    }

    /// Queues a job of the network at the end of `path`. Where there is no room, a job is refused: this one or another.
    pub fn add(&self, kind: Kind, path: Path, job: Job) {
        let refused = self.0.lock().queue(kind).push(path, job);
        self.0.job_added.notify_one();
        if let Some(refused) = refused {
            refused(Err(HashError::Busy));
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.0.lock().is_closed = true;
        self.0.job_added.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One thread's life. The memory is kept: a fresh allocation of 19 MiB for each hash costs a third
    /// of the throughput in page faults (measured).
    fn work(&self) {
        let mut memory = Vec::new();
        while let Some((kind, job)) = self.next() {
            if catch_unwind(AssertUnwindSafe(|| job(Ok(&mut memory)))).is_err() {
                // The panic itself has its own line; the thread goes on.
                memory = Vec::new();
            }
            self.lock().checking -= usize::from(kind == Kind::StrengthCheck);
        }
    }

    /// Waits for a job; none when the pool is closed and all work is done.
    fn next(&self) -> Option<(Kind, Job)> {
        let mut waiting = self.lock();
        loop {
            let next = waiting.take();
            if next.is_some() || waiting.is_closed {
                return next;
            }
            waiting = self.job_added.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Waiting {
    fn queue(&mut self, kind: Kind) -> &mut FairQueue<Job> {
        match kind {
            Kind::Hash => &mut self.hashes,
            Kind::StrengthCheck => &mut self.strength_checks,
        }
    }

    /// The next job. The two kinds take turns.
    fn take(&mut self) -> Option<(Kind, Job)> {
        let kinds = match self.next {
            Kind::Hash => [Kind::Hash, Kind::StrengthCheck],
            Kind::StrengthCheck => [Kind::StrengthCheck, Kind::Hash],
        };
        let may_check = self.checking < self.most_checking;
        let mut allowed = kinds.into_iter().filter(|kind| may_check || *kind == Kind::Hash);
        let (kind, job) = allowed.find_map(|kind| Some((kind, self.queue(kind).pop()?)))?;
        self.checking += usize::from(kind == Kind::StrengthCheck);
        self.next = if kind == Kind::Hash { Kind::StrengthCheck } else { Kind::Hash };
        Some((kind, job))
    }
}
