//! The account page: who is logged in, and what can be done about it.

use askama::Template;

use super::{Answer, show as show_page};
use crate::models::user::User;
use crate::page::Page;
use crate::visitor::logged_in::LoggedIn;

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    page: Page,
    user: User,
}

/// GET `/account`.
pub async fn show(LoggedIn { mut visitor, user }: LoggedIn) -> Answer {
    show_page(&AccountPage { page: visitor.page("Your account").await?, user })
}
