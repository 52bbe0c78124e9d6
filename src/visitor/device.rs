//! The device cookie: by it a browser is known again, long after its sessions have ended.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use time::Duration;
use tower_cookies::cookie::SameSite;
use tower_cookies::{Cookie, Cookies};

use crate::config::Config;
use crate::models::device::LIFETIME;
use crate::random;

/// 128 bits, as base64url without padding.
const TOKEN_LENGTH: usize = 22;

/// The browser's token, made and sent along when it has none. Only called when somebody
/// logs in or sets a password: nobody else gets this cookie.
pub fn token(config: &Config, cookies: &Cookies) -> String {
    let name = name(config);
    let token = sent(config, cookies).unwrap_or_else(new_token);
    let is_https = config.base_url.is_https();
    let cookie = Cookie::build((name, token.clone()))
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(is_https)
        .path("/")
        .max_age(Duration::seconds(LIFETIME));
    cookies.add(cookie.build());
    token
}

/// The token that came with the request, if one did.
pub fn sent(config: &Config, cookies: &Cookies) -> Option<String> {
    let found = cookies.get(name(config)).map(|cookie| cookie.value().to_owned());
    found.filter(|token| is_token(token))
}

fn name(config: &Config) -> &'static str {
    if config.base_url.is_https() { "__Host-vestibule-device" } else { "vestibule-device" }
}

fn new_token() -> String {
    URL_SAFE_NO_PAD.encode(random::bytes::<16>())
}

fn is_token(text: &str) -> bool {
    text.len() == TOKEN_LENGTH && URL_SAFE_NO_PAD.decode(text).is_ok()
}
