//! Change the email address: a code proves the new one, and a link in a notice gives the old one back.
//!
//! Whether another account has the new address is checked only after the address is proved: an earlier check
//! would reveal who has an account (ASVS 6.3.8).

use super::Error;
use super::email::{EmailAddress, EmailError, has_address};
use super::end_access::{EndedAccess, end_access, keep_access};
use super::field_errors::FieldErrors;
use super::history::{self, HistoryEvent};
use super::mail_limits::MailQuota;
use super::name_in_password::{refuse_name_in_password, refuse_name_of_operator};
use super::notices::{Recipient, send_to};
use super::one_time_code::{OneTimeCode, PendingCode, Rejection};
use super::rate_limits::{self, Counter, RateLimit};
use super::reauthenticate::reauthenticate;
use super::requester::Requester;
use super::reserved_names::is_email_kept;
use super::send_code::{self, CodeRequest, NewRequest};
use super::verify_email::attempts_key;
use crate::app::App;
use crate::config::Notice;
use crate::db::{DbError, Tx};
use crate::event::Event;
use crate::mail::mask::mask;
use crate::models::one_time_code::{Purpose, use_code};
use crate::models::user::{NameChange, User, find_user, set_email};

pub const PURPOSE: Purpose = Purpose::ChangeEmail;

const NOTICE: Notice = Notice::EmailChanged;

/// When an address was proved that the operator gave: that is not known.
const ON_THE_OPERATORS_WORD: i64 = 0;

/// When a notice can be sent again that could not be sent, in seconds: limits of emails last a day.
const RETRY_AFTER: i64 = 24 * 60 * 60;

/// How a change of the address ended.
pub enum EmailChange {
    Changed {
        /// The device tokens that the browser must keep.
        device_tokens: Vec<String>,
    },
    /// The account has this address: the form has come twice.
    Same,
    /// No code was requested in this browser.
    NotPending,
    /// The credentials have changed in the meantime.
    LoggedOut,
}

/// Sends a code to the address that `user` wants to have. `current` is what was typed as the password; `None`
/// if that was given a moment ago. `pending` is the code that was requested in this browser before.
pub async fn request_code(
    app: &App,
    requester: &Requester,
    user: &User,
    (typed, current): (&str, Option<&str>),
    pending: Option<&PendingCode>,
) -> Result<CodeRequest, Error> {
    let mut errors = FieldErrors::default();
    let email = EmailAddress::parse_new(typed, &app.config.registration.domains);
    let email = errors.record("email", email, EmailError::Empty);
    if email.as_ref().is_some_and(|email| has_address(user, email.key())) {
        errors.add("email", "This is your email already. Enter another one.");
    }
    reauthenticate(app, requester, user, current, &mut errors).await?;
    let email = errors.into_result(email)?;
    if pending.is_some_and(|old| old.is_of_same_form(app, "", email.as_typed())) {
        return Ok(CodeRequest::Repeated);
    }
    refuse_name_in_password(app, requester, user, ("email", typed), current).await?;
    send(app, requester, user, &email, (pending, false)).await
}

/// Replaces the code of `pending` by a new one.
pub async fn resend_code(
    app: &App,
    requester: &Requester,
    user: &User,
    pending: Option<&PendingCode>,
) -> Result<CodeRequest, Error> {
    let send = async |pending: &PendingCode| {
        // It was valid when it was stored, but the site may have been updated.
        let Ok(email) = EmailAddress::parse(&pending.email) else {
            return Ok(CodeRequest::NotPending);
        };
        send(app, requester, user, &email, (Some(pending), true)).await
    };
    send_code::resend(app, pending, send).await
}

/// Sends the code whether or not another account has the address.
async fn send(
    app: &App,
    requester: &Requester,
    user: &User,
    email: &EmailAddress,
    old: (Option<&PendingCode>, bool),
) -> Result<CodeRequest, Error> {
    let mut counters = Counter::of_networks(app, RateLimit::ForgotIp, requester.counted_networks());
    let key = format!("change email of {}", user.id);
    counters.extend(Counter::of(app, RateLimit::ForgotAccount, &key));
    let request = NewRequest {
        purpose: PURPOSE,
        user: Some(user),
        registration: None,
        recipient: (&user.username, email.as_typed()),
        typed: ("", email.as_typed()),
        counters,
        // Not those of codes or notices: strangers must not use up those of an account with this address.
        mail_counters: &MailQuota::Proofs.counters(app, email.as_typed(), requester),
        // By address, or many accounts could guess at the code for one.
        attempts_key: &attempts_key(app, email.as_typed()),
    };
    send_code::request_code(app, requester, request, old).await
}

