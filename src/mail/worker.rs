//! The mail worker: sends what waits in the outbox, again and again until it is out or too old.

mod slots;

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use super::{Mailer, SendResult, mask};
use crate::clock::Clock;
use crate::db::{Db, DbError};
use crate::event::{Details, Event, MailDetails};
use crate::key::ServerKey;
use crate::models::outbox::{self, GIVE_UP_AFTER, QueuedEmail};
use crate::random;
use slots::Slots;

/// Longest pause while the server is away: all mail is out within 90 seconds of its return. Also the
/// longest before a code that it put off (4xx) is tried again: greylisting takes some minutes, and a
/// code lives for ten.
const LONGEST_PAUSE: i64 = 60;

/// Longest wait before a notice that the server put off is tried again.
const LONGEST_DEFERRAL: i64 = 15 * 60;

/// Longest wait before an email that the server refused for good (5xx) is tried again.
const LONGEST_REFUSAL: i64 = 60 * 60;

/// Wait after an email that the server got and did not answer, for each time that it happened: it
/// may be mailed twice, and must not be mailed every minute.
const UNANSWERED_PAUSE: i64 = 30 * 60;

/// How often an idle worker looks for emails that other nodes queued or left.
const IDLE_SECONDS: i64 = 30;

/// The clock is corrected by less all the time; more, and emails would wait for it to catch up.
const JUMP_SECONDS: i64 = 10;

/// Emails that the development mailbox keeps.
const MAILBOX_SIZE: i64 = 200;

/// One worker: one a process is enough, one a node is safe.
pub struct Worker {
    db: Db,
    key: ServerKey,
    clock: Clock,
    mailer: Option<Mailer>,
    slots: Slots,
    /// What the server has taken but the database still holds: deleted before anything is claimed.
    accepted: Vec<String>,
    /// The time of the last look at the outbox.
    looked_at: i64,
    /// Why nothing is claimed until the next look.
    trouble: Option<End>,
    /// Troubles since an email was last dealt with.
    failures: i64,
    next_look: Instant,
}

/// What came of one call of [`Worker::deliver_due`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryRun {
    /// Emails that the server took.
    pub sent: usize,
    /// Emails that it did not, now.
    pub refused: usize,
    /// Emails whose time was over, decoys included.
    pub dropped: usize,
    /// Why it ended.
    pub end: End,
}

/// Why a round ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// Nothing more is due.
    #[default]
    NothingDue,
    /// The mail server is away: what waits was put back.
    ServerAway,
    /// The database failed: what was claimed comes back when its lease is over.
    DatabaseFailed,
}

impl Worker {
    /// With no `mailer` nothing is sent: emails stay for the development mailbox.
    pub fn new(db: Db, key: ServerKey, clock: Clock, mailer: Option<Mailer>) -> Self {
        Self {
            db,
            key,
            clock,
            mailer,
            slots: Slots::new(),
            accepted: Vec::new(),
            looked_at: i64::MIN,
            trouble: None,
            failures: 0,
            next_look: Instant::now(),
        }
    }

