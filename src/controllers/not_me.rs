//! "This wasn't me": the page that notices link to.

use askama::Template;
use axum::extract::Path;

use super::mail_link::{Button, link_form, show_dead_link};
use super::{HandlerResult, redirect, show as show_page};
use crate::accounts::not_me::{Report, open_report, report};
use crate::flash::Flash;
use crate::page::Page;
use crate::random;
use crate::visitor::Visitor;

/// Where the form leads.
const NEXT: &str = "/forgot";

#[derive(Template)]
#[template(path = "not_me.html")]
struct NotMePage {
    page: Page,
    token: String,
    /// Tells the forms of browsers apart.
    form: String,
    report: Report,
}

/// A page with the button only.
pub async fn show(mut visitor: Visitor, Path(token): Path<String>) -> HandlerResult {
    match open_report(&visitor.app, &token).await? {
        Some(report) => {
            let page = visitor.page("This wasn't you?").await?;
            show_page(&NotMePage { page, token, form: random::token(), report })
        }
        None => show_dead_link(&mut visitor, &token, NEXT).await,
    }
}

pub async fn submit(
    mut visitor: Visitor,
    Path(token): Path<String>,
    button: Button,
) -> HandlerResult {
    let form = link_form(&token, &button);
    let Some(report) = report(&visitor.app, &visitor.requester, form).await? else {
        return show_dead_link(&mut visitor, &token, NEXT).await;
    };
    // The session of this browser may be one of those that ended.
    visitor.end_session().await?;
    visitor.keep_used_link(&token);
    visitor.keep_login_name(&report.username);
    if report.restored_email.is_some() {
        visitor.add_flash(Flash::EmailRestored).await?;
    }
    visitor.add_flash(Flash::PasswordBlocked).await?;
    redirect(&visitor.app, NEXT)
}
