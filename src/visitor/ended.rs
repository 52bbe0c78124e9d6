//! The cookie that has the next page say that a session has ended.
//!
//! A cookie and not a notice in a new session: whoever makes up session cookies would get a row of
//! the database for each.

use time::Duration;
use tower_cookies::{Cookie, Cookies};

use crate::config::Config;

const NAME: &str = "vestibule-ended";

/// The page comes at once, or not at all.
const LIFETIME: Duration = Duration::minutes(1);

/// Sends it along.
pub fn note(config: &Config, cookies: &Cookies) {
    cookies.add(cookie(config));
}

/// Whether it came, and takes it back.
pub fn take(config: &Config, cookies: &Cookies) -> bool {
    let cookie = cookie(config);
    let is_there = cookies.get(cookie.name()).is_some();
    if is_there {
        cookies.remove(cookie);
    }
    is_there
}

/// The cookie's name on this site.
pub fn cookie_name(config: &Config) -> String {
    super::cookie::name(config, NAME)
}

fn cookie(config: &Config) -> Cookie<'static> {
    super::cookie::build(config, NAME, "1".to_owned(), LIFETIME)
}
