//! Forms are taken from our own pages alone.
//!
//! tower-http's `CsrfLayer` (a port of Go's `CrossOriginProtection`) refuses what says that it comes
//! from elsewhere. In front of it stands a stricter rule of ours: a request that changes something
//! must show where it comes from, and that must be this site (ASVS 3.5.1, NIST SP 800-63B-4 5.1).

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use tower_http::csrf::{ConfigError, CsrfLayer};
use url::{Host, Url};

use crate::config::Config;
use crate::error::RequestError;
use crate::event::{Details, Event};

/// The layer for this site's origin.
///
/// # Errors
/// Never for a base URL that the settings have taken.
pub fn layer(config: &Config) -> Result<CsrfLayer, ConfigError> {
    CsrfLayer::new().add_trusted_origin(config.base_url.origin())
}

/// Refuses a change whose origin is unknown or not ours.
pub fn refusal(config: &Config, request: &Request) -> Option<Response> {
    // Only POST changes anything here; other methods have no route and are answered 405.
    if request.method() != Method::POST || comes_from_us(config, request.headers()) {
        return None;
    }
    let origin = shown_origin(request.headers()).and_then(|origin| Url::parse(&origin).ok());
    // Parsed and written anew: of what was sent, nothing but a scheme, a host and a port is logged.
    let origin = origin.map(|origin| origin.origin().ascii_serialization());
    Event::CrossSiteRefused.write(Details { origin: origin.as_deref(), ..Details::default() });
    Some(RequestError::Forbidden.into_response())
}

/// `Sec-Fetch-Site`, else `Origin`, else `Referer`. None of the three: no.
fn comes_from_us(config: &Config, headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin" || site == "none";
    }
    let Some(origin) = shown_origin(headers) else {
        return false;
    };
    origin == config.base_url.origin() || is_this_machine(config, headers, &origin)
}

/// Without a configured base URL the site is opened by whatever address leads to it. An `Origin`
/// that equals `Host` then counts when it is a number: a name could be an attacker's, pointed at
/// this machine (DNS rebinding), a number cannot.
fn is_this_machine(config: &Config, headers: &HeaderMap, origin: &str) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let Ok(url) = Url::parse(origin) else {
        return false;
    };
    let is_number = matches!(url.host(), Some(Host::Ipv4(_) | Host::Ipv6(_)));
    config.base_url_is_default
        && is_number
        && host.is_some_and(|host| origin == format!("http://{host}"))
}

fn shown_origin(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?"));
    if let Some(origin) = text(header::ORIGIN) {
        return Some(origin.to_owned());
    }
    let referer = Url::parse(text(header::REFERER)?).ok()?;
    Some(referer.origin().ascii_serialization())
}