/// Gives `user`, who is logged in in the session with the key `session`, the address that the code was sent
/// to. The same form sent again succeeds as well.
pub async fn change_email(
    app: &App,
    requester: &Requester,
    (user, session): (&User, &[u8]),
    pending: Option<&PendingCode>,
    code: &str,
) -> Result<EmailChange, Error> {
    let Some(pending) = pending else { return Ok(EmailChange::NotPending) };
    let Ok(email) = EmailAddress::parse(&pending.email) else {
        return Ok(EmailChange::NotPending);
    };
    let outcome = change(app, requester, (user, session), (pending, &email), code).await;
    if matches!(outcome, Ok(EmailChange::LoggedOut) | Err(Error::CodeRejected(_))) {
        // The writer waits for a commit in progress.
        let now = find_user(app.db.writer(), &user.id).await?;
        if now.is_some_and(|user| has_address(&user, email.key())) {
            return Ok(EmailChange::Same);
        }
    }
    outcome
}

async fn change(
    app: &App,
    requester: &Requester,
    (user, session): (&User, &[u8]),
    (pending, email): (&PendingCode, &EmailAddress),
    code: &str,
) -> Result<EmailChange, Error> {
    let code = OneTimeCode::from_form(code)?;
    if pending.check(app, PURPOSE, &code).await?.subject != user.id {
        return Err(Rejection::Gone.into());
    }
    let key = format!("email changed by {}", user.id);
    let counter = MailQuota::PasswordChanges.counter_of_account(app, &key);
    rate_limits::count(app, counter, Some(&user.id)).await?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let changed = match give_email(app, &mut tx, user, (email, now)).await? {
        NameChange::Changed(user) => user,
        NameChange::Taken => return Err(taken()),
        NameChange::Superseded => return Ok(EmailChange::LoggedOut),
    };
    if !use_code(tx.executor(), PURPOSE, &pending.id, &user.id, now).await? {
        return Err(Rejection::Gone.into());
    }
    let EndedAccess { sessions, device_tokens } =
        end_access(app, &mut tx, requester, (&changed, session)).await?;
    history::record(app, &mut tx, requester, &changed, HistoryEvent::EmailChanged).await?;
    tell_both(app, &mut tx, requester, [user, &changed]).await?;
    tx.commit().await?;
    let account = &user.id;
    Event::EmailChanged { account }.write();
    Event::SessionEnded { account, reason: "email_change", sessions }.write();
    Ok(EmailChange::Changed { device_tokens })
}

/// Gives `user` the address on the operator's word: nobody need prove it. The sessions go on.
pub async fn change_email_for(
    app: &App,
    user: &User,
    email: &EmailAddress,
) -> Result<NameChange, Error> {
    if user.email == email.as_typed() {
        return Ok(NameChange::Changed(user.clone()));
    }
    refuse_name_of_operator(app, user, ("email", email.as_typed())).await?;
    let requester = &Requester::operator();
    let mut tx = app.db.begin().await?;
    let change = give_email(app, &mut tx, user, (email, ON_THE_OPERATORS_WORD)).await?;
    let NameChange::Changed(changed) = &change else { return Ok(change) };
    keep_access(&mut tx, user, changed).await?;
    history::record(app, &mut tx, requester, changed, HistoryEvent::EmailChanged).await?;
    tell_both(app, &mut tx, requester, [user, changed]).await?;
    tx.commit().await?;
    Event::EmailChanged { account: &user.id }.write();
    Ok(change)
}

/// Gives `user` the address within `tx`, unless it belongs to another account or can be given back to one.
async fn give_email(
    app: &App,
    tx: &mut Tx,
    user: &User,
    (email, verified_at): (&EmailAddress, i64),
) -> Result<NameChange, DbError> {
    let change = set_email(tx, user, (email.as_typed(), email.key()), verified_at).await?;
    if let NameChange::Changed(changed) = &change
        && is_email_kept(app, tx, changed, email.key()).await?
    {
        return Ok(NameChange::Taken);
    }
    Ok(change)
}

/// Sends the notice to the old and to the new address. The old one must not lose the account without it.
async fn tell_both(
    app: &App,
    tx: &mut Tx,
    requester: &Requester,
    [old, new]: [&User; 2],
) -> Result<(), Error> {
    let to_old = Recipient { user: old, to: &old.email, detail: &mask(&new.email) };
    let told = send_to(app, tx, requester, to_old, NOTICE).await?;
    let to_new = Recipient { user: new, to: &new.email, detail: "" };
    send_to(app, tx, requester, to_new, NOTICE).await?;
    if told { Ok(()) } else { Err(Error::RateLimited { retry_after: RETRY_AFTER }) }
}

fn taken() -> Error {
    let message = "Another account uses this email. Log in to that one, or use a different email.";
    Error::Invalid(FieldErrors::for_form("code", message))
}
