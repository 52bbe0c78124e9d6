//! Change the username.

use super::Error;
use super::email::{EmailAddress, address_key};
use super::end_access::{EndedAccess, end_access, keep_access};
use super::field_errors::FieldErrors;
use super::history::{self, HistoryEvent};
use super::name_in_password::{refuse_name_in_password, refuse_name_of_operator};
use super::notices::{Recipient, send_to};
use super::rate_limits::{self, Counter, RateLimit};
use super::reauthenticate::reauthenticate;
use super::requester::Requester;
use super::reserved_names::is_username_kept;
use super::username::{Username, UsernameError, key_of};
use crate::app::App;
use crate::config::Notice;
use crate::db::{DbError, Tx};
use crate::event::Event;
use crate::models::reserved_username::reserve_username;
use crate::models::user::{NameChange, User, set_username};

/// How a change of the username ended.
pub enum UsernameChange {
    Changed {
        /// The device tokens that the browser must keep.
        device_tokens: Vec<String>,
    },
    /// It was the username before: the form may have come twice.
    Same,
    /// The credentials have changed in the meantime.
    LoggedOut,
}

/// Gives `user`, who is logged in in the session with the key `session`, another username. The old one is
/// reserved. `current` is what was typed as the password; `None` if that was given a moment ago.
pub async fn change_username(
    app: &App,
    requester: &Requester,
    (user, session): (&User, &[u8]),
    typed: &str,
    current: Option<&str>,
) -> Result<UsernameChange, Error> {
    let mut errors = FieldErrors::default();
    let email = EmailAddress::parse(&user.email).ok();
    let username = Username::choose(typed, app.config.usernames, email.as_ref());
    let username = errors.record("username", username, UsernameError::Empty);
    if username.as_ref().is_some_and(|username| username.as_str() == user.username) {
        return Ok(UsernameChange::Same);
    }
    reauthenticate(app, requester, user, current, &mut errors).await?;
    let username = errors.into_result(username)?;
    refuse_name_in_password(app, requester, user, ("username", typed), current).await?;
    // Like registrations: both show which usernames are taken.
    let counters = Counter::of_networks(app, RateLimit::RegisterIp, requester.counted_networks());
    rate_limits::count(app, counters, Some(&user.id)).await?;
    let mut tx = app.db.begin().await?;
    let changed = match give_username(app, &mut tx, user, &username).await? {
        NameChange::Changed(user) => user,
        NameChange::Taken => return Err(username_taken()),
        NameChange::Superseded => return Ok(UsernameChange::LoggedOut),
    };
    let EndedAccess { sessions, device_tokens } =
        end_access(app, &mut tx, requester, (&changed, session)).await?;
    finish(app, &mut tx, requester, [user, &changed]).await?;
    tx.commit().await?;
    let account = &user.id;
    Event::UsernameChanged { account }.write();
    Event::SessionEnded { account, reason: "username_change", sessions }.write();
    Ok(UsernameChange::Changed { device_tokens })
}

/// Gives `user` the username that the operator chose. The sessions go on.
pub async fn rename(app: &App, user: &User, username: &Username) -> Result<NameChange, Error> {
    if username.as_str() == user.username {
        return Ok(NameChange::Changed(user.clone()));
    }
    refuse_name_of_operator(app, user, ("username", username.as_str())).await?;
    let mut tx = app.db.begin().await?;
    let change = give_username(app, &mut tx, user, username).await?;
    let NameChange::Changed(changed) = &change else { return Ok(change) };
    keep_access(&mut tx, user, changed).await?;
    finish(app, &mut tx, &Requester::operator(), [user, changed]).await?;
    tx.commit().await?;
    Event::UsernameChanged { account: &user.id }.write();
    Ok(change)
}

/// Gives `user` the username within `tx`, unless it is another's.
async fn give_username(
    app: &App,
    tx: &mut Tx,
    user: &User,
    username: &Username,
) -> Result<NameChange, DbError> {
    let key = username.key(&address_key(user));
    let change = set_username(tx, user, (username.as_str(), &key)).await?;
    if let NameChange::Changed(user) = &change
        && is_username_kept(app, tx, user).await?
    {
        return Ok(NameChange::Taken);
    }
    Ok(change)
}

/// Reserves the old username within `tx`, and notes and reports the change.
async fn finish(
    app: &App,
    tx: &mut Tx,
    requester: &Requester,
    [old, new]: [&User; 2],
) -> Result<(), Error> {
    if let Some(username) = old.username() {
        let key = key_of(username, &address_key(old));
        reserve_username(tx.executor(), &key, Some(&old.id), app.clock.now()).await?;
    }
    history::record(app, tx, requester, new, HistoryEvent::UsernameChanged).await?;
    let recipient = Recipient { user: new, to: &new.email, detail: old.display_name() };
    send_to(app, tx, requester, recipient, Notice::UsernameChanged).await?;
    Ok(())
}

/// The username belongs to another account, or is reserved for one.
pub fn username_taken() -> Error {
    Error::Invalid(FieldErrors::single("username", "That username is taken. Choose another."))
}
