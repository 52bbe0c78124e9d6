//! Which emails may be sent at the same time, and those that are being sent.

use std::collections::HashMap;

use tokio::task::{Id, JoinSet};

use crate::mail::{Mailer, SendResult};
use crate::models::outbox::{QueuedEmail, Room};

/// Emails that are sent at the same time, each on its own connection.
pub const SLOTS: usize = 16;

/// The emails being sent. One takes the place of another as soon as that one is done.
pub struct Slots {
    sending: JoinSet<(QueuedEmail, Option<SendResult>)>,
    recipients: HashMap<Id, Recipient>,
    /// How many the server lets us send at once: fewer after it turned a connection away.
    allowed: usize,
}

struct Recipient {
    domain: String,
    is_code: bool,
}

impl Slots {
    pub fn new() -> Self {
        Self { sending: JoinSet::new(), recipients: HashMap::new(), allowed: SLOTS }
    }

    /// Whether nothing is being sent.
    pub fn is_empty(&self) -> bool {
        self.sending.is_empty()
    }

    /// What may be sent beside what is being sent. Codes to one domain get half of the slots at most,
    /// notices to it a quarter. The last quarter of all is for codes alone, to domains that no code is
    /// being sent to: slow recipients can fill the others, and not these.
    pub fn room(&self) -> Option<Room> {
        let free = self.allowed.checked_sub(self.recipients.len()).filter(|free| *free > 0)?;
        let is_last = free <= self.allowed / 4;
        let per_domain = self.allowed.div_ceil(2);
        Some(Room {
            codes_only: is_last,
            full_for_codes: self.domains(if is_last { 1 } else { per_domain }, true),
            full_for_notices: self.domains(per_domain.div_ceil(2), false),
        })
    }

    /// The domains to which at least `most` emails are being sent, or `most` codes.
    fn domains(&self, most: usize, codes: bool) -> Vec<String> {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for recipient in self.recipients.values().filter(|one| one.is_code || !codes) {
            *counts.entry(&recipient.domain).or_default() += 1;
        }
        let full = counts.into_iter().filter(|(_, count)| *count >= most);
        full.map(|(domain, _)| domain.to_owned()).collect()
    }

    /// Begins to send an email. One to nobody costs all the work of another, but for the sending.
    pub fn send(&mut self, mailer: &Mailer, email: QueuedEmail) {
        let recipient = Recipient { domain: email.domain.clone(), is_code: email.is_code() };
        let mailer = mailer.clone();
        let task = self.sending.spawn(async move {
            let outcome = if email.is_decoy() {
                mailer.rehearse(&email);
                None
            } else {
                Some(mailer.send(&email).await)
            };
            (email, outcome)
        });
        self.recipients.insert(task.id(), recipient);
    }

    /// Waits for the next email that is done, without an outcome if it was to nobody. None when
    /// nothing is being sent, or sending panicked, which has a line: then the email's claim runs out
    /// and it is tried again.
    pub async fn done(&mut self) -> Option<(QueuedEmail, Option<SendResult>)> {
        let done = self.sending.join_next_with_id().await?;
        let id = done.as_ref().map_or_else(tokio::task::JoinError::id, |(id, _)| *id);
        self.recipients.remove(&id);
        done.ok().map(|(_, answer)| answer)
    }

    /// The server dealt with an email: one more may be sent at once.
    pub fn widen(&mut self) {
        self.allowed = (self.allowed + 1).min(SLOTS);
    }

    /// The server turned a connection away, perhaps because it takes only so many.
    pub fn narrow(&mut self) {
        self.allowed = self.recipients.len().max(1);
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
                let recipient = Recipient { domain: (*domain).to_owned(), is_code: *is_code };
                slots.recipients.insert(task.id(), recipient);
            }
            slots
        }
    }

    #[tokio::test]
    async fn a_domain_gets_half_of_the_slots_and_its_notices_a_quarter() {
        let room = Slots::with(&[("a", false); 4]).room().unwrap();
        assert!(!room.codes_only && room.full_for_codes.is_empty());
        assert_eq!(room.full_for_notices, ["a"]);
        let room = Slots::with(&[("a", true); 8]).room().unwrap();
        assert_eq!(
            (room.full_for_codes, room.full_for_notices),
            (vec!["a".into()], vec!["a".into()])
        );
    }

    #[tokio::test]
    async fn the_last_quarter_is_for_codes_to_other_domains() {
        let room = Slots::with(&[("a", true), ("b", false)].repeat(6)).room().unwrap();
        assert!(room.codes_only);
        assert_eq!(room.full_for_codes, ["a"]);
        assert!(Slots::with(&[("a", true); SLOTS]).room().is_none());
    }

    #[tokio::test]
    async fn a_server_that_turns_connections_away_gets_fewer_and_then_more_again() {
        let mut slots = Slots::new();
        slots.narrow();
        assert!(!slots.room().unwrap().codes_only, "one of anything shows whether it is back");
        for _ in 0..2 * SLOTS {
            slots.widen();
        }
        assert_eq!(slots.allowed, SLOTS);
    }
}
