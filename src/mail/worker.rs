//! The mail worker: sends the emails of the outbox, and retries each until it is sent or expires.

mod slots;

use std::fmt::Display;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::{Mailer, SendResult, mask};
use crate::db::{Db, DbError};
use crate::event::Event;
use crate::models::outbox::{self, GIVE_UP_AFTER, Outbox, QueuedEmail};
use crate::random;
use slots::Slots;

/// Longest pause while the server is unavailable: all mail is sent within 90 seconds of its return. Also
/// the longest wait before a code that it deferred (4xx) is retried: greylisting takes some minutes, and
/// a code lives for ten.
const LONGEST_PAUSE: i64 = 60;

/// Longest wait before a notice that the server deferred (4xx) is retried.
const LONGEST_DEFERRAL: i64 = 15 * 60;

/// Longest wait before an email that the server rejected (5xx) is retried.
const LONGEST_REJECTION: i64 = 60 * 60;

/// Wait after each time that the server did not answer an email: it may have accepted it, and must not
/// get it every minute.
const NO_REPLY_PAUSE: i64 = 30 * 60;

/// How often an idle worker looks for emails that other nodes enqueued or left.
const IDLE_SECONDS: i64 = 30;

/// Corrections of the clock are smaller. After a larger one, emails would wait for it to catch up.
const JUMP_SECONDS: i64 = 10;

/// Emails that the development mailbox keeps.
const MAILBOX_SIZE: i64 = 200;

/// One worker: one a process is enough, one a node is safe.
pub struct Worker {
    db: Db,
    outbox: Outbox,
    mailer: Option<Mailer>,
    slots: Slots,
    /// Emails that the server has accepted and the database still holds: deleted before any is claimed.
    accepted: Vec<String>,
    /// The time of the last look at the outbox.
    looked_at: i64,
    /// Why nothing is claimed until the next look.
    trouble: Option<End>,
    /// How often there was trouble since the server last answered.
    failures: i64,
    next_look: Instant,
    totals: DeliveryRun,
}

/// What one call of [`Worker::deliver_due`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryRun {
    /// Emails that the server accepted.
    pub sent: usize,
    /// Emails that it deferred or rejected, or did not answer.
    pub rejected: usize,
    /// Emails that expired, and decoys.
    pub dropped: usize,
    /// Why it ended.
    pub end: End,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// Nothing more is due.
    #[default]
    NothingDue,
    /// The mail server is unavailable. Claims were released.
    ServerUnavailable,
    /// The database failed. Claims run out.
    DatabaseFailed,
}

impl Worker {
    /// Without a `mailer` nothing is sent: emails stay for the development mailbox.
    pub fn new(db: Db, outbox: Outbox, mailer: Option<Mailer>) -> Self {
        Self {
            db,
            outbox,
            mailer,
            slots: Slots::new(),
            accepted: Vec::new(),
            looked_at: i64::MIN,
            trouble: None,
            failures: 0,
            next_look: Instant::now(),
            totals: DeliveryRun::default(),
        }
    }

