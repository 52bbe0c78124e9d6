//! Request a one-time code, by email, for an account whose password is forgotten.

use super::client_trust::ClientTrust;
use super::email::{EmailAddress, EmailError};
use super::field_errors::FieldErrors;
use super::one_time_code::{OneTimeCode, PendingCode};
use super::password_reset::{PURPOSE, PendingReset};
use super::rate_limits;
use super::requester::Requester;
use super::username::{Username, UsernameError};
use super::{Error, notices};
use crate::app::App;
use crate::db::DbError;
use crate::event::Event;
use crate::mail::emails;
use crate::models::one_time_code::insert_code;
use crate::models::user::{User, find_user_by_username_and_email};

/// The account that a code is requested for.
struct Claim {
    username: Username,
    email: EmailAddress,
}

impl Claim {
    fn parse(username: &str, email: &str) -> Result<Self, Error> {
        let mut errors = FieldErrors::default();
        let username = errors.record("username", Username::parse(username), UsernameError::Empty);
        let email = errors.record("email", EmailAddress::parse(email), EmailError::Empty);
        errors.into_result(username.zip(email)).map(|(username, email)| Self { username, email })
    }

    /// The key of codes and attempts at them: with both, so that the username alone is not enough to use up
    /// the owner's.
    fn key(&self) -> String {
        format!("{} {}", self.username.as_str(), self.email.key())
    }
}

/// How a request for a code ended. It is the same whether an account matches.
pub enum CodeRequest {
    /// A code was sent if an account matches.
    Sent {
        /// What the session must keep.
        pending: PendingReset,
        /// Whether it replaces another code in this browser.
        is_replacement: bool,
    },
    /// The same request arrived twice. The session must not be changed: the first one does that.
    Repeated,
    /// With the seconds until the next code can be sent.
    TooEarly(i64),
    /// No code was requested in this browser.
    NotPending,
}

/// Sends a code to the account with this username and email address, if there is one. `pending` is the
/// code that was requested in this browser before.
pub async fn request_code(
    app: &App,
    requester: &Requester,
    username: &str,
    email: &str,
    pending: Option<&PendingReset>,
) -> Result<CodeRequest, Error> {
    let claim = Claim::parse(username, email)?;
    let is_repeat = |old: &PendingReset| {
        old.code.is_unseen
            && old.code.sent_at > app.clock.now() - app.config.code_ttl
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
    // It was valid when it was stored, but the site may have been updated.
    let Ok(claim) = Claim::parse(&pending.username, &pending.email) else {
        return Ok(CodeRequest::NotPending);
    };
    if pending.code.is_unseen && pending.code.codes_sent > 1 {
        return Ok(CodeRequest::Repeated);
    }
    if let seconds @ 1.. = pending.code.wait(app.clock.now()) {
        return Ok(CodeRequest::TooEarly(seconds));
    }
    send_code(app, requester, &claim, Some(pending), true).await
}

/// The account that a code is sent to, if there is one, and how far it trusts the browser.
struct Recipient<'a> {
    claim: &'a Claim,
    user: Option<User>,
    trust: ClientTrust,
}

impl<'a> Recipient<'a> {
    async fn find(app: &App, requester: &Requester, claim: &'a Claim) -> Result<Self, DbError> {
        let (username, email_key) = (claim.username.as_str(), claim.email.key());
        let user = find_user_by_username_and_email(app.db.reader(), username, email_key).await?;
        let trust = ClientTrust::of(app, requester, user.as_ref(), claim.key()).await?;
        Ok(Self { claim, user, trust })
    }

    /// The user's id.
    fn account(&self) -> Option<&str> {
        self.user.as_ref().map(|user| user.id.as_str())
    }
}

/// Counts the request, invalidates the older code and sends a new one. Where no account matches, the same
/// is counted, written and answered; then no code is right and the email is a decoy.
async fn send_code(
    app: &App,
    requester: &Requester,
    claim: &Claim,
    pending: Option<&PendingReset>,
    is_resend: bool,
) -> Result<CodeRequest, Error> {
    let recipient = Recipient::find(app, requester, claim).await?;
    let (account, counters) = (recipient.account(), recipient.trust.code_counters(app, requester));
    rate_limits::count(app, counters, account).await?;
    let replaced = match pending {
        Some(pending) => pending.code.invalidate(app, PURPOSE).await?,
        None => Some(0),
    };
    let Some(replaced) = replaced else { return Ok(CodeRequest::Repeated) };
    let codes_sent = if is_resend { replaced + 1 } else { 1 };
    let code = write_code(app, requester, &recipient, codes_sent).await?;
    if codes_sent == 1 {
        Event::CodeAsked { account }.write();
    } else {
        Event::CodeResent { account }.write();
    }
    let (username, email) = (claim.username.as_str().into(), claim.email.as_typed().into());
    let pending = PendingReset { username, email, code };
    Ok(CodeRequest::Sent { pending, is_replacement: is_resend || replaced > 0 })
}

/// Stores a new code and enqueues its email, both or neither.
async fn write_code(
    app: &App,
    requester: &Requester,
    recipient: &Recipient<'_>,
    codes_sent: i64,
) -> Result<PendingCode, Error> {
    let Recipient { claim, user, trust } = recipient;
    let (now, ttl) = (app.clock.now(), app.config.code_ttl);
    let to = user.as_ref().map_or(claim.email.as_typed(), |user| &user.email);
    let code = OneTimeCode::generate();
    let (shown, in_subject) = (&*code.to_string(), app.config.code_in_subject);
    let context = notices::context(app, requester, claim.username.as_str(), to);
    let email = emails::reset_code(&context, emails::Code { shown, ttl, in_subject })?;
    let counters = trust.code_mail_counters(app, requester, user.as_ref(), to);
    let mut tx = app.db.begin().await?;
    let id =
        insert_code(tx.executor(), PURPOSE, recipient.account(), (codes_sent, ttl), now).await?;
    let may_send = rate_limits::may_send(app, &mut tx, &counters).await?;
    let (email, told) = if may_send && user.is_some() {
        (email, recipient.account())
    } else {
        (email.decoy(), None)
    };
    app.outbox.enqueue(&mut tx, &email, told).await?;
    tx.commit().await?;
    let (digest, attempts_key) = (code.digest(app, &id), trust.code_key.clone());
    Ok(PendingCode { id, digest, codes_sent, sent_at: now, attempts_key, is_unseen: true })
}
