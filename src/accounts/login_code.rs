//! Log in with an emailed code in place of the password, where the settings allow it.

use super::approval::check_approved;
use super::client_trust::ClientTrust;
use super::end_access::end_all_access;
use super::field_errors::FieldErrors;
use super::history::{self, HistoryEvent};
use super::login::{LoginOutcome, record_login};
use super::login_name::find_user_by_login_name;
use super::one_time_code::{OneTimeCode, PendingCode, Rejection};
use super::requester::Requester;
use super::send_code::{self, CodeRequest, NewRequest};
use super::trusted_devices::is_trusted_device;
use super::{Error, notices, run_to_completion};
use crate::app::App;
use crate::event::Event;
use crate::metrics::LoginEnd;
use crate::models::one_time_code::{Purpose, use_code};
use crate::models::user::{User, lock_user, verify_email};
use crate::models::user_password::block_password;

pub const PURPOSE: Purpose = Purpose::LogIn;

/// As much as a username or an address has.
const MAX_LOGIN: usize = 254;

/// How a login with a code ended.
pub enum CodeLogin {
    LoggedIn {
        login: Box<LoginOutcome>,
        /// Whether the password was blocked, which somebody else may have chosen.
        is_password_blocked: bool,
    },
    /// No code was requested in this browser, or it was used in it.
    NotPending,
}

/// Sends a code to the account with this username or address, if there is one. `pending` is the code that was
/// requested in this browser before.
pub async fn request_code(
    app: &App,
    requester: &Requester,
    login: &str,
    pending: Option<&PendingCode>,
) -> Result<CodeRequest, Error> {
    let login: String = login.trim().chars().take(MAX_LOGIN).collect();
    if login.is_empty() {
        let message = app.config.usernames.enter_login();
        return Err(Error::Invalid(FieldErrors::single("username", message)));
    }
    if pending.is_some_and(|old| old.is_of_same_form(app, &login, "")) {
        return Ok(CodeRequest::Repeated);
    }
    send(app, requester, &login, (pending, false)).await
}

/// Replaces the code of `pending` by a new one.
pub async fn resend_code(
    app: &App,
    requester: &Requester,
    pending: Option<&PendingCode>,
) -> Result<CodeRequest, Error> {
    let send = async |pending: &PendingCode| {
        send(app, requester, &pending.username, (Some(pending), true)).await
    };
    send_code::resend(app, pending, send).await
}

async fn send(
    app: &App,
    requester: &Requester,
    login: &str,
    old: (Option<&PendingCode>, bool),
) -> Result<CodeRequest, Error> {
    let (found, name) = find_user_by_login_name(&app.db, login).await?;
    let user = found.as_ref().filter(|user| user.is_enabled());
    let account = user.map_or_else(|| format!("name {name}"), User::credentials);
    let key = format!("log in by code: {account}");
    let trust = ClientTrust::of(app, requester, user, key).await?;
    let recipient =
        user.map_or((login, notices::DECOY_ADDRESS), |user| (&*user.username, &*user.email));
    let request = NewRequest {
        purpose: PURPOSE,
        user,
        registration: None,
        recipient,
        typed: (login, ""),
        counters: trust.code_counters(app, requester),
        mail_counters: &trust.code_mail_counters(app, requester, user, recipient.1),
        attempts_key: &trust.code_key,
    };
    send_code::request_code(app, requester, request, old).await
}

/// Logs in with the code that was emailed.
pub async fn log_in_by_code(
    app: &App,
    requester: &Requester,
    pending: Option<&PendingCode>,
    code: &str,
) -> Result<CodeLogin, Error> {
    let Some(pending) = pending else { return Ok(CodeLogin::NotPending) };
    let code = OneTimeCode::from_form(code)?;
    let outcome = log_in_pending(app, requester, pending, &code).await;
    // The same form came before, by a double click.
    let is_repeat = matches!(outcome, Err(Error::CodeRejected(Rejection::Gone)))
        && pending.was_used(app, PURPOSE, &code).await?;
    if is_repeat { Ok(CodeLogin::NotPending) } else { outcome }
}

async fn log_in_pending(
    app: &App,
    requester: &Requester,
    pending: &PendingCode,
    code: &OneTimeCode,
) -> Result<CodeLogin, Error> {
    let (user, _) = pending.check_user(app, PURPOSE, code).await?;
    check_approved(&user, "code")?;
    // A client that hangs up must not hide the login from the account's owner.
    let login = complete(app.clone(), requester.clone(), user, pending.id.clone());
    run_to_completion(login).await
}

async fn complete(
    app: App,
    requester: Requester,
    user: User,
    code: String,
) -> Result<CodeLogin, Error> {
    let mut tx = app.db.begin().await?;
    // Users before devices and codes, wherever all change: parallel requests must not deadlock.
    if !lock_user(tx.executor(), &user).await?
        || !use_code(tx.executor(), PURPOSE, &code, &user.id, app.clock.now()).await?
    {
        return Err(Rejection::Gone.into());
    }
    let is_password_blocked =
        !user.has_known_address() && !is_trusted_device(&app, &mut tx, &requester, &user).await?;
    let user = if is_password_blocked {
        // The person who registered with this address knows the password, and may not own the address.
        let blocked = block_password(&mut tx, &user.id, app.clock.now()).await?;
        end_all_access(&mut tx, &user.id).await?;
        blocked.ok_or(Rejection::Gone)?
    } else {
        user
    };
    let proves_email = !user.has_known_address();
    if proves_email {
        verify_email(tx.executor(), &user, app.clock.now()).await?;
        history::record(&app, &mut tx, &requester, &user, HistoryEvent::EmailVerified).await?;
    }
    let device_tokens = record_login(&app, &mut tx, &requester, &user).await?;
    tx.commit().await?;
    let account = &user.id;
    if proves_email {
        Event::EmailVerified { account }.write();
    }
    Event::LoginByCode { account }.write();
    app.metrics.count_login(LoginEnd::Success);
    let login = Box::new(LoginOutcome { user, device_tokens });
    Ok(CodeLogin::LoggedIn { login, is_password_blocked })
}