    /// Works until `stop` turns true (or its sender is gone), then finishes the emails in flight. Looks
    /// for emails when one is enqueued, when one is due again, and every 30 seconds; besides, a slot that
    /// becomes free is filled. In trouble it waits for the end of the pause.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let outbox = self.outbox.clone();
        self.look().await;
        loop {
            let slow_at = self.slots.next_slow();
            tokio::select! {
                biased;
                () = async { drop(stop.wait_for(|stopped| *stopped).await) } => break,
                () = sleep_until(self.next_look) => self.look().await,
                done = self.slots.next_done(), if !self.slots.is_empty() => {
                    self.record(done).await;
                    self.fill_slots().await;
                }
                () = sleep_until(slow_at.unwrap_or(self.next_look)), if slow_at.is_some() => {
                    self.fill_slots().await;
                }
                () = outbox.enqueued(), if self.trouble.is_none() => self.look_within(some_moment()),
            }
        }
        while !self.slots.is_empty() {
            let done = self.slots.next_done().await;
            self.record(done).await;
        }
        self.close_idle().await;
    }

    /// Sends everything that is due, and deletes what has expired. Never fails: trouble is logged, and
    /// what could not be sent stays.
    pub async fn deliver_due(&mut self) -> DeliveryRun {
        self.totals = DeliveryRun::default();
        self.look().await;
        while !self.slots.is_empty() {
            let done = self.slots.next_done().await;
            self.record(done).await;
            self.fill_slots().await;
        }
        DeliveryRun { end: self.trouble.unwrap_or_default(), ..self.totals }
    }

    /// Looks at the whole outbox, and schedules the next look.
    async fn look(&mut self) {
        self.trouble = None;
        match self.clean().await {
            Ok(()) => self.fill_slots().await,
            Err(error) => self.pause(End::DatabaseFailed, &error),
        }
        if self.trouble.is_none() {
            let now = self.outbox.clock.now();
            let due = outbox::next_due(self.db.reader(), now).await.ok().flatten();
            let wait = due.map_or(IDLE_SECONDS, |at| at.saturating_sub(now));
            self.next_look = Instant::now() + seconds(wait.clamp(1, IDLE_SECONDS));
        }
    }

    fn look_within(&mut self, wait: Duration) {
        self.next_look = self.next_look.min(Instant::now() + wait);
    }

    /// Claims nothing for a while, longer each time.
    fn pause(&mut self, end: End, cause: &dyn Display) {
        if self.trouble.is_none() {
            let is_server = end == End::ServerUnavailable;
            let reason = if is_server { "server_away" } else { "database_failed" };
            Event::MailWaits { reason, cause }.write();
            self.next_look = Instant::now() + seconds(doubled(1, self.failures, LONGEST_PAUSE));
            self.failures += 1;
        }
        self.trouble = Some(end);
    }

    /// What precedes the claims: a clock that went back, accepted emails, expired ones.
    async fn clean(&mut self) -> Result<(), DbError> {
        let now = self.outbox.clock.now();
        if self.mailer.is_none() {
            let oldest = now - GIVE_UP_AFTER;
            return outbox::trim(self.db.writer(), oldest, MAILBOX_SIZE).await.map(drop);
        }
        if now.saturating_add(JUMP_SECONDS) < self.looked_at {
            Event::log_fault("the_clock_went_back", &"all mail that waits is due now");
            outbox::rebase_times(self.db.writer(), now).await?;
        }
        self.looked_at = now;
        self.delete_accepted().await?;
        loop {
            let dropped = outbox::drop_expired(&self.db, &self.outbox.key, now).await?;
            if dropped.is_empty() {
                return Ok(());
            }
            self.totals.dropped += dropped.len();
            dropped.iter().filter(|email| !email.is_decoy()).for_each(log_dropped);
        }
    }

    /// Claims an email for every free slot, unless there is trouble.
    async fn fill_slots(&mut self) {
        if self.trouble.is_none()
            && let Err(error) = self.claim().await
        {
            self.pause(End::DatabaseFailed, &error);
        }
        if self.slots.is_empty() {
            self.close_idle().await;
        }
    }

    async fn claim(&mut self) -> Result<(), DbError> {
        let Some(mailer) = self.mailer.clone() else { return Ok(()) };
        while let Some(filter) = self.slots.filter() {
            let now = self.outbox.clock.now();
            let claimed = outbox::claim(&self.db, &self.outbox.key, now, &filter).await?;
            let Some(email) = claimed else { break };
            self.slots.send(&mailer, email);
        }
        Ok(())
    }

    async fn close_idle(&self) {
        if let Some(mailer) = &self.mailer {
            mailer.close_idle().await;
        }
    }

    async fn record(&mut self, done: Option<(QueuedEmail, Option<SendResult>)>) {
        let Some((email, result)) = done else { return };
        match &result {
            Some(SendResult::ServerUnavailable { why }) => {
                self.pause(End::ServerUnavailable, why);
                self.slots.narrow();
            }
            Some(_) => {
                self.slots.widen();
                self.failures = 0;
                self.trouble.take_if(|trouble| *trouble == End::ServerUnavailable);
            }
            None => {}
        }
        if let Err(error) = self.record_result(email, result).await {
            // Unless it was sent, the email is due again when its claim runs out.
            self.pause(End::DatabaseFailed, &error);
        }
    }

    async fn record_result(
        &mut self,
        email: QueuedEmail,
        result: Option<SendResult>,
    ) -> Result<(), DbError> {
        match result {
            None => self.totals.dropped += 1,
            Some(SendResult::Sent(reply)) => {
                self.totals.sent += 1;
                Event::MailSent { cause: &reply, mail: &email.id, kind: &email.kind }.write();
            }
            Some(SendResult::ServerUnavailable { .. }) => {
                let now = self.outbox.clock.now();
                return outbox::release(self.db.writer(), &email, now).await;
            }
            Some(SendResult::NoReply) => {
                self.totals.rejected += 1;
                let wait = NO_REPLY_PAUSE * email.tries.max(1);
                Event::MailUnanswered { mail: &email.id, kind: &email.kind, wait }.write();
                let at = self.outbox.clock.now() + wait;
                return outbox::reschedule(self.db.writer(), &email, at).await;
            }
            Some(SendResult::Rejected { permanent, why }) => {
                self.totals.rejected += 1;
                return self.retry_or_give_up(&email, permanent, &why).await;
            }
        }
        self.accepted.push(email.id);
        self.delete_accepted().await
    }

    async fn retry_or_give_up(
        &mut self,
        email: &QueuedEmail,
        permanent: bool,
        why: &str,
    ) -> Result<(), DbError> {
        let now = self.outbox.clock.now();
        if now >= email.created_at + GIVE_UP_AFTER {
            log_given_up(email, "refused", Some(why));
            return outbox::remove(self.db.writer(), &email.id).await;
        }
        let wait = wait_after(permanent, email);
        self.look_within(seconds(wait));
        let QueuedEmail { id: mail, kind, to, tries, .. } = email;
        Event::MailRefused { cause: why, mail, kind, to: &mask(to), tries: *tries, wait }.write();
        outbox::reschedule(self.db.writer(), email, now + wait).await
    }

    async fn delete_accepted(&mut self) -> Result<(), DbError> {
        while let Some(id) = self.accepted.last() {
            outbox::remove(self.db.writer(), id).await?;
            self.accepted.pop();
        }
        Ok(())
    }
}

