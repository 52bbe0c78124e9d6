//! Usernames and addresses that no account has, and that are kept for the one that had them.

use super::username::key_of;
use crate::app::App;
use crate::db::{DbError, Tx};
use crate::models::mail_link::is_email_taken;
use crate::models::reserved_username::is_username_reserved;
use crate::models::user::{NewUser, User, find_user_by_username, insert_user};

/// Makes an account within `tx`; `None` when its username or address is taken or kept for another one.
pub async fn insert_unreserved(
    app: &App,
    tx: &mut Tx,
    new: NewUser<'_>,
) -> Result<Option<User>, DbError> {
    let Some(user) = insert_user(tx.executor(), new, app.clock.now()).await? else {
        return Ok(None);
    };
    // Asked afterwards: the unique key has then waited for a parallel change that gives them up.
    let is_kept = is_username_kept(app, tx, &user).await?
        || is_email_kept(app, tx, &user, new.email_key).await?;
    Ok((!is_kept).then_some(user))
}

/// Whether the address that `user` was given within `tx` may be another account's again, or is the username of
/// one while this one is known by its address.
pub async fn is_email_kept(
    app: &App,
    tx: &mut Tx,
    user: &User,
    email_key: &str,
) -> Result<bool, DbError> {
    let now = app.clock.now();
    Ok(is_email_taken(tx.executor(), email_key, &user.id, now).await?
        || user.username.is_empty()
            && find_user_by_username(tx.executor(), email_key).await?.is_some())
}

/// Whether the username that `user` was given within `tx` was another's, looks like that, or is the address of
/// another account, or may be again: it must not log in with that, nor be taken for it.
pub async fn is_username_kept(app: &App, tx: &mut Tx, user: &User) -> Result<bool, DbError> {
    let (name, key, now) = (&user.username, key_of(&user.username, ""), app.clock.now());
    // The address of an account is reserved as it is.
    Ok(is_username_reserved(tx.executor(), &key, &user.id, now).await?
        || name.contains('@') && is_username_reserved(tx.executor(), name, &user.id, now).await?
        || is_email_taken(tx.executor(), name, &user.id, now).await?)
}
