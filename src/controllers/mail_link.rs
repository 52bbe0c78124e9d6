//! What the pages share that emails link to: a form that is a button alone, and a dead link.

use askama::Template;
use axum::http::StatusCode;
use serde::Deserialize;

use super::{HandlerResult, redirect, show as show_page};
use crate::accounts::mail_link::LinkForm;
use crate::error::RequestError;
use crate::forms::Fields;
use crate::page::Page;
use crate::visitor::Visitor;

#[derive(Template)]
#[template(path = "dead_link.html")]
struct DeadLinkPage {
    page: Page,
}

/// The field as it arrives.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct LinkFields {
    form: String,
}

/// A form with the button. A body that cannot be read must stop nobody.
pub type Button = Result<Fields<LinkFields>, RequestError>;

/// The form that uses the link with this token.
pub fn link_form<'a>(token: &'a str, button: &'a Button) -> LinkForm<'a> {
    LinkForm { token, form: button.as_ref().map_or("", |Fields(fields)| &fields.form) }
}

/// A link that was used, has expired or was made up: on to `place` in the browser that used it, else 404 with
/// what to do.
pub async fn show_dead_link(visitor: &mut Visitor, token: &str, place: &str) -> HandlerResult {
    if visitor.has_used_link(token) {
        return redirect(&visitor.app, place);
    }
    let page = visitor.page("This link no longer works").await?;
    let mut response = show_page(&DeadLinkPage { page })?;
    *response.status_mut() = StatusCode::NOT_FOUND;
    Ok(response)
}
