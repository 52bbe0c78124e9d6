//! Attempts that are counted and not decided yet, so that no attempt is refused because of others
//! that turn out right.

use std::collections::{HashMap, VecDeque};
use std::iter;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

/// The attempts in flight on this node, by what they are counted by.
#[derive(Clone, Debug, Default)]
pub struct InFlight(Arc<Mutex<HashMap<String, Attempts>>>);

#[derive(Debug, Default)]
struct Attempts {
    in_flight: usize,
    /// How many were refunded so far.
    refunds: u64,
    /// Refused attempts that wait for a refund, with the number of refunds at that time.
    waiting: VecDeque<(u64, oneshot::Sender<()>)>,
}

/// An attempt in flight, until it is dropped.
#[derive(Debug)]
pub struct InFlightAttempt {
    all: InFlight,
    /// Each key, and its number of refunds when this attempt began.
    keys: Vec<(String, u64)>,
    is_refunded: bool,
}

impl InFlight {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Attempts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an attempt, before it is counted.
    pub fn begin<'a>(&self, keys: impl Iterator<Item = &'a str>) -> InFlightAttempt {
        let mut all = self.lock();
        let begin = |key: &str| {
            let attempts = all.entry(key.to_owned()).or_default();
            attempts.in_flight += 1;
            (key.to_owned(), attempts.refunds)
        };
        let keys = keys.map(begin).collect();
        InFlightAttempt { all: self.clone(), keys, is_refunded: false }
    }
}

impl InFlightAttempt {
    /// Ends the attempt: it was right, and its counters were refunded.
    pub fn refund(mut self) {
        self.is_refunded = true;
    }

    /// Ends the attempt, because the limit of `key` was reached, and waits until one that was in flight
    /// with it is refunded. Returns false when none is in flight any more, or `until` has passed.
    pub async fn wait_for_refund(self, key: &str, until: Instant) -> bool {
        let (sender, refunded) = oneshot::channel();
        let began = self.keys.iter().find(|(own, _)| own == key).map(|(_, refunds)| *refunds);
        if let Some(attempts) = self.all.lock().get_mut(key) {
            if began != Some(attempts.refunds) {
                return Instant::now() < until;
            }
            attempts.waiting.push_back((attempts.refunds, sender));
        }
        drop(self);
        matches!(timeout_at(until, refunded).await, Ok(Ok(())))
    }
}

impl Drop for InFlightAttempt {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        for (key, _) in &self.keys {
            let Some(attempts) = all.get_mut(key) else { continue };
            if self.is_refunded {
                attempts.refunds += 1;
                // Wakes the first that still waits.
                iter::from_fn(|| attempts.waiting.pop_front()).any(|(_, one)| one.send(()).is_ok());
            }
            attempts.in_flight -= 1;
            if attempts.in_flight == 0
                && let Some(Attempts { refunds, waiting, .. }) = all.remove(key)
            {
                // Nothing is left to wait for, and a dropped sender says so.
                for (began, one) in waiting {
                    if began != refunds {
                        let _ = one.send(());
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn begin(attempts: &InFlight) -> InFlightAttempt {
        attempts.begin(["ann"].into_iter())
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_mins(1)
    }

    #[tokio::test]
    async fn a_refused_attempt_waits_until_one_in_flight_is_refunded_or_all_have_failed() {
        let attempts = InFlight::default();
        for is_right in [true, false] {
            let first = begin(&attempts);
            let mut second = Box::pin(begin(&attempts).wait_for_refund("ann", soon()));
            assert!(futures_util::poll!(&mut second).is_pending());
            if is_right {
                first.refund();
            } else {
                drop(first);
            }
            assert_eq!(second.await, is_right);
            assert!(attempts.lock().is_empty(), "nothing is remembered");
        }
    }

    #[tokio::test]
    async fn a_refund_wakes_one_that_waits_and_skips_those_that_have_left() {
        let attempts = InFlight::default();
        let first = begin(&attempts);
        let [gone, mut second, mut third] =
            [(); 3].map(|()| Box::pin(begin(&attempts).wait_for_refund("ann", soon())));
        let mut gone = gone;
        for waiting in [&mut gone, &mut second, &mut third] {
            assert!(futures_util::poll!(waiting).is_pending());
        }
        drop(gone);
        let fourth = begin(&attempts);
        first.refund();
        assert!(second.await);
        assert!(futures_util::poll!(&mut third).is_pending());
        drop(fourth);
        assert!(third.await, "there was a refund since it was counted");
    }

    #[tokio::test]
    async fn an_attempt_refunded_before_the_wait_begins_is_not_missed() {
        let attempts = InFlight::default();
        let (first, second) = (begin(&attempts), begin(&attempts));
        first.refund();
        assert!(second.wait_for_refund("ann", soon()).await);
    }

    #[tokio::test]
    async fn two_refused_attempts_do_not_wait_for_each_other() {
        let attempts = InFlight::default();
        let (first, second) = (begin(&attempts), begin(&attempts));
        let (first, second) =
            (first.wait_for_refund("ann", soon()), second.wait_for_refund("ann", soon()));
        assert_eq!(tokio::join!(first, second), (false, false));
    }

    #[tokio::test]
    async fn a_wait_is_bounded() {
        let attempts = InFlight::default();
        let (first, second) = (begin(&attempts), begin(&attempts));
        assert!(!begin(&attempts).wait_for_refund("ann", Instant::now()).await);
        first.refund();
        assert!(!second.wait_for_refund("ann", Instant::now()).await, "it does not try for ever");
    }
}
