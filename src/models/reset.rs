//! The `resets` table: one-time codes that are under way, and every guess at them.
//!
//! The session keeps the reset's id and the keyed digest of its code; what can be used up (guesses,
//! time, the code itself) is counted here, in SQL, before a guess is compared.

use super::Store;
use super::limit::Count;
use super::outbox::{self, Email};
use super::user::{NewPassword, User, set_password};
use crate::db::{DbError, SkipLocked, Tx, skip_locked, sql};
use crate::random;

/// How much longer each further code in a row makes the wait before the next, in seconds.
const COOL_DOWN: i64 = 30;

/// What a browser session keeps of the code that was asked for in it. It looks the same whether an
/// account matched or not.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PendingReset {
    /// The row's id.
    pub id: String,
    /// The username, as it was found valid.
    pub username: String,
    /// The address, as it was typed.
    pub email: String,
    /// Keyed digest of the row's id and the code.
    pub digest: String,
    /// Codes sent in this browser, in a row, this one included.
    #[serde(default)]
    pub codes_sent: i64,
    /// Unix time at which this one was drawn.
    #[serde(default)]
    pub sent_at: i64,
    /// What guesses are counted by, over all codes: the budget of whoever asked.
    #[serde(default)]
    pub budget: String,
}

/// A code to be sent, and in whose name.
pub struct NewReset<'a> {
    /// The account that matched, if one did.
    pub user: Option<&'a User>,
    /// The code, without its dash.
    pub code: &'a str,
    /// Seconds until it is dead.
    pub ttl: i64,
    /// Codes sent before it in this browser, in a row.
    pub sent_before: i64,
    /// What its mail counts.
    pub counts: &'a [Count],
}

/// A guess that was counted, before it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spent {
    /// It may be compared.
    Counted {
        /// Whose code it is; `None` when no account matched.
        user_id: Option<String>,
        /// Guesses left after this one.
        left: i64,
    },
    /// The code is dead, for this reason.
    Dead(Guess),
}

/// What a guess was worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guess {
    /// The code is right, for this user id. It is used up by [`Store::use_code`] alone.
    Right(String),
    /// It is not.
    Wrong {
        /// Guesses left; 0: this was the last.
        left: i64,
    },
    /// Too late.
    Expired,
    /// Too many guesses at this code before this one.
    TooMany,
    /// Used, replaced or swept.
    Gone,
}

/// What became of a code that is to make way for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// It is dead now.
    Now {
        /// Codes sent so far in this browser, in a row.
        codes_sent: i64,
    },
    /// Another request replaced it a moment ago. The session must be left alone: it may be about to
    /// name the new code.
    Before,
    /// It was used or swept.
    Gone,
}

impl Spent {
    /// Whose code it was, when it could be compared and an account had matched.
    pub fn user_id(&self) -> Option<&str> {
        match self {
            Self::Counted { user_id, .. } => user_id.as_deref(),
            Self::Dead(_) => None,
        }
    }
}

impl Guess {
    /// For the log: never the user, never the code.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Wrong { .. } => "wrong",
            Self::Expired => "expired",
            Self::TooMany => "too_many",
            // Right for a user who is gone: the words are the same, too.
            Self::Right(_) | Self::Gone => "gone",
        }
    }
}

impl PendingReset {
    /// Whether it was requested with this name and address.
    pub fn is_of(&self, username: &str, email: &str) -> bool {
        self.username == username && self.email == email
    }

    /// Seconds until another code can be sent, for the page. From the session and not from the row,
    /// so that no page can tell what became of that (ASVS 6.3.8).
    pub fn wait(&self, now: i64) -> i64 {
        cool_down(self.sent_at, self.codes_sent - 1, now)
    }
}

/// Seconds left at `now` of so many pauses that began at `since`; none when that is to come, because
/// the clock went back.
fn cool_down(since: i64, pauses: i64, now: i64) -> i64 {
    if since > now + COOL_DOWN {
        return 0;
    }
    (since + pauses * COOL_DOWN - now).max(0)
}

const INSERT: &str = "insert into resets
    (id, user_id, guesses, codes_sent, created_at, expires_at) values ($1, $2, 0, $3, $4, $5)";
