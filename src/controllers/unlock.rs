//! Unlock: the page that the email about stopped logins links to.

use askama::Template;
use axum::extract::Path;

use super::mail_link::{Button, link_form, show_dead_link};
use super::{HandlerResult, redirect, show as show_page};
use crate::accounts::unlock::{open_unlock, unlock};
use crate::flash::Flash;
use crate::page::Page;
use crate::random;
use crate::visitor::Visitor;

/// Where the form leads.
const NEXT: &str = "/login";

#[derive(Template)]
#[template(path = "unlock.html")]
struct UnlockPage {
    page: Page,
    token: String,
    /// Tells the forms of browsers apart.
    form: String,
    /// Whose account it is.
    owner: String,
}

/// A page with the button only.
pub async fn show(mut visitor: Visitor, Path(token): Path<String>) -> HandlerResult {
    match open_unlock(&visitor.app, &token).await? {
        Some(user) => {
            let page = visitor.page("Log in with this browser").await?;
            let owner = user.display_name().to_owned();
            show_page(&UnlockPage { page, token, form: random::token(), owner })
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
    let Some(device_tokens) = unlock(&visitor.app, &visitor.requester, form).await? else {
        return show_dead_link(&mut visitor, &token, NEXT).await;
    };
    visitor.set_device_cookie(&device_tokens);
    visitor.keep_used_link(&token);
    visitor.add_flash(Flash::Unlocked).await?;
    redirect(&visitor.app, NEXT)
}
