//! A new password: its checks, and the change that revokes every session and code.

use super::field_errors::FieldErrors;
use super::history::HistoryEvent;
use super::one_time_code::RightCode;
use super::password::{Password, PasswordError};
use super::pasted::plain;
use super::requester::Requester;
use super::verify_password::is_repeated_password;
use super::{Error, REPEATED_WITHIN, history, notices, trusted_devices};
use crate::app::App;
use crate::config::Notice;
use crate::event::Event;
use crate::models::device::delete_devices;
use crate::models::one_time_code::{self, Purpose, use_code};
use crate::models::user::User;
use crate::models::user_password::{self, NewPasswordHash, find_user_by_password_set_in};
use crate::models::user_session;
use crate::password_hasher::{HashError, PasswordHasher};

/// The digests of sessions of one browser.
pub struct RecentSessions {
    /// The one that the request came with.
    pub current: String,
    /// The one that a password was last set in; the current one if there is none.
    pub previous: String,
}

/// What was typed in a form that sets a password.
#[derive(Clone, Copy)]
pub struct NewPassword<'a> {
    pub password: &'a str,
    pub password_confirm: &'a str,
    /// Those of the browser that sent it.
    pub sessions: &'a Option<RecentSessions>,
}

/// A password to be stored.
#[derive(Clone, Copy)]
pub struct PasswordUpdate<'a> {
    pub hash: &'a str,
    /// Those of the browser that sets it.
    pub sessions: &'a Option<RecentSessions>,
    /// The code that is used up, if the password is reset.
    pub code: Option<&'a RightCode>,
}

/// A new password for an account with these names, as typed: of the length that the site asks for, and
/// not what a guesser would try first. The check costs as much as a hash, and a script may send forms
/// that fail it, so a form must be counted before. `errors` gets the reason if there is `None`.
pub async fn choose_password(
    app: &App,
    hasher: &PasswordHasher,
    typed: &str,
    [username, email]: [&str; 2],
    errors: &mut FieldErrors,
) -> Result<Option<Password>, HashError> {
    let mut chosen = Password::choose(typed, app.config.password_min);
    if let Ok(password) = &chosen {
        let weakness = find_weakness(app, hasher, password, [username, email]).await?;
        chosen = weakness.map_or(chosen, Err);
    }
    Ok(errors.record("password", chosen, PasswordError::Empty))
}

/// Why `password` is easy to guess for an account with these names, if it is.
pub async fn find_weakness(
    app: &App,
    hasher: &PasswordHasher,
    password: &Password,
    [username, email]: [&str; 2],
) -> Result<Option<PasswordError>, HashError> {
    let context = [username, email, app.config.site_name.as_str()].map(plain).to_vec();
    let password = password.clone();
    hasher.run_strength_check(move || password.weakness(&context)).await
}

/// Sets the password of `user`, uses up the code, revokes every session and code of the account, trusts
/// the browser and sends the notice, all or nothing. Returns the user with the new credentials, and the
/// device tokens that the browser must keep; `None` when the credentials have changed, or the code was used
/// or replaced, in the meantime.
pub async fn set_password(
    app: &App,
    requester: &Requester,
    user: &User,
    update: PasswordUpdate<'_>,
) -> Result<Option<(User, Vec<String>)>, Error> {
    let now = app.clock.now();
    let set_in = update.sessions.as_ref().map(|sessions| sessions.current.as_str());
    let mut tx = app.db.begin().await?;
    // Users, then sessions, then codes, wherever all change: parallel requests must not deadlock.
    let (hash, proves_email) = (update.hash, update.code.is_some_and(|code| code.was_sent));
    let new = NewPasswordHash { hash, session: set_in, proves_email };
    let changed = user_password::set_password(tx.executor(), user, new, now).await?;
    let (before, Some(user)) = (user, changed) else { return Ok(None) };
    let revoked = user_session::revoke_all_for_user(tx.executor(), &user.id).await?;
    if let Some(code) = update.code
        && !use_code(tx.executor(), Purpose::PasswordReset, &code.id, &user.id, now).await?
    {
        return Ok(None);
    }
    one_time_code::revoke_all_for_user(tx.executor(), &user.id).await?;
    if !before.has_known_address() && user.has_known_address() {
        // Somebody else may have registered with it: their browsers must not stay trusted.
        delete_devices(&mut tx, &user.id).await?;
    }
    let device_tokens = trusted_devices::record_password(app, &mut tx, requester, &user).await?;
    let (event, reason) = match update.code {
        Some(code) if code.was_sent => (HistoryEvent::PasswordReset, "reset"),
        Some(_) => (HistoryEvent::PasswordResetByGivenCode, "reset"),
        None => (HistoryEvent::PasswordChanged, "password_change"),
    };
    history::record(app, &mut tx, requester, &user, event).await?;
    notices::send(app, &mut tx, requester, &user, Notice::PasswordChanged).await?;
    tx.commit().await?;
    let account = &user.id;
    let changed = Event::PasswordChanged { account };
    update.code.map_or(changed, |_| Event::PasswordReset { account }).write();
    Event::SessionEnded { account, reason, sessions: revoked }.write();
    Ok(Some((user, device_tokens)))
}

/// The user whose password became this one a moment ago in this browser: the form arrived twice, by a
/// double click or from a second tab, and the repeat is answered like the first.
pub async fn find_repeat(
    app: &App,
    requester: &Requester,
    new: NewPassword<'_>,
) -> Result<Option<User>, Error> {
    let Some(sessions) = new.sessions else { return Ok(None) };
    let since = app.clock.now() - REPEATED_WITHIN;
    // The writer waits for a commit in progress.
    let sessions = [sessions.current.as_str(), &sessions.previous];
    let user = find_user_by_password_set_in(app.db.writer(), sessions, since).await?;
    let Some(user) = user else { return Ok(None) };
    let password = Password::typed(new.password);
    let is_current = is_repeated_password(app, requester, &user, &password).await?;
    Ok((is_current && new.password == new.password_confirm).then_some(user))
}
