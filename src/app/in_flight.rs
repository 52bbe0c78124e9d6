//! Attempts that are counted and not decided yet, so that no attempt is refused because of others
//! that turn out right.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// The attempts in flight on this node, by their keys.
#[derive(Clone, Debug, Default)]
pub struct InFlight(Arc<Mutex<HashMap<String, Attempts>>>);

#[derive(Debug, Default)]
struct Attempts {
    number: usize,
    waiting: usize,
    /// How many were refunded so far.
    refunds: u64,
    changed: Arc<Notify>,
}

/// An attempt in flight, until it is dropped.
#[derive(Debug)]
pub struct InFlightAttempt {
    all: InFlight,
    keys: Vec<String>,
    /// The refunds of each key when this one began.
    refunds: Vec<u64>,
    is_refunded: bool,
}

/// A refused attempt that waits for one in flight.
#[derive(Debug)]
pub struct Waiting {
    all: InFlight,
    key: String,
    refunds: u64,
}

impl InFlight {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Attempts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an attempt, before it is counted.
    pub fn begin(&self, keys: Vec<String>) -> InFlightAttempt {
        let mut all = self.lock();
        let begin = |key: &String| {
            let attempts = all.entry(key.clone()).or_default();
            attempts.number += 1;
            attempts.refunds
        };
        let refunds = keys.iter().map(begin).collect();
        InFlightAttempt { all: self.clone(), keys, refunds, is_refunded: false }
    }
}

impl InFlightAttempt {
    /// Ends the attempt: it was right, and its counters were refunded.
    pub fn refund(mut self) {
        self.is_refunded = true;
    }

    /// Ends the attempt: the limit of `key` was reached. Returns what to wait for.
    pub fn wait_for(self, key: &str) -> Option<Waiting> {
        let at = self.keys.iter().position(|own| own == key)?;
        let waiting =
            Waiting { all: self.all.clone(), key: key.to_owned(), refunds: self.refunds[at] };
        if let Some(attempts) = self.all.lock().get_mut(key) {
            attempts.waiting += 1;
        }
        Some(waiting)
    }
}

impl Drop for InFlightAttempt {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        for key in &self.keys {
            let Some(attempts) = all.get_mut(key) else { continue };
            attempts.number -= 1;
            if self.is_refunded {
                attempts.refunds += 1;
                attempts.changed.notify_one();
            }
            if attempts.number == 0 {
                attempts.changed.notify_waiters();
                if attempts.waiting == 0 {
                    all.remove(key);
                }
            }
        }
    }
}

impl Waiting {
    /// Waits until an attempt was refunded since this one was counted, and returns whether one was:
    /// else none is in flight any more, or it is `until`.
    pub async fn is_refunded_before(&self, until: Instant) -> bool {
        loop {
            let Some(changed) = self.all.lock().get(&self.key).map(|of| Arc::clone(&of.changed))
            else {
                return false;
            };
            let mut changed = std::pin::pin!(changed.notified());
            // From here on no change is missed.
            changed.as_mut().enable();
            match self.all.lock().get(&self.key) {
                Some(attempts) if attempts.refunds != self.refunds => return true,
                Some(attempts) if attempts.number > 0 => {}
                _ => return false,
            }
            if timeout_at(until, changed).await.is_err() {
                return false;
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        let Some(attempts) = all.get_mut(&self.key) else { return };
        attempts.waiting -= 1;
        if attempts.number == 0 && attempts.waiting == 0 {
            all.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_mins(1)
    }

    fn key() -> Vec<String> {
        vec!["ann".to_owned()]
    }

    #[tokio::test]
    async fn a_refused_attempt_waits_until_one_in_flight_is_refunded_or_all_have_failed() {
        let attempts = InFlight::default();
        for is_right in [true, false] {
            let first = attempts.begin(key());
            let waiting = attempts.begin(key()).wait_for("ann").unwrap();
            let mut again = Box::pin(waiting.is_refunded_before(soon()));
            assert!(futures_util::poll!(&mut again).is_pending());
            if is_right {
                first.refund();
            } else {
                drop(first);
            }
            assert_eq!(again.as_mut().await, is_right);
            drop(again);
            drop(waiting);
            assert!(attempts.lock().is_empty(), "nothing is remembered");
        }
    }

    #[tokio::test]
    async fn an_attempt_refunded_before_the_wait_begins_is_not_missed() {
        let attempts = InFlight::default();
        let (first, second) = (attempts.begin(key()), attempts.begin(key()));
        first.refund();
        let waiting = second.wait_for("ann").unwrap();
        assert!(waiting.is_refunded_before(soon()).await);
    }

    #[tokio::test]
    async fn two_refused_attempts_do_not_wait_for_each_other() {
        let attempts = InFlight::default();
        let (first, second) = (attempts.begin(key()), attempts.begin(key()));
        let (first, second) = (first.wait_for("ann").unwrap(), second.wait_for("ann").unwrap());
        assert!(!first.is_refunded_before(soon()).await);
        assert!(!second.is_refunded_before(soon()).await);
    }

    #[tokio::test]
    async fn a_wait_is_bounded() {
        let attempts = InFlight::default();
        let _first = attempts.begin(key());
        let waiting = attempts.begin(key()).wait_for("ann").unwrap();
        assert!(!waiting.is_refunded_before(Instant::now()).await);
    }
}
