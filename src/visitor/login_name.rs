//! The cookie that carries the name of a refused login to the page for those who forgot the password.
//!
//! Not the session: a refused login must not cost a row of the database.

use time::Duration;
use tower_cookies::Cookie;

use super::{Visitor, cookie};
use crate::accounts::email::EmailAddress;
use crate::accounts::username::Username;
use crate::config::Config;

const NAME: &str = "vestibule-login-name";

const LIFETIME: Duration = Duration::minutes(10);

/// No longer one is kept.
const LONGEST: usize = 100;

impl Visitor {
    /// Has the browser keep `typed`, if that is a username or an address at all: people type their
    /// password there by mistake.
    pub fn keep_login_name(&self, typed: &str) {
        let username = Username::parse(typed).map(|name| name.to_string());
        let name = username.or_else(|_| EmailAddress::parse(typed).map(|email| email.to_string()));
        if let Ok(name) = name
            && is_value(&name)
        {
            self.cookies.add(cookie::build(&self.app.config, NAME, name, LIFETIME));
        }
    }

    /// The name that was kept.
    pub fn login_name(&self) -> Option<String> {
        let sent = self.cookies.get(&cookie_name(&self.app.config))?;
        Some(sent.value().to_owned())
    }

    /// Has the browser forget it.
    pub fn forget_login_name(&self) {
        if self.login_name().is_some() {
            let removed: Cookie<'_> =
                cookie::build(&self.app.config, NAME, String::new(), LIFETIME);
            self.cookies.remove(removed);
        }
    }
}

/// Whether the cookie may hold `value`: nothing that is written or read in two ways.
pub fn is_value(value: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
    (1..=LONGEST).contains(&value.len()) && value.bytes().all(is_plain)
}

/// The cookie's name on this site.
pub fn cookie_name(config: &Config) -> String {
    cookie::name(config, NAME)
}
