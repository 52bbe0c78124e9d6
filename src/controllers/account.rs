//! The account page: who is logged in, and what can be done about it.

use askama::Template;

use super::{HandlerResult, show as show_page};
use crate::models::user::User;
use crate::page::Page;
use crate::visitor::logged_in::LoggedIn;

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    page: Page,
    user: User,
}

pub async fn show(LoggedIn { mut visitor, user }: LoggedIn) -> HandlerResult {
    show_page(&AccountPage { page: visitor.page("Your account").await?, user })
}
