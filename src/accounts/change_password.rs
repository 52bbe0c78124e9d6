//! Change the password, by somebody who is logged in and knows the current one.

use super::current_password::is_current_password;
use super::field_errors::FieldErrors;
use super::mail_limits::MailQuota;
use super::new_password::{NewPassword, choose_password, find_repeat, set_password};
use super::password::{Password, PasswordError};
use super::rate_limits::{self, Counter, RateLimit};
use super::requester::Requester;
use super::{Error, notices, trusted_devices};
use crate::app::App;
use crate::event::Event;
use crate::models::user::User;

/// How a change of the password ended.
pub enum PasswordChange {
    /// It is the password now; every session and code is dead.
    Changed {
        /// The account with its new credentials.
        user: User,
        /// The device tokens that the browser must keep.
        device_tokens: Option<Vec<String>>,
    },
    /// The same form has changed the password of this account a moment ago.
    Repeated(User),
    /// Nobody is logged in, or somebody with credentials that have changed in the meantime.
    LoggedOut,
}

/// Changes the password of `user`, who is logged in, and answers the same form once more as done.
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
    match outcome {
        Ok(PasswordChange::LoggedOut) => {}
        Err(ref error) if error.is_refusal() => {}
        done_or_failed => return done_or_failed,
    }
    match find_repeat(app, requester, new).await? {
        Some(user) if Password::typed(current) != Password::typed(new.password) => {
            Ok(PasswordChange::Repeated(user))
        }
        _ => outcome,
    }
}

async fn change(
    app: &App,
    requester: &Requester,
    user: &User,
    current: &str,
    new: NewPassword<'_>,
) -> Result<PasswordChange, Error> {
    let password = validate(app, requester, user, current, new).await?;
    // By the account alone: others with the same mailbox must not be able to prevent a change, nor to see
    // one.
    let key = format!("changed by {}", user.id);
    let counter = MailQuota::PasswordChanges.counter_of_account(app, &key);
    rate_limits::count(app, counter, Some(&user.id)).await?;
    let hash = requester.hasher(app).hash(password.as_bytes()).await?;
    let email = notices::password_changed(app, requester, user)?;
    let mut tx = app.db.begin().await?;
    let Some((user, revoked)) =
        set_password(app, &mut tx, user, (hash, new.sessions), None).await?
    else {
        return Ok(PasswordChange::LoggedOut);
    };
    if let Some(email) = &email {
        notices::send_password_changed(app, &mut tx, requester, email).await?;
    }
    tx.commit().await?;
    Event::PasswordChanged { account: &user.id }.write();
    let reason = "password_change";
    Event::SessionEnded { account: &user.id, reason, sessions: revoked }.write();
    let device_tokens = trusted_devices::trust(app, requester, &user).await;
    Ok(PasswordChange::Changed { user, device_tokens })
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
    if current.is_empty() {
        errors.add("current_password", "Enter your current password.");
    } else if !is_current_password(app, requester, user, &typed).await? {
        errors.add("current_password", "Current password is incorrect.");
    }
    rate_limits::count(app, Counter::of(app, RateLimit::NewPassword, &user.id), None).await?;
    let (hasher, names) = (requester.hasher(app), [user.username.as_str(), user.email.as_str()]);
    let mut chosen = choose_password(app, &hasher, new.password, names).await?;
    if errors.is_empty() && chosen.as_ref() == Ok(&typed) {
        chosen = Err(PasswordError::Current);
    }
    let password = errors.take("password", chosen, PasswordError::Empty);
    errors.confirm(new.password, new.password_confirm);
    errors.check(password)
}
