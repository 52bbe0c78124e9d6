//! Log in with an emailed code: ask for it at `/login/code`, use it at `/login/code/confirm`.

use askama::Template;
use serde::Deserialize;

use super::code_form::{CodeForm, ended, show_code_form};
use super::login::is_ticked;
use super::{HandlerResult, Next, redirect, redirect_to, show as show_page, show_form_again};
use crate::accounts::field_errors::FieldErrors;
use crate::accounts::login_code::{CodeLogin, PURPOSE, log_in_by_code, request_code, resend_code};
use crate::accounts::one_time_code::PendingCode;
use crate::error::RequestError;
use crate::flash::Flash;
use crate::forms::Fields;
use crate::next_path::NextPath;
use crate::page::Page;
use crate::visitor::Visitor;

/// The page that asks for the code, and the one before.
const PAGES: [&str; 2] = ["/login/code/confirm", "/login/code"];

#[derive(Template)]
#[template(path = "login_code.html")]
struct RequestPage {
    page: Page,
    username: String,
    next: NextPath,
}

#[derive(Template)]
#[template(path = "login_code_confirm.html")]
struct ConfirmPage {
    page: Page,
    form: CodeForm,
    remember: bool,
    next: NextPath,
}

/// The fields of both forms.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct CodeLoginForm {
    username: String,
    code: String,
    remember: String,
    next: String,
}

pub async fn show(mut visitor: Visitor, Next(next): Next) -> HandlerResult {
    if visitor.user.is_some() {
        // That a code has ended, which was used to log in.
        visitor.take_flash_cookie();
        return redirect_to(next.or(&visitor.app.config.after_login()));
    }
    let username = visitor.login_name().unwrap_or_default();
    let mut shown = page(&mut visitor, username, next, FieldErrors::default()).await?;
    shown.page.flashes.extend(visitor.take_flash_cookie());
    show_page(&shown)
}

pub async fn submit(mut visitor: Visitor, Fields(form): Fields<CodeLoginForm>) -> HandlerResult {
    let result = try_request(&mut visitor, &form).await;
    show_form_again(result, "username", async |errors| {
        let next = visitor.next(&form.next);
        page(&mut visitor, form.username.trim().to_owned(), next, errors).await
    })
    .await
}

async fn try_request(visitor: &mut Visitor, form: &CodeLoginForm) -> HandlerResult {
    let (app, requester, pending) =
        (&visitor.app, &visitor.requester, visitor.pending_code(PURPOSE));
    let requested = request_code(app, requester, &form.username, pending).await?;
    let confirm = format!("{}{}", PAGES[0], visitor.next(&form.next).query());
    show_code_form(visitor, PURPOSE, requested, Flash::CodeReplaced, [&confirm, PAGES[1]]).await
}

pub async fn resend(mut visitor: Visitor, Next(next): Next) -> HandlerResult {
    let result = try_resend(&mut visitor, &next).await;
    let form = CodeLoginForm { next: next.as_str().to_owned(), ..CodeLoginForm::default() };
    show_confirm_form_again(&mut visitor, &form, result).await
}

async fn try_resend(visitor: &mut Visitor, next: &NextPath) -> HandlerResult {
    let (app, requester, pending) =
        (&visitor.app, &visitor.requester, visitor.pending_code(PURPOSE));
    let requested = resend_code(app, requester, pending).await?;
    let confirm = format!("{}{}", PAGES[0], next.query());
    show_code_form(visitor, PURPOSE, requested, Flash::CodeSentAgain, [&confirm, PAGES[1]]).await
}

pub async fn show_confirm(mut visitor: Visitor, Next(next): Next) -> HandlerResult {
    let Some(pending) = visitor.pending_code(PURPOSE).cloned() else {
        return redirect(&visitor.app, PAGES[1]);
    };
    let form = CodeLoginForm { next: next.as_str().to_owned(), ..CodeLoginForm::default() };
    show_page(&confirm_page(&mut visitor, pending, &form, FieldErrors::default()).await?)
}

pub async fn submit_confirm(
    mut visitor: Visitor,
    Fields(form): Fields<CodeLoginForm>,
) -> HandlerResult {
    let result = try_log_in(&mut visitor, &form).await;
    show_confirm_form_again(&mut visitor, &form, result).await
}

async fn try_log_in(visitor: &mut Visitor, form: &CodeLoginForm) -> HandlerResult {
    let (app, requester, pending) =
        (&visitor.app, &visitor.requester, visitor.pending_code(PURPOSE));
    let outcome = log_in_by_code(app, requester, pending, &form.code).await?;
    let next = visitor.next(&form.next);
    let CodeLogin::LoggedIn { login, is_password_blocked } = outcome else {
        if visitor.user.is_some() {
            return redirect_to(next.or(&visitor.app.config.after_login()));
        }
        // That page leads on if the browser has been logged in meanwhile.
        return ended(visitor, PURPOSE, PAGES[1]);
    };
    visitor.set_device_cookie(&login.device_tokens);
    visitor.log_in_without_password(&login.user, is_ticked(&form.remember)).await?;
    if is_password_blocked {
        visitor.add_flash(Flash::OldPasswordBlocked).await?;
    }
    redirect_to(next.or(&visitor.app.config.after_login()))
}

async fn show_confirm_form_again(
    visitor: &mut Visitor,
    form: &CodeLoginForm,
    result: HandlerResult,
) -> HandlerResult {
    let Some(pending) = visitor.pending_code(PURPOSE).cloned() else { return result };
    let page = async |errors| confirm_page(visitor, pending, form, errors).await;
    show_form_again(result, "code", page).await
}

async fn page(
    visitor: &mut Visitor,
    username: String,
    next: NextPath,
    errors: FieldErrors,
) -> Result<RequestPage, RequestError> {
    let page = visitor.page("Log in with a code").await?.with_errors(errors);
    Ok(RequestPage { page, username, next })
}

async fn confirm_page(
    visitor: &mut Visitor,
    pending: PendingCode,
    typed: &CodeLoginForm,
    errors: FieldErrors,
) -> Result<ConfirmPage, RequestError> {
    let form = CodeForm::new(visitor, PURPOSE, pending, &typed.code).await?;
    Ok(ConfirmPage {
        page: visitor.page("Enter your login code").await?.with_errors(errors),
        form,
        remember: is_ticked(&typed.remember),
        next: visitor.next(&typed.next),
    })
}
