//! A new password: its choice, and the change that revokes every session and code.

use super::password::{Password, PasswordError};
use super::pasted::plain;
use super::requester::Requester;
use super::verify_password::is_repeated_password;
use super::{Error, notices, trusted_devices};
use crate::app::App;
use crate::config::Notice;
use crate::event::Event;
use crate::models::one_time_code::{self, Purpose, use_code};
use crate::models::session;
use crate::models::user::{self, User, find_user_by_password_set_in};
use crate::password_hasher::{HashError, PasswordHasher};

/// How long after the first a form counts as its repeat, in seconds.
pub const REPEATED_WITHIN: i64 = 60;

/// The digests of the session that a request came with and of the one before it in the same browser.
pub type Sessions = Option<[String; 2]>;

/// What was typed in a form that sets a password.
#[derive(Clone, Copy)]
pub struct NewPassword<'a> {
    pub password: &'a str,
    pub password_confirm: &'a str,
    /// Those of the browser that sent it.
    pub sessions: &'a Sessions,
}

/// A new password for an account with these names, as typed: of the length that the site asks for, and
/// not what a guesser would try first. The check costs as much as a hash, and a script may send forms
/// that fail it, so a form must be counted before.
pub async fn choose_password(
    app: &App,
    hasher: &PasswordHasher,
    typed: &str,
    [username, email]: [&str; 2],
) -> Result<Result<Password, PasswordError>, HashError> {
    let password = match Password::choose(typed, app.config.password_min) {
        Ok(password) => password,
        Err(error) => return Ok(Err(error)),
    };
    let context = [username, email, app.config.site_name.as_str()].map(plain).to_vec();
    let judged = password.clone();
    let weakness = hasher.run_strength_check(move || judged.weakness(&context)).await?;
    Ok(weakness.map_or(Ok(password), Err))
}

/// Sets the password of `user`, by using up the reset code `code` if there is one, revokes every session
/// and code, trusts the browser and sends the notice, all or nothing. Returns the user with the new
/// credentials, and the device tokens that the browser must keep; `None` when the credentials have
/// changed or the code has died in the meantime.
pub async fn set_password(
    app: &App,
    requester: &Requester,
    user: &User,
    (hash, sessions): (String, &Sessions),
    code: Option<&str>,
) -> Result<Option<(User, Vec<String>)>, Error> {
    let now = app.clock.now();
    let set_in = sessions.as_ref().map(|[session, _]| session.as_str());
    let mut tx = app.db.begin().await?;
    // Users, then sessions, then codes, wherever all change: parallel requests must not deadlock.
    let changed = user::set_password(tx.on(), user, &hash, set_in, now).await?;
    let Some(user) = changed else { return Ok(None) };
    let sessions = session::revoke_all_for_user(tx.on(), &user.id).await?;
    if let Some(id) = code
        && !use_code(tx.on(), Purpose::PasswordReset, id, &user.id, now).await?
    {
        return Ok(None);
    }
    one_time_code::revoke_all_for_user(tx.on(), &user.id).await?;
    let device_tokens = trusted_devices::record_password(app, &mut tx, requester, &user).await?;
    notices::send(app, &mut tx, requester, &user, Notice::PasswordChanged).await?;
    tx.commit().await?;
    let account = &user.id;
    let reason = if code.is_some() {
        Event::PasswordReset { account }.write();
        "reset"
    } else {
        Event::PasswordChanged { account }.write();
        "password_change"
    };
    Event::SessionEnded { account, reason, sessions }.write();
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
    // From the writer: a change that is just being committed is waited for.
    let user = find_user_by_password_set_in(app.db.writer(), sessions, since).await?;
    let Some(user) = user else { return Ok(None) };
    let password = Password::typed(new.password);
    let is_current = is_repeated_password(app, requester, &user, &password).await?;
    Ok((is_current && new.password == new.password_confirm).then_some(user))
}
