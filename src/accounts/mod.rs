//! What people do with their accounts: a use case a file, and the values that they are made of.

pub mod change_password;
pub mod current_password;
pub mod email;
pub mod log_in;
pub mod login_name;
pub mod mailbox;
pub mod new_password;
pub mod notices;
pub mod one_time_code;
pub mod password;
pub mod password_reset;
pub mod pasted;
pub mod rate_limits;
pub mod register;
pub mod requester;
pub mod trusted_devices;
pub mod username;

use crate::db::DbError;
use crate::event;
use crate::password_hasher::HashError;

/// Why a use case did not come to an outcome.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The password was not hashed: the queue is full, or a bug.
    #[error(transparent)]
    Hashing(#[from] HashError),
    /// A mail could not be rendered: a bug.
    #[error("a template failed: {0}")]
    Template(#[from] askama::Error),
    /// A spawned task panicked: a bug.
    #[error("a task failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// How long after the first a form counts as its repeat, in seconds.
pub const REPEATED_WITHIN: i64 = 60;

/// Runs `work` to its end, even when the client hangs up.
async fn run_to_completion<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    tokio::spawn(event::with_origin(event::current_origin(), work)).await?
}
