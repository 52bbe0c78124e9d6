//! The mail worker: sends the emails of the outbox, and retries each until it is sent or expires.

mod slots;

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::{Mailer, SendResult, mask};
use crate::db::{Db, DbError};
use crate::event::Event;
use crate::metrics::{MailEnd, Metrics};
use crate::models::mail_log::{MailState, Outcome};
use crate::models::outbox::{self, Outbox, QueuedEmail};
use crate::random;
use slots::Slots;

/// Longest pause in seconds while the server is unavailable: all mail is sent within 90 seconds of its
/// return.
const MAX_PAUSE: i64 = 60;

/// Longest waits in seconds before an email that the server deferred (4xx) or rejected (5xx) is retried.
/// Greylisting takes some minutes, and a code lives for ten.
const MAX_CODE_DEFERRAL: i64 = 60;
const MAX_DEFERRAL: i64 = 15 * 60;
const MAX_REJECTION_WAIT: i64 = 60 * 60;

/// Seconds per try after which an email is retried that the server did not answer: it may have accepted
/// it, and must not get it every minute.
const NO_REPLY_WAIT: i64 = 30 * 60;

/// How often an idle worker polls for emails that other nodes enqueued or left.
const IDLE_POLL_SECONDS: i64 = 30;

/// After a larger correction of the clock, emails would wait for it to catch up.
const MAX_CLOCK_STEP_SECONDS: i64 = 10;

/// Sends the outbox. One worker per node is enough; workers of several nodes do not send an email twice.
pub struct Worker {
    db: Db,
    outbox: Outbox,
    mailer: Arc<Mailer>,
    slots: Slots,
    metrics: Metrics,
    /// Emails that were sent and are still in the database, with their outcomes: deleted before any is
    /// claimed.
    done: Vec<(String, Outcome)>,
    /// The time of the last poll of the outbox.
    last_poll: i64,
    next_poll: Instant,
    /// The server or the database failed: nothing is claimed until the next poll.
    is_paused: bool,
    /// Pauses since an email was last answered and recorded.
    pauses: i64,
}

impl Worker {
    pub fn new(db: Db, outbox: Outbox, mailer: Arc<Mailer>) -> Self {
        Self {
            db,
            outbox,
            mailer,
            slots: Slots::new(),
            metrics: Metrics::default(),
            done: Vec::new(),
            last_poll: i64::MIN,
            next_poll: Instant::now(),
            is_paused: false,
            pauses: 0,
        }
    }

    /// Counts what becomes of emails in `metrics`.
    #[must_use]
    pub fn counting(self, metrics: Metrics) -> Self {
        Self { metrics, ..self }
    }

