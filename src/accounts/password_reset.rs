//! Reset a forgotten password: a new one for the code that was mailed.

use subtle::ConstantTimeEq;

use super::Error;
use super::field_errors::FieldErrors;
use super::new_password::{NewPassword, choose_password, find_repeat, set_password};
use super::one_time_code::{CodeError, OneTimeCode};
use super::password::{Password, PasswordError};
use super::rate_limits::{self, Attempt, Counter, RateLimit};
use super::requester::Requester;
use crate::app::App;
use crate::db::DbError;
use crate::event::Event;
use crate::models::one_time_code::{COOL_DOWN, Purpose, count_attempt, find_code, refund_attempt};
use crate::models::user::{User, find_user};
use crate::password_hasher::{HashError, PasswordHasher, PasswordMatch};

pub(super) const PURPOSE: Purpose = Purpose::PasswordReset;

/// What a browser session keeps of the code that was requested in it. It is the same whether an account
/// matched. Sessions outlive an update of the program, so the stored names stay.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PendingReset {
    /// Of the code.
    pub id: String,
    /// In its canonical form.
    pub username: String,
    /// As it was typed.
    pub email: String,
    /// Keyed digest of the id and the code.
    pub digest: String,
    /// Codes sent in this browser in a row, including this one.
    pub codes_sent: i64,
    /// Unix time.
    pub sent_at: i64,
    /// What attempts at all codes of the account are counted by.
    #[serde(rename = "budget")]
    pub attempts_key: String,
    /// Until the page that asks for this code is shown: the form that requested it may arrive twice.
    #[serde(default)]
    pub is_unseen: bool,
}

impl PendingReset {
    /// Seconds until another code can be sent in this browser: the first repeat is free, each further one
    /// waits longer. From the session and not from the row, so that no page can tell what became of that
    /// (ASVS 6.3.8).
    pub fn wait(&self, now: i64) -> i64 {
        if self.sent_at > now + COOL_DOWN {
            // The clock was put back.
            return 0;
        }
        (self.sent_at + (self.codes_sent - 1) * COOL_DOWN - now).max(0)
    }
}

/// How an attempt to set a password with a code ended.
pub enum PasswordReset {
    Done {
        /// The device tokens that the browser must keep; none after a repeat.
        device_tokens: Option<Vec<String>>,
    },
    /// No code was requested in this browser.
    NotPending,
}

/// Sets the password with the code that was mailed. The same form sent again succeeds as well.
pub async fn reset_password(
    app: &App,
    requester: &Requester,
    pending: Option<&PendingReset>,
    code: &str,
    new: NewPassword<'_>,
) -> Result<PasswordReset, Error> {
    let outcome = match pending {
        Some(pending) => reset(app, requester, pending, code, new).await,
        None => Ok(PasswordReset::NotPending),
    };
    match outcome {
        Ok(PasswordReset::NotPending) | Err(Error::CodeRejected(_)) => {
            let repeat = find_repeat(app, requester, new).await?;
            repeat.map_or(outcome, |_| Ok(PasswordReset::Done { device_tokens: None }))
        }
        outcome => outcome,
    }
}

async fn reset(
    app: &App,
    requester: &Requester,
    pending: &PendingReset,
    code: &str,
    new: NewPassword<'_>,
) -> Result<PasswordReset, Error> {
    let (code, password) = validate(app, requester, pending, code, new).await?;
    let user = check_code(app, pending, &code).await?;
    let hash = match hash_unless_current(&requester.hasher(app), &password, &user).await {
        Ok(Some(hash)) => hash,
        // Neither a full queue nor the same password may use the code up.
        same_or_busy => {
            let is_alive = refund(app, pending).await;
            same_or_busy?;
            let same = FieldErrors::one("password", PasswordError::Current.to_string());
            return Err(if is_alive { Error::Invalid(same) } else { Rejection::Gone.into() });
        }
    };
    let set = set_password(app, requester, &user, (hash, new.sessions), Some(&pending.id)).await?;
    // The code died after it was compared.
    let (_, device_tokens) = set.ok_or(Rejection::Gone)?;
    Ok(PasswordReset::Done { device_tokens: Some(device_tokens) })
}

async fn validate(
    app: &App,
    requester: &Requester,
    pending: &PendingReset,
    code: &str,
    new: NewPassword<'_>,
) -> Result<(OneTimeCode, Password), Error> {
    let mut errors = FieldErrors::default();
    let code = errors.take("code", OneTimeCode::parse(code), CodeError::Empty);
    let chosen = if code.is_none() {
        // What cannot be a code must cost no work in the hash pool.
        Password::choose(new.password, app.config.password_min)
    } else {
        let key = format!("code {}", pending.id);
        rate_limits::count(app, Counter::of(app, RateLimit::NewPassword, &key), None).await?;
        let (hasher, names) = (requester.hasher(app), [&*pending.username, &*pending.email]);
        choose_password(app, &hasher, new.password, names).await?
    };
    let password = errors.take("password", chosen, PasswordError::Empty);
    errors.confirm(new.password, new.password_confirm);
    errors.check(code.zip(password))
}

