//! Which key the server uses: the one that is set or stored, if the database was used with it.

use std::path::PathBuf;

use super::signing_keys::resealed;
use super::{App, StartError};
use crate::config::Config;
use crate::db::{Db, DbError, Location};
use crate::event::Event;
use crate::key::{ServerKey, file};
use crate::models::server_key::{
    Lost, ServerKeyRow, count_lost, find_server_key, has_older, insert_server_key,
    opens_newest_email, replace_server_key,
};
use crate::models::signing_key::{find_signing_keys, reseal_signing_key};
use crate::random;

/// What a process may do about a key that the database was not used with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyUse {
    /// Nothing, and write nothing.
    Read,
    /// Nothing: a server may run beside it, with the old key.
    Command,
    /// Put it into force after a rotation.
    Serve,
    /// Put it into force in any case.
    AcceptNew,
}

impl KeyUse {
    fn is_command(self) -> bool {
        matches!(self, Self::Read | Self::Command)
    }
}

/// Where the key comes from.
enum Place {
    /// `VESTIBULE_SECRET`.
    Setting(ServerKey),
    /// Beside the SQLite file.
    File(PathBuf),
    /// A database in memory needs no key that outlives it.
    Memory,
}

impl Place {
    async fn of(config: &Config, db: &Db) -> Result<Self, StartError> {
        if let Some(key) = &config.secret {
            return Ok(Self::Setting(key.clone()));
        }
        let database = match &config.database {
            Location::Sqlite(path) => Some(path.clone()),
            Location::SqlitePool(_) => db.sqlite_file().await?,
            Location::Postgres(_) | Location::PostgresPool(_) => return Err(StartError::NoKey),
        };
        let file = database.map(|path| Self::File(file::beside(&path)));
        Ok(file.unwrap_or(Self::Memory))
    }

    /// The key; none if the file is missing.
    fn read(&self) -> Result<Option<ServerKey>, String> {
        match self {
            Self::Setting(key) => Ok(Some(key.clone())),
            Self::File(path) => file::load(path),
            Self::Memory => random_key().map(Some),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Setting(_) | Self::Memory => "VESTIBULE_SECRET".to_owned(),
        }
    }
}

fn random_key() -> Result<ServerKey, String> {
    ServerKey::from_bytes(&random::bytes::<32>())
}

/// Reads the key, or creates it for a new database, and refuses one that the database was not used with.
pub(super) async fn load(
    config: &Config,
    db: &Db,
    now: i64,
    key_use: KeyUse,
) -> Result<ServerKey, StartError> {
    let place = Place::of(config, db).await?;
    let key_use = if matches!(place, Place::Memory) { KeyUse::AcceptNew } else { key_use };
    let key = match place.read().map_err(StartError::Key)? {
        Some(key) => key,
        None => create(&place, db, now, key_use).await?,
    };
    loop {
        let Some(row) = find_server_key(db.writer()).await? else {
            if !opens_newest(db, &key).await? {
                refuse_unless_accepted(&place, OTHER, db, now, key_use).await?;
            }
            if key_use == KeyUse::Read {
                return Ok(key);
            }
            insert_server_key(db.writer(), &key, now).await?;
            continue;
        };
        match row.open(&key) {
            Some(key) if row.is_sealed_by_first(&key) => return Ok(key),
            Some(key) if key_use.is_command() => {
                row.lead(&key);
                return Ok(key);
            }
            Some(key) => put_into_force(db, &row, &key, now).await?,
            None => {
                refuse_unless_accepted(&place, OTHER, db, now, key_use).await?;
                if key_use.is_command() {
                    return Ok(key);
                }
                replace_server_key(db.writer(), &row, &key, now).await?;
            }
        }
    }
}

const MISSING: &str = "the key is missing";
const OTHER: &str = "this is not the key that the database was used with";

