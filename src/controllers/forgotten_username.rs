//! A forgotten username is mailed to the address of its account.

use askama::Template;
use serde::Deserialize;

use super::{HandlerResult, redirect, show as show_page, show_form_again};
use crate::accounts::field_errors::FieldErrors;
use crate::accounts::forgotten_username::send_username;
use crate::error::RequestError;
use crate::flash::Flash;
use crate::forms::Fields;
use crate::page::Page;
use crate::visitor::Visitor;

#[derive(Template)]
#[template(path = "forgotten_username.html")]
struct UsernamePage {
    page: Page,
    email: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct UsernameForm {
    email: String,
}

pub async fn show(mut visitor: Visitor) -> HandlerResult {
    show_page(&page(&mut visitor, "", FieldErrors::default()).await?)
}

pub async fn submit(mut visitor: Visitor, Fields(form): Fields<UsernameForm>) -> HandlerResult {
    let result = try_send(&mut visitor, &form.email).await;
    let page = async |errors| page(&mut visitor, &form.email, errors).await;
    show_form_again(result, "email", page).await
}

async fn try_send(visitor: &mut Visitor, email: &str) -> HandlerResult {
    send_username(&visitor.app, &visitor.requester, email).await?;
    visitor.add_flash(Flash::UsernameSent).await?;
    redirect(&visitor.app, "/login")
}

async fn page(
    visitor: &mut Visitor,
    email: &str,
    errors: FieldErrors,
) -> Result<UsernamePage, RequestError> {
    let page = visitor.page("Forgot your username?").await?.with_errors(errors);
    Ok(UsernamePage { page, email: email.trim().to_owned() })
}
