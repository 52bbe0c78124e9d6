//! Security headers, on every answer.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::app::App;

/// Nothing but our own style sheet, script and icon, forms to ourselves, in nobody's frame (ASVS 3.4.3, 3.4.6).
/// `connect-src` is for Lighthouse alone, which asks for /robots.txt in the page's name and takes a
/// refusal for a broken file; our script connects to nothing.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Two years, with subdomains (ASVS 3.4.1).
const STRICT_TRANSPORT_SECURITY: &str = "max-age=63072000; includeSubDomains";

/// `same-origin`, not `no-referrer`: the latter makes browsers send `Origin: null` with our own
/// forms, and on plain http there is nothing else to know them by.
const ALWAYS: [(HeaderName, &str); 8] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
    (header::CACHE_CONTROL, "no-store"),
];

/// Adds what the answer does not say itself.
pub async fn add(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        set_if_absent(headers, name, value);
    }
    if app.config.base_url.is_https() {
        set_if_absent(headers, header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT_SECURITY);
        secure_removal_cookies(headers);
    }
    response
}

fn set_if_absent(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    if !headers.contains_key(&name) {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// tower-sessions 0.15 removes a cookie without `Secure`, and browsers refuse that for a name that
/// starts with `__Host-`: the cookie would stay. Mended upstream (PR 268), not yet released.
fn secure_removal_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<HeaderValue> = headers.get_all(header::SET_COOKIE).iter().cloned().collect();
    headers.remove(header::SET_COOKIE);
    for cookie in cookies {
        headers.append(header::SET_COOKIE, secured(&cookie).unwrap_or(cookie));
    }
}

fn secured(cookie: &HeaderValue) -> Option<HeaderValue> {
    let text = cookie.to_str().ok()?;
    if text.split(';').any(|part| part.trim().eq_ignore_ascii_case("secure")) {
        return None;
    }
    format!("{text}; Secure; HttpOnly; SameSite=Lax").parse().ok()
}
