//! Confirm a registration with an emailed code, where accounts are made only for proved addresses.
//!
//! The response says that a username or an address is taken only after the address is proved. Until then,
//! database writes, emails and responses are the same, so that they do not reveal who has an account (ASVS 6.3.8).

use super::Error;
use super::change_username::username_taken;
use super::email::EmailAddress;
use super::field_errors::FieldErrors;
use super::mail_limits::MailQuota;
use super::name_in_password::{is_hash_made_of, refusal};
use super::new_account::{CreatedAccount, Creation, Permit, create_account};
use super::one_time_code::{OneTimeCode, PendingCode, Rejection};
use super::rate_limits::{self, Counter, RateLimit};
use super::requester::Requester;
use super::send_code::{self, CodeRequest, NewRequest};
use super::username::{Username, UsernameError};
use super::verify_email::attempts_key;
use crate::app::App;
use crate::db::DbError;
use crate::event::Event;
use crate::metrics::RegistrationEnd;
use crate::models::mail_link::is_email_taken;
use crate::models::one_time_code::Purpose;
use crate::models::registration::{
    Registration, delete_registration, find_registration_by_code, insert_registration,
    prove_registration,
};
use crate::models::user::{NewUser, find_user_by_email};

pub const PURPOSE: Purpose = Purpose::Register;

/// What was typed on the page that asks for the code, and for another username if the first one is taken.
#[derive(Clone, Copy)]
pub struct ConfirmationForm<'a> {
    pub code: &'a str,
    pub username: &'a str,
}

/// How an attempt to confirm a registration ended.
pub enum Confirmation {
    Registered(Box<CreatedAccount>),
    /// The account waits for the operator, and nobody is logged in.
    Waiting {
        /// The device tokens that the browser must keep.
        device_tokens: Vec<String>,
    },
    /// The address belongs to an account. Returned only after the address is proved.
    AlreadyRegistered,
    /// No registration is under way in this browser, or it was confirmed before.
    NotPending,
}

/// Stores a registration and sends a code to its address, or how to log in if an account has it. The request was
/// counted by [`code_counters`]. `pending` is the code that was requested in this browser before.
pub async fn request_code(
    app: &App,
    requester: &Requester,
    new: NewUser<'_>,
    pending: Option<&PendingCode>,
) -> Result<CodeRequest, Error> {
    if pending.is_some_and(|old| old.is_of_same_form(app, new.username, new.email)) {
        return Ok(CodeRequest::Repeated);
    }
    let registration = insert_registration(app.db.writer(), new, app.clock.now()).await?;
    send(app, requester, &registration, Vec::new(), (pending, false)).await
}

/// What a request for a code is counted by, by network.
pub fn code_counters(app: &App, requester: &Requester) -> Vec<Counter> {
    Counter::of_networks(app, RateLimit::ForgotIp, requester.counted_networks())
}

/// Replaces the code of `pending` by a new one.
pub async fn resend_code(
    app: &App,
    requester: &Requester,
    pending: Option<&PendingCode>,
) -> Result<CodeRequest, Error> {
    let send = async |pending: &PendingCode| {
        let Some(registration) = find_registration(app, pending).await? else {
            return Ok(CodeRequest::NotPending);
        };
        if registration.proved_at.is_some() {
            return Ok(CodeRequest::Repeated);
        }
        let counters = code_counters(app, requester);
        send(app, requester, &registration, counters, (Some(pending), true)).await
    };
    send_code::resend(app, pending, send).await
}

/// Sends a code for `registration`, which is counted by `counters` and by registration.
async fn send(
    app: &App,
    requester: &Requester,
    registration: &Registration,
    mut counters: Vec<Counter>,
    old: (Option<&PendingCode>, bool),
) -> Result<CodeRequest, Error> {
    let Registration { id, username, email, email_key, .. } = registration;
    let user = find_user_by_email(app.db.reader(), email_key).await?;
    counters.extend(Counter::of(app, RateLimit::ForgotAccount, &format!("registration {id}")));
    let request = NewRequest {
        purpose: PURPOSE,
        user: user.as_ref(),
        registration: Some(id),
        // Without the username that was typed: strangers must not write in our emails.
        recipient: user.as_ref().map_or(("", email), |user| (&user.username, &user.email)),
        typed: (username, email),
        counters,
        mail_counters: &MailQuota::Proofs.counters(app, email, requester),
        attempts_key: &attempts_key(app, email),
    };
    send_code::request_code(app, requester, request, old).await
}

/// The registration that `pending` is for, if it was not confirmed and has not expired.
pub async fn find_registration(
    app: &App,
    pending: &PendingCode,
) -> Result<Option<Registration>, DbError> {
    find_registration_by_code(app.db.reader(), &pending.id, app.clock.now()).await
}

