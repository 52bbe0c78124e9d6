//! What every cookie of ours has in common: no script reads it, no other site sends it along.

use time::Duration;
use tower_cookies::Cookie;
use tower_cookies::cookie::SameSite;
use tower_sessions::session::Id;

use super::{device, ended, login_name};
use crate::accounts::trusted_devices::is_token;
use crate::config::Config;

/// On https bound to the host by its name (RFC 6265bis `__Host-`).
pub fn name(config: &Config, plain: &str) -> String {
    if config.base_url.is_https() { format!("__Host-{plain}") } else { plain.to_owned() }
}

/// The name of the session's cookie.
pub fn session_name(config: &Config) -> &'static str {
    if config.base_url.is_https() { "__Host-vestibule" } else { "vestibule" }
}

/// A cookie's name, and whether a value is one that we could have set.
pub type OwnCookie = (String, fn(&str) -> bool);

/// All cookies of ours.
pub fn own(config: &Config) -> [OwnCookie; 4] {
    [
        (session_name(config).to_owned(), |value| value.parse::<Id>().is_ok()),
        (device::cookie_name(config), |value| value.split('.').all(is_token)),
        (ended::cookie_name(config), ended::is_value),
        (login_name::cookie_name(config), login_name::is_value),
    ]
}

/// A cookie that lives so long.
pub fn build(config: &Config, plain: &str, value: String, life: Duration) -> Cookie<'static> {
    let cookie = Cookie::build((name(config, plain), value)).http_only(true);
    let cookie = cookie.same_site(SameSite::Lax).secure(config.base_url.is_https());
    cookie.path("/").max_age(life).build()
}
