//! One id a request: in the answer's `X-Request-Id`, in every line of the log, on the page of a failure.

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use crate::app::App;
use crate::event::{self, Origin};
use crate::random;
use crate::visitor::peer;

/// The header that bears it.
pub const NAME: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id of a proxy's that is taken over; a UUID has 36 characters.
const LONGEST: usize = 64;

/// Gives the request its id, and tells the log which request it serves.
pub async fn assign(State(app): State<App>, request: Request, next: Next) -> Response {
    let id = of(&request, &app);
    let address = peer::address(request.extensions(), request.headers(), &app.config);
    let peer = Some(address).filter(|address| !address.is_unspecified());
    let origin = Origin { request: id.clone(), peer };
    let mut response = event::within(origin, next.run(request)).await;
    put(&id, &mut response);
    response
}

/// The id of `request`: a trusted proxy's, or a new one.
pub fn of(request: &Request, app: &App) -> String {
    given(request, app).unwrap_or_else(|| random::id(app.store.clock.millis()))
}

/// Puts it into the answer.
pub fn put(id: &str, response: &mut Response) {
    if let Ok(id) = HeaderValue::from_str(id) {
        response.headers_mut().insert(NAME, id);
    }
}

/// A trusted proxy's, so that its log and ours tell of one request. Anybody else could make theirs
/// equal another's, or write into the log with it.
fn given(request: &Request, app: &App) -> Option<String> {
    if !peer::is_from_proxy(request.extensions(), &app.config) {
        return None;
    }
    let id = request.headers().get(NAME)?.to_str().ok()?;
    let is_plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (is_plain && (1..=LONGEST).contains(&id.len())).then(|| id.to_owned())
}