    /// Works until `stop` turns true (or its sender is gone), finishing the emails that are under
    /// way. Looks for emails on `wake` (notify it after the commit), when one is due again, and every
    /// 30 seconds; beside, the place of an email that is done goes to the next one. In trouble only
    /// the pause counts, not `wake`.
    pub async fn run(mut self, wake: Arc<Notify>, mut stop: watch::Receiver<bool>) {
        let mut round = DeliveryRun::default();
        self.look(&mut round).await;
        loop {
            tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                () = sleep_until(self.next_look) => self.look(&mut round).await,
                done = self.slots.done(), if !self.slots.is_empty() => {
                    self.settle(done, &mut round).await;
                    self.fill().await;
                }
                () = wake.notified(), if self.trouble.is_none() => self.look_within(some_moment()),
            }
        }
        while !self.slots.is_empty() {
            let done = self.slots.done().await;
            self.settle(done, &mut round).await;
        }
        self.rest().await;
    }

    /// Sends everything that is due, and deletes what is too old. Never fails: trouble is logged,
    /// and what could not be sent stays.
    pub async fn deliver_due(&mut self) -> DeliveryRun {
        let mut round = DeliveryRun::default();
        self.look(&mut round).await;
        while !self.slots.is_empty() {
            let done = self.slots.done().await;
            self.settle(done, &mut round).await;
            self.fill().await;
        }
        round.end = self.trouble.unwrap_or_default();
        round
    }

    /// Looks at the whole outbox, and plans when to look again.
    async fn look(&mut self, round: &mut DeliveryRun) {
        self.trouble = None;
        match self.clean(round).await {
            Ok(()) => self.fill().await,
            Err(error) => self.stop_claiming(End::DatabaseFailed, &error),
        }
        if self.trouble.is_none() {
            let now = self.clock.now();
            let due = outbox::next_due(&self.db, now).await.ok().flatten();
            let due = due.map_or(IDLE_SECONDS, |at| at.saturating_sub(now));
            self.next_look = Instant::now() + seconds(due.clamp(1, IDLE_SECONDS));
        }
    }

    fn look_within(&mut self, pause: Duration) {
        self.next_look = self.next_look.min(Instant::now() + pause);
    }

    /// Leaves what waits alone for a while, longer each time.
    fn stop_claiming(&mut self, end: End, cause: &dyn Display) {
        if self.trouble.is_none() {
            let reason = if end == End::ServerAway { "server_away" } else { "database_failed" };
            Event::MailWaits.because(reason, cause);
            let pause = doubled(1, self.failures, LONGEST_PAUSE);
            self.next_look = Instant::now() + seconds(pause);
            self.failures += 1;
        }
        self.trouble = Some(end);
    }

    /// What comes before anything is claimed.
    async fn clean(&mut self, round: &mut DeliveryRun) -> Result<(), DbError> {
        if self.mailer.is_none() {
            let oldest = self.clock.now() - GIVE_UP_AFTER;
            return outbox::trim(&self.db, oldest, MAILBOX_SIZE).await.map(drop);
        }
        self.notice_jump().await?;
        self.forget_accepted().await?;
        self.drop_expired(round).await
    }

    /// Gives every free slot an email, unless there is trouble.
    async fn fill(&mut self) {
        if self.trouble.is_none()
            && let Err(error) = self.claim().await
        {
            self.stop_claiming(End::DatabaseFailed, &error);
        }
        if self.slots.is_empty() {
            self.rest().await;
        }
    }

    async fn claim(&mut self) -> Result<(), DbError> {
        let Some(mailer) = self.mailer.clone() else { return Ok(()) };
        while let Some(room) = self.slots.room() {
            let claimed = outbox::claim(&self.db, &self.key, self.clock.now(), &room).await?;
            let Some(email) = claimed else { break };
            self.slots.send(&mailer, email);
        }
        Ok(())
    }

    /// Ends the connections to the server.
    async fn rest(&self) {
        if let Some(mailer) = &self.mailer {
            mailer.rest().await;
        }
    }

    async fn notice_jump(&mut self) -> Result<(), DbError> {
        let now = self.clock.now();
        if now.saturating_add(JUMP_SECONDS) < self.looked_at {
            Event::Fault.because("the_clock_went_back", &"all mail that waits is due now");
            outbox::rebase_times(&self.db, now).await?;
        }
        self.looked_at = now;
        Ok(())
    }

    /// Notes what became of an email.
    async fn settle(
        &mut self,
        done: Option<(QueuedEmail, Option<SendResult>)>,
        round: &mut DeliveryRun,
    ) {
        let Some((email, outcome)) = done else { return };
        let settled = match outcome {
            None => self.drop_decoy(email, round).await,
            Some(outcome) => {
                self.judge_server(&outcome);
                self.record_result(&email, outcome, round).await
            }
        };
        if let Err(error) = settled {
            // The email comes back after its lease, if it was not sent.
            self.stop_claiming(End::DatabaseFailed, &error);
        }
    }

    fn judge_server(&mut self, outcome: &SendResult) {
        if let SendResult::ServerUnavailable { why } = outcome {
            self.stop_claiming(End::ServerAway, why);
            self.slots.narrow();
        } else {
            self.slots.widen();
            self.failures = 0;
            self.trouble.take_if(|trouble| *trouble == End::ServerAway);
        }
    }

    async fn drop_decoy(
        &mut self,
        decoy: QueuedEmail,
        round: &mut DeliveryRun,
    ) -> Result<(), DbError> {
        round.dropped += 1;
        self.accepted.push(decoy.id);
        self.forget_accepted().await
    }

    async fn record_result(
        &mut self,
        email: &QueuedEmail,
        outcome: SendResult,
        round: &mut DeliveryRun,
    ) -> Result<(), DbError> {
        match outcome {
            SendResult::Sent(said) => {
                round.sent += 1;
                log(Event::MailSent, told(email), Some(&said));
                self.accepted.push(email.id.clone());
                self.forget_accepted().await
            }
            SendResult::Rejected { permanent, why } => {
                round.refused += 1;
                self.refused(email, permanent, &why).await
            }
            SendResult::ServerUnavailable { .. } => {
                outbox::release(&self.db, email, self.clock.now()).await
            }
            SendResult::NoReply => self.unanswered(email, round).await,
        }
    }

    /// It may have been taken: once more, but late, and so a code not at all.
    async fn unanswered(
        &self,
        email: &QueuedEmail,
        round: &mut DeliveryRun,
    ) -> Result<(), DbError> {
        round.refused += 1;
        let wait = UNANSWERED_PAUSE * email.tries.max(1);
        let mail = MailDetails { wait: Some(wait), ..told(email) };
        log(Event::MailUnanswered, mail, None);
        outbox::reschedule(&self.db, email, self.clock.now() + wait).await
    }

    async fn refused(
        &mut self,
        email: &QueuedEmail,
        permanent: bool,
        why: &str,
    ) -> Result<(), DbError> {
        let (to, now) = (mask(&email.to), self.clock.now());
        let mail = MailDetails { to: Some(&to), tries: Some(email.tries), ..told(email) };
        if now >= email.created_at + GIVE_UP_AFTER {
            given_up(mail, "refused", Some(&why));
            return outbox::remove(&self.db, &email.id).await;
        }
        let wait = wait_after(permanent, email);
        self.look_within(seconds(wait));
        log(Event::MailRefused, MailDetails { wait: Some(wait), ..mail }, Some(&why));
        outbox::reschedule(&self.db, email, now + wait).await
    }

    async fn forget_accepted(&mut self) -> Result<(), DbError> {
        while let Some(id) = self.accepted.last() {
            outbox::remove(&self.db, id).await?;
            self.accepted.pop();
        }
        Ok(())
    }

    async fn drop_expired(&self, round: &mut DeliveryRun) -> Result<(), DbError> {
        loop {
            let dropped = outbox::drop_expired(&self.db, &self.key, self.clock.now()).await?;
            if dropped.is_empty() {
                return Ok(());
            }
            round.dropped += dropped.len();
            dropped.iter().filter(|email| !email.is_decoy()).for_each(tell_dropped);
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stopped| *stopped).await);
}

