//! `/healthz` and `/readyz`: for load balancers and orchestrators.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::app::App;

/// GET `/healthz`: the process answers.
pub async fn alive() -> &'static str {
    "ok"
}

/// GET `/readyz`: the database answers, too.
pub async fn ready(State(app): State<App>) -> Response {
    match app.store.db.ping().await {
        Ok(()) => "ok".into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable").into_response(),
    }
}
