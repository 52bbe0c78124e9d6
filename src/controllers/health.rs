//! `/healthz` and `/readyz`: for load balancers and orchestrators.

use std::time::Duration;

use axum::extract::State;
use axum::http::{Extensions, HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use crate::app::App;
use crate::visitor::arrival;

/// Load balancers give up after a few seconds, and differ in what they conclude from no answer.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);

/// The process answers.
pub async fn alive() -> &'static str {
    "ok"
}

/// The database takes writes, which every form needs. `vestibule check --url` is told what arrived, too.
pub async fn ready(State(app): State<App>, extensions: Extensions, headers: HeaderMap) -> Response {
    let mut response = match timeout(DATABASE_TIMEOUT, app.db.check_writable()).await {
        Ok(Ok(())) => "ok".into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "unavailable").into_response(),
    };
    if let Some(answer) = arrival::answer(&extensions, &headers, &app) {
        response.headers_mut().insert(arrival::HEADER, answer);
    }
    response
}
