//! Reset a forgotten password: a one-time code by email, and a new password for it.

use subtle::ConstantTimeEq;

use super::client_trust::ClientTrust;
use super::email::{EmailAddress, EmailError};
use super::field_errors::FieldErrors;
use super::new_password::{NewPassword, choose_password, find_repeat, set_password};
use super::one_time_code::{CodeError, OneTimeCode};
use super::password::{Password, PasswordError};
use super::rate_limits::{self, Attempt, Counter, RateLimit};
use super::requester::Requester;
use super::username::{Username, UsernameError};
use super::{Error, notices};
use crate::app::App;
use crate::db::DbError;
use crate::event::Event;
use crate::mail::emails;
use crate::models::one_time_code::{
    Purpose, cool_down, count_attempt, find_code, insert_code, invalidate_code, refund_attempt,
};
use crate::models::user::{User, find_user, find_user_by_username_and_email};
use crate::password_hasher::{HashError, PasswordHasher, PasswordMatch};

const PURPOSE: Purpose = Purpose::PasswordReset;

/// The account that somebody wants a code for.
struct Claim {
    username: Username,
    email: EmailAddress,
}

impl Claim {
    fn parse(username: &str, email: &str) -> Result<Self, Error> {
        let mut errors = FieldErrors::default();
        let username = errors.take("username", Username::parse(username), UsernameError::Empty);
        let email = errors.take("email", EmailAddress::parse(email), EmailError::Empty);
        errors.check(username.zip(email)).map(|(username, email)| Self { username, email })
    }

    /// The key of codes and attempts at them: name and address together, so that a stranger who knows
    /// only the name cannot use up the owner's.
    fn key(&self) -> String {
        format!("{} {}", self.username.as_str(), self.email.key())
    }
}

/// What a browser session keeps of the code that was requested in it: the same whether an account
/// matched.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PendingReset {
    /// The code's id.
    pub id: String,
    /// The username, in its canonical form.
    pub username: String,
    /// The address, as it was typed.
    pub email: String,
    /// Keyed digest of the id and the code.
    pub digest: String,
    /// Codes sent in this browser, in a row, this one included.
    pub codes_sent: i64,
    /// Unix time at which this one was drawn.
    pub sent_at: i64,
    /// What attempts are counted by, over all codes.
    pub attempts_key: String,
    /// Until the page that asks for this code is shown: the form that requested the code may arrive
    /// twice.
    pub is_unseen: bool,
}

impl PendingReset {
    /// Seconds until another code can be sent in this browser: the first repeat is free, each further one
    /// waits longer. From the session and not from the row, so that no page can tell what became of that
    /// (ASVS 6.3.8).
    pub fn wait(&self, now: i64) -> i64 {
        cool_down(self.sent_at, self.codes_sent - 1, now)
    }
}

/// How a request for a code ended: the same whether an account matches.
pub enum CodeRequest {
    /// A code was sent if an account matches.
    Sent {
        /// What the session must keep.
        pending: PendingReset,
        /// Whether there was a code before it in this browser that could be replaced.
        is_replacement: bool,
    },
    /// The same request arrived twice. The session must be left alone: it knows the code, or is about
    /// to.
    Repeated,
    /// The next code can be sent in so many seconds.
    TooEarly(i64),
    /// No code was requested in this browser.
    NotPending,
}

/// Sends a code to the account with this username and email address, if there is one. `pending` is the
/// code that was requested in this browser before.
pub async fn request_code(
    app: &App,
    requester: &Requester,
    (username, email): (&str, &str),
    pending: Option<&PendingReset>,
) -> Result<CodeRequest, Error> {
    let claim = Claim::parse(username, email)?;
    let is_repeat = |old: &PendingReset| {
        old.is_unseen
            && old.sent_at > app.clock.now() - app.config.code_ttl
            && (old.username.as_str(), old.email.as_str())
                == (claim.username.as_str(), claim.email.as_typed())
    };
    if pending.is_some_and(is_repeat) {
        return Ok(CodeRequest::Repeated);
    }
    send_code(app, requester, &claim, pending, false).await
}

/// Replaces the code of `pending` by a new one.
pub async fn resend_code(
    app: &App,
    requester: &Requester,
    pending: Option<&PendingReset>,
) -> Result<CodeRequest, Error> {
    let Some(pending) = pending else { return Ok(CodeRequest::NotPending) };
    // What was valid when it was put there is valid still, unless the site was updated.
    let Ok(claim) = Claim::parse(&pending.username, &pending.email) else {
        return Ok(CodeRequest::NotPending);
    };
    if pending.is_unseen && pending.codes_sent > 1 {
        return Ok(CodeRequest::Repeated);
    }
    if let seconds @ 1.. = pending.wait(app.clock.now()) {
        return Ok(CodeRequest::TooEarly(seconds));
    }
    send_code(app, requester, &claim, Some(pending), true).await
}

