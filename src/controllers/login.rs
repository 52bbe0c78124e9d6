//! Log in: a username or an email address, and a password.

use askama::Template;
use serde::Deserialize;

use super::{Answer, Next, keep_form, redirect, show as show_page};
use crate::accounts::field_errors::FieldErrors;
use crate::accounts::log_in::{Credentials, LogIn, log_in};
use crate::error::RequestError;
use crate::flash::Flash;
use crate::forms::Fields;
use crate::next_path::NextPath;
use crate::page::Page;
use crate::visitor::Visitor;

const TITLE: &str = "Log in";

/// The same words whatever was wrong (ASVS 6.3.8).
const REFUSED: &str = "Incorrect username or password.";

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    page: Page,
    errors: FieldErrors,
    username: String,
    remember: bool,
    next: String,
    next_query: String,
    /// Whether a code can be entered already.
    has_code: bool,
}

/// The fields as they arrive.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct LoginForm {
    username: String,
    password: String,
    remember: String,
    next: String,
}

/// GET `/login`.
pub async fn show(mut visitor: Visitor, Next(next): Next) -> Answer {
    if visitor.user.is_some() {
        return redirect(next.or("/account"));
    }
    let form = LoginForm { next: next.as_str().to_owned(), ..LoginForm::default() };
    let mut shown = page(&mut visitor, &form, FieldErrors::default()).await?;
    if let Some(username) = shown.page.flashes.iter().find_map(Flash::username) {
        shown.username = username.to_owned();
    }
    shown.page.flashes.extend(visitor.take_ended());
    show_page(&shown)
}

/// POST `/login`.
pub async fn submit(mut visitor: Visitor, Fields(form): Fields<LoginForm>) -> Answer {
    let answer = answer(&mut visitor, &form).await;
    let page = async |errors| page(&mut visitor, &form, errors).await;
    let answer = keep_form(answer, "username", page).await?;
    if answer.status().is_redirection() {
        visitor.forget_login_name();
    } else {
        visitor.keep_login_name(&form.username);
    }
    Ok(answer)
}

async fn answer(visitor: &mut Visitor, form: &LoginForm) -> Answer {
    let errors = form.missing();
    if !errors.is_empty() {
        return Err(RequestError::Invalid(errors));
    }
    let credentials = Credentials { login: &form.username, password: &form.password };
    match log_in(&visitor.app, &visitor.requester, credentials).await? {
        LogIn::LoggedIn { user, device_tokens } => {
            visitor.keep_device_tokens(&device_tokens);
            visitor.log_in(&user, form.remembers()).await?;
            redirect(NextPath::parse(&form.next).or("/account"))
        }
        LogIn::Refused => Err(RequestError::Invalid(FieldErrors::for_form("username", REFUSED))),
    }
}

impl LoginForm {
    /// A box that is ticked sends `on`, or nothing; scripts may say no in words.
    fn remembers(&self) -> bool {
        !matches!(self.remember.as_str(), "" | "0" | "off" | "no" | "false")
    }

    fn missing(&self) -> FieldErrors {
        let mut errors = FieldErrors::default();
        if self.username.trim().is_empty() {
            errors.add("username", "Enter your username or email.");
        }
        if self.password.is_empty() {
            errors.add("password", "Enter your password.");
        }
        errors
    }
}

async fn page(
    visitor: &mut Visitor,
    form: &LoginForm,
    errors: FieldErrors,
) -> Result<LoginPage, RequestError> {
    let next = NextPath::parse(&form.next);
    Ok(LoginPage {
        page: visitor.page(TITLE).await?.with(&errors),
        has_code: visitor.has_code().await?,
        errors,
        username: form.username.trim().to_owned(),
        remember: form.remembers(),
        next: next.as_str().to_owned(),
        next_query: next.query(),
    })
}