const SPEND: &str = "update resets set guesses = guesses + 1
    where id = $1 and expires_at > $2 and guesses < $3 returning user_id, guesses";
const RETURN: &str = "update resets set guesses = guesses - 1 where id = $1 and guesses > 0";
const STATE: &str = "select expires_at, guesses from resets where id = $1";
const LOOK: &str = "select expires_at, codes_sent, created_at from resets where id = $1";
/// A replaced row stays, dead, so that of parallel repeats the second sees the first. After a pause
/// it can be replaced again: the browser may never have got the answer that named its successor.
const REPLACE: &str = "update resets set expires_at = 0, created_at = $3
    where id = $1 and (expires_at > 0 or created_at + $2 <= $3 or created_at > $3 + $2)
    returning codes_sent";
const USE: &str = "delete from resets where id = $1 and user_id = $2 and expires_at > $3";
/// Rows that no code is right for any more. Were they deleted, a stranger's reset page would tell
/// that there is such an account, and when its owner changes the password.
const DROP_OF_USER: &str = "update resets set user_id = null where user_id = $1";

const SWEEP: SkipLocked = skip_locked!(
    "select id from resets where expires_at <= $1 limit $2",
    "delete from resets where id in (select id from picked)"
);

/// Expired codes are kept so long, in seconds: people are told "too old" and not "unknown".
const KEPT: i64 = 60 * 60;

