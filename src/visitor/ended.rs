//! The cookie that has the next page say why a session is over.
//!
//! A cookie and not a notice in a new session: whoever makes up session cookies would get a row of
//! the database for each.

use time::Duration;
use tower_cookies::{Cookie, Cookies};

use crate::config::Config;
use crate::flash::Flash;

const NAME: &str = "vestibule-ended";

/// The page comes at once, or not at all.
const LIFETIME: Duration = Duration::minutes(1);

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It expired, or was ended from another browser.
    Session,
    /// The reset in it timed out.
    Reset,
    /// A repeated "Log out".
    LoggedOut,
}

const VALUES: [(Ended, &str, Flash); 3] = [
    (Ended::Session, "1", Flash::SessionEnded),
    (Ended::Reset, "reset", Flash::ResetEnded),
    (Ended::LoggedOut, "logged_out", Flash::LoggedOut),
];

/// Sends it along.
pub fn note(config: &Config, cookies: &Cookies, why: Ended) {
    let value = VALUES.iter().find(|(of, ..)| *of == why).map_or("", |&(_, value, _)| value);
    cookies.add(cookie(config, value));
}

/// What it has the page say, if it came, and takes it back.
pub fn take(config: &Config, cookies: &Cookies) -> Option<Flash> {
    let sent = cookies.get(&cookie_name(config))?;
    cookies.remove(cookie(config, ""));
    let found = VALUES.iter().find(|(_, value, _)| *value == sent.value());
    found.map(|(.., flash)| flash.clone())
}

/// Whether it may hold `value`.
pub fn is_value(value: &str) -> bool {
    VALUES.iter().any(|(_, known, _)| *known == value)
}

/// The cookie's name on this site.
pub fn cookie_name(config: &Config) -> String {
    super::cookie::name(config, NAME)
}

fn cookie(config: &Config, value: &'static str) -> Cookie<'static> {
    super::cookie::build(config, NAME, value.to_owned(), LIFETIME)
}
