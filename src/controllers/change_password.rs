//! Change the password, knowing the current one.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use super::{Answer, keep_form, redirect, show as show_page};
use crate::accounts::change_password::{PasswordChange, change_password};
use crate::accounts::field_errors::FieldErrors;
use crate::accounts::new_password::NewPassword;
use crate::error::RequestError;
use crate::flash::Flash;
use crate::forms::Fields;
use crate::models::user::User;
use crate::page::Page;
use crate::visitor::Visitor;
use crate::visitor::logged_in::LoggedIn;

#[derive(Template)]
#[template(path = "change_password.html")]
struct PasswordPage {
    page: Page,
    errors: FieldErrors,
    password_min: usize,
    username: String,
}

/// The fields as they arrive.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct PasswordForm {
    current_password: String,
    password: String,
    password_confirm: String,
}

/// GET `/account/password`.
pub async fn show(LoggedIn { mut visitor, user }: LoggedIn) -> Answer {
    show_page(&page(&mut visitor, &user, FieldErrors::default()).await?)
}

/// POST `/account/password`.
pub async fn submit(
    mut visitor: Visitor,
    logged_in: Result<LoggedIn, Response>,
    Fields(form): Fields<PasswordForm>,
) -> Answer {
    let (user, to_login) = match logged_in {
        Ok(LoggedIn { user, .. }) => (Some(user), None),
        Err(to_login) => (None, Some(to_login)),
    };
    let answer = change(&mut visitor, user.as_ref(), to_login, &form).await;
    let Some(user) = user else { return answer };
    let page = async |errors| page(&mut visitor, &user, errors).await;
    keep_form(answer, "current_password", page).await
}

async fn change(
    visitor: &mut Visitor,
    user: Option<&User>,
    to_login: Option<Response>,
    form: &PasswordForm,
) -> Answer {
    let PasswordForm { current_password, password, password_confirm } = form;
    let new = NewPassword { password, password_confirm, sessions: &visitor.recent_sessions() };
    let (app, requester) = (&visitor.app, &visitor.requester);
    match change_password(app, requester, user, current_password, new).await? {
        PasswordChange::Changed { user, device_tokens } => {
            visitor.keep_device_tokens(&device_tokens);
            visitor.renew(&user).await?;
        }
        PasswordChange::Repeated(user) => {
            visitor.take_ended();
            visitor.go_on_as(&user).await?;
        }
        PasswordChange::LoggedOut => {
            if let Some(to_login) = to_login {
                return Ok(to_login);
            }
            visitor.note_ended(&Flash::SessionEnded);
            return redirect("/login");
        }
    }
    visitor.note_password_set().await?;
    visitor.notify(Flash::PasswordChanged).await?;
    visitor.notify(Flash::LoggedOutElsewhere).await?;
    redirect("/account")
}

async fn page(
    visitor: &mut Visitor,
    user: &User,
    errors: FieldErrors,
) -> Result<PasswordPage, RequestError> {
    Ok(PasswordPage {
        page: visitor.page("Change your password").await?.with(&errors),
        errors,
        password_min: visitor.app.config.password_min,
        username: user.username.clone(),
    })
}
