//! Addresses that only redirect.

use super::{Answer, redirect};
use crate::visitor::Visitor;

/// GET `/`.
pub async fn show(visitor: Visitor) -> Answer {
    if visitor.user.is_some() {
        return redirect("/account");
    }
    visitor.note_session_gone();
    redirect("/login")
}

/// GET `/.well-known/change-password` (W3C "A Well-Known URL for Changing Passwords").
pub async fn change_password() -> Answer {
    redirect("/account/password")
}
