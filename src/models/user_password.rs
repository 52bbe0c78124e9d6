//! The columns of `vestibule_users` about the password.

use super::user::{User, user_columns};
use crate::db::{DbError, Executor, Tx, sql};

const FIND_BY_SESSION: &str = concat!(
    "select ",
    user_columns!(),
    " from vestibule_users where password_set_in in ($1, $2) and password_set_at > $3 limit 1"
);

const SET_PASSWORD: &str = concat!(
    "update vestibule_users
    set password_hash = $1, password_scheme = null, credential_version = credential_version + 1,
        password_set_in = $4, password_set_at = $5,
        email_verified_at = coalesce($6, email_verified_at), password_blocked_at = null
    where id = $2 and credential_version = $3 returning ",
    user_columns!()
);

const BLOCK_PASSWORD: &str = concat!(
    "update vestibule_users
    set password_blocked_at = $2, credential_version = credential_version + 1
    where id = $1 returning ",
    user_columns!()
);

const REHASH: &str = "update vestibule_users set password_hash = $1, password_scheme = null
    where id = $2 and password_hash = $3";

/// The user whose password was last set in one of two sessions, if that was after `since`.
pub async fn find_user_by_password_set_in(
    executor: Executor<'_>,
    [session, previous]: [&str; 2],
    since: i64,
) -> Result<Option<User>, DbError> {
    let find = sql(FIND_BY_SESSION).bind(session).bind(previous).bind(since);
    find.fetch_optional(executor).await
}

/// A password to be stored.
#[derive(Clone, Copy)]
pub struct NewPasswordHash<'a> {
    pub hash: &'a str,
    /// The digest of the session that sets it.
    pub session: Option<&'a str>,
    /// Whether a code was used that was mailed to the address: its owner has set the password.
    pub proves_email: bool,
}

/// Sets a password and returns the user as they are then; `None` when the credentials have changed since
/// `user` was read.
pub async fn set_password(
    executor: Executor<'_>,
    user: &User,
    new: NewPasswordHash<'_>,
    now: i64,
) -> Result<Option<User>, DbError> {
    let set = sql(SET_PASSWORD).bind(new.hash).bind(&user.id).bind(user.credential_version);
    let set = set.bind(new.session).bind(now).bind(new.proves_email.then_some(now));
    set.fetch_optional(executor).await
}

/// Stops accepting the password of a user, and returns the user as they are then.
pub async fn block_password(tx: &mut Tx, id: &str, now: i64) -> Result<Option<User>, DbError> {
    sql(BLOCK_PASSWORD).bind(id).bind(now).fetch_optional(tx.executor()).await
}

/// Replaces the hash by another of the same password, unless the password has changed.
pub async fn rehash_password(
    executor: Executor<'_>,
    user: &User,
    hash: &str,
) -> Result<(), DbError> {
    let rehash = sql(REHASH).bind(hash).bind(&user.id).bind(&user.password_hash);
    rehash.execute(executor).await.map(drop)
}
