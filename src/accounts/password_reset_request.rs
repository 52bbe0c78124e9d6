//! Request a one-time code, by email, for an account whose password is forgotten.

use super::client_trust::ClientTrust;
use super::email::{EmailAddress, EmailError};
use super::field_errors::FieldErrors;
use super::one_time_code::{OneTimeCode, PendingCode};
use super::password_reset::PURPOSE;
use super::rate_limits;
use super::requester::Requester;
use super::send_code::{CodeRequest, CodeTurn, NewCode, code_email, send_code};
use super::username::{Username, UsernameError};
use super::{Error, notices};
use crate::app::App;
use crate::db::DbError;
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

/// Sends a code to the account with this username and email address, if there is one. `pending` is the
/// code that was requested in this browser before.
pub async fn request_code(
    app: &App,
    requester: &Requester,
    username: &str,
    email: &str,
    pending: Option<&PendingCode>,
) -> Result<CodeRequest, Error> {
    let claim = Claim::parse(username, email)?;
    let is_repeat = |old: &PendingCode| {
        old.is_unseen
            && old.sent_at > app.clock.now() - app.config.code_ttl
            && (old.username.as_str(), old.email.as_str())
                == (claim.username.as_str(), claim.email.as_typed())
    };
    if pending.is_some_and(is_repeat) {
        return Ok(CodeRequest::Repeated);
    }
    send(app, requester, &claim, pending, false).await
}

/// Replaces the code of `pending` by a new one.
pub async fn resend_code(
    app: &App,
    requester: &Requester,
    pending: Option<&PendingCode>,
) -> Result<CodeRequest, Error> {
    let Some(pending) = pending else { return Ok(CodeRequest::NotPending) };
    // It was valid when it was stored, but the site may have been updated.
    let Ok(claim) = Claim::parse(&pending.username, &pending.email) else {
        return Ok(CodeRequest::NotPending);
    };
    if let Some(refusal) = pending.refuse_resend(app) {
        return Ok(refusal);
    }
    send(app, requester, &claim, Some(pending), true).await
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
async fn send(
    app: &App,
    requester: &Requester,
    claim: &Claim,
    pending: Option<&PendingCode>,
    is_resend: bool,
) -> Result<CodeRequest, Error> {
    let recipient = Recipient::find(app, requester, claim).await?;
    let (account, counters) = (recipient.account(), recipient.trust.code_counters(app, requester));
    rate_limits::count(app, counters, account).await?;
    let Some(turn) = CodeTurn::begin(app, PURPOSE, pending, is_resend).await? else {
        return Ok(CodeRequest::Repeated);
    };
    let pending = write_code(app, requester, &recipient, turn).await?;
    turn.log(PURPOSE, account);
    Ok(CodeRequest::Sent { pending, is_replacement: turn.is_replacement })
}

/// Stores a new code and enqueues its email, both or neither.
async fn write_code(
    app: &App,
    requester: &Requester,
    recipient: &Recipient<'_>,
    turn: CodeTurn,
) -> Result<PendingCode, Error> {
    let Recipient { claim, user, trust } = recipient;
    let (username, typed) = (claim.username.as_str(), claim.email.as_typed());
    let to = user.as_ref().map_or(typed, |user| &user.email);
    let code = OneTimeCode::generate();
    let context = notices::context(app, requester, username, to);
    let email = code_email(app, PURPOSE, &context, &code)?;
    let email = if user.is_some() { email } else { email.decoy() };
    let counters = &trust.code_mail_counters(app, requester, user.as_ref(), to);
    let (subject, attempts_key) = (recipient.account(), trust.code_key.as_str());
    let mut tx = app.db.begin().await?;
    let new = NewCode { purpose: PURPOSE, subject, turn, code, email, counters, attempts_key };
    let pending = send_code(app, &mut tx, new).await?;
    tx.commit().await?;
    Ok(PendingCode { username: username.to_owned(), email: typed.to_owned(), ..pending })
}
