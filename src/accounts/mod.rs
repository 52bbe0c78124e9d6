//! What people do with their accounts: a use case a file, and the values that they are made of.

pub mod email;
pub mod login_name;
pub mod mailbox;
pub mod one_time_code;
pub mod password;
pub mod password_reset;
pub mod pasted;
pub mod requester;
pub mod username;

use crate::db::DbError;
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
