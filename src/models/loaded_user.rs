//! The user that a request's session was loaded with.
//!
//! tower-sessions returns nothing of a session but its JSON, where a password hash has no place.

use std::cell::RefCell;

use super::client::Client;
use super::user::User;

/// The user that a session was loaded with.
#[derive(Clone)]
pub struct LoadedUser {
    pub user: User,
    /// When the session began, Unix time.
    pub begun_at: i64,
    pub last_login: Option<LastLogin>,
}

/// The last login of a user, in any browser.
#[derive(Clone)]
pub struct LastLogin {
    /// Unix time.
    pub at: i64,
    pub client: Client,
}

tokio::task_local! {
    static USER: RefCell<Option<LoadedUser>>;
}

/// Runs a request in which [`loaded_user`] can be called.
pub async fn with_user<F: Future>(request: F) -> F::Output {
    USER.scope(RefCell::default(), request).await
}

/// The user that the request's session was loaded with.
pub fn loaded_user() -> Option<LoadedUser> {
    USER.try_with(|user| user.borrow().clone()).ok().flatten()
}

/// Keeps the user for the rest of the request. Outside a request, in a test, there is no place for it.
pub(super) fn set(user: Option<LoadedUser>) {
    let _ = USER.try_with(|slot| slot.replace(user));
}
