//! The cookies of this site: their names, their values, how long they live.

use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use time::Duration;
use tower_cookies::cookie::SameSite;
use tower_cookies::{Cookie, Cookies};
use tower_sessions::session::Id;

use crate::accounts::app_login;
use crate::config::Config;
use crate::flash::Flash;
use crate::models::device::{LIFETIME, MAX_TOKENS};
use crate::random::is_token;

/// A cookie. No script reads it, and no other site sends it along.
pub struct OwnCookie {
    name: &'static str,
    /// Whether a value is one that we could have set.
    pub is_value: fn(&str) -> bool,
    life: Duration,
}

/// The session's id. tower-sessions sets it and its `Max-Age`.
pub const SESSION: OwnCookie = OwnCookie {
    name: "vestibule",
    is_value: |value| value.parse::<Id>().is_ok(),
    life: Duration::ZERO,
};

/// The tokens of the accounts that this browser was used for, long after its sessions have ended.
pub const DEVICES: OwnCookie = OwnCookie {
    name: "vestibule-device",
    is_value: |value| value.split('.').all(is_token),
    life: Duration::seconds(LIFETIME),
};

/// Why a session ended, for the next page. It follows within a moment or not at all.
pub const FLASH: OwnCookie = OwnCookie {
    name: "vestibule-ended",
    is_value: |value| COOKIE_FLASHES.iter().any(|(known, _)| *known == value),
    life: Duration::minutes(1),
};

/// The values of [`FLASH`]: a session that expired or was revoked elsewhere, a reset that timed out, a
/// repeated "Log out".
pub const COOKIE_FLASHES: [(&str, Flash); 5] = [
    ("1", Flash::SessionEnded),
    ("reset", Flash::ResetEnded),
    ("code", Flash::CodeEnded),
    ("register", Flash::RegistrationEnded),
    ("logged_out", Flash::LoggedOut),
];

/// The name of a refused login. Nothing is stored that is written or read in two ways.
pub const LOGIN_NAME: OwnCookie = OwnCookie {
    name: "vestibule-login-name",
    is_value: |value| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
        (1..=100).contains(&value.len()) && value.bytes().all(is_plain)
    },
    life: Duration::minutes(10),
};

pub const ALL: [&OwnCookie; 4] = [&SESSION, &DEVICES, &FLASH, &LOGIN_NAME];

impl OwnCookie {
    /// On https bound to the host by its name (RFC 6265bis `__Host-`).
    pub fn name(&self, config: &Config) -> String {
        let prefix = if config.base_url.is_https() { "__Host-" } else { "" };
        format!("{prefix}{}", self.name)
    }

    pub fn value_in(&self, config: &Config, cookies: &Cookies) -> Option<String> {
        cookies.get(&self.name(config)).map(|cookie| cookie.value().to_owned())
    }

    /// As [`OwnCookie::value_in`], for requests that go through no layer that reads cookies.
    pub fn value_in_headers<'a>(&self, config: &Config, headers: &'a HeaderMap) -> Option<&'a str> {
        value_of(headers, &self.name(config), self.is_value)
    }

    pub fn build(&self, config: &Config, value: String) -> Cookie<'static> {
        let cookie = Cookie::build((self.name(config), value)).http_only(true);
        let cookie = cookie.same_site(SameSite::Lax).secure(config.base_url.is_https());
        cookie.path("/").max_age(self.life).build()
    }
}

/// The tokens of the request, the last used first: one for each account, so that a browser that several
/// people use is known to each account.
pub fn device_tokens(config: &Config, cookies: &Cookies) -> Vec<String> {
    let sent = DEVICES.value_in(config, cookies).unwrap_or_default();
    let tokens = sent.split('.').filter(|token| is_token(token));
    tokens.take(MAX_TOKENS).map(str::to_owned).collect()
}

/// The value of the cookie whose name is `name`, byte for byte (RFC 6265, 4.2 and 5.4), if `is_value`
/// says that we could have set it. Ours have no `%` and no quote, which parsers read differently.
///
/// Two different values count as none. No browser sends them, because ours have one path and no
/// domain, except where another host of the domain has set one on plain http; and that host chooses
/// which comes first and which last.
pub fn value_of<'a>(
    headers: &'a HeaderMap,
    name: &str,
    is_value: impl Fn(&str) -> bool,
) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    let mut values = pairs.filter_map(|pair| {
        let value = pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        str::from_utf8(value).ok().filter(|value| is_value(value))
    });
    let first = values.next()?;
    values.all(|other| other == first).then_some(first)
}

/// A cookie on the host of an application, set through its proxy.
pub struct AppCookie {
    name: &'static str,
    is_value: fn(&str) -> bool,
    /// In seconds; none ends with the browser.
    life: Option<i64>,
}

/// Names the login session. When the browser has been closed, the next visit gets another one unseen.
pub const APP: AppCookie =
    AppCookie { name: "vestibule-app", is_value: app_login::is_app_cookie, life: None };

/// The browser in which a login began at the application. Registering may take a while.
pub const LOGIN_STARTED: AppCookie = AppCookie {
    name: "vestibule-app-login",
    is_value: app_login::is_token,
    life: Some(24 * 60 * 60),
};

impl AppCookie {
    /// On https bound to the host by its name, as [`OwnCookie::name`] is.
    fn name(&self, origin: &str) -> String {
        let prefix = if is_https(origin) { "__Host-" } else { "" };
        format!("{prefix}{}", self.name)
    }

    /// What came to the application at `origin`.
    pub fn value<'a>(&self, headers: &'a HeaderMap, origin: &str) -> Option<&'a str> {
        value_of(headers, &self.name(origin), self.is_value)
    }

    /// The `Set-Cookie` header of the application at `origin`.
    pub fn set(&self, origin: &str, value: &str) -> String {
        let secure = if is_https(origin) { "; Secure" } else { "" };
        let life = self.life.map_or_else(String::new, |life| format!("; Max-Age={life}"));
        format!("{}={value}; HttpOnly; SameSite=Lax{secure}; Path=/{life}", self.name(origin))
    }

    /// The `Set-Cookie` header that removes it.
    pub fn remove(&self, origin: &str) -> String {
        AppCookie { life: Some(0), ..*self }.set(origin, "")
    }
}

fn is_https(origin: &str) -> bool {
    origin.starts_with("https://")
}
