//! Prove that the address of an account is its owner's, with an emailed code.

use super::Error;
use super::history::{self, HistoryEvent};
use super::mail_limits::MailQuota;
use super::mail_link::make_link;
use super::mailbox::Mailbox;
use super::notices;
use super::one_time_code::{OneTimeCode, PendingCode, Rejection};
use super::rate_limits::{Counter, RateLimit};
use super::requester::Requester;
use super::send_code::{self, CodeRequest, NewCode, NewRequest, send_code};
use crate::app::App;
use crate::config::Notice;
use crate::db::Tx;
use crate::event::Event;
use crate::mail::emails::{self, EmailContext};
use crate::models::mail_link::LinkPurpose;
use crate::models::one_time_code::{Purpose, use_code};
use crate::models::user::{User, find_user, verify_email};

pub const PURPOSE: Purpose = Purpose::VerifyEmail;

/// What attempts at all codes are counted by that were sent to prove the address `to`, for any account.
pub fn attempts_key(app: &App, to: &str) -> String {
    app.key.digest("attempts to prove", &[&Mailbox::of(to).key])
}

/// Sends the welcome to the user who registers within `tx`, with a code that proves the address unless it is
/// proved. Returns what the session must keep; `None` if there is no code.
pub async fn send_welcome(
    app: &App,
    tx: &mut Tx,
    requester: &Requester,
    user: &User,
) -> Result<Option<PendingCode>, Error> {
    if user.is_email_verified() {
        notices::send(app, tx, requester, user, Notice::Registered).await?;
        return Ok(None);
    }
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
    let new = NewCode {
        purpose: PURPOSE,
        subject: Some(&user.id),
        account: Some(&user.id),
        codes_sent: 1,
        code,
        email,
        counters: &MailQuota::Proofs.counters(app, &user.email, requester),
        attempts_key: &attempts_key(app, &user.email),
    };
    Ok(Some(send_code(app, tx, new).await?))
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
    let request = NewRequest {
        purpose: PURPOSE,
        user: Some(user),
        registration: None,
        recipient: (&user.username, &user.email),
        typed: ("", ""),
        counters: Counter::of(app, RateLimit::ForgotAccount, &key).into_iter().collect(),
        mail_counters: &MailQuota::Proofs.counters(app, &user.email, requester),
        attempts_key: &attempts_key(app, &user.email),
    };
    send_code::request_code(app, requester, request, (pending, pending.is_some())).await
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
    let code = OneTimeCode::from_form(typed)?;
    let id = pending.check(app, PURPOSE, &code).await?.subject;
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