    /// Works until `stop` turns true or its sender is dropped, then finishes the emails in flight. Polls
    /// the outbox when one is enqueued, when one is due again, and every 30 seconds.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let wakeup = Arc::clone(&self.outbox.wakeup);
        loop {
            let slow_at = self.slots.next_slow().unwrap_or(self.next_poll);
            let worked = tokio::select! {
                biased;
                () = async { drop(stop.wait_for(|stopped| *stopped).await) } => break,
                () = sleep_until(self.next_poll) => self.poll().await,
                Some((queued, result)) = self.slots.next_done() => {
                    self.finish(queued, result).await
                }
                () = sleep_until(slow_at) => self.fill_slots().await,
                () = wakeup.notified(), if !self.is_paused => {
                    self.poll_within(random_delay());
                    Ok(())
                }
            };
            if let Err(error) = worked {
                self.pause("database_failed", &error);
            }
        }
        while let Some((queued, result)) = self.slots.next_done().await {
            if let Err(error) = self.record(queued, result).await {
                self.pause("database_failed", &error);
            }
        }
        self.mailer.close_idle().await;
    }

    /// Sends everything that is due, and deletes what has expired.
    pub async fn deliver_due(&mut self) -> Result<(), DbError> {
        self.poll().await?;
        while let Some((queued, result)) = self.slots.next_done().await {
            self.finish(queued, result).await?;
        }
        Ok(())
    }

    /// Polls the whole outbox, and schedules the next poll.
    async fn poll(&mut self) -> Result<(), DbError> {
        self.is_paused = false;
        self.next_poll = Instant::now() + seconds(IDLE_POLL_SECONDS);
        let now = self.outbox.clock.now();
        if now.saturating_add(MAX_CLOCK_STEP_SECONDS) < self.last_poll {
            Event::log_fault("the_clock_went_back", &"all mail that waits is due now");
            outbox::rebase_times(self.db.writer(), now).await?;
        }
        self.last_poll = now;
        self.delete_done().await?;
        self.drop_expired(now).await?;
        self.fill_slots().await?;
        if let Some(due) = outbox::next_due(self.db.reader(), now).await? {
            self.poll_within(seconds(due.saturating_sub(now).max(1)));
        }
        Ok(())
    }

    fn poll_within(&mut self, wait: Duration) {
        self.next_poll = self.next_poll.min(Instant::now() + wait);
    }

    /// Claims nothing for a while, longer each time.
    fn pause(&mut self, reason: &'static str, cause: &dyn Display) {
        if !self.is_paused {
            Event::MailWaits { reason, cause }.write();
            self.next_poll = Instant::now() + seconds(doubled(1, self.pauses, MAX_PAUSE));
            self.pauses += 1;
            self.is_paused = true;
        }
    }

    /// All of them: claims would read past those that are left.
    async fn drop_expired(&mut self, now: i64) -> Result<(), DbError> {
        loop {
            let expired = outbox::drop_expired(&self.db, &self.outbox.key, now).await?;
            if expired.is_empty() {
                return Ok(());
            }
            expired.iter().for_each(log_expired);
        }
    }

    async fn fill_slots(&mut self) -> Result<(), DbError> {
        while self.fill_slot().await? {}
        Ok(())
    }

    /// Claims an email for a free slot, unless the worker is paused. Returns whether there was one.
    async fn fill_slot(&mut self) -> Result<bool, DbError> {
        while !self.is_paused
            && let Some(filter) = self.slots.filter()
        {
            let now = self.outbox.clock.now();
            let claimed = outbox::claim(&self.db, &self.outbox.key, now, &filter).await?;
            let Some(queued) = claimed else { break };
            if !queued.email.to.is_empty() {
                self.slots.send(&self.mailer, queued);
                return Ok(true);
            }
            log_given_up(&queued, "other_key");
            outbox::remove(&self.db, &queued.id, &MailState::GivenUp.into()).await?;
        }
        if self.slots.is_empty() {
            self.mailer.close_idle().await;
        }
        Ok(false)
    }

    async fn finish(&mut self, queued: QueuedEmail, result: SendResult) -> Result<(), DbError> {
        self.record(queued, result).await?;
        // For the slot that is free now: the last poll found no email for the others.
        self.fill_slot().await.map(drop)
    }

    /// Logs the result of an email, and deletes or reschedules it. If that fails, an email that was not
    /// sent is due again when its claim runs out.
    async fn record(&mut self, queued: QueuedEmail, result: SendResult) -> Result<(), DbError> {
        let outcome = self.outcome_of(&result);
        if !matches!(result, SendResult::Decoy) {
            self.metrics.count_mail(match outcome.state {
                MailState::Sent => MailEnd::Sent,
                MailState::Refused => MailEnd::Refused,
                _ => MailEnd::Deferred,
            });
        }
        let wait = retry_after(&queued, &result);
        log_result(&queued, &result, wait.unwrap_or_default());
        let is_answered =
            !matches!(result, SendResult::Decoy | SendResult::ServerUnavailable { .. });
        match (result, wait) {
            (SendResult::ServerUnavailable { why }, _) => {
                self.pause("server_away", &why);
                self.slots.narrow();
                // This was no try of the email. It is due at once, after all others that are due.
                let due = (self.outbox.clock.now(), queued.tries - 1);
                outbox::reschedule(&self.db, &queued, due, &outcome).await?;
            }
            (_, Some(wait)) => {
                self.poll_within(seconds(wait));
                let due = (self.outbox.clock.now() + wait, queued.tries);
                outbox::reschedule(&self.db, &queued, due, &outcome).await?;
            }
            (_, None) => self.done.push((queued.id, outcome)),
        }
        self.delete_done().await?;
        if is_answered {
            self.slots.widen();
            self.is_paused = false;
            self.pauses = 0;
        }
        Ok(())
    }

    fn outcome_of(&self, result: &SendResult) -> Outcome {
        let (state, server) = match result {
            SendResult::Sent(reply) => (MailState::Sent, Some(reply)),
            SendResult::Decoy => (MailState::Sent, None),
            SendResult::NoReply => (MailState::Unanswered, None),
            SendResult::Rejected { permanent: true, why } => (MailState::Refused, Some(why)),
            SendResult::Rejected { why, .. } => (MailState::Deferred, Some(why)),
            SendResult::ServerUnavailable { why } => (MailState::Waiting, Some(why)),
        };
        let sent_at = (state == MailState::Sent).then(|| self.outbox.clock.now());
        Outcome { state, server: server.cloned(), sent_at }
    }

    async fn delete_done(&mut self) -> Result<(), DbError> {
        while let Some((id, outcome)) = self.done.last() {
            outbox::remove(&self.db, id, outcome).await?;
            self.done.pop();
        }
        Ok(())
    }
}

