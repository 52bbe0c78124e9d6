//! Forms that arrive twice, by a double click or from a second tab: the repeat is answered like the
//! first.

use crate::accounts::REPEATED_WITHIN;
use crate::accounts::current_password::is_current_password;
use crate::accounts::password::Password;
use crate::error::RequestError;
use crate::models::user::{User, find_user_by_password_set_in};
use crate::visitor::Visitor;

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
    let (app, requester) = (&visitor.app, &visitor.requester);
    let password = Password::typed(password);
    let is_same = is_current_password(app, requester, &user, &password).await??;
    Ok(is_same.then_some(user))
}