fn log_dropped(email: &QueuedEmail) {
    if email.expires_at - email.created_at < GIVE_UP_AFTER {
        return Event::MailExpired { mail: &email.id, kind: &email.kind }.write();
    }
    log_given_up(email, "too_old", None);
}

fn log_given_up(email: &QueuedEmail, reason: &'static str, cause: Option<&str>) {
    let QueuedEmail { id: mail, kind, to, tries, .. } = email;
    let (kind, to, tries) = (Some(&**kind), Some(&*mask(to)), Some(*tries));
    Event::MailGivenUp { reason, cause, mail, kind, to, tries }.write();
}

/// Seconds before an email that was deferred (4xx) or rejected (5xx) is retried.
fn wait_after(permanent: bool, email: &QueuedEmail) -> i64 {
    match (permanent, email.is_code()) {
        (true, _) => doubled(30, email.tries, LONGEST_REJECTION),
        (false, true) => doubled(1, email.tries, LONGEST_PAUSE),
        (false, false) => doubled(1, email.tries, LONGEST_DEFERRAL),
    }
}

/// `first * 2^times`, at most `most`.
fn doubled(first: i64, times: i64, most: i64) -> i64 {
    let times = u32::try_from(times).unwrap_or(0).min(32);
    first.saturating_mul(1 << times).min(most)
}

/// A random time up to a second: whether an email or a decoy was enqueued must not show in the time of
/// the requests right after it.
fn some_moment() -> Duration {
    Duration::from_secs(1).mul_f64(f64::from(u16::from_le_bytes(random::bytes())) / 65_536.0)
}

fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_limit() {
        let pauses: Vec<_> = (0..8).map(|times| doubled(1, times, LONGEST_PAUSE)).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        let waits = |permanent, kind: &str| {
            [1, 9, 500].map(|tries| {
                let email = QueuedEmail { kind: kind.to_owned(), tries, ..QueuedEmail::default() };
                wait_after(permanent, &email)
            })
        };
        assert_eq!(waits(true, "reset_code"), [60, 3600, 3600]);
        assert_eq!(waits(false, "reset_code"), [2, 60, 60]);
        assert_eq!(waits(false, "registered"), [2, 512, 900]);
    }
}
