//! The layer that reads and writes the session's cookie.

use tower_sessions::cookie::SameSite;
use tower_sessions::{Expiry, SessionManagerLayer};

use crate::app::App;
use crate::config::Config;
use crate::models::session::{Lifetimes, SessionRows};

/// For this site (contract: the cookie is `vestibule`, on https `__Host-vestibule`).
pub fn layer(app: &App) -> SessionManagerLayer<SessionRows> {
    let config = &app.config;
    let lifetimes = Lifetimes {
        idle_remembered: config.sessions.idle,
        idle: config.sessions.idle_unremembered,
        most: config.sessions.max,
    };
    SessionManagerLayer::new(SessionRows::new(app.store.clone(), lifetimes))
        .with_name(cookie_name(config))
        .with_secure(config.base_url.is_https())
        .with_same_site(SameSite::Lax)
        .with_expiry(Expiry::OnSessionEnd)
}

/// On https bound to the host by its name (RFC 6265bis `__Host-`).
pub fn cookie_name(config: &Config) -> &'static str {
    if config.base_url.is_https() { "__Host-vestibule" } else { "vestibule" }
}
