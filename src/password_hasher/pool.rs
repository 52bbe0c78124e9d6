//! Threads and the jobs that wait for them.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use argon2::Block;

use super::queue::{FairQueue, NetworkPath};
use crate::metrics::Seconds;

/// A job gets the memory of its thread. One that is refused is dropped.
pub type Job = Box<dyn FnOnce(&mut Vec<Block>) + Send>;

/// A pool of threads. They end when it is dropped.
pub struct Pool(Arc<Shared>);

struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    /// How long jobs waited for a thread.
    waits: Seconds,
}

struct Waiting {
    /// Each since when it waits.
    jobs: FairQueue<(Instant, Job)>,
    is_closed: bool,
}

impl Pool {
    /// Starts `threads` threads of this name; `queue` jobs may wait for them.
    pub fn start(name: &str, threads: usize, queue: usize) -> std::io::Result<Self> {
        let waiting = Waiting { jobs: FairQueue::new(queue), is_closed: false };
        let (waiting, changed) = (Mutex::new(waiting), Condvar::new());
        let shared = Arc::new(Shared { waiting, changed, waits: Seconds::default() });
        let pool = Self(Arc::clone(&shared));
        for number in 0..threads {
            let shared = Arc::clone(&shared);
            let thread = std::thread::Builder::new().name(format!("{name}-{number}"));
            thread.spawn(move || shared.work())?;
        }
        Ok(pool)
    }

    /// How many jobs wait, and how long others did.
    pub fn waiting(&self) -> (usize, Seconds) {
        (self.0.lock().jobs.len(), self.0.waits.clone())
    }

    /// Queues a job. If the queue is full, this job or another is dropped.
    pub fn add(&self, path: NetworkPath, job: Job) {
        let refused = self.0.lock().jobs.push(path, (Instant::now(), job));
        self.0.changed.notify_one();
        drop(refused);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.0.lock().is_closed = true;
        self.0.changed.notify_all();
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
        while let Some(job) = self.next() {
            job(&mut memory);
        }
    }

    fn next(&self) -> Option<Job> {
        let mut waiting = self.lock();
        loop {
            if let Some((since, job)) = waiting.jobs.pop() {
                self.waits.observe(since.elapsed());
                return Some(job);
            }
            if waiting.is_closed {
                return None;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
