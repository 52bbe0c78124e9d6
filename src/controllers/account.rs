//! The account page: who is logged in, and what can be done about it.

use askama::Template;
use url::Url;

use super::{HandlerResult, show as show_page};
use crate::config::Config;
use crate::models::loaded_user::LastLogin;
use crate::models::user::User;
use crate::page::Page;
use crate::visitor::logged_in::LoggedIn;

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    page: Page,
    user: User,
    last_login: Option<LastLogin>,
    way_back: Option<WayBack>,
}

/// A link to where people go after they have logged in.
struct WayBack {
    href: String,
    /// The application's host, or the path on this one.
    name: String,
}

impl WayBack {
    fn new(config: &Config) -> Option<Self> {
        let href = config.after_login();
        let host = Url::parse(&href).ok().and_then(|url| url.host_str().map(str::to_owned));
        let name = host.unwrap_or_else(|| href.clone());
        (href != config.base_url.path_of("/account")).then_some(Self { href, name })
    }
}

pub async fn show(LoggedIn { mut visitor, user }: LoggedIn) -> HandlerResult {
    let last_login = visitor.last_login.take();
    let page = visitor.page("Your account").await?;
    let way_back = WayBack::new(&visitor.app.config);
    show_page(&AccountPage { page, user, last_login, way_back })
}