/// What each line tells of an email.
fn told(email: &QueuedEmail) -> MailDetails<'_> {
    MailDetails { id: Some(&email.id), kind: Some(&email.kind), ..MailDetails::default() }
}

fn log(event: Event, mail: MailDetails<'_>, cause: Option<&dyn Display>) {
    event.write(Details { cause, mail, ..Details::default() });
}

fn tell_dropped(outbox::Dropped { id, kind, to, lifetime }: &outbox::Dropped) {
    let to = mask(to);
    let mail = MailDetails { id: Some(id), kind: Some(kind), ..MailDetails::default() };
    match *lifetime {
        GIVE_UP_AFTER.. => given_up(MailDetails { to: Some(&to), ..mail }, "too_old", None),
        _ => log(Event::MailExpired, mail, None),
    }
}

fn given_up(mail: MailDetails<'_>, reason: &'static str, cause: Option<&dyn Display>) {
    let reason = Some(reason);
    Event::MailGivenUp.write(Details { reason, cause, mail, ..Details::default() });
}

/// Seconds before an email that was refused is tried again.
fn wait_after(permanent: bool, email: &QueuedEmail) -> i64 {
    match (permanent, email.is_code()) {
        (true, _) => doubled(30, email.tries, LONGEST_REFUSAL),
        (false, true) => doubled(1, email.tries, LONGEST_PAUSE),
        (false, false) => doubled(1, email.tries, LONGEST_DEFERRAL),
    }
}

/// `first * 2^times`, at most `most`.
fn doubled(first: i64, times: i64, most: i64) -> i64 {
    let times = u32::try_from(times).unwrap_or(0).min(32);
    first.saturating_mul(1 << times).min(most)
}

/// Up to a second, by chance: what was just posted, an email or a decoy, must not show in the time of
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

    fn tried(kind: &'static str, tries: i64) -> QueuedEmail {
        let email = outbox::Email {
            kind,
            to: "ann@example.com".to_owned(),
            subject: String::new(),
            text: String::new(),
            html: String::new(),
            expires_at: 0,
        };
        QueuedEmail { tries, ..email.into_queued(String::new(), 0) }
    }

    #[test]
    fn waits_double_up_to_their_bound() {
        let pauses: Vec<_> = (0..8).map(|times| doubled(1, times, LONGEST_PAUSE)).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        let waits =
            |permanent, kind| [1, 9, 500].map(|tries| wait_after(permanent, &tried(kind, tries)));
        assert_eq!(waits(true, "reset_code"), [60, 3600, 3600]);
        assert_eq!(waits(false, "reset_code"), [2, 60, 60]);
        assert_eq!(waits(false, "registered"), [2, 512, 900]);
    }
}
