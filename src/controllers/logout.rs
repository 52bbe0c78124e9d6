//! Log out: by a button, because any site can make a browser follow a link.

use askama::Template;
use serde::Deserialize;

use super::{HandlerResult, Next, redirect_to, show as show_page};
use crate::error::RequestError;
use crate::event::Event;
use crate::flash::Flash;
use crate::forms::Fields;
use crate::next_path::NextPath;
use crate::page::Page;
use crate::visitor::Visitor;

#[derive(Template)]
#[template(path = "logout.html")]
struct LogoutPage {
    page: Page,
    next: NextPath,
}

/// The field as it arrives.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct LogoutForm {
    next: String,
}

/// A page with the button only.
pub async fn show(mut visitor: Visitor, Next(next): Next) -> HandlerResult {
    let page = visitor.page("Log out").await?;
    show_page(&LogoutPage { page, next })
}

/// A body that cannot be read keeps nobody logged in.
pub async fn submit(
    mut visitor: Visitor,
    form: Result<Fields<LogoutForm>, RequestError>,
) -> HandlerResult {
    let next = form.map(|Fields(form)| form.next).unwrap_or_default();
    let next = visitor.next(&next);
    if let Some(user) = visitor.user.clone() {
        visitor.end_session().await?;
        Event::SessionEnded { account: &user.id, reason: "logout", sessions: 1 }.write();
        visitor.add_flash(Flash::LoggedOut).await?;
    } else {
        // A second click on the button shows the flash of the first, without a new session.
        visitor.set_flash_cookie(&Flash::LoggedOut);
    }
    redirect_to(next.or(&visitor.app.config.base_url.path_of("/login")))
}
