//! Change the username.

use super::Error;
use super::end_access::{EndedAccess, end_access};
use super::field_errors::FieldErrors;
use super::history::{self, HistoryEvent};
use super::notices::{Recipient, send_to};
use super::rate_limits::{self, Counter, RateLimit};
use super::reauthenticate::reauthenticate;
use super::requester::Requester;
use super::username::{Username, UsernameError};
use crate::app::App;
use crate::config::Notice;
use crate::event::Event;
use crate::models::reserved_username::{is_username_reserved, reserve_username};
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
    let username = errors.record("username", Username::parse_new(typed), UsernameError::Empty);
    if username.as_ref().is_some_and(|username| username.as_str() == user.username) {
        return Ok(UsernameChange::Same);
    }
    reauthenticate(app, requester, user, current, &mut errors).await?;
    let username = errors.into_result(username)?;
    // Like registrations: both show which usernames are taken.
    let counters = Counter::of_networks(app, RateLimit::RegisterIp, requester.counted_networks());
    rate_limits::count(app, counters, Some(&user.id)).await?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let changed = match set_username(&mut tx, user, username.as_str()).await? {
        NameChange::Changed(user) => user,
        NameChange::Taken => return Err(taken()),
        NameChange::Superseded => return Ok(UsernameChange::LoggedOut),
    };
    if is_username_reserved(tx.executor(), &changed.username, &user.id, now).await? {
        return Err(taken());
    }
    let EndedAccess { sessions, device_tokens } =
        end_access(app, &mut tx, requester, (&changed, session)).await?;
    reserve_username(tx.executor(), &user.username, Some(&user.id), now).await?;
    history::record(app, &mut tx, requester, &changed, HistoryEvent::UsernameChanged).await?;
    let recipient = Recipient { user: &changed, to: &changed.email, detail: &user.username };
    send_to(app, &mut tx, requester, recipient, Notice::UsernameChanged).await?;
    tx.commit().await?;
    let account = &user.id;
    Event::UsernameChanged { account }.write();
    Event::SessionEnded { account, reason: "username_change", sessions }.write();
    Ok(UsernameChange::Changed { device_tokens })
}

fn taken() -> Error {
    Error::Invalid(FieldErrors::single("username", "That username is taken. Choose another."))
}
