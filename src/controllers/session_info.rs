//! Who is logged in, for scripts and programs of this site.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::accounts::current_session::current_session;
use crate::app::App;
use crate::event::Event;
use crate::models::session::{LoggedInSession, session_key};
use crate::times;
use crate::visitor::cookies;

/// GET `/session`.
pub async fn show(State(app): State<App>, headers: HeaderMap) -> Response {
    let cookie = cookies::SESSION.value_in_headers(&app.config, &headers);
    let found = match cookie.and_then(session_key) {
        Some(key) => current_session(&app, &key).await,
        None => Ok(None),
    };
    match found {
        Ok(Some(session)) => as_json(StatusCode::OK, &describe(&session)),
        Ok(None) => as_json(StatusCode::UNAUTHORIZED, &json!({"error": "not_logged_in"})),
        Err(error) => {
            Event::log_fault("a_session_was_not_read", &error);
            as_json(StatusCode::SERVICE_UNAVAILABLE, &json!({"error": "unavailable"}))
        }
    }
}

fn describe(session: &LoggedInSession) -> serde_json::Value {
    let user = &session.user;
    json!({
        "id": user.id,
        "username": user.username,
        "email": user.email,
        "email_verified": user.is_email_verified(),
        "logged_in_at": times::iso(session.logged_in_at),
    })
}

/// An answer for programs.
pub(super) fn as_json(status: StatusCode, value: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}
