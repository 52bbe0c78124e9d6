//! Where an account is logged in and which browsers it trusts, as its owner sees and ends that.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Error;
use super::history::{self, HistoryEvent};
use super::requester::Requester;
use crate::app::App;
use crate::db::DbError;
use crate::event::Event;
use crate::models::client::Client;
use crate::models::device::{delete_device, list_devices};
use crate::models::user::User;
use crate::models::user_session::{UserSession, delete_session, list_sessions, revoke_others};
use crate::random::token_hash;

/// A session or a trusted device.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Identifies it on pages. It is not a secret: it is looked up only within its own account.
    pub id: String,
    pub client: Client,
    /// Unix time, if it is known.
    pub first_seen: Option<i64>,
    /// Unix time.
    pub last_seen: i64,
    /// Whether the request came from it.
    pub is_current: bool,
}

/// The sessions of `user`: the one with the key `current`, which asks, then the last used ones.
pub async fn sessions_of(
    app: &App,
    user: &User,
    current: Option<&[u8]>,
) -> Result<Vec<Entry>, DbError> {
    let sessions = list_sessions(app.db.reader(), user, app.clock.now()).await?.into_iter();
    let entry = |session: UserSession| Entry {
        id: public_id(app, &session.key),
        is_current: current == Some(&session.key),
        client: session.client,
        first_seen: Some(session.created_at),
        last_seen: session.last_seen_at,
    };
    let mut entries: Vec<Entry> = sessions.map(entry).collect();
    entries.sort_by_key(|entry| !entry.is_current);
    Ok(entries)
}

/// The devices that `user` was logged in on, the last used first. `current` are the tokens of the one that
/// asks.
pub async fn devices_of(app: &App, user: &User, current: &[String]) -> Result<Vec<Entry>, DbError> {
    let current: Vec<_> = current.iter().map(|token| token_hash(token)).collect();
    let devices = list_devices(app.db.reader(), &user.id, app.clock.now()).await?.into_iter();
    let entries = devices.map(|device| Entry {
        id: public_id(app, &device.token_hash),
        is_current: current.contains(&device.token_hash),
        client: Client { device: device.device, address: device.address },
        first_seen: device.created_at,
        last_seen: device.last_login_at,
    });
    Ok(entries.collect())
}

/// Ends the session `id` of `user`, and returns its key if there was one. Every node and application looks
/// a session up with each request.
pub async fn end_session(
    app: &App,
    requester: &Requester,
    user: &User,
    id: &str,
) -> Result<Option<Vec<u8>>, Error> {
    let sessions = list_sessions(app.db.reader(), user, app.clock.now()).await?;
    let Some(found) = sessions.into_iter().find(|session| public_id(app, &session.key) == id)
    else {
        return Ok(None);
    };
    let mut tx = app.db.begin().await?;
    if !delete_session(tx.executor(), &found.key).await? {
        return Ok(None);
    }
    history::record(app, &mut tx, requester, user, HistoryEvent::SessionsEnded).await?;
    tx.commit().await?;
    Event::SessionEnded { account: &user.id, reason: "ended_by_user", sessions: 1 }.write();
    Ok(Some(found.key))
}

/// Ends every session of `user` but the one with the key `current`, if the requester has one.
pub async fn end_other_sessions(
    app: &App,
    requester: &Requester,
    user: &User,
    current: Option<&[u8]>,
) -> Result<(), Error> {
    let mut tx = app.db.begin().await?;
    let ended = revoke_others(tx.executor(), &user.id, current.unwrap_or_default()).await?;
    if ended == 0 {
        return Ok(());
    }
    history::record(app, &mut tx, requester, user, HistoryEvent::SessionsEnded).await?;
    tx.commit().await?;
    let reason = if requester.is_operator { "ended_by_operator" } else { "ended_by_user" };
    Event::SessionEnded { account: &user.id, reason, sessions: ended }.write();
    Ok(())
}

/// Forgets the device `id` of `user`, and returns whether it was known. The next login there is one from a
/// new device.
pub async fn forget_device(
    app: &App,
    requester: &Requester,
    user: &User,
    id: &str,
) -> Result<bool, Error> {
    let devices = list_devices(app.db.reader(), &user.id, app.clock.now()).await?;
    let Some(found) = devices.into_iter().find(|device| public_id(app, &device.token_hash) == id)
    else {
        return Ok(false);
    };
    let mut tx = app.db.begin().await?;
    if !delete_device(&mut tx, &user.id, &found.token_hash).await? {
        return Ok(false);
    }
    history::record(app, &mut tx, requester, user, HistoryEvent::DeviceForgotten).await?;
    tx.commit().await?;
    Event::DeviceForgotten { account: &user.id }.write();
    Ok(true)
}

fn public_id(app: &App, key: &[u8]) -> String {
    app.key.digest("listed", &[&URL_SAFE_NO_PAD.encode(key)])
}
