//! Log out: by a button, because any site can make a browser follow a link.

use askama::Template;

use super::{HandlerResult, redirect, show as show_page};
use crate::event::Event;
use crate::flash::Flash;
use crate::page::Page;
use crate::visitor::Visitor;

#[derive(Template)]
#[template(path = "logout.html")]
struct LogoutPage {
    page: Page,
}

/// A page with the button only.
pub async fn show(mut visitor: Visitor) -> HandlerResult {
    show_page(&LogoutPage { page: visitor.page("Log out").await? })
}

pub async fn submit(mut visitor: Visitor) -> HandlerResult {
    if let Some(user) = visitor.user.clone() {
        visitor.end_session().await?;
        Event::SessionEnded { account: &user.id, reason: "logout", sessions: 1 }.write();
        visitor.add_flash(Flash::LoggedOut).await?;
    } else {
        // A second click on the button shows the flash of the first, without a new session.
        visitor.set_flash_cookie(&Flash::LoggedOut);
    }
    redirect("/login")
}
