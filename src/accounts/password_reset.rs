//! A new password for whoever reads the account's mail: a one-time code, and what it is good for.

use subtle::ConstantTimeEq;

use super::one_time_code::OneTimeCode;
use crate::app::App;
use crate::db::DbError;
use crate::models::one_time_code::{
    OneTimeCodeRow, Purpose, cool_down, count_attempt, find_code, invalidate_code,
};

/// What the kind of code is called in the database.
pub const PURPOSE: Purpose = Purpose::PasswordReset;

/// What a browser session keeps of the code that was requested in it: the same whether an account
/// matched.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PendingReset {
    /// The row's id.
    pub id: String,
    /// The username, in its canonical form.
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
    /// The key that attempts are counted by, over all codes.
    #[serde(default)]
    pub budget: String,
}

impl PendingReset {
    /// Seconds until another code can be sent, for the page. From the session and not from the row,
    /// so that no page can tell what became of that (ASVS 6.3.8).
    pub fn wait(&self, now: i64) -> i64 {
        cool_down(self.sent_at, self.codes_sent - 1, now)
    }
}

/// Why a code does not set a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// It is another one.
    Wrong {
        /// Attempts left; 0: this was the last.
        left: i64,
    },
    /// Too late.
    Expired,
    /// Too many attempts at this code before this one.
    TooMany,
    /// Used, replaced or swept.
    Gone,
}

impl Rejection {
    /// For the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wrong { .. } => "wrong",
            Self::Expired => "expired",
            Self::TooMany => "too_many",
            Self::Gone => "gone",
        }
    }
}

/// An attempt that was counted and may be compared.
pub struct Attempt {
    /// The account whose code it is; `None` when no account matched.
    pub user_id: Option<String>,
    left: i64,
}

/// Counts an attempt, or answers why no code can be right any more.
pub async fn count(app: &App, id: &str) -> Result<Result<Attempt, Rejection>, DbError> {
    let (db, now, max) = (&app.store.db, app.store.clock.now(), app.config.limits.reset_code);
    match count_attempt(db.writer(), PURPOSE, id, max, now).await? {
        Some(OneTimeCodeRow { user_id, attempts, .. }) => {
            Ok(Ok(Attempt { user_id, left: max - attempts }))
        }
        None => Ok(Err(dead_reason(app, id).await?.unwrap_or(Rejection::TooMany))),
    }
}

/// Compares a counted attempt in constant time (ASVS 11.2.4), and answers the user's id.
pub fn compare<'a>(
    app: &App,
    pending: &PendingReset,
    code: &OneTimeCode,
    attempt: &'a Attempt,
) -> Result<&'a str, Rejection> {
    let found = digest(app, &pending.id, code);
    let is_right = bool::from(found.as_bytes().ct_eq(pending.digest.as_bytes()));
    let user_id = attempt.user_id.as_deref().filter(|_| is_right);
    user_id.ok_or(Rejection::Wrong { left: attempt.left })
}

/// What the session keeps of a code.
pub fn digest(app: &App, id: &str, code: &OneTimeCode) -> String {
    app.store.key.digest("one-time code", &[id, code.as_str()])
}

/// Why no code can be right any more; `None` when one can. The same whether an account matched.
pub async fn dead_reason(app: &App, id: &str) -> Result<Option<Rejection>, DbError> {
    let max = app.config.limits.reset_code;
    Ok(match find_code(app.store.db.reader(), PURPOSE, id).await? {
        Some(code) if code.is_replaced() => Some(Rejection::Gone),
        Some(code) if code.expires_at <= app.store.clock.now() => Some(Rejection::Expired),
        Some(code) if code.attempts >= max => Some(Rejection::TooMany),
        Some(_) => None,
        None => Some(Rejection::Gone),
    })
}

/// What became of a code that another is to replace.
pub enum Replaced {
    /// It is dead now.
    Now {
        /// Codes sent so far in this browser, in a row.
        codes_sent: i64,
    },
    /// A parallel request replaced it a moment ago. The session must be left alone: it may be about to
    /// name the new code.
    Before,
    /// It was used or swept.
    Gone,
}

/// Kills a code to replace it. Of two parallel requests one is always told that the other did.
pub async fn replace(app: &App, id: &str) -> Result<Replaced, DbError> {
    let (db, now) = (&app.store.db, app.store.clock.now());
    if let Some(codes_sent) = invalidate_code(db.writer(), id, now).await? {
        return Ok(Replaced::Now { codes_sent });
    }
    let code = find_code(db.reader(), PURPOSE, id).await?;
    Ok(if code.is_some() { Replaced::Before } else { Replaced::Gone })
}
