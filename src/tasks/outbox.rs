//! The mail worker: sends what waits in the outbox, again and again until it is out or too old.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::clock::Clock;
use crate::db::{Db, DbError};
use crate::event::{Details, Event, MailDetails};
use crate::key::ServerKey;
use crate::mail::{Mailer, Outcome, mask};
use crate::models::outbox::{self, GIVE_UP_AFTER, Queued};
use crate::random;

/// Letters that are sent at the same time, each on its own connection.
const BATCH: i64 = 8;

/// Longest pause while the server is away, and before a letter that it put off (4xx) is tried
/// again: all mail is out within 90 seconds of the server's return.
const LONGEST_PAUSE: i64 = 60;

/// Longest wait before a letter that the server refused for good (5xx) is tried again.
const LONGEST_REFUSAL: i64 = 60 * 60;

/// Wait after a letter that the server got and did not answer, for each time that it happened: it
/// may be mailed twice, and must not be mailed every minute.
const UNANSWERED_PAUSE: i64 = 30 * 60;

/// How often an idle worker looks for letters that other nodes queued or left.
const IDLE_SECONDS: i64 = 30;

/// The clock is corrected by less all the time; more, and letters would wait for it to catch up.
const JUMP_SECONDS: i64 = 10;

/// Letters that the development mailbox keeps.
const MAILBOX_SIZE: i64 = 200;

/// One worker: one a process is enough, one a node is safe.
pub struct Worker {
    db: Db,
    key: ServerKey,
    clock: Clock,
    mailer: Option<Mailer>,
    /// What the server has taken but the database still holds: deleted before anything is sent.
    accepted: Vec<String>,
    /// The time of the last round.
    last_round: i64,
    stop: Option<watch::Receiver<bool>>,
}

/// What came of one call of [`Worker::deliver_due`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Letters that the server took.
    pub sent: usize,
    /// Letters that it did not, now.
    pub refused: usize,
    /// Letters whose time was over, decoys included.
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
    /// The process stops.
    Stopped,
}

impl Worker {
    /// With no `mailer` nothing is sent: letters stay for the development mailbox.
    pub fn new(db: Db, key: ServerKey, clock: Clock, mailer: Option<Mailer>) -> Self {
        Self { db, key, clock, mailer, accepted: Vec::new(), last_round: i64::MIN, stop: None }
    }

    /// Works until `stop` turns true (or its sender is gone), finishing the letters that are under
    /// way. Wakes on `wake` (notify it after the commit), when a letter is due again, and every 30
    /// seconds. While the server is away only the pause counts, not `wake`.
    pub async fn run(mut self, wake: Arc<Notify>, mut stop: watch::Receiver<bool>) {
        self.stop = Some(stop.clone());
        let mut failures = 0;
        while !self.is_stopping() {
            let round = self.deliver_due().await;
            failures = match round.end {
                End::NothingDue | End::Stopped => 0,
                End::ServerAway | End::DatabaseFailed => failures + 1,
            };
            tokio::select! {
                () = self.pause(failures, &wake) => {}
                _ = stop.wait_for(|stopped| *stopped) => break,
            }
        }
    }

    /// Sends everything that is due, and deletes what is too old. Never fails: trouble is logged,
    /// and what could not be sent stays.
    pub async fn deliver_due(&mut self) -> Round {
        let mut round = Round::default();
        round.end = self.work(&mut round).await.unwrap_or_else(|error| {
            Event::MailWaits.because("database_failed", &error);
            End::DatabaseFailed
        });
        if let Some(mailer) = &self.mailer {
            mailer.rest().await;
        }
        round
    }

    async fn work(&mut self, round: &mut Round) -> Result<End, DbError> {
        let Some(mailer) = self.mailer.clone() else {
            let oldest = self.clock.now() - GIVE_UP_AFTER;
            outbox::trim(&self.db, oldest, MAILBOX_SIZE).await?;
            return Ok(End::NothingDue);
        };
        self.notice_jump().await?;
        self.forget_accepted().await?;
        self.drop_expired(round).await?;
        while !self.is_stopping() {
            let letters = outbox::claim(&self.db, &self.key, self.clock.now(), BATCH).await?;
            if letters.is_empty() {
                return Ok(End::NothingDue);
            }
            let (decoys, letters) = letters.into_iter().partition(Queued::is_decoy);
            let answers = send_all(&mailer, letters).await;
            self.drop_decoys(&mailer, decoys, round).await?;
            if !answers.is_empty() && !self.settle(answers, round).await? {
                return Ok(End::ServerAway);
            }
        }
        Ok(End::Stopped)
    }

    async fn notice_jump(&mut self) -> Result<(), DbError> {
        let now = self.clock.now();
        if now + JUMP_SECONDS < self.last_round {
            Event::Fault.because("the_clock_went_back", &"all mail that waits is due now");
            outbox::turn_back(&self.db, now).await?;
        }
        self.last_round = now;
        Ok(())
    }

    /// With all the work of a letter that is sent, but for the sending.
    async fn drop_decoys(
        &mut self,
        mailer: &Mailer,
        decoys: Vec<Queued>,
        round: &mut Round,
    ) -> Result<(), DbError> {
        for decoy in decoys {
            mailer.rehearse(&decoy);
            round.dropped += 1;
            self.accepted.push(decoy.id);
            self.forget_accepted().await?;
        }
        Ok(())
    }