/// Makes the account with the code that was emailed. If its username is taken, the address stays proved, and
/// the next form needs another username in place of the code.
pub async fn confirm(
    app: &App,
    requester: &Requester,
    pending: Option<&PendingCode>,
    form: ConfirmationForm<'_>,
) -> Result<Confirmation, Error> {
    let Some(pending) = pending else { return Ok(Confirmation::NotPending) };
    let Some(registration) = find_registration(app, pending).await? else {
        return Ok(Confirmation::NotPending);
    };
    let outcome = try_confirm(app, requester, (pending, registration), form).await;
    // The writer waits for a commit in progress: the same form may have come twice.
    if matches!(outcome, Err(Error::CodeRejected(Rejection::Gone)))
        && find_registration_by_code(app.db.writer(), &pending.id, app.clock.now()).await?.is_none()
    {
        return Ok(Confirmation::NotPending);
    }
    outcome
}

async fn try_confirm(
    app: &App,
    requester: &Requester,
    (pending, registration): (&PendingCode, Registration),
    form: ConfirmationForm<'_>,
) -> Result<Confirmation, Error> {
    let registration = if registration.proved_at.is_some() {
        let renamed = with_username(app, requester, registration, form.username).await;
        renamed.inspect_err(|error| error.count_registration(app))?
    } else {
        let code = OneTimeCode::from_form(form.code)?;
        pending.check(app, PURPOSE, &code).await?;
        registration
    };
    let terms = registration.terms();
    let new = NewUser {
        username: &registration.username,
        username_key: &registration.username_key,
        email: &registration.email,
        email_key: &registration.email_key,
        password_hash: &registration.password_hash,
        password_set_in: None,
        email_verified_at: None,
        terms: terms.as_ref(),
    };
    make_account(app, requester, &registration.id, new).await
}

/// Makes the account from another form in the browser that has proved the address, where only the username was
/// taken; `None` if the address is not proved there.
pub async fn confirm_proved(
    app: &App,
    requester: &Requester,
    pending: Option<&PendingCode>,
    new: NewUser<'_>,
) -> Result<Option<Confirmation>, Error> {
    let proved = match pending {
        Some(pending) => find_proved(app, pending).await?,
        None => None,
    };
    match proved.filter(|proved| proved.email_key == new.email_key) {
        Some(proved) => make_account(app, requester, &proved.id, new).await.map(Some),
        None => Ok(None),
    }
}

/// As [`find_registration`], if the address is proved: it lacks a username that is free.
pub async fn find_proved(
    app: &App,
    pending: &PendingCode,
) -> Result<Option<Registration>, DbError> {
    let found = find_registration(app, pending).await?;
    Ok(found.filter(|registration| registration.proved_at.is_some()))
}

/// The registration with another username. Each is counted: the answer reveals whether it is taken.
async fn with_username(
    app: &App,
    requester: &Requester,
    registration: Registration,
    typed: &str,
) -> Result<Registration, Error> {
    let counters = Counter::of_networks(app, RateLimit::RegisterIp, requester.counted_networks());
    rate_limits::count(app, counters, None).await?;
    let mut errors = FieldErrors::default();
    let email = EmailAddress::parse(&registration.email).ok();
    let username = Username::choose_optional(typed, app.config.usernames, email.as_ref());
    let username = errors.record("username", username, UsernameError::Empty);
    let username = errors.into_result(username)?;
    let (hasher, hash) = (requester.hasher(app), Some(&*registration.password_hash));
    if is_hash_made_of(app, &hasher, hash, typed).await? {
        return Err(refusal("username"));
    }
    let (username, username_key) = match username {
        Some(username) => (username.as_str().to_owned(), username.key(&registration.email_key)),
        None => (String::new(), registration.email_key.clone()),
    };
    Ok(Registration { username, username_key, ..registration })
}

/// Makes the account of the registration with this id, whose address is proved.
async fn make_account(
    app: &App,
    requester: &Requester,
    registration: &str,
    new: NewUser<'_>,
) -> Result<Confirmation, Error> {
    let new = NewUser { email_verified_at: Some(app.clock.now()), ..new };
    match create_account(app, requester, new, Permit::Registration(registration)).await? {
        Creation::Created(account) if account.user.awaits_approval() => {
            Ok(Confirmation::Waiting { device_tokens: account.device_tokens })
        }
        Creation::Created(account) => Ok(Confirmation::Registered(account)),
        Creation::Taken => refuse(app, registration, new).await,
        Creation::NotPermitted => Ok(Confirmation::NotPending),
    }
}

/// Refuses the registration with this id, whose address is proved: another account has that, or the username.
async fn refuse(app: &App, registration: &str, new: NewUser<'_>) -> Result<Confirmation, Error> {
    let now = app.clock.now();
    Event::RegisterRefused { reason: "taken" }.write();
    app.metrics.count_registration(RegistrationEnd::Taken);
    let mut tx = app.db.begin().await?;
    // An address that somebody has as a username is of no use either.
    if new.username.is_empty() || is_email_taken(tx.executor(), new.email_key, "", now).await? {
        delete_registration(tx.executor(), registration, now).await?;
        tx.commit().await?;
        return Ok(Confirmation::AlreadyRegistered);
    }
    prove_registration(tx.executor(), registration, now).await?;
    tx.commit().await?;
    Err(username_taken())
}
