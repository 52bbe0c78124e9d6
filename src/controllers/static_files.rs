//! `/_vestibule/{name}` and `/favicon.ico`: the static files as responses.

use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::assets::Asset;
use crate::error::RequestError;

/// The name changes with the content, so that a copy is never stale (RFC 8246).
const CACHE_FOREVER: &str = "public, max-age=31536000, immutable";

/// `/favicon.ico` keeps its name when the icon changes.
const CACHE_ONE_DAY: &str = "public, max-age=86400";

pub async fn show(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Response, RequestError> {
    let asset = app.assets.named(&name).ok_or(StatusCode::NOT_FOUND)?;
    Ok(respond(asset, CACHE_FOREVER))
}

/// The icon for programs that request it without reading a page.
pub async fn favicon(State(app): State<App>) -> Response {
    respond(app.assets.icon(), CACHE_ONE_DAY)
}

fn respond(asset: &Asset, cache: &'static str) -> Response {
    let headers = [(CONTENT_TYPE, asset.media_type), (CACHE_CONTROL, cache)];
    let mut response = (headers, asset.bytes.clone()).into_response();
    if let Some(policy) = asset.policy() {
        let policy = HeaderValue::from_static(policy);
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}
