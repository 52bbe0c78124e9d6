//! Accepts forms from our own pages only.
//!
//! tower-http's `CsrfLayer` (a port of Go's `CrossOriginProtection`) refuses requests that name another
//! origin. Our own check before it is stricter: a request that changes something must name its origin,
//! and it must be this site (ASVS 3.5.1, NIST SP 800-63B-4 5.1).

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower_http::csrf::{ConfigError, CsrfLayer};
use url::{Host, Url};

use crate::app::App;
use crate::config::Config;
use crate::error::RequestError;
use crate::event::Event;

/// The layer for this site's origin.
pub fn layer(config: &Config) -> Result<CsrfLayer, ConfigError> {
    CsrfLayer::new().add_trusted_origin(config.base_url.origin())
}

/// Refuses a POST whose origin is unknown or not ours. Other methods change nothing here.
pub async fn check(State(app): State<App>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST || is_same_origin(&app.config, request.headers()) {
        return next.run(request).await;
    }
    let origin = origin_of(request.headers()).and_then(|origin| Url::parse(&origin).ok());
    // Only the scheme, host and port of what was sent are logged.
    let origin = origin.map(|origin| origin.origin().ascii_serialization());
    Event::CrossSiteRefused { origin: origin.as_deref() }.write();
    RequestError::Forbidden.into_response()
}

/// `Sec-Fetch-Site`, else `Origin`, else `Referer`. None of the three: no.
fn is_same_origin(config: &Config, headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin" || site == "none";
    }
    let Some(origin) = origin_of(headers) else {
        return false;
    };
    origin == config.base_url.origin() || is_numeric_host(config, headers, &origin)
}

/// Without a configured base URL the site is opened by whatever address leads to it. An `Origin`
/// that equals `Host` then counts when it is a number: a name could be an attacker's, pointed at
/// this machine (DNS rebinding), a number cannot.
fn is_numeric_host(config: &Config, headers: &HeaderMap, origin: &str) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let Ok(url) = Url::parse(origin) else {
        return false;
    };
    let is_number = matches!(url.host(), Some(Host::Ipv4(_) | Host::Ipv6(_)));
    config.base_url_is_default
        && is_number
        && host.is_some_and(|host| origin == format!("http://{host}"))
}

fn origin_of(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?"));
    if let Some(origin) = text(header::ORIGIN) {
        return Some(origin.to_owned());
    }
    let referer = Url::parse(text(header::REFERER)?).ok()?;
    Some(referer.origin().ascii_serialization())
}
