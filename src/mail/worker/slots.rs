//! The emails in flight, and which further ones may join them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use crate::mail::{Mailer, SendResult};
use crate::models::outbox::{ClaimFilter, QueuedEmail};

/// Emails in flight at most, each on its own connection. Servers limit the connections of one client,
/// some to 20.
const SLOTS: usize = 16;

/// An email that takes longer is slow: its slot is given to a code. Sixty codes to hosts that answer
/// after 40 seconds delayed the next person's code by two minutes without it (measured).
const SLOW_AFTER: Duration = Duration::from_secs(2);

/// Slow emails whose slots are given away, at most: each still holds a connection.
const SLOW_MAX: usize = 48;

pub struct Slots {
    sending: JoinSet<(QueuedEmail, SendResult)>,
    in_flight: HashMap<Id, InFlight>,
    /// How many the server lets us send at once: fewer after it rejected a connection.
    allowed: usize,
}

struct InFlight {
    domain: String,
    is_code: bool,
    since: Instant,
}

impl Slots {
    pub fn new() -> Self {
        Self { sending: JoinSet::new(), in_flight: HashMap::new(), allowed: SLOTS }
    }

    pub fn is_empty(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// Which email may take a slot; none while all are in use. Codes to one domain get at most half of
    /// the slots, notices to it a quarter. The last quarter of all is for codes to domains that have no
    /// code in flight, so that slow recipients cannot fill it. Each slow email adds such a slot, unless
    /// the server rejects connections.
    pub fn filter(&self) -> Option<ClaimFilter> {
        let in_flight = self.in_flight.len();
        let is_slow = |email: &&InFlight| email.since.elapsed() >= SLOW_AFTER;
        let slow = self.in_flight.values().filter(is_slow).count();
        let extra = if self.allowed == SLOTS { slow.min(SLOW_MAX) } else { 0 };
        if in_flight >= self.allowed + extra {
            return None;
        }
        let codes_only = self.allowed.saturating_sub(in_flight) <= self.allowed / 4;
        let codes_per_domain = if codes_only { 1 } else { self.allowed.div_ceil(2) };
        Some(ClaimFilter {
            codes_only,
            full_for_codes: self.domains_with(codes_per_domain, |email| email.is_code),
            full_for_notices: self.domains_with(self.allowed.div_ceil(4), |_| true),
        })
    }

    /// The domains that have at least `limit` such emails in flight.
    fn domains_with(&self, limit: usize, counts: fn(&InFlight) -> bool) -> Vec<String> {
        let mut totals: HashMap<&str, usize> = HashMap::new();
        for email in self.in_flight.values().filter(|email| counts(email)) {
            *totals.entry(&email.domain).or_default() += 1;
        }
        let full = totals.into_iter().filter(|(_, total)| *total >= limit);
        full.map(|(domain, _)| domain.to_owned()).collect()
    }

    /// When the next email in flight becomes slow.
    pub fn next_slow(&self) -> Option<Instant> {
        let slow_at = self.in_flight.values().map(|email| email.since + SLOW_AFTER);
        slow_at.filter(|at| *at > Instant::now()).min()
    }

    /// Starts to send an email.
    pub fn send(&mut self, mailer: &Arc<Mailer>, queued: QueuedEmail) {
        let (domain, is_code) = (queued.domain.clone(), queued.email.is_code());
        let mailer = Arc::clone(mailer);
        let task = self.sending.spawn(async move {
            let result = mailer.send(&queued).await;
            (queued, result)
        });
        self.in_flight.insert(task.id(), InFlight { domain, is_code, since: Instant::now() });
    }

    /// Waits for the next email that is done; none when nothing is in flight. After a panic, which is
    /// logged, the email is due again when its claim runs out.
    pub async fn next_done(&mut self) -> Option<(QueuedEmail, SendResult)> {
        loop {
            let done = self.sending.join_next_with_id().await?;
            let id = done.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
            self.in_flight.remove(&id);
            if let Ok((_, done)) = done {
                return Some(done);
            }
        }
    }

    /// After the server answered an email: allows one more at once.
    pub fn widen(&mut self) {
        self.allowed = (self.allowed + 1).min(SLOTS);
    }

    /// After the server rejected a connection, perhaps because it limits them.
    pub fn narrow(&mut self) {
        self.allowed = self.in_flight.len().clamp(1, SLOTS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Slots {
        fn with(emails: &[(&str, bool)]) -> Self {
            let mut slots = Self::new();
            for (domain, is_code) in emails {
                let task = slots.sending.spawn(std::future::pending());
                let since = Instant::now();
                let in_flight = InFlight { domain: (*domain).to_owned(), is_code: *is_code, since };
                slots.in_flight.insert(task.id(), in_flight);
            }
            slots
        }
    }

    #[tokio::test]
    async fn a_domain_gets_half_of_the_slots_and_its_notices_a_quarter() {
        let filter = Slots::with(&[("a", false); 4]).filter().unwrap();
        assert!(!filter.codes_only && filter.full_for_codes.is_empty());
        assert_eq!(filter.full_for_notices, ["a"]);
        let filter = Slots::with(&[("a", true); 8]).filter().unwrap();
        assert_eq!(
            (filter.full_for_codes, filter.full_for_notices),
            (vec!["a".into()], vec!["a".into()])
        );
    }

    #[tokio::test]
    async fn the_last_quarter_is_for_codes_to_other_domains() {
        let filter = Slots::with(&[("a", true), ("b", false)].repeat(6)).filter().unwrap();
        assert!(filter.codes_only);
        assert_eq!(filter.full_for_codes, ["a"]);
        assert!(Slots::with(&[("a", true); SLOTS]).filter().is_none());
    }

    #[tokio::test]
    async fn a_slow_email_gives_its_slot_to_a_code_to_another_domain() {
        let mut slots = Slots::with(&[("a", true); SLOTS]);
        for email in slots.in_flight.values_mut().take(1) {
            email.since = Instant::now().checked_sub(SLOW_AFTER).unwrap();
        }
        let filter = slots.filter().unwrap();
        assert!(filter.codes_only);
        assert_eq!(filter.full_for_codes, ["a"]);
        slots.narrow();
        slots.allowed -= 1;
        assert!(slots.filter().is_none(), "the server accepts no more connections");
    }

    #[tokio::test]
    async fn a_server_that_rejects_connections_gets_fewer_and_then_more_again() {
        let mut slots = Slots::new();
        slots.narrow();
        assert!(
            !slots.filter().unwrap().codes_only,
            "any email shows whether it is available again"
        );
        for _ in 0..2 * SLOTS {
            slots.widen();
        }
        assert_eq!(slots.allowed, SLOTS);
    }
}
