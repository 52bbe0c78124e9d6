//! Log in: a username or an email address, and a password.

use askama::Template;
use serde::Deserialize;

use super::{HandlerResult, Next, redirect_to, show as show_page, show_form_again};
use crate::accounts::field_errors::FieldErrors;
use crate::accounts::login::{Credentials, log_in};
use crate::error::RequestError;
use crate::flash::Flash;
use crate::forms::Fields;
use crate::next_path::NextPath;
use crate::page::Page;
use crate::visitor::Visitor;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    page: Page,
    username: String,
    remember: bool,
    next: NextPath,
    /// Whether a code can be entered already.
    has_code: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct LoginForm {
    username: String,
    password: String,
    remember: String,
    next: String,
}

pub async fn show(mut visitor: Visitor, Next(next): Next) -> HandlerResult {
    if visitor.user.is_some() {
        return redirect_to(next.or(&visitor.app.config.after_login()));
    }
    let form = LoginForm { next: next.as_str().to_owned(), ..LoginForm::default() };
    let mut shown = page(&mut visitor, &form, FieldErrors::default()).await?;
    if let Some(username) = shown.page.flashes.iter().find_map(Flash::username) {
        shown.username = username.to_owned();
    }
    shown.page.flashes.extend(visitor.take_flash_cookie());
    show_page(&shown)
}

pub async fn submit(mut visitor: Visitor, Fields(form): Fields<LoginForm>) -> HandlerResult {
    let result = try_log_in(&mut visitor, &form).await;
    let page = async |errors| page(&mut visitor, &form, errors).await;
    let response = show_form_again(result, "username", page).await?;
    if response.status().is_redirection() {
        visitor.forget_login_name();
    } else {
        visitor.keep_login_name(&form.username);
    }
    Ok(response)
}

async fn try_log_in(visitor: &mut Visitor, form: &LoginForm) -> HandlerResult {
    let credentials = Credentials { login: &form.username, password: &form.password };
    let login = log_in(&visitor.app, &visitor.requester, credentials).await?;
    visitor.set_device_cookie(&login.device_tokens);
    visitor.log_in(&login.user, is_ticked(&form.remember)).await?;
    redirect_to(visitor.next(&form.next).or(&visitor.app.config.after_login()))
}

/// A box that is ticked sends `on`, or nothing; scripts may say no in words.
pub(super) fn is_ticked(value: &str) -> bool {
    !matches!(value, "" | "0" | "off" | "no" | "false")
}

async fn page(
    visitor: &mut Visitor,
    form: &LoginForm,
    errors: FieldErrors,
) -> Result<LoginPage, RequestError> {
    Ok(LoginPage {
        page: visitor.page("Log in").await?.with_errors(errors),
        username: form.username.trim().to_owned(),
        remember: is_ticked(&form.remember),
        next: visitor.next(&form.next),
        has_code: visitor.has_code().await?,
    })
}
