//! Requests of proxies on behalf of an application: which application, and what was asked of it.

use axum::http::{Extensions, HeaderMap};
use url::Url;

use super::navigation::is_for_a_page;
use super::{cookies, peer};
use crate::accounts::app_login::session_of_app;
use crate::app::App;
use crate::forwarded::ForwardedUrl;
use crate::models::session::session_key;
use crate::next_path::{is_short, with_next};

/// A request that a proxy asks about.
pub struct ForwardedRequest {
    /// The application's origin.
    pub origin: String,
    /// Whether it is this site's own.
    is_own: bool,
    /// Path and query, as they were asked for.
    pub path: String,
    /// As the proxy says it, if it does.
    method: String,
}

/// Why a request of a proxy is refused.
#[derive(Clone, Copy, Debug)]
pub enum Refusal {
    NotTrusted,
    Unreadable,
    UnknownApp,
    /// A form that comes from elsewhere.
    OtherOrigin,
}

impl Refusal {
    /// In the log.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotTrusted => "not_a_trusted_proxy",
            Self::Unreadable => "unreadable",
            Self::UnknownApp => "unknown_app",
            Self::OtherOrigin => "other_origin",
        }
    }

    /// For people.
    pub fn message(self) -> &'static str {
        match self {
            Self::NotTrusted => "VESTIBULE_TRUSTED_PROXIES does not list the proxy.",
            Self::Unreadable => "The proxy does not say which page was asked for.",
            Self::UnknownApp => "VESTIBULE_APPS does not list this application.",
            Self::OtherOrigin => "Log out by the application's own button.",
        }
    }
}

impl ForwardedRequest {
    /// As nginx asks. `X-Forwarded-*` may be the client's own there.
    pub fn from_original_url(
        app: &App,
        extensions: &Extensions,
        headers: &HeaderMap,
    ) -> Result<Self, Refusal> {
        let url = single(headers, "x-original-url").and_then(ForwardedUrl::from_url);
        Self::of(app, extensions, url.zip(method(headers, "x-original-method")))
    }

    /// As Caddy and Traefik ask. `X-Original-*` may be the client's own there.
    pub fn from_forwarded_headers(
        app: &App,
        extensions: &Extensions,
        headers: &HeaderMap,
    ) -> Result<Self, Refusal> {
        let target = single(headers, "x-forwarded-uri");
        let url = target.and_then(|target| forwarded_url(headers, target));
        Self::of(app, extensions, url.zip(method(headers, "x-forwarded-method")))
    }

    fn of(
        app: &App,
        extensions: &Extensions,
        read: Option<(ForwardedUrl, String)>,
    ) -> Result<Self, Refusal> {
        if !peer::is_from_proxy(extensions, &app.config) {
            return Err(Refusal::NotTrusted);
        }
        let (url, method) = read.ok_or(Refusal::Unreadable)?;
        let origin = url.url.origin().ascii_serialization();
        let is_own = origin == app.config.base_url.origin();
        let asked = url.path.split('?').next().unwrap_or_default();
        let is_app = app.config.apps.at(&origin).any(|app| app.contains(asked));
        if !is_own && !is_app {
            return Err(Refusal::UnknownApp);
        }
        Ok(Self { origin, is_own, path: url.path, method })
    }

    /// The key of the session that the request came with, if any.
    pub fn session_key(&self, app: &App, headers: &HeaderMap) -> Option<Vec<u8>> {
        if self.is_own {
            let cookie = cookies::SESSION.value_in_headers(&app.config, headers);
            return cookie.and_then(session_key);
        }
        let cookie = cookies::APP.value(headers, &self.origin)?;
        session_of_app(app, &self.origin, cookie)
    }

    /// Where to log in and come back from. Proxies refuse a `Location` that is much longer than a path
    /// that is followed.
    pub fn login_url(&self, app: &App) -> String {
        let next = if is_short(&self.path) { &self.path } else { "/" };
        if self.is_own {
            format!("{}{}", app.config.base_url, with_next("/login", next))
        } else {
            format!("{}{}", self.origin, with_next("/.vestibule/login", next))
        }
    }

    /// Whether a browser navigates, so that it can be shown the login page.
    pub fn is_for_a_page(&self, headers: &HeaderMap) -> bool {
        is_for_a_page(&self.method, headers)
    }
}

/// The origin of the application, other than this site's, on whose host a request arrived.
pub fn app_host(
    app: &App,
    extensions: &Extensions,
    headers: &HeaderMap,
) -> Result<String, Refusal> {
    if !peer::is_from_proxy(extensions, &app.config) {
        return Err(Refusal::NotTrusted);
    }
    let url = forwarded_url(headers, b"/").ok_or(Refusal::Unreadable)?;
    let origin = url.url.origin().ascii_serialization();
    let is_own = origin == app.config.base_url.origin();
    if is_own || app.config.apps.at(&origin).next().is_none() {
        return Err(Refusal::UnknownApp);
    }
    Ok(origin)
}

fn forwarded_url(headers: &HeaderMap, target: &[u8]) -> Option<ForwardedUrl> {
    let scheme = single(headers, "x-forwarded-proto")?;
    ForwardedUrl::from_parts(scheme, single(headers, "x-forwarded-host")?, target)
}

/// The value of a header that is there once: of two, another program may take the other one.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.as_bytes())
}

/// A proxy need not tell the method: then it is none. One that cannot be a method is no answer.
fn method(headers: &HeaderMap, name: &str) -> Option<String> {
    if !headers.contains_key(name) {
        return Some(String::new());
    }
    let method = str::from_utf8(single(headers, name)?).ok()?;
    let is_plain = |byte: u8| byte.is_ascii_alphabetic() || b"-_".contains(&byte);
    method.bytes().all(is_plain).then(|| method.to_owned())
}

/// The application that a URL leads to, other than this site's own pages, and the URL.
pub fn app_of(app: &App, url: &str) -> Option<(String, String)> {
    let url = Url::parse(url).ok()?;
    let found = app.config.apps.find(&url)?;
    let is_own = found.origin == app.config.base_url.origin();
    (!is_own).then(|| (found.origin.clone(), url.into()))
}
