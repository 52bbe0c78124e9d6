//! Sends a one-time code, or another one in its place.

use super::one_time_code::{OneTimeCode, PendingCode};
use super::rate_limits::{self, Counter, may_send};
use super::requester::Requester;
use super::{Error, notices};
use crate::app::App;
use crate::db::{DbError, Tx};
use crate::event::Event;
use crate::mail::emails::{self, EmailContext};
use crate::metrics::CodeEnd;
use crate::models::one_time_code::{Purpose, insert_code};
use crate::models::outbox::Email;
use crate::models::user::User;

/// How a request for a code ended. It is the same whether an account matches.
pub enum CodeRequest {
    /// A code was sent if an account matches.
    Sent {
        /// What the session must keep.
        pending: PendingCode,
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

impl PendingCode {
    /// Whether the form with these names requested this code a moment ago: a double click.
    pub fn is_of_same_form(&self, app: &App, username: &str, email: &str) -> bool {
        self.is_unseen
            && self.sent_at > app.clock.now() - app.config.code_ttl
            && (&*self.username, &*self.email) == (username, email)
    }

    /// Why no other code can be sent in its place yet.
    pub fn refuse_resend(&self, app: &App) -> Option<CodeRequest> {
        if self.is_unseen && self.codes_sent > 1 {
            return Some(CodeRequest::Repeated);
        }
        let seconds = self.wait(app.clock.now());
        (seconds > 0).then_some(CodeRequest::TooEarly(seconds))
    }
}

/// Replaces `pending`, the code that was requested in this browser, by what `send` sends: not if there is none,
/// or it is too early.
pub async fn resend<'a>(
    app: &App,
    pending: Option<&'a PendingCode>,
    send: impl AsyncFnOnce(&'a PendingCode) -> Result<CodeRequest, Error>,
) -> Result<CodeRequest, Error> {
    let Some(pending) = pending else { return Ok(CodeRequest::NotPending) };
    match pending.refuse_resend(app) {
        Some(refusal) => Ok(refusal),
        None => send(pending).await,
    }
}

/// A request for a code, and what limits it.
pub struct NewRequest<'a> {
    pub purpose: Purpose,
    /// `None` if no account matches: then no code is right, and the email is a decoy.
    pub user: Option<&'a User>,
    /// The id of the registration that the code confirms. If there is a `user`, the address is theirs, and they
    /// are told so in place of the code.
    pub registration: Option<&'a str>,
    /// The name in the salutation, and the address.
    pub recipient: (&'a str, &'a str),
    /// The username and the address that were typed; both may be empty.
    pub typed: (&'a str, &'a str),
    /// What the request is counted by.
    pub counters: Vec<Counter>,
    /// What the email is counted by.
    pub mail_counters: &'a [Counter],
    /// What attempts at all codes of the account are counted by.
    pub attempts_key: &'a str,
}

/// Counts the request, invalidates `old` and sends a new code. Where no account matches, the same is counted,
/// written and answered.
pub async fn request_code(
    app: &App,
    requester: &Requester,
    request: NewRequest<'_>,
    (old, is_resend): (Option<&PendingCode>, bool),
) -> Result<CodeRequest, Error> {
    let NewRequest { purpose, recipient, typed, .. } = request;
    let account = request.user.map(|user| user.id.as_str());
    let counted = rate_limits::count(app, request.counters, account).await;
    counted.inspect_err(|error| {
        if error.is_limit() {
            app.metrics.count_code(purpose.name(), CodeEnd::Limited);
        }
    })?;
    let replaced = match old {
        Some(old) => old.invalidate(app, purpose).await?,
        None => Some(0),
    };
    // A parallel request has just replaced it.
    let Some(replaced) = replaced else { return Ok(CodeRequest::Repeated) };
    let codes_sent = if is_resend { replaced + 1 } else { 1 };
    let code = OneTimeCode::generate();
    let context = notices::context(app, requester, recipient.0, recipient.1);
    let email = code_email(app, (purpose, account.is_some()), &context, &code)?;
    let subject = request.registration.or(account);
    let (counters, attempts_key) = (request.mail_counters, request.attempts_key);
    let new =
        NewCode { purpose, subject, account, codes_sent, code, email, counters, attempts_key };
    let mut tx = app.db.begin().await?;
    let pending = send_code(app, &mut tx, new).await?;
    tx.commit().await?;
    log(purpose, account, codes_sent);
    let (username, email) = (typed.0.to_owned(), typed.1.to_owned());
    let pending = PendingCode { username, email, ..pending };
    Ok(CodeRequest::Sent { pending, is_replacement: is_resend || replaced > 0 })
}

/// Writes the event. `account` is the user's id, if the code is for a user.
fn log(purpose: Purpose, account: Option<&str>, codes_sent: i64) {
    let purpose = purpose.name();
    if codes_sent == 1 {
        Event::CodeAsked { account, purpose }.write();
    } else {
        Event::CodeResent { account, purpose }.write();
    }
}

/// A code to be stored and sent.
pub struct NewCode<'a> {
    pub purpose: Purpose,
    /// What it is for, a user's or a registration's id; `None` if no code is right.
    pub subject: Option<&'a str>,
    /// The id of the user that the email is about, if there is one.
    pub account: Option<&'a str>,
    /// How many were sent in a row in this browser, including this one.
    pub codes_sent: i64,
    pub code: OneTimeCode,
    /// The email that it is sent with, and what that is counted by.
    pub email: Email,
    pub counters: &'a [Counter],
    /// What attempts at all codes of the account are counted by.
    pub attempts_key: &'a str,
}

/// The email with `code`, or what goes out in its place: a decoy if there is no account, and if there is one
/// with the address of a registration, the news of it.
fn code_email(
    app: &App,
    (purpose, has_account): (Purpose, bool),
    context: &EmailContext<'_>,
    code: &OneTimeCode,
) -> Result<Email, Error> {
    let (ttl, in_subject) = (app.config.code_ttl, app.config.code_in_subject);
    let code = emails::Code { purpose, shown: &code.to_string(), ttl, in_subject };
    let email = emails::code(context, code)?;
    if purpose != Purpose::Register {
        return Ok(if has_account { email } else { email.decoy() });
    }
    // Rendered in any case, so that both take the same time.
    let already_registered = emails::already_registered(context, ttl)?;
    Ok(if has_account { already_registered } else { email })
}

/// Stores a code and enqueues its email within `tx`: a decoy, if the mailbox has had too many. Returns what
/// the session must keep.
pub async fn send_code(app: &App, tx: &mut Tx, new: NewCode<'_>) -> Result<PendingCode, DbError> {
    let (now, codes_sent) = (app.clock.now(), new.codes_sent);
    let times = (codes_sent, app.config.code_ttl);
    let id = insert_code(tx.executor(), new.purpose, new.subject, times, now).await?;
    let may_send = may_send(app, tx, new.counters).await?;
    let (email, told) = if may_send { (new.email, new.account) } else { (new.email.decoy(), None) };
    app.outbox.enqueue(tx, &email, told).await?;
    let end = if may_send { CodeEnd::Sent } else { CodeEnd::Limited };
    app.metrics.count_code(new.purpose.name(), end);
    Ok(PendingCode {
        username: String::new(),
        email: String::new(),
        digest: new.code.digest(app, &id),
        id,
        codes_sent,
        sent_at: now,
        attempts_key: new.attempts_key.to_owned(),
        is_unseen: true,
    })
}
