//! Unlock: the page that the email about stopped logins links to.

use askama::Template;
use axum::extract::Path;

use super::{HandlerResult, redirect, show as show_page, show_dead_link};
use crate::accounts::unlock::{open_unlock, unlock};
use crate::flash::Flash;
use crate::page::Page;
use crate::visitor::Visitor;

#[derive(Template)]
#[template(path = "unlock.html")]
struct UnlockPage {
    page: Page,
    token: String,
    /// Whose account it is.
    owner: String,
}

/// A page with the button only.
pub async fn show(mut visitor: Visitor, Path(token): Path<String>) -> HandlerResult {
    match open_unlock(&visitor.app, &token).await? {
        Some(user) => {
            let page = visitor.page("Log in with this browser").await?;
            show_page(&UnlockPage { page, token, owner: user.display_name().to_owned() })
        }
        None => show_dead_link(&mut visitor).await,
    }
}

pub async fn submit(mut visitor: Visitor, Path(token): Path<String>) -> HandlerResult {
    let Some(unlocked) = unlock(&visitor.app, &visitor.requester, &token).await? else {
        return show_dead_link(&mut visitor).await;
    };
    visitor.set_device_cookie(&unlocked.device_tokens);
    visitor.add_flash(Flash::Unlocked).await?;
    redirect(&visitor.app, "/login")
}
