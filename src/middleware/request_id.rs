//! One id per request: in `X-Request-Id`, in every line of the log, on the page of a failure.

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use crate::app::App;
use crate::event::{self, Origin};
use crate::random;
use crate::visitor::peer;

const NAME: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is accepted from a proxy; a UUID has 36 characters.
const MAX_LENGTH: usize = 64;

/// Gives the request its id, for the response and the log.
pub async fn assign(State(app): State<App>, request: Request, next: Next) -> Response {
    let id = proxy_id(&request, &app).unwrap_or_else(|| random::id(app.clock.millis()));
    let address = peer::address(request.extensions(), request.headers(), &app.config);
    let peer = Some(address).filter(|address| !address.is_unspecified());
    let origin = Origin { request: id.clone(), peer };
    let mut response = event::with_origin(Some(origin), next.run(request)).await;
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(NAME, id);
    }
    response
}

/// The id of a trusted proxy, so that its log and ours name the same request. Other clients could
/// copy another request's id or write into the log with it.
fn proxy_id(request: &Request, app: &App) -> Option<String> {
    if !peer::is_from_proxy(request.extensions(), &app.config) {
        return None;
    }
    let id = request.headers().get(NAME)?.to_str().ok()?;
    let is_plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (is_plain && (1..=MAX_LENGTH).contains(&id.len())).then(|| id.to_owned())
}
