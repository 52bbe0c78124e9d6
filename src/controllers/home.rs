//! `/` and `/.well-known/change-password`: redirects.

use super::{HandlerResult, redirect};
use crate::visitor::Visitor;

pub async fn show(visitor: Visitor) -> HandlerResult {
    if visitor.user.is_some() {
        return redirect("/account");
    }
    visitor.flash_if_session_expired();
    redirect("/login")
}

/// W3C, "A Well-Known URL for Changing Passwords".
pub async fn change_password() -> HandlerResult {
    redirect("/account/password")
}
