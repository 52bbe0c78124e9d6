//! Says in the first answer that the router is nested elsewhere than the base URL says.

use axum::extract::{OriginalUri, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::event::Event;

/// Answers 500 if the base URL does not end with the path that the host program nested the router at:
/// no link would lead to a page. A path in front of it may be a proxy's.
pub async fn check(State(app): State<App>, request: Request, next: Next) -> Response {
    let original = request.extensions().get::<OriginalUri>().map(|uri| uri.path());
    let nested_at = original.and_then(|path| path.strip_suffix(request.uri().path()));
    let base_url = &app.config.base_url;
    match nested_at {
        Some(path) if !base_url.path().ends_with(path) => {
            let cause = format!(
                "the router is nested at {path}, but the base URL is {base_url}: set VESTIBULE_BASE_URL to {}{path}",
                base_url.origin()
            );
            Event::log_fault("the_router_is_nested_elsewhere", &cause);
            (StatusCode::INTERNAL_SERVER_ERROR, cause).into_response()
        }
        _ => next.run(request).await,
    }
}
