//! Reset a forgotten password: request a code at `/forgot`, use it at `/reset`.

use askama::Template;
use serde::Deserialize;

use super::code_form::{CodeForm, ended, show_code_form};
use super::{HandlerResult, redirect, show as show_page, show_form_again};
use crate::accounts::field_errors::FieldErrors;
use crate::accounts::new_password::NewPassword;
use crate::accounts::one_time_code::PendingCode;
use crate::accounts::password_reset::{PURPOSE, PasswordReset, reset_password};
use crate::accounts::password_reset_request::{request_code, resend_code};
use crate::error::RequestError;
use crate::flash::Flash;
use crate::forms::Fields;
use crate::page::Page;
use crate::visitor::Visitor;

/// The page that asks for the code, and the one before.
const PAGES: [&str; 2] = ["/reset", "/forgot"];

#[derive(Template)]
#[template(path = "password_reset_request.html")]
struct RequestPage {
    page: Page,
    username: String,
    email: String,
    /// Whether a code can be entered already.
    has_code: bool,
}

#[derive(Template)]
#[template(path = "password_reset.html")]
struct ResetPage {
    page: Page,
    form: CodeForm,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct RequestForm {
    username: String,
    email: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ResetForm {
    code: String,
    password: String,
    password_confirm: String,
}

/// What was typed here or at the login, or who is logged in, need not be typed again.
pub async fn show_request(mut visitor: Visitor) -> HandlerResult {
    let pending = visitor.pending_code(PURPOSE).cloned();
    let form = if let Some(PendingCode { username, email, .. }) = pending {
        RequestForm { username, email }
    } else {
        let name = visitor.user.as_ref().map(|user| user.display_name().to_owned());
        let name = name.or_else(|| visitor.login_name()).unwrap_or_default();
        let (username, email) =
            if name.contains('@') { (String::new(), name) } else { (name, String::new()) };
        RequestForm { username, email }
    };
    let mut shown = request_page(&mut visitor, &form, FieldErrors::default()).await?;
    shown.page.flashes.extend(visitor.take_flash_cookie());
    show_page(&shown)
}

pub async fn submit_request(
    mut visitor: Visitor,
    Fields(form): Fields<RequestForm>,
) -> HandlerResult {
    let result = try_request(&mut visitor, &form).await;
    let asks_username = visitor.app.config.usernames.asked_when_forgotten;
    let first = if asks_username { "username" } else { "email" };
    let page = async |errors| request_page(&mut visitor, &form, errors).await;
    show_form_again(result, first, page).await
}

async fn try_request(visitor: &mut Visitor, form: &RequestForm) -> HandlerResult {
    let (app, requester, pending) =
        (&visitor.app, &visitor.requester, visitor.pending_code(PURPOSE));
    let requested = request_code(app, requester, &form.username, &form.email, pending).await?;
    show_code_form(visitor, PURPOSE, requested, Flash::CodeReplaced, PAGES).await
}

pub async fn resend(mut visitor: Visitor) -> HandlerResult {
    let result = try_resend(&mut visitor).await;
    show_reset_form_again(&mut visitor, "", result).await
}

async fn try_resend(visitor: &mut Visitor) -> HandlerResult {
    let (app, requester, pending) =
        (&visitor.app, &visitor.requester, visitor.pending_code(PURPOSE));
    let requested = resend_code(app, requester, pending).await?;
    show_code_form(visitor, PURPOSE, requested, Flash::CodeSentAgain, PAGES).await
}

pub async fn show(mut visitor: Visitor) -> HandlerResult {
    match visitor.pending_code(PURPOSE).cloned() {
        Some(pending) => show_page(&page(&mut visitor, pending, "", FieldErrors::default()).await?),
        None => redirect(&visitor.app, "/forgot"),
    }
}

pub async fn submit(mut visitor: Visitor, Fields(form): Fields<ResetForm>) -> HandlerResult {
    let result = try_reset(&mut visitor, &form).await;
    show_reset_form_again(&mut visitor, &form.code, result).await
}

async fn try_reset(visitor: &mut Visitor, form: &ResetForm) -> HandlerResult {
    let ResetForm { code, password, password_confirm } = form;
    let new = NewPassword { password, password_confirm, sessions: &visitor.recent_sessions() };
    let (app, requester, pending) =
        (&visitor.app, &visitor.requester, visitor.pending_code(PURPOSE));
    match reset_password(app, requester, pending, code, new).await? {
        PasswordReset::Done { device_tokens } => changed(visitor, device_tokens).await,
        PasswordReset::NotPending => ended(visitor, PURPOSE, PAGES[1]),
    }
}

async fn show_reset_form_again(
    visitor: &mut Visitor,
    code: &str,
    result: HandlerResult,
) -> HandlerResult {
    let Some(pending) = visitor.pending_code(PURPOSE).cloned() else { return result };
    show_form_again(result, "code", async |errors| page(visitor, pending, code, errors).await).await
}

/// Does not log in: a mailed code recovers an account and authenticates no user (NIST SP 800-63B-4
/// 3.1.3.1).
async fn changed(visitor: &mut Visitor, device_tokens: Option<Vec<String>>) -> HandlerResult {
    if let Some(tokens) = device_tokens {
        visitor.set_device_cookie(&tokens);
    }
    visitor.end_session().await?;
    visitor.record_password_set().await?;
    visitor.add_flash(Flash::PasswordReset).await?;
    redirect(&visitor.app, "/login")
}

async fn request_page(
    visitor: &mut Visitor,
    form: &RequestForm,
    errors: FieldErrors,
) -> Result<RequestPage, RequestError> {
    Ok(RequestPage {
        page: visitor.page("Forgot your password?").await?.with_errors(errors),
        username: form.username.trim().to_owned(),
        email: form.email.trim().to_owned(),
        has_code: visitor.has_code().await?,
    })
}

async fn page(
    visitor: &mut Visitor,
    pending: PendingCode,
    code: &str,
    errors: FieldErrors,
) -> Result<ResetPage, RequestError> {
    let form = CodeForm::new(visitor, PURPOSE, pending, code).await?;
    Ok(ResetPage { page: visitor.page("Set a new password").await?.with_errors(errors), form })
}
