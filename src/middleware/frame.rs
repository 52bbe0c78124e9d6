//! Puts the frame of an application around each of our pages.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error_pages::is_page;
use crate::app::App;
use crate::current_user::CurrentUser;

pub async fn apply(State(app): State<App>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let Some(frame) = app.frame.as_ref().filter(|_| is_page(response.headers())) else {
        return response;
    };
    let user = response.extensions().get::<CurrentUser>().cloned();
    let (mut head, body) = response.into_parts();
    // It was made in memory.
    let Ok(html) = to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let framed = str::from_utf8(&html).ok().and_then(|html| frame.around(html, user));
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, framed.map_or_else(|| Body::from(html), Body::from))
}
