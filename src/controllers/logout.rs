//! Log out: by a button, never by a link that anybody could make a browser follow.

use askama::Template;

use super::{Answer, redirect, show as show_page};
use crate::event::Event;
use crate::flash::Flash;
use crate::page::Page;
use crate::visitor::Visitor;

#[derive(Template)]
#[template(path = "logout.html")]
struct LogoutPage {
    page: Page,
}

/// GET `/logout`: the button, nothing else.
pub async fn show(mut visitor: Visitor) -> Answer {
    show_page(&LogoutPage { page: visitor.page("Log out").await? })
}

/// POST `/logout`.
pub async fn submit(mut visitor: Visitor) -> Answer {
    // Who was not logged in needs no session to be told so.
    if let Some(user) = visitor.user.clone() {
        visitor.end().await?;
        Event::SessionEnded { account: &user.id, reason: "logout", sessions: 1 }.write();
        visitor.notify(Flash::LoggedOut).await?;
    } else {
        // The second press of the button has the outcome of the first.
        visitor.note_ended(&Flash::LoggedOut);
    }
    redirect("/login")
}
