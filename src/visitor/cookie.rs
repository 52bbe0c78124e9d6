//! What every cookie of ours has in common: no script reads it, no other site sends it along.

use time::Duration;
use tower_cookies::Cookie;
use tower_cookies::cookie::SameSite;

use crate::config::Config;

/// On https bound to the host by its name (RFC 6265bis `__Host-`).
pub fn name(config: &Config, plain: &str) -> String {
    if config.base_url.is_https() { format!("__Host-{plain}") } else { plain.to_owned() }
}

/// A cookie that lives so long.
pub fn build(config: &Config, plain: &str, value: String, life: Duration) -> Cookie<'static> {
    let cookie = Cookie::build((name(config, plain), value)).http_only(true);
    let cookie = cookie.same_site(SameSite::Lax).secure(config.base_url.is_https());
    cookie.path("/").max_age(life).build()
}
