//! Change the username.

use askama::Template;
use serde::Deserialize;

use super::{HandlerResult, redirect, show as show_page, show_form_again};
use crate::accounts::change_username::{UsernameChange, change_username};
use crate::accounts::field_errors::FieldErrors;
use crate::accounts::{change_email, verify_email};
use crate::error::RequestError;
use crate::flash::Flash;
use crate::forms::Fields;
use crate::models::user::User;
use crate::page::Page;
use crate::visitor::Visitor;
use crate::visitor::logged_in::LoggedIn;

#[derive(Template)]
#[template(path = "change_username.html")]
struct UsernamePage {
    page: Page,
    /// The one that the account has.
    old: Option<String>,
    username: String,
    asks_password: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct UsernameForm {
    username: String,
    current_password: String,
}

pub async fn show(LoggedIn { mut visitor, user }: LoggedIn) -> HandlerResult {
    show_page(&page(&mut visitor, &user, "", FieldErrors::default()).await?)
}

pub async fn submit(
    LoggedIn { mut visitor, user }: LoggedIn,
    Fields(form): Fields<UsernameForm>,
) -> HandlerResult {
    let result = try_change(&mut visitor, &user, &form).await;
    let page = async |errors| page(&mut visitor, &user, &form.username, errors).await;
    show_form_again(result, "username", page).await
}

async fn try_change(visitor: &mut Visitor, user: &User, form: &UsernameForm) -> HandlerResult {
    let session = visitor.session_key().unwrap_or_default();
    let current = visitor.asks_password().then_some(form.current_password.as_str());
    let (app, requester) = (&visitor.app, &visitor.requester);
    match change_username(app, requester, (user, &session), &form.username, current).await? {
        UsernameChange::Changed { device_tokens } => {
            visitor.set_device_cookie(&device_tokens);
            // They are void, and their pages must not ask for them.
            visitor.forget_code(verify_email::PURPOSE).await?;
            visitor.forget_code(change_email::PURPOSE).await?;
            visitor.add_flash(Flash::UsernameChanged).await?;
            visitor.add_flash(Flash::LoggedOutElsewhere).await?;
        }
        UsernameChange::Same => {}
        UsernameChange::LoggedOut => {
            visitor.set_flash_cookie(&Flash::SessionEnded);
            return redirect(&visitor.app, "/login");
        }
    }
    redirect(&visitor.app, "/account")
}

async fn page(
    visitor: &mut Visitor,
    user: &User,
    username: &str,
    errors: FieldErrors,
) -> Result<UsernamePage, RequestError> {
    let old = user.username().map(str::to_owned);
    let title = if old.is_some() { "Change your username" } else { "Choose a username" };
    Ok(UsernamePage {
        page: visitor.page(title).await?.with_errors(errors),
        old,
        username: username.trim().to_owned(),
        asks_password: visitor.asks_password(),
    })
}
