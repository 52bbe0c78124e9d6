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

/// On our own answers.
const OWN: [(HeaderName, HeaderValue); 2] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY)),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// `same-origin`, not `no-referrer`: the latter makes browsers send `Origin: null` with our own
/// forms, and on plain http nothing else identifies them.
const ALWAYS: [(HeaderName, HeaderValue); 6] = [
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
];

/// Adds the headers that an answer of ours does not have.
pub fn layer(config: &Config) -> MapResponseLayer<impl Fn(Response) -> Response + Clone + use<>> {
    let (is_https, hsts) = (config.base_url.is_https(), hsts(config));
    MapResponseLayer::new(move |mut response: Response| {
        add_missing(response.headers_mut(), OWN, hsts.clone());
        complete_cookies(response.headers_mut(), is_https);
        response
    })
}

/// The value of `Strict-Transport-Security`, if there is one.
pub fn hsts(config: &Config) -> Option<HeaderValue> {
    config.hsts().and_then(|value| HeaderValue::from_str(value).ok())
}

/// Adds `special`, what every answer needs and `hsts`, unless they are there.
pub fn add_missing<const N: usize>(
    headers: &mut HeaderMap,
    special: [(HeaderName, HeaderValue); N],
    hsts: Option<HeaderValue>,
) {
    let hsts = hsts.map(|value| (header::STRICT_TRANSPORT_SECURITY, value));
    headers.reserve(N + ALWAYS.len() + 1);
    for (name, value) in special.into_iter().chain(ALWAYS).chain(hsts) {
        headers.entry(name).or_insert(value);
    }
}

/// Lets the forms of a page lead on to an application: Chromium applies `form-action` to redirects, too.
pub fn form_action_layer(
    config: &Config,
) -> MapResponseLayer<impl Fn(Response) -> Response + Clone + use<>> {
    let mut sources = vec!["form-action 'self'"];
    sources.extend(config.apps.origins());
    let policy = CONTENT_SECURITY_POLICY.replace(sources[0], &sources.join(" "));
    let policy = HeaderValue::from_str(&policy).ok();
    MapResponseLayer::new(move |mut response: Response| {
        if let Some(policy) = &policy {
            response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy.clone());
        }
        response
    })
}

/// tower-sessions 0.15 removes its cookie without these attributes, and browsers refuse that for a name
/// that starts with `__Host-`: the cookie would stay. Fixed upstream (PR 268), not yet released.
fn complete_cookies(headers: &mut HeaderMap, is_https: bool) {
    let secure = if is_https { "; Secure" } else { "" };
    for (_, cookie) in headers.iter_mut().filter(|(name, _)| *name == header::SET_COOKIE) {
        if let Ok(text) = cookie.to_str()
            && !text.contains("; HttpOnly")
            && let Ok(complete) = format!("{text}; HttpOnly; SameSite=Lax{secure}").parse()
        {
            *cookie = complete;
        }
    }
}
