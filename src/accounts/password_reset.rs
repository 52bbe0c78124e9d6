//! Reset a forgotten password: a one-time code by email, and a new password for it.

use subtle::ConstantTimeEq;

use super::change_password::{NewPassword, find_repeat, set_password};
use super::email::EmailAddress;
use super::one_time_code::OneTimeCode;
use super::rate_limits::{
    self, Attempt, ClientTrust, Decision, Exceeded, RateLimit, counters_by_key,
};
use super::requester::Requester;
use super::username::Username;
use super::{Error, notices, trusted_devices};
use crate::app::App;
use crate::db::DbError;
use crate::event::Event;
use crate::mail::emails;
use crate::models::one_time_code::{
    Purpose, cool_down, count_attempt, find_code, insert_code, invalidate_code, refund_attempt,
};
use crate::models::user::{User, find_user, find_user_by_username_and_email};
use crate::password_hasher::{HashError, PasswordMatch};

const PURPOSE: Purpose = Purpose::PasswordReset;

/// The account that somebody wants a code for.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Its username.
    pub username: Username,
    /// Its address.
    pub email: EmailAddress,
}

impl Claim {
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
    /// There were too many requests, for the account or from the network.
    RateLimited(Exceeded),
}

/// Sends a code to the account that matches, if one does. `pending` is the one that was requested in
/// this browser before, `is_unseen` whether its page was not shown yet.
pub async fn request_code(
    app: &App,
    requester: &Requester,
    claim: &Claim,
    pending: Option<&PendingReset>,
    is_unseen: bool,
) -> Result<CodeRequest, Error> {
    let is_repeat = |old: &PendingReset| {
        old.sent_at > app.clock.now() - app.config.code_ttl
            && (old.username.as_str(), old.email.as_str())
                == (claim.username.as_str(), claim.email.as_typed())
    };
    if is_unseen && pending.is_some_and(is_repeat) {
        return Ok(CodeRequest::Repeated);
    }
    send_code(app, requester, claim, pending, false).await
}

