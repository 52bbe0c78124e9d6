//! The device cookie: the tokens of the accounts that this browser was used for, long after its
//! sessions have ended.

use time::Duration;
use tower_cookies::Cookies;

use super::{Visitor, cookie};
use crate::accounts::trusted_devices::is_token;
use crate::config::Config;
use crate::models::device::{LIFETIME, MOST_TOKENS};

const NAME: &str = "vestibule-device";

impl Visitor {
    /// Has the browser keep these tokens. Only after a login or a new password: nobody else gets this
    /// cookie.
    pub fn keep_device_tokens(&self, tokens: &[String]) {
        let life = Duration::seconds(LIFETIME);
        self.cookies.add(cookie::build(&self.app.config, NAME, tokens.join("."), life));
    }
}

/// The tokens that came with the request, the last used first: one for each account, so that people
/// who share a browser are not new to it by turns.
pub fn sent(config: &Config, cookies: &Cookies) -> Vec<String> {
    let cookie = cookies.get(&cookie_name(config));
    let tokens = cookie.as_ref().map_or("", |cookie| cookie.value()).split('.');
    tokens.filter(|token| is_token(token)).take(MOST_TOKENS).map(str::to_owned).collect()
}

/// The cookie's name on this site.
pub fn cookie_name(config: &Config) -> String {
    cookie::name(config, NAME)
}
