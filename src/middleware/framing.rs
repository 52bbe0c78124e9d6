//! Refuses requests that a proxy could read differently than this server (request smuggling).

use axum::extract::Request;
use axum::http::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Answers 400 and closes the connection, so that bytes after such a request are not read as the
/// next one (ASVS 4.2.1). hyper has already refused lengths that differ and malformed lines.
pub async fn check(request: Request, next: Next) -> Response {
    let (uri, headers) = (request.uri(), request.headers());
    let is_for_a_proxy = uri.scheme().is_none() && uri.authority().is_some();
    if !is_for_a_proxy && has_one_host(headers) && has_plain_coding(request.method(), headers) {
        return next.run(request).await;
    }
    (StatusCode::BAD_REQUEST, [(CONNECTION, "close")]).into_response()
}

/// At most one host, which is a name or a number, perhaps with a port (RFC 9112, 3.2). HTTP/1.0
/// needs none.
fn has_one_host(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next().is_none_or(|host| {
        let host = host.to_str().ok().and_then(|text| text.parse::<Authority>().ok());
        host.is_some_and(|host| !host.host().is_empty() && !host.as_str().contains('@'))
    });
    host && hosts.next().is_none()
}

/// `chunked`, once, and only where a body is expected: servers disagree on all other spellings.
fn has_plain_coding(method: &Method, headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let is_plain = codings.next().is_none_or(|coding| {
        coding.as_bytes().eq_ignore_ascii_case(b"chunked") && !method.is_safe()
    });
    is_plain && codings.next().is_none()
}