/// Counts the request, kills the older code and sends a new one. Where no account matches, the same is
/// counted, written and answered; then no code is right and the email is a decoy.
async fn send_code(
    app: &App,
    requester: &Requester,
    claim: &Claim,
    pending: Option<&PendingReset>,
    is_resend: bool,
) -> Result<CodeRequest, Error> {
    let (db, now, ttl) = (&app.db, app.clock.now(), app.config.code_ttl);
    let (username, email_key) = (claim.username.as_str(), claim.email.key());
    let user = find_user_by_username_and_email(db.reader(), username, email_key).await?;
    let trust = ClientTrust::of(app, requester, user.as_ref(), claim.key()).await?;
    let account = user.as_ref().map(|user| user.id.as_str());
    let counters = trust.code_counters(app, requester);
    rate_limits::count(app, counters, account).await?;
    let Some(replaced) = replace(app, pending).await? else { return Ok(CodeRequest::Repeated) };
    let to = user.as_ref().map_or(claim.email.as_typed(), |user| &user.email);
    let code = OneTimeCode::generate();
    let (shown, in_subject) = (&*code.to_string(), app.config.code_in_subject);
    let content = emails::Code { shown, ttl, in_subject };
    let email = emails::reset_code(&notices::context(app, requester, username, to), content)?;
    let counters = trust.code_mail_counters(app, requester, user.as_ref(), to);
    let codes_sent = if is_resend { replaced + 1 } else { 1 };
    let mut tx = db.begin().await?;
    let id = insert_code(tx.on(), PURPOSE, account, (codes_sent, ttl), now).await?;
    let may_send = rate_limits::may_send(app, &mut tx, &counters).await?;
    let email = if may_send && user.is_some() { email } else { email.decoy() };
    app.outbox.enqueue(&mut tx, &email).await?;
    tx.commit().await?;
    if codes_sent == 1 {
        Event::CodeAsked { account }.write();
    } else {
        Event::CodeResent { account }.write();
    }
    let (username, email) = (username.to_owned(), claim.email.as_typed().to_owned());
    let (digest, attempts_key, sent_at) = (digest(app, &id, &code), trust.code_key, now);
    let is_unseen = true;
    let pending =
        PendingReset { id, username, email, digest, codes_sent, sent_at, attempts_key, is_unseen };
    Ok(CodeRequest::Sent { pending, is_replacement: is_resend || replaced > 0 })
}

/// Kills the older code and returns how many were sent in a row; 0 when there is none to kill, `None`
/// when a parallel request did it a moment ago.
async fn replace(app: &App, pending: Option<&PendingReset>) -> Result<Option<i64>, DbError> {
    let (db, now) = (&app.db, app.clock.now());
    let Some(PendingReset { id, .. }) = pending else { return Ok(Some(0)) };
    if let Some(codes_sent) = invalidate_code(db.writer(), id, now).await? {
        return Ok(Some(codes_sent));
    }
    Ok(find_code(db.reader(), PURPOSE, id).await?.is_none().then_some(0))
}

/// Why a code does not set a password. Its `Display` is what the visitor reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It is another one, and so many attempts are left.
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

/// How an attempt to set a password with a code ended.
pub enum PasswordReset {
    /// It is the password now; every session and code is dead.
    Done {
        /// The device tokens that the browser must keep.
        device_tokens: Option<Vec<String>>,
    },
    /// No code was requested in this browser.
    NotPending,
}

/// Sets the password with the code that was mailed, and answers the same form once more as done.
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
            return Err(if is_alive { same_password() } else { Rejection::Gone.into() });
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

fn same_password() -> Error {
    Error::Invalid(FieldErrors::one("password", PasswordError::Current.to_string()))
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

/// Why no attempt at the code can be right any more; `None` when one can. The same whether an account
/// matched.
pub async fn dead_reason(app: &App, pending: &PendingReset) -> Result<Option<Rejection>, DbError> {
    let max = app.config.limits.reset_code;
    Ok(match find_code(app.db.reader(), PURPOSE, &pending.id).await? {
        None => Some(Rejection::Gone),
        Some(code) if code.is_replaced() => Some(Rejection::Gone),
        Some(code) if code.expires_at <= app.clock.now() => Some(Rejection::Expired),
        Some(code) => (code.attempts >= max).then_some(Rejection::TooMany),
    })
}

fn digest(app: &App, id: &str, code: &OneTimeCode) -> String {
    app.key.digest("one-time code", &[id, code.as_str()])
}
