//! Forms that arrive twice, by a double click or from a second tab: the repeat is answered like the
//! first.

use super::password::knows_password;
use crate::accounts::email::EmailAddress;
use crate::accounts::username::Username;
use crate::error::RequestError;
use crate::models::user::{User, find_user_by_password_set_in, find_user_by_username_and_email};
use crate::visitor::Visitor;

/// How long after the first a form counts as its repeat, in seconds.
const REPEATED_WITHIN: i64 = 60;

/// The user whose password this browser session set to `password` a moment ago, if it did. The session
/// may have ended with that.
///
/// # Errors
/// When the database fails, or the password was guessed at too often.
pub async fn password_just_set(
    visitor: &Visitor,
    password: &str,
) -> Result<Option<User>, RequestError> {
    let Some(sessions) = visitor.recent_sessions().await? else {
        return Ok(None);
    };
    let store = &visitor.app.store;
    let since = store.clock.now() - REPEATED_WITHIN;
    let Some(user) = find_user_by_password_set_in(store.db.writer(), &sessions, since).await?
    else {
        return Ok(None);
    };
    Ok(knows_password(visitor, &user, password).await?.then_some(user))
}

/// The account that was made of these fields a moment ago, if one was.
///
/// # Errors
/// As [`password_just_set`].
pub async fn just_registered(
    visitor: &Visitor,
    (username, email): (&Username, &EmailAddress),
    password: &str,
) -> Result<Option<User>, RequestError> {
    let store = &visitor.app.store;
    let since = store.clock.now() - REPEATED_WITHIN;
    let Some(user) = find_user_by_username_and_email(
        // Where changes are made: what another request is just committing is waited for.
        store.db.writer(),
        username.as_str(),
        email.key(),
    )
    .await?
    .filter(|user| user.created_at > since) else {
        return Ok(None);
    };
    Ok(knows_password(visitor, &user, password).await?.then_some(user))
}
