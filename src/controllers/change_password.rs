//! Change the password, knowing the current one.

use askama::Template;
use serde::Deserialize;

use super::{HandlerResult, redirect, show as show_page, show_form_again};
use crate::accounts::change_password::{PasswordChange, change_password};
use crate::accounts::field_errors::FieldErrors;
use crate::accounts::new_password::NewPassword;
use crate::error::RequestError;
use crate::flash::Flash;
use crate::forms::Fields;
use crate::page::Page;
use crate::visitor::Visitor;
use crate::visitor::logged_in::LoggedIn;

const PATH: &str = "/account/password";

#[derive(Template)]
#[template(path = "change_password.html")]
struct PasswordPage {
    page: Page,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct PasswordForm {
    current_password: String,
    password: String,
    password_confirm: String,
}

pub async fn show(LoggedIn { mut visitor, .. }: LoggedIn) -> HandlerResult {
    show_page(&page(&mut visitor, FieldErrors::default()).await?)
}

/// The form may arrive twice, the second time after the first has ended the session that it came with.
pub async fn submit(mut visitor: Visitor, Fields(form): Fields<PasswordForm>) -> HandlerResult {
    let result = try_change(&mut visitor, &form).await;
    if visitor.user.is_none() {
        return result;
    }
    let page = async |errors| page(&mut visitor, errors).await;
    show_form_again(result, "current_password", page).await
}

async fn try_change(visitor: &mut Visitor, form: &PasswordForm) -> HandlerResult {
    let PasswordForm { current_password, password, password_confirm } = form;
    let new = NewPassword { password, password_confirm, sessions: &visitor.recent_sessions() };
    let (app, requester, user) = (&visitor.app, &visitor.requester, visitor.user.as_ref());
    match change_password(app, requester, user, current_password, new).await? {
        PasswordChange::Changed { user, device_tokens } => {
            visitor.set_device_cookie(&device_tokens);
            visitor.continue_as(&user).await?;
        }
        PasswordChange::Repeated(user) => visitor.continue_as(&user).await?,
        PasswordChange::LoggedOut => {
            visitor.set_flash_cookie(&Flash::SessionEnded);
            let is_superseded = visitor.user.is_some();
            return if is_superseded {
                redirect(&visitor.app, "/login")
            } else {
                Ok(visitor.to_login(PATH))
            };
        }
    }
    visitor.record_authentication().await?;
    visitor.record_password_set().await?;
    visitor.add_flash(Flash::PasswordChanged).await?;
    visitor.add_flash(Flash::LoggedOutElsewhere).await?;
    redirect(&visitor.app, "/account")
}

async fn page(visitor: &mut Visitor, errors: FieldErrors) -> Result<PasswordPage, RequestError> {
    Ok(PasswordPage { page: visitor.page("Change your password").await?.with_errors(errors) })
}
