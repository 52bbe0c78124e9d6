//! Change the password of a user who is logged in and knows the current one.

use super::Error;
use super::field_errors::FieldErrors;
use super::mail_limits::MailQuota;
use super::new_password::{
    NewPassword, PasswordUpdate, choose_password, find_repeat, set_password,
};
use super::password::{Password, PasswordError};
use super::rate_limits::{self, Counter, RateLimit};
use super::reauthenticate::reauthenticate;
use super::requester::Requester;
use crate::app::App;
use crate::models::user::User;

/// How a change of the password ended.
pub enum PasswordChange {
    Changed {
        /// With the new credentials.
        user: User,
        /// The device tokens that the browser must keep.
        device_tokens: Vec<String>,
    },
    /// The same form changed the password of this account a moment ago.
    Repeated(User),
    /// No user is logged in, or the credentials have changed in the meantime.
    LoggedOut,
}

/// Changes the password of `user`, who is logged in. The same form sent again succeeds as well.
pub async fn change_password(
    app: &App,
    requester: &Requester,
    user: Option<&User>,
    current: &str,
    new: NewPassword<'_>,
) -> Result<PasswordChange, Error> {
    let outcome = match user {
        Some(user) => change(app, requester, user, current, new).await,
        None => Ok(PasswordChange::LoggedOut),
    };
    // The first form changes the password and ends the session, so its repeat is refused or logged out.
    let may_be_repeat = match &outcome {
        Ok(outcome) => matches!(outcome, PasswordChange::LoggedOut),
        Err(error) => error.is_refusal(),
    };
    if !may_be_repeat {
        return outcome;
    }
    // The first form did not have the same password twice. A form that has must be refused, even just after
    // this password was set.
    let changes = Password::typed(current) != Password::typed(new.password);
    let repeat = find_repeat(app, requester, new).await?.filter(|_| changes);
    repeat.map_or(outcome, |user| Ok(PasswordChange::Repeated(user)))
}

async fn change(
    app: &App,
    requester: &Requester,
    user: &User,
    current: &str,
    new: NewPassword<'_>,
) -> Result<PasswordChange, Error> {
    let password = validate(app, requester, user, current, new).await?;
    // By account only: other accounts with the same mailbox must neither prevent nor notice a change.
    let key = format!("changed by {}", user.id);
    let counter = MailQuota::PasswordChanges.counter_of_account(app, &key);
    rate_limits::count(app, counter, Some(&user.id)).await?;
    let hash = requester.hasher(app).hash(password.as_bytes()).await?;
    let update = PasswordUpdate { hash: &hash, sessions: new.sessions, code: None };
    let set = set_password(app, requester, user, update).await?;
    Ok(set.map_or(PasswordChange::LoggedOut, |(user, device_tokens)| PasswordChange::Changed {
        user,
        device_tokens,
    }))
}

async fn validate(
    app: &App,
    requester: &Requester,
    user: &User,
    current: &str,
    new: NewPassword<'_>,
) -> Result<Password, Error> {
    let mut errors = FieldErrors::default();
    let typed = Password::typed(current);
    reauthenticate(app, requester, user, Some(current), &mut errors).await?;
    rate_limits::count(app, Counter::of(app, RateLimit::NewPassword, &user.id), None).await?;
    let (hasher, names) = (requester.hasher(app), [user.username.as_str(), user.email.as_str()]);
    let mut password = choose_password(app, &hasher, new.password, names, &mut errors).await?;
    if errors.is_empty() && password.as_ref() == Some(&typed) {
        password = errors.record("password", Err(PasswordError::Current), PasswordError::Empty);
    }
    errors.confirm(new.password, new.password_confirm);
    errors.into_result(password)
}
