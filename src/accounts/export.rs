//! Everything that is stored about a person, as JSON. No secrets: a copy must not help to log in.

use serde_json::{Value, json};

use super::Error;
use super::history::{self, HistoryEvent, history_of};
use super::requester::Requester;
use super::sessions::{Entry, devices_of, sessions_of};
use crate::app::App;
use crate::db::DbError;
use crate::event::Event;
use crate::models::history::{EMAIL, HistoryEntry};
use crate::models::user::{AcceptedTerms, User, find_accepted_terms};
use crate::times;

/// More than an account can have.
const ALL: i64 = 100_000;

/// What is stored about `user`, who asks for it.
pub async fn export(app: &App, requester: &Requester, user: &User) -> Result<Value, Error> {
    note_export(app, requester, user).await?;
    Ok(everything_about(app, user).await?)
}

/// Notes in the history of `user` that somebody gets what is stored.
pub async fn note_export(app: &App, requester: &Requester, user: &User) -> Result<(), DbError> {
    let mut tx = app.db.begin().await?;
    history::record(app, &mut tx, requester, user, HistoryEvent::Exported).await?;
    tx.commit().await?;
    Event::DataExported { account: &user.id }.write();
    Ok(())
}

/// What is stored about `user`.
pub async fn everything_about(app: &App, user: &User) -> Result<Value, DbError> {
    let (emails, history): (Vec<_>, Vec<_>) =
        history_of(app, user, None, ALL).await?.into_iter().partition(|entry| entry.kind == EMAIL);
    let sessions = sessions_of(app, user, None).await?;
    let devices = devices_of(app, user, &[]).await?;
    let accepted = find_accepted_terms(app.db.reader(), &user.id).await?;
    Ok(json!({
        "id": user.id,
        "username": user.username(),
        "email": user.email,
        "email_verified": user.is_email_verified(),
        "created_at": times::iso(user.created_at),
        "terms": accepted.as_ref().map(terms),
        "sessions": sessions.iter().map(entry).collect::<Value>(),
        "devices": devices.iter().map(entry).collect::<Value>(),
        "history": history.iter().map(event).collect::<Value>(),
        "emails": emails.iter().map(email).collect::<Value>(),
    }))
}

fn terms(accepted: &AcceptedTerms) -> Value {
    json!({ "url": accepted.terms_url, "accepted_at": times::iso(accepted.terms_accepted_at) })
}

/// A session or a device.
pub fn entry(entry: &Entry) -> Value {
    json!({
        "device": entry.client.device,
        "address": entry.client.address,
        "created_at": entry.first_seen.map(times::iso),
        "last_seen_at": times::iso(entry.last_seen),
    })
}

fn event(entry: &HistoryEntry) -> Value {
    json!({
        "kind": entry.kind,
        "detail": entry.detail,
        "device": entry.device,
        "address": entry.address,
        "at": times::iso(entry.created_at),
    })
}

fn email(entry: &HistoryEntry) -> Value {
    json!({ "kind": entry.detail, "at": times::iso(entry.created_at) })
}
