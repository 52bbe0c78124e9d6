//! The time of a refusal: the same whatever hash a password was compared with.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use sha2::{Digest, Sha256};

/// The processor time that the slowest comparison took so far, in nanoseconds; 0 without imported hashes. An
/// answer that takes longer or shorter than others would tell which accounts were imported and not used since.
#[derive(Default)]
pub struct Refusals(AtomicU64);

impl Refusals {
    /// Notes the time of a comparison.
    pub fn learn(&self, time: Duration) {
        self.0.fetch_max(time.as_nanos().try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// When no imported hash is left.
    pub fn forget(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Works until a refusal that has taken `start` so far has taken as long as the slowest. Time of the
    /// processor and not of a clock: under load the others take longer, too, and a thread that slept could
    /// work for somebody else.
    pub fn complete(&self, start: Duration) {
        let end = start + Duration::from_nanos(self.0.load(Ordering::Relaxed));
        let mut block = [0; 4096];
        while thread_time() < end {
            let digest = Sha256::digest(black_box(&block));
            block[..digest.len()].copy_from_slice(&digest);
        }
    }
}

/// The processor time that this thread has used.
pub fn thread_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}
