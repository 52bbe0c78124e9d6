//! What people do with their accounts: one use case per file, and the values that they are made of.

pub mod add_user;
pub mod app_login;
pub mod approval;
pub mod backup;
pub mod change_email;
pub mod change_password;
pub mod change_username;
pub mod client_trust;
pub mod confirm_registration;
pub mod copy;
pub mod current_session;
pub mod delete_account;
pub mod disable_account;
pub mod email;
pub mod end_access;
pub mod export;
pub mod field_errors;
pub mod forgotten_username;
pub mod history;
pub mod hooks;
pub mod identity_token;
pub mod import;
mod import_row;
pub mod invitation;
pub mod login;
pub mod login_code;
pub mod login_name;
pub mod mail_limits;
pub mod mail_link;
pub mod mailbox;
pub mod name_in_password;
pub mod new_account;
pub mod new_password;
pub mod not_me;
pub mod notices;
pub mod one_time_code;
pub mod password;
pub mod password_reset;
pub mod password_reset_request;
pub mod pasted;
pub mod rate_limits;
pub mod reauthenticate;
pub mod register;
pub mod requester;
pub mod reserved_names;
pub mod rotate_key;
pub mod send_code;
pub mod sessions;
pub mod set_password;
pub mod trusted_devices;
pub mod unlock;
pub mod username;
pub mod verify_email;
pub mod verify_password;

use crate::app::App;
use crate::db::DbError;
use crate::event;
use crate::metrics::RegistrationEnd;
use crate::password_hasher::HashError;
use field_errors::FieldErrors;
use one_time_code::Rejection;

/// How long after the first a form counts as its repeat, in seconds.
pub const REPEATED_WITHIN: i64 = 60;

/// Why a use case did nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Invalid(FieldErrors),
    #[error(transparent)]
    CodeRejected(#[from] Rejection),
    #[error("a rate limit is exceeded")]
    RateLimited {
        /// Seconds.
        retry_after: i64,
    },
    /// After too many failures in a row, until there is a new password.
    #[error("logins are stopped until there is a new password")]
    LoginStopped,
    #[error(transparent)]
    Database(#[from] DbError),
    #[error(transparent)]
    Hashing(#[from] HashError),
    #[error("a template failed: {0}")]
    Template(#[from] askama::Error),
    /// The system has no random numbers.
    #[error("an identity token could not be signed")]
    NotSigned,
    /// A spawned task panicked.
    #[error("a task failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl Error {
    /// Whether a limit was reached.
    fn is_limit(&self) -> bool {
        matches!(self, Self::RateLimited { .. } | Self::LoginStopped)
    }

    /// Counts a form to register that this refuses.
    fn count_registration(&self, app: &App) {
        if self.is_limit() {
            app.metrics.count_registration(RegistrationEnd::Limited);
        } else if let Self::Invalid(_) = self {
            app.metrics.count_registration(RegistrationEnd::Refused);
        }
    }

    /// Whether the request was refused, and nothing failed.
    fn is_refusal(&self) -> bool {
        matches!(self, Self::Invalid(_) | Self::CodeRejected(_)) || self.is_limit()
    }
}

/// Runs `work` to its end, even when the client hangs up.
async fn run_to_completion<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    tokio::spawn(event::in_current_request(work)).await?
}
