//! Answers a form that was sent by `fetch` in a way that its script can read.
//!
//! A script cannot see where a redirect leads without following it, and following it would use up the
//! flash of the next page. It gets a 200 with the same `Location` and cookies instead, and navigates
//! there itself, because password managers wait for a navigation.

use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

/// Turns a 303 into a 200 for a POST with `X-Requested-With: fetch`, which static/app.js sends.
pub async fn show_redirect(request: Request, next: Next) -> Response {
    let sent_by = request.headers().get("x-requested-with");
    let by_fetch = request.method() == Method::POST && sent_by.is_some_and(|by| by == "fetch");
    let mut response = next.run(request).await;
    if by_fetch && response.status() == StatusCode::SEE_OTHER {
        *response.status_mut() = StatusCode::OK;
    }
    response
}
