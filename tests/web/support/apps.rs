//! A site behind trusted proxies, and the requests that they make for applications.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, Response, StatusCode};
use axum::{Extension, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use tower::ServiceExt;
use vestibule::config::Apps;
use vestibule::{App, Config};

use super::{Browser, Site};

/// The applications of the site, whose own origin is `http://localhost:8000`.
pub const APPS: &str =
    "https://wiki.example.org,https://example.org/app,http://plain.example.org:3000";

pub const WIKI: &str = "https://wiki.example.org";

/// What a browser accepts.
pub const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

/// The trusted proxy.
pub const PROXY: &str = "10.0.0.1";

/// The applications' settings.
pub fn with_apps(config: &mut Config) {
    config.apps = Apps::parse(APPS).unwrap();
    config.trusted_proxies = vec!["10.0.0.1/32".parse().unwrap()];
}

/// The site as somebody at `peer` reaches it.
pub fn at(app: &App, peer: &str) -> Router {
    let peer: SocketAddr = format!("{peer}:4711").parse().unwrap();
    vestibule::site(app).layer(Extension(ConnectInfo(peer)))
}

/// The same site with the applications, as their proxy reaches it.
pub async fn behind_proxy(site: &Site) -> Router {
    at(&site.app_with(with_apps).await, PROXY)
}

/// The `Cookie` header of a login on this site.
pub fn session(browser: &Browser) -> String {
    format!("vestibule={}", browser.cookie("vestibule").unwrap())
}

/// Sends a GET with these headers.
pub async fn get(router: &Router, path: &str, headers: &[(&str, &str)]) -> Response<Body> {
    let request =
        headers.iter().fold(Request::get(path), |it, (name, value)| it.header(*name, *value));
    router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

/// What Caddy and Traefik say of a GET of `url`.
pub fn forwarded(url: &str) -> [(&str, &str); 4] {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (host, target) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    [
        ("x-forwarded-method", "GET"),
        ("x-forwarded-proto", scheme),
        ("x-forwarded-host", host),
        ("x-forwarded-uri", if target.is_empty() { "/" } else { target }),
    ]
}

/// What nginx says of a GET of `url`.
pub fn original(url: &str) -> [(&str, &str); 2] {
    [("x-original-method", "GET"), ("x-original-url", url)]
}

/// Asks as Caddy and Traefik do for a page.
pub async fn ask_proxy(router: &Router, url: &str, cookie: &str) -> Response<Body> {
    let headers = [&forwarded(url)[..], &[("cookie", cookie), HTML]].concat();
    get(router, "/forward/proxy", &headers).await
}

/// Asks as nginx does.
pub async fn ask_nginx(router: &Router, url: &str, cookie: &str) -> Response<Body> {
    let headers = [&original(url)[..], &[("cookie", cookie), HTML]].concat();
    get(router, "/forward/nginx", &headers).await
}

pub fn location(answer: &Response<Body>) -> &str {
    answer.headers().get("location").map_or("", |value| value.to_str().unwrap())
}

/// `name=value` of the only cookie that an answer sets, and its attributes.
pub fn set_cookie(headers: &HeaderMap) -> (String, String) {
    let all: Vec<_> = headers.get_all("set-cookie").iter().collect();
    assert_eq!(all.len(), 1, "{all:?}");
    let (pair, attributes) = all[0].to_str().unwrap().split_once("; ").unwrap();
    (pair.to_owned(), attributes.to_owned())
}

/// A browser's way from an application into it: the cookies that it keeps for the application's host.
#[derive(Clone, Debug)]
pub struct AppLogin {
    /// `vestibule-app-login`, set when the login begins.
    pub browser_cookie: String,
    /// The URL of the callback, with the ticket.
    pub callback: String,
}

impl AppLogin {
    /// Sets out from `page` of an application in a browser with the login's `session` cookie, up to the
    /// callback.
    pub async fn start(router: &Router, page: &str, session: &str) -> Self {
        let (scheme, rest) = page.split_once("://").unwrap();
        let (host, _) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let asked = ask_proxy(router, page, "").await;
        assert_eq!(asked.status(), StatusCode::FOUND);
        let path = location(&asked).strip_prefix(&format!("{scheme}://{host}")).unwrap();
        let on_host = [("x-forwarded-proto", scheme), ("x-forwarded-host", host)];
        let started = get(router, path, &on_host).await;
        assert_eq!(started.status(), StatusCode::SEE_OTHER);
        let browser_cookie = set_cookie(started.headers()).0;
        let mut place = location(&started).to_owned();
        while let Some(path) = place
            .strip_prefix("http://localhost:8000")
            .or(place.starts_with('/').then_some(place.as_str()))
        {
            let answer = get(router, path, &[("cookie", session)]).await;
            assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{path}");
            location(&answer).clone_into(&mut place);
        }
        Self { browser_cookie, callback: place }
    }

    /// Follows the callback on the host of `origin` with the cookie `browser_cookie`.
    pub async fn finish(
        &self,
        router: &Router,
        origin: &str,
        browser_cookie: &str,
    ) -> Response<Body> {
        let (scheme, host) = origin.split_once("://").unwrap();
        let start = self.callback.find("/.vestibule/").unwrap();
        let headers =
            [("x-forwarded-proto", scheme), ("x-forwarded-host", host), ("cookie", browser_cookie)];
        get(router, &self.callback[start..], &headers).await
    }
}

/// The cookie of the application at `origin` for a browser with the login's `session` cookie.
pub async fn app_cookie(router: &Router, origin: &str, session: &str) -> String {
    let page = if origin == "https://example.org" { "https://example.org/app" } else { origin };
    let login = AppLogin::start(router, page, session).await;
    let answer = login.finish(router, origin, &login.browser_cookie).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    set_cookie(answer.headers()).0
}

/// The header and the claims of a token, not verified.
pub fn read_token(token: &str) -> (Value, Value) {
    let parts: Vec<_> = token.split('.').collect();
    assert_eq!(parts.len(), 3);
    let read = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    (read(parts[0]), read(parts[1]))
}