impl Store {
    /// Deletes up to `most` rows that expired a while ago and answers how many went.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sweep_resets(&self, most: i64) -> Result<u64, DbError> {
        let before = self.clock.now() - KEPT;
        sql(SWEEP.text(&self.db)).bind(before).bind(most).execute(self.db.writer()).await
    }

    /// Notes that a code was drawn and posts its letter, both or neither. Without a user the same
    /// rows are written, but no code can be right and the letter is never sent; nor is it beyond a
    /// limit of mails, which nobody can tell from the answer.
    ///
    /// # Errors
    /// When the database fails; then there is no code.
    pub async fn begin_reset(
        &self,
        new: NewReset<'_>,
        letter: Email,
    ) -> Result<(String, String), DbError> {
        let (id, now) = (random::id(self.clock.millis()), self.clock.now());
        let insert = sql(INSERT)
            .bind(&id)
            .bind(new.user.map(|user| user.id.clone()))
            .bind(new.sent_before + 1)
            .bind(now)
            .bind(now.saturating_add(new.ttl));
        let mut tx = self.db.begin().await?;
        insert.execute(tx.on()).await?;
        let may_post = self.may_post(&mut tx, new.counts).await?;
        let letter = if may_post && new.user.is_some() { letter } else { letter.decoy() };
        outbox::enqueue(tx.on(), &self.key, &self.clock, &letter).await?;
        tx.commit().await?;
        let digest = self.digest(&id, new.code);
        Ok((id, digest))
    }

    /// Counts a guess against the code's `most`. Only what was counted can be compared.
    ///
    /// # Errors
    /// When the database fails; then nothing may be compared.
    pub async fn spend_guess(&self, pending: &PendingReset, most: i64) -> Result<Spent, DbError> {
        let spend = sql(SPEND).bind(&pending.id).bind(self.clock.now()).bind(most);
        let spent = spend.optional::<(Option<String>, i64)>(self.db.writer()).await?;
        if let Some((user_id, guesses)) = spent {
            return Ok(Spent::Counted { user_id, left: most - guesses });
        }
        let why = self.why_dead(&pending.id, most).await?;
        Ok(Spent::Dead(why.unwrap_or(Guess::TooMany)))
    }

    /// Takes back a guess that was right but led nowhere, and answers whether the code is there.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn return_guess(&self, id: &str) -> Result<bool, DbError> {
        Ok(sql(RETURN).bind(id).execute(self.db.writer()).await? > 0)
    }

    /// Compares a guess that was counted, in constant time (ASVS 11.2.4).
    pub fn compare(&self, pending: &PendingReset, code: &str, spent: &Spent) -> Guess {
        let (user_id, left) = match spent {
            Spent::Counted { user_id, left } => (user_id, *left),
            Spent::Dead(why) => return why.clone(),
        };
        let found = self.digest(&pending.id, code);
        let same = subtle::ConstantTimeEq::ct_eq(found.as_bytes(), pending.digest.as_bytes());
        match user_id {
            Some(user_id) if bool::from(same) => Guess::Right(user_id.clone()),
            _ => Guess::Wrong { left },
        }
    }

    /// Why no guess at the code can be right any more, of which `most` are compared; `None` when one can.
    /// The same for a code of nobody.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn why_dead(&self, id: &str, most: i64) -> Result<Option<Guess>, DbError> {
        let row = sql(STATE).bind(id).optional::<(i64, i64)>(self.db.reader()).await?;
        Ok(match row {
            None | Some((0, _)) => Some(Guess::Gone),
            Some((expires_at, _)) if expires_at <= self.clock.now() => Some(Guess::Expired),
            Some((_, guesses)) => (guesses >= most).then_some(Guess::TooMany),
        })
    }

    /// Uses the code up and sets the password: once, whatever is sent in parallel. Ends every
    /// session and every other code of the account and posts `letter`, all or nothing. The letter
    /// takes from the first of its budgets that is not used up. Answers how many sessions
    /// that were; `None` when the code died in the meantime.
    ///
    /// # Errors
    /// When the database fails; then the old password stands and the code lives on.
    pub async fn use_code(
        &self,
        id: &str,
        user: &User,
        new: NewPassword<'_>,
        letter: Option<(&Email, &[Vec<Count>])>,
    ) -> Result<Option<u64>, DbError> {
        let mut tx = self.db.begin().await?;
        let Some(set) = set_password(&mut tx, user, new, self.clock.now()).await? else {
            return Ok(None);
        };
        let used = sql(USE).bind(id).bind(&user.id).bind(self.clock.now());
        if used.execute(tx.on()).await? == 0 {
            return Ok(None);
        }
        drop_all_of(&mut tx, &user.id).await?;
        if let Some((letter, budgets)) = letter {
            self.post_from_any(&mut tx, letter, budgets).await?;
        }
        tx.commit().await?;
        Ok(Some(set.sessions))
    }

    async fn post_from_any(
        &self,
        tx: &mut Tx,
        letter: &Email,
        budgets: &[Vec<Count>],
    ) -> Result<(), DbError> {
        for counts in budgets {
            if self.may_post(tx, counts).await? {
                return self.post(tx, Some(letter)).await;
            }
        }
        Ok(())
    }

    /// Seconds until another code may be sent in this browser; `None` when the old one is gone. The
    /// first repeat is free, each further one waits half a minute longer. What becomes of a code that
    /// was replaced already, [`Store::make_way`] says.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn wait_for_resend(&self, id: &str) -> Result<Option<i64>, DbError> {
        let row = sql(LOOK).bind(id).optional::<(i64, i64, i64)>(self.db.reader()).await?;
        Ok(row.map(|(expires_at, sent, created_at)| {
            let pauses = if expires_at == 0 { 0 } else { sent - 1 };
            cool_down(created_at, pauses, self.clock.now())
        }))
    }

    /// Kills the code to make way for another. Of two parallel requests one is always told that the
    /// other did that before.
    ///
    /// # Errors
    /// When the database fails; then the code lives on.
    pub async fn make_way(&self, id: &str) -> Result<Replaced, DbError> {
        let replace = sql(REPLACE).bind(id).bind(COOL_DOWN).bind(self.clock.now());
        if let Some((codes_sent,)) = replace.optional::<(i64,)>(self.db.writer()).await? {
            return Ok(Replaced::Now { codes_sent });
        }
        let row = sql(LOOK).bind(id).optional::<(i64, i64, i64)>(self.db.reader()).await?;
        Ok(if row.is_some() { Replaced::Before } else { Replaced::Gone })
    }

    fn digest(&self, id: &str, code: &str) -> String {
        self.key.digest("one-time code", &[id, code])
    }
}

/// Kills every code of a user, when the password or the address changes.
pub(super) async fn drop_all_of(tx: &mut Tx, user_id: &str) -> Result<(), DbError> {
    sql(DROP_OF_USER).bind(user_id).execute(tx.on()).await?;
    Ok(())
}
