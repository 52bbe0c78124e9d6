//! Prove that the address of an account is its owner's, with an emailed code.

use super::Error;
use super::field_errors::FieldErrors;
use super::history::{self, HistoryEvent};
use super::mail_limits::MailQuota;
use super::mail_link::make_link;
use super::mailbox::Mailbox;
use super::notices;
use super::one_time_code::{CodeError, OneTimeCode, PendingCode, Rejection};
use super::rate_limits::{self, Counter, RateLimit};
use super::requester::Requester;
use super::send_code::{CodeRequest, CodeTurn, NewCode, code_email, send_code};
use crate::app::App;
use crate::config::Notice;
use crate::db::Tx;
use crate::event::Event;
use crate::mail::emails::{self, EmailContext};
use crate::models::mail_link::LinkPurpose;
use crate::models::one_time_code::{Purpose, use_code};
use crate::models::outbox::Email;
use crate::models::user::{User, find_user, verify_email};

pub const PURPOSE: Purpose = Purpose::VerifyEmail;

/// What attempts at all codes are counted by that were sent to prove the address `to`, for any account.
pub fn attempts_key(app: &App, to: &str) -> String {
    app.key.digest("attempts to prove", &[&Mailbox::of(to).key])
}

/// Sends the welcome to the user who registers within `tx`, with a code that proves the address. Returns
/// what the session must keep; `None` if the settings leave the email out.
pub async fn send_welcome(
    app: &App,
    tx: &mut Tx,
    requester: &Requester,
    user: &User,
) -> Result<Option<PendingCode>, Error> {
    if !app.config.notices.sends(Notice::Registered) {
        return Ok(None);
    }
    let code = OneTimeCode::generate();
    let (shown, ttl) = (&*code.to_string(), app.config.code_ttl);
    let shown = emails::Code { purpose: PURPOSE, shown, ttl, in_subject: false };
    let token = make_link(app, tx, LinkPurpose::NotMe, Some(user), &user.email).await?;
    let link = &format!("/not-me/{token}");
    let context = notices::context(app, requester, &user.username, &user.email);
    let email = emails::registered(&EmailContext { link, ..context }, Some(shown))?;
    let counters = MailQuota::Proofs.counters(app, &user.email, requester);
    send(app, tx, user, &counters, (CodeTurn::FIRST, code, email)).await.map(Some)
}

/// Sends a code to the address of `user`, who is logged in, in place of `pending`.
pub async fn request_verification(
    app: &App,
    requester: &Requester,
    user: &User,
    pending: Option<&PendingCode>,
) -> Result<CodeRequest, Error> {
    if let Some(refusal) = pending.and_then(|pending| pending.refuse_resend(app)) {
        return Ok(refusal);
    }
    let key = format!("verify {}", user.id);
    rate_limits::count(app, Counter::of(app, RateLimit::ForgotAccount, &key), Some(&user.id))
        .await?;
    let Some(turn) = CodeTurn::begin(app, PURPOSE, pending, pending.is_some()).await? else {
        return Ok(CodeRequest::Repeated);
    };
    let code = OneTimeCode::generate();
    let context = notices::context(app, requester, &user.username, &user.email);
    let email = code_email(app, PURPOSE, &context, &code)?;
    let mut tx = app.db.begin().await?;
    let counters = MailQuota::Proofs.counters(app, &user.email, requester);
    let pending = send(app, &mut tx, user, &counters, (turn, code, email)).await?;
    tx.commit().await?;
    turn.log(PURPOSE, Some(&user.id));
    Ok(CodeRequest::Sent { pending, is_replacement: turn.is_replacement })
}

async fn send(
    app: &App,
    tx: &mut Tx,
    user: &User,
    counters: &[Counter],
    (turn, code, email): (CodeTurn, OneTimeCode, Email),
) -> Result<PendingCode, Error> {
    let (subject, attempts_key) = (Some(user.id.as_str()), &*attempts_key(app, &user.email));
    let new = NewCode { purpose: PURPOSE, subject, turn, code, email, counters, attempts_key };
    Ok(send_code(app, tx, new).await?)
}

/// How an attempt to prove the address ended.
pub enum Verification {
    Done,
    /// No code was requested in this browser.
    NotPending,
}

/// Proves the address of `user`, who is logged in. The same form sent again succeeds as well.
pub async fn verify(
    app: &App,
    requester: &Requester,
    user: &User,
    pending: Option<&PendingCode>,
    typed: &str,
) -> Result<Verification, Error> {
    let Some(pending) = pending else { return Ok(Verification::NotPending) };
    let outcome = try_verify(app, requester, user, pending, typed).await;
    if let Err(Error::CodeRejected(_)) = outcome
        // The writer waits for a commit in progress.
        && let Some(user) = find_user(app.db.writer(), &user.id).await?
        && user.is_email_verified()
    {
        return Ok(Verification::Done);
    }
    outcome.map(|()| Verification::Done)
}

async fn try_verify(
    app: &App,
    requester: &Requester,
    user: &User,
    pending: &PendingCode,
    typed: &str,
) -> Result<(), Error> {
    let mut errors = FieldErrors::default();
    let code = errors.record("code", OneTimeCode::parse(typed), CodeError::Empty);
    let code = errors.into_result(code)?;
    let id = pending.check(app, PURPOSE, &code).await?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    // The session may have changed hands, and the code may be used or replaced by now.
    if id != user.id
        || !verify_email(tx.executor(), user, now).await?
        || !use_code(tx.executor(), PURPOSE, &pending.id, &id, now).await?
    {
        return Err(Rejection::Gone.into());
    }
    history::record(app, &mut tx, requester, user, HistoryEvent::EmailVerified).await?;
    tx.commit().await?;
    Event::EmailVerified { account: &user.id }.write();
    Ok(())
}
