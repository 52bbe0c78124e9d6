//! `/` and `/.well-known/change-password`: redirects.

use axum::extract::State;

use super::{HandlerResult, redirect};
use crate::app::App;
use crate::visitor::Visitor;

pub async fn show(visitor: Visitor) -> HandlerResult {
    if visitor.user.is_some() {
        return redirect(&visitor.app, "/account");
    }
    visitor.flash_if_session_expired();
    redirect(&visitor.app, "/login")
}

/// W3C, "A Well-Known URL for Changing Passwords".
pub async fn change_password(State(app): State<App>) -> HandlerResult {
    redirect(&app, "/account/password")
}