/// Seconds before an email that was deferred (4xx) or rejected (5xx) is retried.
fn wait_after(permanent: bool, queued: &QueuedEmail) -> i64 {
    match (permanent, queued.email.is_code()) {
        (true, _) => doubled(30, queued.tries, MAX_REJECTION_WAIT),
        (false, true) => doubled(1, queued.tries, MAX_CODE_DEFERRAL),
        (false, false) => doubled(1, queued.tries, MAX_DEFERRAL),
    }
}

/// Seconds before the email is tried again; `None` if it is not.
fn retry_after(queued: &QueuedEmail, result: &SendResult) -> Option<i64> {
    match result {
        SendResult::NoReply => Some(NO_REPLY_WAIT * queued.tries),
        SendResult::Rejected { permanent, .. } => Some(wait_after(*permanent, queued)),
        _ => None,
    }
}

fn log_result(queued: &QueuedEmail, result: &SendResult, wait: i64) {
    let QueuedEmail { id: mail, tries, email, .. } = queued;
    let (account, kind, to, tries) = (queued.account(), &*email.kind, &*mask(&email.to), *tries);
    match result {
        SendResult::Sent(cause) => Event::MailSent { cause, account, mail, kind, to }.write(),
        SendResult::NoReply => Event::MailUnanswered { account, mail, kind, to, wait }.write(),
        SendResult::Rejected { permanent: true, why: cause } => {
            Event::MailRefused { cause, account, mail, kind, to, tries, wait }.write();
        }
        SendResult::Rejected { why: cause, .. } => {
            Event::MailDeferred { cause, account, mail, kind, to, tries, wait }.write();
        }
        // Of an unavailable server there is one line, not one for each email.
        SendResult::Decoy | SendResult::ServerUnavailable { .. } => {}
    }
}

fn log_expired(queued: &QueuedEmail) {
    if queued.email.is_decoy() {
        return;
    }
    if queued.email.is_code() {
        let (mail, kind) = (&*queued.id, &*queued.email.kind);
        let (account, to) = (queued.account(), &*mask(&queued.email.to));
        return Event::MailExpired { account, mail, kind, to }.write();
    }
    log_given_up(queued, if queued.tries > 0 { "refused" } else { "too_old" });
}

fn log_given_up(queued: &QueuedEmail, reason: &'static str) {
    let QueuedEmail { id: mail, tries, email, .. } = queued;
    let (account, kind, to, tries) = (queued.account(), &*email.kind, &*mask(&email.to), *tries);
    Event::MailGivenUp { reason, account, mail, kind, to, tries }.write();
}

/// `first * 2^times`, at most `most`.
fn doubled(first: i64, times: i64, most: i64) -> i64 {
    let times = u32::try_from(times).unwrap_or(0).min(32);
    first.saturating_mul(1 << times).min(most)
}

/// Up to a second: whether an email or a decoy was enqueued must not show in the time of the requests
/// right after it.
fn random_delay() -> Duration {
    Duration::from_millis(u64::from(u16::from_le_bytes(random::bytes())) >> 6)
}

fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::outbox::Email;

    #[test]
    fn waits_double_up_to_their_limit() {
        let pauses: Vec<_> = (0..8).map(|times| doubled(1, times, MAX_PAUSE)).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        let waits = |permanent, kind: &str| {
            [1, 9, 500].map(|tries| {
                let email = Email { kind: kind.to_owned(), ..Email::default() };
                let queued = QueuedEmail { email, tries, ..QueuedEmail::default() };
                wait_after(permanent, &queued)
            })
        };
        assert_eq!(waits(true, "reset_code"), [60, 3600, 3600]);
        assert_eq!(waits(false, "reset_code"), [2, 60, 60]);
        assert_eq!(waits(false, "registered"), [2, 512, 900]);
    }
}