/// Replaces the code of `pending` by a new one.
pub async fn resend_code(
    app: &App,
    requester: &Requester,
    claim: &Claim,
    pending: &PendingReset,
    is_unseen: bool,
) -> Result<CodeRequest, Error> {
    if is_unseen && pending.codes_sent > 1 {
        return Ok(CodeRequest::Repeated);
    }
    let code = find_code(app.db.reader(), PURPOSE, &pending.id).await?;
    if let Some(seconds @ 1..) = code.map(|code| code.wait(app.clock.now())) {
        return Ok(CodeRequest::TooEarly(seconds));
    }
    send_code(app, requester, claim, Some(pending), true).await
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
    if let Err(exceeded) = rate_limits::count(app, &counters, account).await? {
        return Ok(CodeRequest::RateLimited(exceeded));
    }
    let Some(replaced) = replace(app, pending).await? else { return Ok(CodeRequest::Repeated) };
    let to = user.as_ref().map_or(claim.email.as_typed(), |user| &user.email);
    let code = OneTimeCode::generate();
    let content = emails::Code { text: code.as_str(), ttl, in_subject: app.config.code_in_subject };
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
    let (username, email) = (username.to_owned(), claim.email.to_string());
    let (digest, budget) = (digest(app, &id, &code), trust.code_key().to_owned());
    let pending = PendingReset { id, username, email, digest, codes_sent, sent_at: now, budget };
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
    fn name(self) -> &'static str {
        match self {
            Self::Wrong { .. } => "wrong",
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
    /// It was the password already; the code can be used again.
    SamePassword,
    /// The code is not right.
    Rejected(Rejection),
    /// There were too many attempts at the account's codes.
    RateLimited(Exceeded),
}

/// Sets the password with the code that was mailed, and answers the same form once more as done.
pub async fn reset_password(
    app: &App,
    requester: &Requester,
    pending: &PendingReset,
    code: &OneTimeCode,
    new: NewPassword<'_>,
) -> Result<PasswordReset, Error> {
    let outcome = match check_code(app, pending, code).await? {
        Err(exceeded) => return Ok(PasswordReset::RateLimited(exceeded)),
        Ok(Err(rejection)) => PasswordReset::Rejected(rejection),
        Ok(Ok(user)) => use_code(app, requester, pending, &user, new).await?,
    };
    if !matches!(outcome, PasswordReset::Rejected(_)) {
        return Ok(outcome);
    }
    Ok(match find_repeat(app, requester, new).await? {
        Err(exceeded) => PasswordReset::RateLimited(exceeded),
        Ok(Some(_)) => PasswordReset::Done { device_tokens: None },
        Ok(None) => outcome,
    })
}

/// The user whose code this is. The attempt is counted before it is compared: at the code, and at the
/// account over all its codes.
async fn check_code(
    app: &App,
    pending: &PendingReset,
    code: &OneTimeCode,
) -> Result<Decision<Result<User, Rejection>>, Error> {
    let (db, now, max) = (&app.db, app.clock.now(), app.config.limits.reset_code);
    let row = count_attempt(db.writer(), PURPOSE, &pending.id, max, now).await?;
    let account = row.as_ref().and_then(|row| row.user_id.as_deref());
    let rejection = match &row {
        None => dead_reason(app, pending).await?.unwrap_or(Rejection::TooMany),
        Some(row) => {
            let counters = counters_by_key(app, RateLimit::ResetAccount, &pending.budget);
            let counted = Attempt::count(app, counters, account).await;
            if !matches!(counted, Ok(Ok(_))) {
                refund(app, pending).await;
            }
            let mut attempt = match counted? {
                Ok(attempt) => attempt,
                Err(exceeded) => return Ok(Err(exceeded)),
            };
            // In constant time (ASVS 11.2.4).
            let typed = digest(app, &pending.id, code);
            let is_right = bool::from(typed.as_bytes().ct_eq(pending.digest.as_bytes()));
            match account.filter(|_| is_right) {
                None => Rejection::Wrong { left: max - row.attempts },
                Some(id) => match find_user(db.reader(), id).await? {
                    None => Rejection::Gone,
                    Some(user) => {
                        attempt.refund(app, false).await;
                        return Ok(Ok(Ok(user)));
                    }
                },
            }
        }
    };
    Event::CodeRefused { account, reason: rejection.name() }.write();
    Ok(Ok(Err(rejection)))
}

/// Sets the password of `user`, whose code was right. Only the owner of a right code learns whether a
/// password is the current one, and only by an attempt that sets it if it is not.
async fn use_code(
    app: &App,
    requester: &Requester,
    pending: &PendingReset,
    user: &User,
    new: NewPassword<'_>,
) -> Result<PasswordReset, Error> {
    let (hasher, password) = (requester.hasher(app), new.password.as_bytes());
    let hashed: Result<_, HashError> = async {
        match hasher.verify(password, Some(&user.password_hash)).await? {
            PasswordMatch::Incorrect => hasher.hash(password).await.map(Some),
            PasswordMatch::Correct { .. } => Ok(None),
        }
    }
    .await;
    let Ok(Some(hash)) = hashed else {
        // Neither a full queue nor the same password may use the code up.
        let is_alive = refund(app, pending).await;
        let same = if is_alive { PasswordReset::SamePassword } else { GONE };
        return Ok(hashed.map(|_| same)?);
    };
    let email = notices::password_changed(app, requester, user)?;
    let mut tx = app.db.begin().await?;
    let set = set_password(app, &mut tx, user, (hash, new.sessions), Some(&pending.id)).await?;
    let Some((user, revoked)) = set else { return Ok(GONE) };
    if let Some(email) = &email {
        notices::send_password_changed(app, &mut tx, requester, email).await?;
    }
    tx.commit().await?;
    Event::PasswordReset { account: &user.id }.write();
    Event::SessionEnded { account: &user.id, reason: "reset", sessions: revoked }.write();
    let device_tokens = trusted_devices::trust(app, requester, &user).await;
    Ok(PasswordReset::Done { device_tokens })
}

/// The code died after it was compared.
const GONE: PasswordReset = PasswordReset::Rejected(Rejection::Gone);

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