    /// Whether the server answered at all.
    async fn settle(
        &mut self,
        answers: Vec<(Queued, Outcome)>,
        round: &mut Round,
    ) -> Result<bool, DbError> {
        let is_there = answers.iter().any(|(_, outcome)| !matches!(outcome, Outcome::Away { .. }));
        if let (false, Some((_, Outcome::Away { why }))) = (is_there, answers.first()) {
            Event::MailWaits.because("server_away", why);
        }
        let mut settled = Ok(());
        for (letter, outcome) in answers {
            let one = self.settle_one(&letter, outcome, is_there, round).await;
            // The others are settled all the same; what could not be comes back after its lease.
            settled = settled.and(one);
        }
        settled.map(|()| is_there)
    }

    async fn settle_one(
        &mut self,
        letter: &Queued,
        outcome: Outcome,
        is_there: bool,
        round: &mut Round,
    ) -> Result<(), DbError> {
        match outcome {
            Outcome::Sent(said) => {
                round.sent += 1;
                log(Event::MailSent, told(letter), Some(&said));
                self.accepted.push(letter.id.clone());
                self.forget_accepted().await
            }
            Outcome::Refused { permanent, why } => {
                round.refused += 1;
                self.refused(letter, permanent, &why).await
            }
            // A letter that alone breaks its connection would otherwise hold up all the others.
            Outcome::Away { why } if is_there => self.refused(letter, false, &why).await,
            Outcome::Away { .. } => outbox::put_back(&self.db, letter, self.clock.now()).await,
            Outcome::Unanswered => self.unanswered(letter, round).await,
        }
    }

    /// It may have been taken: once more, but late, and so a code not at all.
    async fn unanswered(&self, letter: &Queued, round: &mut Round) -> Result<(), DbError> {
        round.refused += 1;
        let wait = UNANSWERED_PAUSE * letter.tries.max(1);
        let mail = MailDetails { wait: Some(wait), ..told(letter) };
        log(Event::MailUnanswered, mail, None);
        outbox::later(&self.db, letter, self.clock.now() + wait).await
    }

    async fn refused(&self, letter: &Queued, permanent: bool, why: &str) -> Result<(), DbError> {
        let (to, now) = (mask(&letter.to), self.clock.now());
        let mail = MailDetails { to: Some(&to), tries: Some(letter.tries), ..told(letter) };
        if now >= letter.created_at + GIVE_UP_AFTER {
            given_up(mail, "refused", Some(&why));
            return outbox::remove(&self.db, &letter.id).await;
        }
        let wait = wait_after(permanent, letter.tries);
        log(Event::MailRefused, MailDetails { wait: Some(wait), ..mail }, Some(&why));
        outbox::later(&self.db, letter, now + wait).await
    }

    async fn forget_accepted(&mut self) -> Result<(), DbError> {
        while let Some(id) = self.accepted.last() {
            outbox::remove(&self.db, id).await?;
            self.accepted.pop();
        }
        Ok(())
    }

    async fn drop_expired(&self, round: &mut Round) -> Result<(), DbError> {
        loop {
            let dropped = outbox::drop_expired(&self.db, &self.key, self.clock.now()).await?;
            if dropped.is_empty() {
                return Ok(());
            }
            round.dropped += dropped.len();
            dropped.iter().filter(|letter| !letter.is_decoy()).for_each(tell_dropped);
        }
    }

    async fn pause(&self, failures: u32, wake: &Notify) {
        if failures > 0 {
            return sleep(seconds(doubled(1, i64::from(failures) - 1, LONGEST_PAUSE))).await;
        }
        let now = self.clock.now();
        let due = outbox::next_due(&self.db, now).await.ok().flatten();
        let due = due.map_or(IDLE_SECONDS, |at| at.saturating_sub(now));
        if timeout(seconds(due.clamp(1, IDLE_SECONDS)), wake.notified()).await.is_ok() {
            sleep(some_moment()).await;
        }
    }

    fn is_stopping(&self) -> bool {
        self.stop.as_ref().is_some_and(|stop| *stop.borrow())
    }
}

async fn send_all(mailer: &Mailer, letters: Vec<Queued>) -> Vec<(Queued, Outcome)> {
    let mut sending = JoinSet::new();
    for letter in letters {
        let mailer = mailer.clone();
        sending.spawn(async move {
            let outcome = mailer.send(&letter).await;
            (letter, outcome)
        });
    }
    let mut answers = Vec::new();
    while let Some(done) = sending.join_next().await {
        if let Ok(answer) = done {
            answers.push(answer);
        } else {
            // It panicked, which has a line. The claim runs out and it is tried again.
        }
    }
    answers
}

/// What each line tells of a letter.
fn told(letter: &Queued) -> MailDetails<'_> {
    MailDetails { id: Some(&letter.id), kind: Some(&letter.kind), ..MailDetails::default() }
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

/// Seconds before the try after the `tries`th, which was refused.
fn wait_after(permanent: bool, tries: i64) -> i64 {
    if permanent { doubled(30, tries, LONGEST_REFUSAL) } else { doubled(1, tries, LONGEST_PAUSE) }
}

/// `first * 2^times`, at most `most`.
fn doubled(first: i64, times: i64, most: i64) -> i64 {
    let times = u32::try_from(times).unwrap_or(0).min(32);
    first.saturating_mul(1 << times).min(most)
}

/// Up to a second, by chance: what was just posted, a letter or a decoy, must not show in the time of
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
    fn waits_double_up_to_their_bound() {
        let pauses: Vec<_> = (0..8).map(|times| doubled(1, times, LONGEST_PAUSE)).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!((wait_after(true, 1), wait_after(true, 500)), (60, 3600));
        assert_eq!((wait_after(false, 1), wait_after(false, 9)), (2, 60));
    }
}
