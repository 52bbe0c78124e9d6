//! Accepts forms from this site's own pages only: a POST must name its origin, and it must be this site
//! (ASVS 3.5.1, NIST SP 800-63B-4 5.1).

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN, REFERER};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use url::{Host, Url};

use crate::app::App;
use crate::config::Config;
use crate::event::Event;

/// Refuses a POST whose origin is unknown or another one. Other methods change nothing here.
pub async fn check(State(app): State<App>, request: Request, next: Next) -> Response {
    if request.method() == Method::POST && is_from_elsewhere(&app.config, request.headers()) {
        return StatusCode::FORBIDDEN.into_response();
    }
    next.run(request).await
}

/// Whether a request shows no origin or another one. It is then logged.
pub fn is_from_elsewhere(config: &Config, headers: &HeaderMap) -> bool {
    if is_same_origin(config, headers) {
        return false;
    }
    let origin = origin_of(headers).and_then(|origin| Url::parse(&origin).ok());
    // Only the scheme, host and port of what was sent are logged.
    let origin = origin.map(|origin| origin.origin().ascii_serialization());
    Event::CrossSiteRefused { origin: origin.as_deref() }.write();
    true
}

/// `Sec-Fetch-Site`, else `Origin`, else `Referer`. None of the three: no.
fn is_same_origin(config: &Config, headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin" || site == "none";
    }
    origin_of(headers).is_some_and(|origin| {
        origin == config.base_url.origin() || is_numeric_host(config, headers, &origin)
    })
}

/// Whether a request names `origin` as its own, and nothing else. `null` names none: browsers send it with
/// the forms of pages that have `Referrer-Policy: no-referrer`, as with Express's helmet.
pub fn is_from(origin: &str, headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site");
    let is_same = site.is_some_and(|site| site == "same-origin");
    let is_other = !is_same && site.is_some_and(|site| site != "none");
    let named = origin_of(headers).filter(|named| named != "null");
    !is_other && named.map_or(is_same, |named| named == origin)
}

/// Without a configured base URL the site is opened by any address that leads to it. An `Origin`
/// that equals `Host` then counts when it is a number: a name could be an attacker's that resolves to
/// this machine (DNS rebinding), a number cannot.
fn is_numeric_host(config: &Config, headers: &HeaderMap, origin: &str) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let url = Url::parse(origin).ok();
    config.base_url_is_default
        && origin == format!("http://{host}")
        && matches!(url.as_ref().and_then(Url::host), Some(Host::Ipv4(_) | Host::Ipv6(_)))
}

fn origin_of(headers: &HeaderMap) -> Option<String> {
    if let Some(origin) = headers.get(ORIGIN) {
        return origin.to_str().ok().map(str::to_owned);
    }
    let referer = Url::parse(headers.get(REFERER)?.to_str().ok()?).ok()?;
    Some(referer.origin().ascii_serialization())
}
