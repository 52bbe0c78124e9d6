//! The account page: who is logged in, and what can be done about it.

use askama::Template;

use super::{Answer, show as show_page};
use crate::page::Page;
use crate::times;
use crate::visitor::logged_in::LoggedIn;

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    page: Page,
    username: String,
    email: String,
    since: String,
    since_iso: String,
}

/// GET `/account`.
pub async fn show(LoggedIn { mut visitor, user }: LoggedIn) -> Answer {
    show_page(&AccountPage {
        page: visitor.page("Your account").await?,
        since: times::day(user.created_at),
        since_iso: times::iso(user.created_at),
        username: user.username,
        email: user.email,
    })
}
