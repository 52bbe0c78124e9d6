//! Change the password, by somebody who is logged in.

use super::current_password::is_repeated_password;
use super::password::Password;
use super::rate_limits::{self, Decision, Exceeded, password_change_counters};
use super::requester::Requester;
use super::{Error, REPEATED_WITHIN, notices, trusted_devices};
use crate::app::App;
use crate::db::{DbError, Tx};
use crate::event::Event;
use crate::models::one_time_code::{self, Purpose, use_code};
use crate::models::session;
use crate::models::user::{self, User, find_user_by_password_set_in};

/// The digests of the session that a request came with and of the one before it in the same browser.
pub type Sessions = Option<[String; 2]>;

/// A password to be set.
#[derive(Clone, Copy)]
pub struct NewPassword<'a> {
    /// Not hashed yet.
    pub password: &'a Password,
    /// Those of the browser that sets it.
    pub sessions: &'a Sessions,
}

/// How a change of the password ended.
pub enum PasswordChange {
    /// It is the password now; every session and code is dead.
    Changed {
        /// The account with its new credentials.
        user: User,
        /// The device tokens that the browser must keep.
        device_tokens: Option<Vec<String>>,
    },
    /// The credentials have changed in the meantime.
    Superseded,
    /// The account changed its password too often.
    RateLimited(Exceeded),
}

/// Sets the password of `user`. The current password must have been verified before.
pub async fn change_password(
    app: &App,
    requester: &Requester,
    user: &User,
    new: NewPassword<'_>,
) -> Result<PasswordChange, Error> {
    let counters = password_change_counters(app, &user.id);
    if let Err(exceeded) = rate_limits::count(app, &counters, Some(&user.id)).await? {
        return Ok(PasswordChange::RateLimited(exceeded));
    }
    let hash = requester.hasher(app).hash(new.password.as_bytes()).await?;
    let email = notices::password_changed(app, requester, user)?;
    let mut tx = app.db.begin().await?;
    let Some((user, revoked)) =
        set_password(app, &mut tx, user, (hash, new.sessions), None).await?
    else {
        return Ok(PasswordChange::Superseded);
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

/// Sets a password within `tx`, by using up the reset code `code` if there is one, and revokes every
/// session and code. Returns the user with the new credentials and how many sessions were revoked;
/// `None` when the credentials have changed or the code has died: then `tx` must be dropped.
pub(super) async fn set_password(
    app: &App,
    tx: &mut Tx,
    user: &User,
    (hash, sessions): (String, &Sessions),
    code: Option<&str>,
) -> Result<Option<(User, u64)>, DbError> {
    let now = app.clock.now();
    let set_in = sessions.as_ref().map(|[session, _]| session.as_str());
    // Users, then sessions, then codes, wherever all change: parallel requests must not deadlock.
    let Some(changed) = user::set_password(tx.on(), user, hash, set_in, now).await? else {
        return Ok(None);
    };
    let revoked = session::revoke_all_for_user(tx.on(), &user.id).await?;
    if let Some(id) = code
        && !use_code(tx.on(), Purpose::PasswordReset, id, &user.id, now).await?
    {
        return Ok(None);
    }
    one_time_code::revoke_all_for_user(tx.on(), &user.id).await?;
    Ok(Some((changed, revoked)))
}

/// The user whose password became this one a moment ago in this browser: the form arrived twice, by a
/// double click or from a second tab, and the repeat is answered like the first.
pub async fn find_repeat(
    app: &App,
    requester: &Requester,
    new: NewPassword<'_>,
) -> Result<Decision<Option<User>>, Error> {
    let Some(sessions) = new.sessions else { return Ok(Ok(None)) };
    let since = app.clock.now() - REPEATED_WITHIN;
    // From the writer: a change that is just being committed is waited for.
    let user = find_user_by_password_set_in(app.db.writer(), sessions, since).await?;
    let Some(user) = user else { return Ok(Ok(None)) };
    let is_current = is_repeated_password(app, requester, &user, new.password).await?;
    Ok(is_current.map(|is_current| is_current.then_some(user)))
}
