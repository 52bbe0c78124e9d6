//! Security headers, on every answer.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use tower::util::MapResponseLayer;

use crate::config::Config;

/// Our own style sheet, script and images only, forms to ourselves, no frames (ASVS 3.4.3, 3.4.6).
/// `connect-src` is for the forms that our script sends, and for Lighthouse, which fetches /robots.txt
/// from the page and reports a refusal as a broken file.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Two years, with subdomains (ASVS 3.4.1).
const STRICT_TRANSPORT_SECURITY: HeaderValue =
    HeaderValue::from_static("max-age=63072000; includeSubDomains");

/// `same-origin`, not `no-referrer`: the latter makes browsers send `Origin: null` with our own
/// forms, and on plain http nothing else identifies them.
const ALWAYS: [(HeaderName, HeaderValue); 8] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY)),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// The layer for this site.
pub fn layer(config: &Config) -> MapResponseLayer<impl Fn(Response) -> Response + Clone + use<>> {
    let is_https = config.base_url.is_https();
    MapResponseLayer::new(move |response| completed(response, is_https))
}

/// Adds the headers that the answer does not have.
fn completed(mut response: Response, is_https: bool) -> Response {
    let headers = response.headers_mut();
    headers.reserve(ALWAYS.len() + 1);
    for (name, value) in ALWAYS {
        set_if_absent(headers, name, value);
    }
    if is_https {
        set_if_absent(headers, header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT_SECURITY);
    }
    complete_cookies(headers, is_https);
    response
}

fn set_if_absent(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    headers.entry(name).or_insert(value);
}

/// tower-sessions 0.15 removes a cookie without `Secure`, and browsers refuse that for a name that
/// starts with `__Host-`: the cookie would stay. Mended upstream (PR 268), not yet released.
fn complete_cookies(headers: &mut HeaderMap, is_https: bool) {
    if !headers.contains_key(header::SET_COOKIE) {
        return;
    }
    let cookies: Vec<HeaderValue> = headers.get_all(header::SET_COOKIE).iter().cloned().collect();
    headers.remove(header::SET_COOKIE);
    for cookie in cookies {
        headers.append(header::SET_COOKIE, completed_cookie(&cookie, is_https).unwrap_or(cookie));
    }
}

/// The cookie with the attributes that all our cookies have.
fn completed_cookie(cookie: &HeaderValue, is_https: bool) -> Option<HeaderValue> {
    let mut text = cookie.to_str().ok()?.to_owned();
    for attribute in ["HttpOnly", "SameSite=Lax", "Secure"] {
        let is_there = text.split(';').skip(1).any(|part| part.trim() == attribute);
        if !is_there && (is_https || attribute != "Secure") {
            text = format!("{text}; {attribute}");
        }
    }
    text.parse().ok()
}
