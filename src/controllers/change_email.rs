//! Change the email address: ask for it at `/account/email`, prove it at `/account/email/confirm`.

use askama::Template;
use serde::Deserialize;

use super::code_form::{CodeForm, ended, show_code_form};
use super::{HandlerResult, redirect, show as show_page, show_form_again};
use crate::accounts::change_email::{
    EmailChange, PURPOSE, change_email, request_code, resend_code,
};
use crate::accounts::email::domain_rule;
use crate::accounts::field_errors::FieldErrors;
use crate::accounts::one_time_code::PendingCode;
use crate::error::RequestError;
use crate::flash::Flash;
use crate::forms::Fields;
use crate::models::user::User;
use crate::page::Page;
use crate::visitor::Visitor;
use crate::visitor::logged_in::LoggedIn;

/// The page that asks for the code, and the one before.
const PAGES: [&str; 2] = ["/account/email/confirm", "/account/email"];

#[derive(Template)]
#[template(path = "change_email.html")]
struct EmailPage {
    page: Page,
    /// The present one.
    current: String,
    email: String,
    /// Which domains it may have.
    email_hint: String,
    asks_password: bool,
}

#[derive(Template)]
#[template(path = "change_email_confirm.html")]
struct ConfirmPage {
    page: Page,
    form: CodeForm,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct EmailForm {
    email: String,
    current_password: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ConfirmForm {
    code: String,
}

pub async fn show(LoggedIn { mut visitor, user }: LoggedIn) -> HandlerResult {
    show_page(&page(&mut visitor, &user, "", FieldErrors::default()).await?)
}

pub async fn submit(
    LoggedIn { mut visitor, user }: LoggedIn,
    Fields(form): Fields<EmailForm>,
) -> HandlerResult {
    let result = try_request(&mut visitor, &user, &form).await;
    let page = async |errors| page(&mut visitor, &user, &form.email, errors).await;
    show_form_again(result, "email", page).await
}

async fn try_request(visitor: &mut Visitor, user: &User, form: &EmailForm) -> HandlerResult {
    let current = visitor.asks_password().then_some(form.current_password.as_str());
    let (app, requester, pending) =
        (&visitor.app, &visitor.requester, visitor.pending_code(PURPOSE));
    let requested = request_code(app, requester, user, (&form.email, current), pending).await?;
    if current.is_some() {
        visitor.record_authentication().await?;
    }
    show_code_form(visitor, PURPOSE, requested, Flash::CodeReplaced, PAGES).await
}

pub async fn resend(LoggedIn { mut visitor, user }: LoggedIn) -> HandlerResult {
    let result = try_resend(&mut visitor, &user).await;
    show_confirm_form_again(&mut visitor, "", result).await
}

async fn try_resend(visitor: &mut Visitor, user: &User) -> HandlerResult {
    let (app, requester, pending) =
        (&visitor.app, &visitor.requester, visitor.pending_code(PURPOSE));
    let requested = resend_code(app, requester, user, pending).await?;
    show_code_form(visitor, PURPOSE, requested, Flash::NewCodeSent, PAGES).await
}

pub async fn show_confirm(LoggedIn { mut visitor, user }: LoggedIn) -> HandlerResult {
    match visitor.pending_code(PURPOSE).cloned() {
        // A code that was used stays in the session: its form may come twice.
        Some(pending) if pending.email != user.email => {
            show_page(&confirm_page(&mut visitor, pending, "", FieldErrors::default()).await?)
        }
        _ => redirect(&visitor.app, PAGES[1]),
    }
}

pub async fn submit_confirm(
    LoggedIn { mut visitor, user }: LoggedIn,
    Fields(form): Fields<ConfirmForm>,
) -> HandlerResult {
    let result = try_change(&mut visitor, &user, &form.code).await;
    show_confirm_form_again(&mut visitor, &form.code, result).await
}

async fn try_change(visitor: &mut Visitor, user: &User, code: &str) -> HandlerResult {
    let session = visitor.session_key().unwrap_or_default();
    let (app, requester, pending) =
        (&visitor.app, &visitor.requester, visitor.pending_code(PURPOSE));
    match change_email(app, requester, (user, &session), pending, code).await? {
        EmailChange::Changed { device_tokens } => {
            visitor.set_device_cookie(&device_tokens);
            visitor.add_flash(Flash::EmailChanged).await?;
            visitor.add_flash(Flash::LoggedOutElsewhere).await?;
        }
        EmailChange::Same => {}
        EmailChange::NotPending => return ended(visitor, PURPOSE, PAGES[1]),
        EmailChange::LoggedOut => {
            visitor.set_flash_cookie(&Flash::SessionEnded);
            return redirect(&visitor.app, "/login");
        }
    }
    redirect(&visitor.app, "/account")
}

async fn show_confirm_form_again(
    visitor: &mut Visitor,
    code: &str,
    result: HandlerResult,
) -> HandlerResult {
    let Some(pending) = visitor.pending_code(PURPOSE).cloned() else { return result };
    let page = async |errors| confirm_page(visitor, pending, code, errors).await;
    show_form_again(result, "code", page).await
}

async fn page(
    visitor: &mut Visitor,
    user: &User,
    email: &str,
    errors: FieldErrors,
) -> Result<EmailPage, RequestError> {
    Ok(EmailPage {
        page: visitor.page("Change your email").await?.with_errors(errors),
        current: user.email.clone(),
        email: email.trim().to_owned(),
        email_hint: domain_rule(&visitor.app.config.registration.domains),
        asks_password: visitor.asks_password(),
    })
}

async fn confirm_page(
    visitor: &mut Visitor,
    pending: PendingCode,
    code: &str,
    errors: FieldErrors,
) -> Result<ConfirmPage, RequestError> {
    let form = CodeForm::new(visitor, PURPOSE, pending, code).await?;
    Ok(ConfirmPage {
        page: visitor.page("Confirm your new email").await?.with_errors(errors),
        form,
    })
}