/// The key of a new database, which another process may be creating, too.
async fn create(
    place: &Place,
    db: &Db,
    now: i64,
    key_use: KeyUse,
) -> Result<ServerKey, StartError> {
    let is_new = find_server_key(db.reader()).await?.is_none()
        && count_lost(db.reader(), now).await?.is_nothing();
    // Another process may have created it since it was looked for.
    if !is_new {
        if let Some(key) = place.read().map_err(StartError::Key)? {
            return Ok(key);
        }
        refuse_unless_accepted(place, MISSING, db, now, key_use).await?;
    }
    match place {
        _ if key_use == KeyUse::Read => random_key().map_err(StartError::Key),
        Place::File(path) => file::load_or_create(path).map_err(StartError::Key),
        Place::Setting(_) | Place::Memory => Err(StartError::NoKey),
    }
}

/// Whether `key` opens what an older program sealed, which wrote no row.
async fn opens_newest(db: &Db, key: &ServerKey) -> Result<bool, DbError> {
    let newest = find_signing_keys(db.reader()).await?.pop();
    let opens_signing_key = newest.is_none_or(|newest| resealed(&newest, key).is_some());
    Ok(opens_signing_key && opens_newest_email(db.reader(), key).await?)
}

/// Refuses a key that is not the database's. On SQLite a server may replace it if nothing is lost; on
/// PostgreSQL other nodes may use the right one.
async fn refuse_unless_accepted(
    place: &Place,
    problem: &str,
    db: &Db,
    now: i64,
    key_use: KeyUse,
) -> Result<(), StartError> {
    let lost = count_lost(db.reader(), now).await?;
    let may_go_on = key_use == KeyUse::Serve || problem == OTHER;
    let is_harmless = may_go_on && lost.is_nothing() && !db.is_postgres();
    let Lost { mails, codes, signing_keys } = lost;
    let lost = format!("{mails} emails, {codes} codes and {signing_keys} signing keys");
    if key_use == KeyUse::AcceptNew || is_harmless {
        // A missing key is followed by another one, which is logged.
        let is_logged = problem == OTHER && !key_use.is_command();
        if is_logged && !matches!(place, Place::Memory) {
            let cause = format!("lost with the old key: {lost}. Limits count anew");
            Event::KeyReplaced { cause: &cause }.write();
        }
        return Ok(());
    }
    Err(StartError::Key(format!(
        "{}: {problem}: restore that key, which is not part of a backup. Or give up what only that key opens ({lost}, and the counts of limits) with `vestibule serve --accept-new-key`",
        place.name()
    )))
}

/// Seals with the new key what must outlive the old one. Does nothing if another process has just done it.
async fn put_into_force(
    db: &Db,
    row: &ServerKeyRow,
    key: &ServerKey,
    now: i64,
) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    if !replace_server_key(tx.executor(), row, key, now).await? {
        return Ok(());
    }
    let rows = find_signing_keys(tx.executor()).await?;
    for resealed in rows.iter().filter_map(|row| resealed(row, key)) {
        reseal_signing_key(tx.executor(), &resealed).await?;
    }
    tx.commit().await?;
    Event::KeyRotated.write();
    Ok(())
}

/// Removes the keys that were replaced once the last code or email from before that has expired. Those in
/// `VESTIBULE_SECRET` stay until they are removed there.
pub(crate) async fn forget_old_keys(app: &App) {
    if app.key.has_old_keys()
        && let Err(cause) = try_to_forget_old_keys(app).await
    {
        Event::log_fault("an_old_key_was_not_removed", &cause);
    }
}

async fn try_to_forget_old_keys(app: &App) -> Result<(), StartError> {
    let Place::File(path) = Place::of(&app.config, &app.db).await? else { return Ok(()) };
    let Some(row) = find_server_key(app.db.reader()).await? else { return Ok(()) };
    if has_older(app.db.reader(), row.used_since, app.clock.now()).await? {
        return Ok(());
    }
    file::remove_old_keys(&path, &app.key).map_err(StartError::Key)?;
    app.key.forget_old_keys();
    Event::OldKeyForgotten.write();
    Ok(())
}
