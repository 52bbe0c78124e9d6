//! The threads of the hash pool and the jobs that wait for them.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use argon2::Block;

use super::queue::{FairQueue, Path};

/// A job gets the memory of its thread. One that is refused is dropped.
pub type Job = Box<dyn FnOnce(&mut Vec<Block>) + Send>;

/// What a job does.
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
    max_checking: usize,
    /// The kind of the last job that was taken.
    last: Kind,
    is_closed: bool,
}

impl Pool {
    /// Starts `threads` threads; of each kind `queue` jobs may wait.
    pub fn start(threads: usize, queue: usize) -> std::io::Result<Self> {
        let waiting = Waiting {
            hashes: FairQueue::new(queue),
            strength_checks: FairQueue::new(queue),
            checking: 0,
            max_checking: (threads / 2).max(1),
            last: Kind::StrengthCheck,
            is_closed: false,
        };
        let shared = Arc::new(Shared { waiting: Mutex::new(waiting), job_added: Condvar::new() });
        let pool = Self(Arc::clone(&shared));
        for number in 0..threads {
            let shared = Arc::clone(&shared);
            let thread = std::thread::Builder::new().name(format!("argon2-{number}"));
            thread.spawn(move || shared.work())?;
        }
        Ok(pool)
    }

    /// Queues a job. If the queue is full, this job or another is dropped.
    pub fn add(&self, kind: Kind, path: Path, job: Job) {
        let refused = self.0.lock().queue(kind).push(path, job);
        self.0.job_added.notify_one();
        drop(refused);
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

    /// Does jobs until the pool is closed and none is left. The memory is kept: a fresh allocation of
    /// 19 MiB for each hash costs a third of the throughput in page faults (measured).
    fn work(&self) {
        let mut memory = Vec::new();
        while let Some((kind, job)) = self.next() {
            job(&mut memory);
            self.lock().checking -= usize::from(kind == Kind::StrengthCheck);
        }
    }

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

    /// Takes the next job. The two kinds take turns.
    fn take(&mut self) -> Option<(Kind, Job)> {
        let kinds = match self.last {
            Kind::StrengthCheck => [Kind::Hash, Kind::StrengthCheck],
            Kind::Hash => [Kind::StrengthCheck, Kind::Hash],
        };
        let may_check = self.checking < self.max_checking;
        let mut allowed = kinds.into_iter().filter(|kind| may_check || *kind == Kind::Hash);
        let (kind, job) = allowed.find_map(|kind| Some((kind, self.queue(kind).pop()?)))?;
        self.checking += usize::from(kind == Kind::StrengthCheck);
        self.last = kind;
        Some((kind, job))
    }
}
