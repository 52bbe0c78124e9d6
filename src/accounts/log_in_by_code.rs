//! Log in with an emailed code in place of the password, where the settings allow it.

use super::client_trust::ClientTrust;
use super::field_errors::FieldErrors;
use super::log_in::{LoginOutcome, record_login};
use super::login_name::find_user_by_login_name;
use super::one_time_code::{CodeError, OneTimeCode, PendingCode, Rejection};
use super::requester::Requester;
use super::send_code::{CodeRequest, CodeTurn, NewCode, code_email, send_code};
use super::{Error, notices, rate_limits, run_to_completion};
use crate::app::App;
use crate::event::Event;
use crate::models::one_time_code::{Purpose, use_code};
use crate::models::user::User;

pub const PURPOSE: Purpose = Purpose::LogIn;

/// As much as a username or an address has.
const MAX_LOGIN: usize = 254;

/// How a login with a code ended.
pub enum CodeLogin {
    LoggedIn(LoginOutcome),
    /// No code was requested in this browser.
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
        let message = "Enter your username or email.";
        return Err(Error::Invalid(FieldErrors::single("username", message)));
    }
    let is_repeat = |old: &PendingCode| {
        old.is_unseen
            && old.sent_at > app.clock.now() - app.config.code_ttl
            && old.username == login
    };
    if pending.is_some_and(is_repeat) {
        return Ok(CodeRequest::Repeated);
    }
    send(app, requester, login, pending, false).await
}

/// Replaces the code of `pending` by a new one.
pub async fn resend_code(
    app: &App,
    requester: &Requester,
    pending: Option<&PendingCode>,
) -> Result<CodeRequest, Error> {
    let Some(pending) = pending else { return Ok(CodeRequest::NotPending) };
    if let Some(refusal) = pending.refuse_resend(app) {
        return Ok(refusal);
    }
    send(app, requester, pending.username.clone(), Some(pending), true).await
}

/// Counts the request, invalidates the older code and sends a new one. Where no account matches, the same
/// is counted, written and answered; then no code is right and the email is a decoy.
async fn send(
    app: &App,
    requester: &Requester,
    login: String,
    pending: Option<&PendingCode>,
    is_resend: bool,
) -> Result<CodeRequest, Error> {
    let (user, name) = find_user_by_login_name(&app.db, &login).await?;
    let account = user.as_ref().map_or_else(|| format!("name {name}"), User::credentials);
    let key = format!("log in by code: {account}");
    let trust = ClientTrust::of(app, requester, user.as_ref(), key).await?;
    let id = user.as_ref().map(|user| &*user.id);
    rate_limits::count(app, trust.code_counters(app, requester), id).await?;
    let Some(turn) = CodeTurn::begin(app, PURPOSE, pending, is_resend).await? else {
        return Ok(CodeRequest::Repeated);
    };
    let pending = write_code(app, requester, (&login, user.as_ref()), &trust, turn).await?;
    turn.log(PURPOSE, id);
    Ok(CodeRequest::Sent { pending, is_replacement: turn.is_replacement })
}

/// Stores a new code and enqueues its email, both or neither.
async fn write_code(
    app: &App,
    requester: &Requester,
    (login, user): (&str, Option<&User>),
    trust: &ClientTrust,
    turn: CodeTurn,
) -> Result<PendingCode, Error> {
    let (username, to) =
        user.map_or((login, notices::DECOY_ADDRESS), |user| (&*user.username, &*user.email));
    let code = OneTimeCode::generate();
    let context = notices::context(app, requester, username, to);
    let email = code_email(app, PURPOSE, &context, &code)?;
    let email = if user.is_some() { email } else { email.decoy() };
    let counters = &trust.code_mail_counters(app, requester, user, to);
    let (subject, attempts_key) = (user.map(|user| &*user.id), trust.code_key.as_str());
    let mut tx = app.db.begin().await?;
    let new = NewCode { purpose: PURPOSE, subject, turn, code, email, counters, attempts_key };
    let pending = send_code(app, &mut tx, new).await?;
    tx.commit().await?;
    Ok(PendingCode { username: login.to_owned(), ..pending })
}

/// Logs in with the code that was emailed.
pub async fn log_in_by_code(
    app: &App,
    requester: &Requester,
    pending: Option<&PendingCode>,
    code: &str,
) -> Result<CodeLogin, Error> {
    let Some(pending) = pending else { return Ok(CodeLogin::NotPending) };
    let mut errors = FieldErrors::default();
    let code = errors.record("code", OneTimeCode::parse(code), CodeError::Empty);
    let code = errors.into_result(code)?;
    let user = pending.check_user(app, PURPOSE, &code).await?;
    // A client that hangs up must not hide the login from the account's owner.
    let login = complete(app.clone(), requester.clone(), user, pending.id.clone());
    run_to_completion(login).await.map(CodeLogin::LoggedIn)
}

async fn complete(
    app: App,
    requester: Requester,
    user: User,
    code: String,
) -> Result<LoginOutcome, Error> {
    let mut tx = app.db.begin().await?;
    if !use_code(tx.executor(), PURPOSE, &code, &user.id, app.clock.now()).await? {
        return Err(Rejection::Gone.into());
    }
    let device_tokens = record_login(&app, &mut tx, &requester, &user).await?;
    tx.commit().await?;
    Event::LoginByCode { account: &user.id }.write();
    Ok(LoginOutcome { user, device_tokens })
}