/// The user whose code this is. The attempt is counted before it is compared: at the code, and at the
/// account over all its codes.
async fn check_code(app: &App, pending: &PendingReset, code: &OneTimeCode) -> Result<User, Error> {
    let (db, now, max) = (&app.db, app.clock.now(), app.config.limits.reset_code);
    let Some(row) = count_attempt(db.writer(), PURPOSE, &pending.id, max, now).await? else {
        let reason = dead_reason(app, pending).await?;
        return Err(rejected(None, reason.unwrap_or(Rejection::TooMany)));
    };
    let account = row.user_id.as_deref();
    let counter = Counter::of(app, RateLimit::ResetAccount, &pending.attempts_key);
    let counted = Attempt::count(app, Vec::from_iter(counter), account).await;
    if counted.is_err() {
        refund(app, pending).await;
    }
    let attempt = counted?;
    // In constant time (ASVS 11.2.4).
    let typed = digest(app, &pending.id, code);
    let is_right = bool::from(typed.as_bytes().ct_eq(pending.digest.as_bytes()));
    let Some(id) = account.filter(|_| is_right) else {
        return Err(rejected(account, Rejection::Wrong(max - row.attempts)));
    };
    let user = find_user(db.reader(), id).await?;
    let user = user.ok_or_else(|| rejected(account, Rejection::Gone))?;
    attempt.refund(app).await;
    Ok(user)
}

fn rejected(account: Option<&str>, rejection: Rejection) -> Error {
    Event::CodeRefused { account, reason: rejection.name() }.write();
    rejection.into()
}

/// The hash of `password`; none if it is the password of `user` already. Only the owner of a right code
/// learns that, and only by an attempt that sets the password if it is not.
async fn hash_unless_current(
    hasher: &PasswordHasher,
    password: &Password,
    user: &User,
) -> Result<Option<String>, HashError> {
    match hasher.verify(password.as_bytes(), Some(&user.password_hash)).await? {
        PasswordMatch::Incorrect => hasher.hash(password.as_bytes()).await.map(Some),
        PasswordMatch::Correct { .. } => Ok(None),
    }
}

/// Takes back an attempt that was not compared, or was right and led nowhere. Returns whether the code
/// is there.
async fn refund(app: &App, pending: &PendingReset) -> bool {
    let refunded = refund_attempt(app.db.writer(), &pending.id).await;
    refunded.unwrap_or_else(|error| {
        Event::log_fault("a_guess_was_not_given_back", &error);
        true
    })
}

/// Why a code does not set a password. Its `Display` is what the visitor reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// With the number of attempts left.
    #[error("Incorrect code{}", attempts_left(*.0))]
    Wrong(i64),
    #[error("This code has expired. Request a new one.")]
    Expired,
    /// There were too many attempts at this code before this one.
    #[error("This code has no attempts left. Request a new one.")]
    TooMany,
    /// Used, replaced or swept.
    #[error("This code was used or replaced. Check the latest email or request a new one.")]
    Gone,
}

fn attempts_left(left: i64) -> String {
    match left {
        0 => ", no attempts left. Request a new one.".to_owned(),
        1 => ". Check the latest email. 1 attempt left.".to_owned(),
        _ => format!(". Check the latest email. {left} attempts left."),
    }
}

impl Rejection {
    /// As the log names it.
    fn name(self) -> &'static str {
        match self {
            Self::Wrong(_) => "wrong",
            Self::Expired => "expired",
            Self::TooMany => "too_many",
            Self::Gone => "gone",
        }
    }
}

/// Why the code cannot be used any more; `None` when it can. The same whether an account matched.
pub async fn dead_reason(app: &App, pending: &PendingReset) -> Result<Option<Rejection>, DbError> {
    let max = app.config.limits.reset_code;
    Ok(match find_code(app.db.reader(), PURPOSE, &pending.id).await? {
        None => Some(Rejection::Gone),
        Some(code) if code.is_replaced() => Some(Rejection::Gone),
        Some(code) if code.expires_at <= app.clock.now() => Some(Rejection::Expired),
        Some(code) => (code.attempts >= max).then_some(Rejection::TooMany),
    })
}

/// The keyed digest of a code and its id, which the session keeps in place of the code.
pub(super) fn digest(app: &App, id: &str, code: &OneTimeCode) -> String {
    app.key.digest("one-time code", &[id, code.as_str()])
}
