//! Confirm a registration: the code from the email, and another username if the first one is taken.

use askama::Template;
use serde::Deserialize;

use super::code_form::{CodeForm, ended, show_code_form};
use super::{HandlerResult, Next, redirect, redirect_to, show as show_page, show_form_again};
use crate::accounts::confirm_registration::{
    Confirmation, ConfirmationForm, PURPOSE, confirm, find_registration, resend_code,
};
use crate::accounts::send_code::CodeRequest;
use crate::error::RequestError;
use crate::flash::Flash;
use crate::forms::Fields;
use crate::next_path::NextPath;
use crate::page::Page;
use crate::visitor::Visitor;

/// Where a late form redirects: an account that was made meanwhile can log in.
const TOO_LATE: &str = "/login";

#[derive(Template)]
#[template(path = "confirm_registration.html")]
struct ConfirmPage {
    page: Page,
    form: CodeForm,
    /// The one that is taken, or what was typed in its place; `None` until the address is proved.
    username: Option<String>,
    next: NextPath,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ConfirmForm {
    code: String,
    username: String,
    next: String,
}

pub async fn show(mut visitor: Visitor, Next(next): Next) -> HandlerResult {
    let form = ConfirmForm { next: next.as_str().to_owned(), ..ConfirmForm::default() };
    match page(&mut visitor, &form).await? {
        Some(page) => show_page(&page),
        None if visitor.user.is_some() => redirect_to(next.or(&visitor.app.config.after_login())),
        None => redirect(&visitor.app, &format!("/register{}", next.query())),
    }
}

pub async fn submit(mut visitor: Visitor, Fields(form): Fields<ConfirmForm>) -> HandlerResult {
    let result = try_confirm(&mut visitor, &form).await;
    show_again(&mut visitor, &form, result).await
}

async fn try_confirm(visitor: &mut Visitor, form: &ConfirmForm) -> HandlerResult {
    let next = visitor.next(&form.next);
    let pending = visitor.pending_code(PURPOSE).cloned();
    let typed = ConfirmationForm { code: &form.code, username: &form.username };
    let confirmation = confirm(&visitor.app, &visitor.requester, pending.as_ref(), typed).await?;
    show_confirmation(visitor, confirmation, &next).await
}

/// Shows what became of a registration whose address is proved.
pub(super) async fn show_confirmation(
    visitor: &mut Visitor,
    confirmation: Confirmation,
    next: &NextPath,
) -> HandlerResult {
    match confirmation {
        Confirmation::Registered(account) => {
            visitor.forget_code(PURPOSE).await?;
            visitor.log_in_without_password(&account.user, false).await?;
            show_created(visitor, &account.device_tokens, next).await
        }
        Confirmation::Waiting { device_tokens } => {
            visitor.set_device_cookie(&device_tokens);
            visitor.forget_code(PURPOSE).await?;
            visitor.add_flash(Flash::AwaitsApproval).await?;
            redirect(&visitor.app, &format!("/login{}", next.query()))
        }
        Confirmation::AlreadyRegistered => {
            let email = visitor.pending_code(PURPOSE).map(|pending| pending.email.clone());
            let email = email.unwrap_or_default();
            visitor.forget_code(PURPOSE).await?;
            visitor.add_flash(Flash::EmailTaken(email)).await?;
            redirect(&visitor.app, &format!("/login{}", next.query()))
        }
        Confirmation::NotPending if visitor.user.is_some() => {
            redirect_to(next.or(&visitor.app.config.after_login()))
        }
        Confirmation::NotPending => ended(visitor, PURPOSE, TOO_LATE),
    }
}

/// Shows the first page of the user who was logged in to a new account.
pub(super) async fn show_created(
    visitor: &mut Visitor,
    device_tokens: &[String],
    next: &NextPath,
) -> HandlerResult {
    visitor.set_device_cookie(device_tokens);
    visitor.add_flash(Flash::Registered).await?;
    redirect_to(next.or(&visitor.app.config.after_login()))
}

pub async fn resend(mut visitor: Visitor, Next(next): Next) -> HandlerResult {
    let (app, requester, pending) =
        (&visitor.app, &visitor.requester, visitor.pending_code(PURPOSE));
    let requested = resend_code(app, requester, pending).await;
    let result = match requested {
        Ok(requested) => show_code_page(&mut visitor, requested, &next).await,
        Err(error) => Err(error.into()),
    };
    let form = ConfirmForm { next: next.as_str().to_owned(), ..ConfirmForm::default() };
    show_again(&mut visitor, &form, result).await
}

/// Keeps the code that was requested and shows the page that asks for it.
pub(super) async fn show_code_page(
    visitor: &mut Visitor,
    requested: CodeRequest,
    next: &NextPath,
) -> HandlerResult {
    let page = format!("/register/confirm{}", next.query());
    show_code_form(visitor, PURPOSE, requested, Flash::NewCodeSent, [&page, TOO_LATE]).await
}

async fn show_again(
    visitor: &mut Visitor,
    form: &ConfirmForm,
    result: HandlerResult,
) -> HandlerResult {
    if result.is_ok() {
        return result;
    }
    let Some(shown) = page(visitor, form).await? else { return result };
    let field = if shown.username.is_some() { "username" } else { "code" };
    let page = async |errors| Ok(ConfirmPage { page: shown.page.with_errors(errors), ..shown });
    show_form_again(result, field, page).await
}

/// `None` if no registration is under way in this browser.
async fn page(
    visitor: &mut Visitor,
    form: &ConfirmForm,
) -> Result<Option<ConfirmPage>, RequestError> {
    let Some(pending) = visitor.pending_code(PURPOSE).cloned() else { return Ok(None) };
    let Some(registration) = find_registration(&visitor.app, &pending).await? else {
        return Ok(None);
    };
    let typed = form.username.trim();
    let username = if typed.is_empty() { &registration.username } else { typed };
    Ok(Some(ConfirmPage {
        form: CodeForm::new(visitor, PURPOSE, pending, &form.code).await?,
        page: visitor.page("Finish signing up").await?,
        username: registration.proved_at.map(|_| username.to_owned()),
        next: visitor.next(&form.next),
    }))
}
