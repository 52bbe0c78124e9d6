//! Who is logged in, for scripts and programs of this site.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::app::App;
use crate::event::Event;
use crate::visitor::current_user::{find_user, not_logged_in};

/// GET `/session`.
pub async fn show(State(app): State<App>, headers: HeaderMap) -> Response {
    match find_user(&app, &headers).await {
        Ok(Some(user)) => as_json(StatusCode::OK, &json!(user)),
        Ok(None) => not_logged_in(),
        Err(error) => {
            Event::log_fault("a_session_was_not_read", &error);
            as_json(StatusCode::SERVICE_UNAVAILABLE, &json!({"error": "unavailable"}))
        }
    }
}

/// An answer for programs.
pub(super) fn as_json(status: StatusCode, value: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}
