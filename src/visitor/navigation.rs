//! Whether a browser asks for a page, and can be shown the login page instead.

use axum::http::{HeaderMap, header};

/// Whether it navigates. A script that gets the login page in place of its data cannot use it: it must
/// be told by a status.
pub fn is_for_a_page(method: &str, headers: &HeaderMap) -> bool {
    let is_read = matches!(method, "GET" | "HEAD");
    let by_script = headers.contains_key("x-requested-with");
    let mode = headers.get("sec-fetch-mode");
    is_read && !by_script && mode.is_none_or(|mode| mode == "navigate") && takes_html(headers)
}

fn takes_html(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(header::ACCEPT).iter().peekable();
    let is_html = |kinds: &[u8]| kinds.to_ascii_lowercase().windows(9).any(|it| it == b"text/html");
    accepted.peek().is_none() || accepted.any(|kinds| is_html(kinds.as_bytes()))
}
