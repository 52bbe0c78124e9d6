//! What all pages that ask for a one-time code share.

use super::{HandlerResult, redirect};
use crate::accounts::one_time_code::{PendingCode, Rejection};
use crate::accounts::send_code::CodeRequest;
use crate::error::RequestError;
use crate::flash::Flash;
use crate::models::one_time_code::Purpose;
use crate::visitor::Visitor;

/// The form with the code, for templates: see `templates/code.html`.
pub struct CodeForm {
    /// What was typed.
    pub code: String,
    pub pending: PendingCode,
    /// Seconds until another code can be sent, for the script that counts them down and in words.
    pub wait: i64,
    /// Why the code can no longer be used.
    pub rejection: Option<Rejection>,
}

impl CodeForm {
    /// The form of the code that was requested in this browser.
    pub async fn new(
        visitor: &mut Visitor,
        purpose: Purpose,
        pending: PendingCode,
        typed: &str,
    ) -> Result<Self, RequestError> {
        visitor.mark_code_page_shown(purpose).await?;
        Ok(Self {
            code: typed.trim().to_owned(),
            wait: pending.wait(visitor.app.clock.now()),
            rejection: pending.invalid_reason(&visitor.app, purpose).await?,
            pending,
        })
    }
}

/// Keeps the code that was requested and shows `form`, which asks for it, or `start` if there is none to
/// replace. `replaced` says that the code before is invalid.
pub async fn show_code_form(
    visitor: &mut Visitor,
    purpose: Purpose,
    requested: CodeRequest,
    replaced: Flash,
    [form, start]: [&str; 2],
) -> HandlerResult {
    match requested {
        CodeRequest::Sent { pending, is_replacement } => {
            if is_replacement {
                visitor.add_flash(replaced).await?;
            }
            visitor.keep_code(purpose, pending).await?;
        }
        CodeRequest::Repeated => {}
        CodeRequest::TooEarly(seconds) => visitor.add_flash(Flash::TooEarly(seconds)).await?,
        CodeRequest::NotPending => return ended(visitor, purpose, start),
    }
    redirect(&visitor.app, form)
}

/// Redirects a form that was sent after its session had ended.
pub fn ended(visitor: &Visitor, purpose: Purpose, start: &str) -> HandlerResult {
    let flash = match purpose {
        Purpose::PasswordReset => Flash::ResetEnded,
        Purpose::Register => Flash::RegistrationEnded,
        _ => Flash::CodeEnded,
    };
    visitor.set_flash_cookie(&flash);
    redirect(&visitor.app, start)
}
