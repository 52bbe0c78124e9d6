//! The time: the system's clock, or a clock that a test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::UNIX_EPOCH;

/// The source of the time. Clones of a manual clock show the same time.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    #[default]
    System,
    /// Unix time in milliseconds, moved with [`Clock::advance`].
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that shows `seconds` (unix time) until it is moved.
    pub fn manual(seconds: i64) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(seconds * 1000)))
    }

    /// Unix time in seconds, as every time is stored.
    pub fn now(&self) -> i64 {
        self.millis().div_euclid(1000)
    }

    /// Unix time in milliseconds, for [`crate::random::id`].
    pub fn millis(&self) -> i64 {
        match self {
            Self::System => {
                let since = UNIX_EPOCH.elapsed().unwrap_or_default();
                i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
            }
            Self::Manual(millis) => millis.load(Ordering::SeqCst),
        }
    }

    /// Moves a manual clock by `seconds`; does nothing to the system's clock.
    pub fn advance(&self, seconds: i64) {
        if let Self::Manual(millis) = self {
            millis.fetch_add(seconds * 1000, Ordering::SeqCst);
        }
    }
}
