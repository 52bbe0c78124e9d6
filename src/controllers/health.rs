//! `/healthz` and `/readyz`: for load balancers and orchestrators.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use crate::app::App;

/// Load balancers give up after a few seconds, and differ in what they conclude from no answer.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);

/// The process answers.
pub async fn alive() -> &'static str {
    "ok"
}

/// The database takes writes, which every form needs.
pub async fn ready(State(app): State<App>) -> Response {
    match timeout(DATABASE_TIMEOUT, app.db.check_writable()).await {
        Ok(Ok(())) => "ok".into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "unavailable").into_response(),
    }
}
