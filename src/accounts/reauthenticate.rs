//! The current password, which a form asks for that changes an account.

use super::Error;
use super::field_errors::FieldErrors;
use super::password::Password;
use super::rate_limits::{Attempt, Counter};
use super::requester::Requester;
use super::verify_password::verify_password;
use crate::app::App;
use crate::event::Event;
use crate::models::user::User;
use crate::password_hasher::PasswordMatch;

/// How long a password is not asked for again after it was given, in seconds.
pub const RECENT: i64 = 10 * 60;

/// Checks what was typed as the current password of `user`; `None` when it was given a moment ago. `errors`
/// gets what is wrong with it.
///
/// Limited like a login, because a stolen session must not allow unlimited guesses, but counted separately:
/// failed logins elsewhere must not stop the owner.
pub async fn reauthenticate(
    app: &App,
    requester: &Requester,
    user: &User,
    typed: Option<&str>,
    errors: &mut FieldErrors,
) -> Result<(), Error> {
    let Some(typed) = typed else { return Ok(()) };
    if typed.is_empty() {
        errors.add("current_password", "Enter your current password.");
        return Ok(());
    }
    let key = format!("current password of {}", user.credentials());
    let attempt = Attempt::count(app, Counter::of_failures(app, &key), Some(&user.id)).await?;
    let password = Password::typed(typed);
    let matched = verify_password(app, requester, attempt, Some(user), &password).await?;
    if matched == PasswordMatch::Incorrect {
        Event::CurrentPasswordRefused { account: &user.id }.write();
        errors.add("current_password", "Current password is incorrect.");
    }
    Ok(())
}
