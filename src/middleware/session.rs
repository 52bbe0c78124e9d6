//! The layer that reads and writes the session's cookie.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use tower_sessions::cookie::SameSite;
use tower_sessions::{Expiry, SessionManagerLayer};

use crate::app::App;
use crate::models::loaded_user::with_user;
use crate::models::session::SqlSessionStore;
use crate::visitor::cookies;

pub fn layer(app: &App) -> SessionManagerLayer<SqlSessionStore> {
    let config = &app.config;
    let store = SqlSessionStore::new(app.db.clone(), app.clock.clone(), config.sessions);
    SessionManagerLayer::new(store)
        .with_name(cookies::SESSION.name(config))
        .with_secure(config.base_url.is_https())
        .with_same_site(SameSite::Lax)
        .with_expiry(Expiry::OnSessionEnd)
}

/// Around the session's layer: keeps the user that the session was loaded with.
pub async fn keep_user(request: Request, next: Next) -> Response {
    with_user(next.run(request)).await
}
