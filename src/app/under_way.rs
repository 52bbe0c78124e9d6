//! Tries that are counted and not decided yet, so that nobody is refused because of tries that turn
//! out right.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// The tries under way on this node, by what they are counted by.
#[derive(Clone, Debug, Default)]
pub struct UnderWay(Arc<Mutex<HashMap<String, Tries>>>);

#[derive(Debug, Default)]
struct Tries {
    number: usize,
    waiting: usize,
    /// How many were taken back so far.
    taken_back: u64,
    changed: Arc<Notify>,
}

/// A try under way, until it is dropped.
#[derive(Debug)]
pub struct Entered {
    all: UnderWay,
    subjects: Vec<String>,
    /// What each subject had taken back when this one entered.
    taken_back: Vec<u64>,
    is_taken_back: bool,
}

/// A try that was refused and waits for one that is under way.
#[derive(Debug)]
pub struct Waiting {
    all: UnderWay,
    subject: String,
    taken_back: u64,
}

impl UnderWay {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Tries>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a try, before it is counted.
    pub fn enter(&self, subjects: Vec<String>) -> Entered {
        let mut all = self.lock();
        let enter = |subject: &String| {
            let tries = all.entry(subject.clone()).or_default();
            tries.number += 1;
            tries.taken_back
        };
        let taken_back = subjects.iter().map(enter).collect();
        Entered { all: self.clone(), subjects, taken_back, is_taken_back: false }
    }
}

impl Entered {
    /// Ends the try: it was right, and what it counted was taken back.
    pub fn take_back(mut self) {
        self.is_taken_back = true;
    }

    /// Ends the try: the limit of `subject` was reached. Answers what to wait for.
    pub fn wait_for(self, subject: &str) -> Option<Waiting> {
        let at = self.subjects.iter().position(|own| own == subject)?;
        let waiting = Waiting {
            all: self.all.clone(),
            subject: subject.to_owned(),
            taken_back: self.taken_back[at],
        };
        if let Some(tries) = self.all.lock().get_mut(subject) {
            tries.waiting += 1;
        }
        Some(waiting)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        for subject in &self.subjects {
            let Some(tries) = all.get_mut(subject) else { continue };
            tries.number -= 1;
            if self.is_taken_back {
                tries.taken_back += 1;
                tries.changed.notify_one();
            }
            if tries.number == 0 {
                tries.changed.notify_waiters();
                if tries.waiting == 0 {
                    all.remove(subject);
                }
            }
        }
    }
}

impl Waiting {
    /// Waits until a try was taken back since this one was counted, and answers whether one was:
    /// else none is under way any more, or it is `until`.
    pub async fn may_try_again(&self, until: Instant) -> bool {
        loop {
            let Some(changed) =
                self.all.lock().get(&self.subject).map(|of| Arc::clone(&of.changed))
            else {
                return false;
            };
            let mut changed = std::pin::pin!(changed.notified());
            // From here on no change is missed.
            changed.as_mut().enable();
            match self.all.lock().get(&self.subject) {
                Some(tries) if tries.taken_back != self.taken_back => return true,
                Some(tries) if tries.number > 0 => {}
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
        let Some(tries) = all.get_mut(&self.subject) else { return };
        tries.waiting -= 1;
        if tries.number == 0 && tries.waiting == 0 {
            all.remove(&self.subject);
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

    fn subject() -> Vec<String> {
        vec!["ann".to_owned()]
    }

    #[tokio::test]
    async fn a_refused_try_waits_until_one_under_way_is_taken_back_or_all_have_failed() {
        let tries = UnderWay::default();
        for is_right in [true, false] {
            let first = tries.enter(subject());
            let waiting = tries.enter(subject()).wait_for("ann").unwrap();
            let mut again = Box::pin(waiting.may_try_again(soon()));
            assert!(futures_util::poll!(&mut again).is_pending());
            if is_right {
                first.take_back();
            } else {
                drop(first);
            }
            assert_eq!(again.as_mut().await, is_right);
            drop(again);
            drop(waiting);
            assert!(tries.lock().is_empty(), "nothing is remembered");
        }
    }

    #[tokio::test]
    async fn a_try_taken_back_before_the_wait_begins_is_not_missed() {
        let tries = UnderWay::default();
        let (first, second) = (tries.enter(subject()), tries.enter(subject()));
        first.take_back();
        let waiting = second.wait_for("ann").unwrap();
        assert!(waiting.may_try_again(soon()).await);
    }

    #[tokio::test]
    async fn two_refused_tries_do_not_wait_for_each_other() {
        let tries = UnderWay::default();
        let (first, second) = (tries.enter(subject()), tries.enter(subject()));
        let (first, second) = (first.wait_for("ann").unwrap(), second.wait_for("ann").unwrap());
        assert!(!first.may_try_again(soon()).await);
        assert!(!second.may_try_again(soon()).await);
    }

    #[tokio::test]
    async fn a_wait_is_bounded() {
        let tries = UnderWay::default();
        let _first = tries.enter(subject());
        let waiting = tries.enter(subject()).wait_for("ann").unwrap();
        assert!(!waiting.may_try_again(Instant::now()).await);
    }
}
