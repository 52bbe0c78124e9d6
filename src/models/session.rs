//! The `sessions` table, as tower-sessions' store.
//!
//! Rows are keyed by SHA-256 of the session's id: a stolen copy of the table logs nobody in. A row
//! that is gone stays gone: saving only updates, so that a request in flight cannot bring back a
//! session that a log-out or a reset has just ended.

use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use tokio::time::timeout;
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result};

use super::Store;
use super::user::User;
use crate::db::{DbError, SkipLocked, Tx, skip_locked, sql};
use crate::event::Event;

/// Keys of the session's JSON that the table's own columns are read from.
pub mod keys {
    /// Who is logged in.
    pub const USER_ID: &str = "user_id";
    /// The user's credential version at login.
    pub const CREDENTIAL_VERSION: &str = "credential_version";
    /// Whether "keep me logged in" was ticked.
    pub const REMEMBER: &str = "remember";
    /// What the next page is to show once.
    pub const NOTICES: &str = "notices";
    /// Whether the page that asks for the newest code was not shown yet.
    pub const CODE_UNSEEN: &str = "code_unseen";
    /// The user who is logged in, as the database had them when the session was loaded: the row comes
    /// with the session's. It is there for the length of a request and is never stored.
    pub const USER: &str = "user";
}

/// Nobody's session lives an hour: it holds notices and a reset under way, nothing worth more.
const ANONYMOUS_IDLE: i64 = 60 * 60;

/// How stale `last_seen_at` may grow before a request writes it: no write on every page. A quarter
/// of the idle time where that is less.
const TOUCH_AFTER: i64 = 5 * 60;

/// How long a page waits for a write that it can do without.
pub const PATIENCE: Duration = Duration::from_millis(500);

/// How long sessions live, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// Without a request, when remembered.
    pub idle_remembered: i64,
    /// Without a request, when not.
    pub idle: i64,
    /// In all, since login.
    pub most: i64,
}

/// The store that tower-sessions works on.
#[derive(Clone, Debug)]
pub struct SessionRows {
    store: Store,
    lifetimes: Lifetimes,
}

/// A session's own columns, then its user's, which are empty for nobody.
type Loaded = (String, i64, i64, String, String, String, String, i64, i64);

/// The session with its user: one query for a page. Also refuses a session whose user has changed the
/// password since: the delete that went with the change can have missed one that was being made at that
/// moment.
const LOAD: &str = "select data, sessions.created_at, last_seen_at,
        coalesce(users.id, ''), coalesce(username, ''), coalesce(email, ''),
        coalesce(password_hash, ''), coalesce(users.credential_version, 0),
        coalesce(users.created_at, 0)
    from sessions left join users on users.id = sessions.user_id
        and users.credential_version = sessions.credential_version
    where id_hash = $1 and expires_at > $2 and (sessions.user_id is null or users.id is not null)";

const INSERT: &str = "insert into sessions
    (id_hash, user_id, credential_version, data, created_at, last_seen_at, expires_at)
    values ($1, $2, $3, $4, $5, $5, $6) on conflict do nothing
    returning (select count(*) from sessions other where other.user_id = $2 and other.id_hash <> $1)";

/// What tower-sessions keeps in a session.
type Data = HashMap<String, serde_json::Value>;

const SAVE: &str = "update sessions
    set user_id = $2, credential_version = $3, data = $4, last_seen_at = $5, expires_at =
        case when created_at + $7 < $6 then created_at + $7 else $6 end
    where id_hash = $1";

const TOUCH: &str = "update sessions set last_seen_at = $2, expires_at = $3
    where id_hash = $1 and last_seen_at < $2";

const DELETE: &str = "delete from sessions where id_hash = $1";
const DELETE_OF_USER: &str = "delete from sessions where user_id = $1";

/// Keeps the new session and the 99 others that were used last. Two logins at once, or one and a change
/// of the password, delete in no fixed order; rows that the other holds are left to the next login. The
/// numbers stand in the text: SQLite makes a new plan for each value of a bound `limit`.
const KEEP_NEWEST: SkipLocked = skip_locked!(
    "select id_hash from sessions where id_hash in
        (select id_hash from sessions where user_id = $1 and id_hash <> $2
            order by last_seen_at desc limit 100 offset 99)",
    "delete from sessions where id_hash in (select id_hash from picked)"
);

/// Sessions of one account at once, more than one person has browsers (ASVS 7.1.2): else whoever knows
/// a password could fill the disk by logging in. With one more, [`KEEP_NEWEST`] has work to do.
const MOST_OF_A_USER: i64 = 100;

const SWEEP: SkipLocked = skip_locked!(
    "select id_hash from sessions where expires_at <= $1 limit $2",
    "delete from sessions where id_hash in (select id_hash from picked)"
);

impl Store {
    /// Deletes up to `most` sessions that have expired and answers how many went.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sweep_sessions(&self, most: i64) -> std::result::Result<u64, DbError> {
        let now = self.clock.now();
        sql(SWEEP.text(&self.db)).bind(now).bind(most).execute(self.db.writer()).await
    }
}

impl SessionRows {
    /// A store with these life times.
    pub fn new(store: Store, lifetimes: Lifetimes) -> Self {
        Self { store, lifetimes }
    }

    fn idle(&self, data: &Data) -> i64 {
        if !data.contains_key(keys::USER_ID) {
            return ANONYMOUS_IDLE;
        }
        match data.get(keys::REMEMBER).and_then(serde_json::Value::as_bool) {
            Some(true) => self.lifetimes.idle_remembered,
            _ => self.lifetimes.idle,
        }
    }

    /// A failure is only logged: a page that needs no write must not fail for want of one.
    async fn touch(&self, hash: &[u8], data: &Data, created_at: i64) {
        let now = self.store.clock.now();
        let expires_at = (now + self.idle(data)).min(created_at + self.lifetimes.most);
        let touch = sql(TOUCH).bind(hash.to_vec()).bind(now).bind(expires_at);
        let touched = timeout(PATIENCE, touch.execute(self.store.db.writer())).await;
        if let Err(error) = touched.unwrap_or(Err(DbError::Timeout)) {
            Event::Fault.because("the_last_use_of_a_session_was_not_noted", &error);
        }
    }

    async fn update(&self, record: &Record) -> std::result::Result<(), DbError> {
        let now = self.store.clock.now();
        let (user, version, data) = columns(record);
        let save = sql(SAVE).bind(hash(&record.id)).bind(user).bind(version).bind(&data);
        let save = save.bind(now).bind(now + self.idle(&record.data)).bind(self.lifetimes.most);
        save.execute(self.store.db.writer()).await.map(drop)
    }

    /// The session with this digest, unless it has expired.
    async fn find(&self, digest: Vec<u8>) -> std::result::Result<Option<Loaded>, DbError> {
        let load = sql(LOAD).bind(digest).bind(self.store.clock.now());
        load.optional(self.store.db.reader()).await
    }

    /// Whether nothing but what was to be shown would be taken out of the row: it was shown, and can be
    /// shown again.
    async fn only_notices_go(&self, record: &Record) -> bool {
        let Ok(Some((data, ..))) = self.find(hash(&record.id)).await else {
            return false;
        };
        let mut stored: Data = serde_json::from_str(&data).unwrap_or_default();
        let [notices, unseen] = [keys::NOTICES, keys::CODE_UNSEEN].map(|key| stored.remove(key));
        (notices.is_some() || unseen.is_some()) && stored == stored_part(record)
    }

    /// Whether the id was free.
    async fn insert(&self, record: &Record) -> std::result::Result<bool, DbError> {
        let now = self.store.clock.now();
        let expires_at = now + self.idle(&record.data).min(self.lifetimes.most);
        let (user, version, data) = columns(record);
        let insert = sql(INSERT).bind(hash(&record.id)).bind(user.clone()).bind(version);
        let insert = insert.bind(&data).bind(now).bind(expires_at);
        let Some((others,)) = insert.optional::<(i64,)>(self.store.db.writer()).await? else {
            return Ok(false);
        };
        if let Some(user) = user.filter(|_| others >= MOST_OF_A_USER) {
            let keep = sql(KEEP_NEWEST.text(&self.store.db)).bind(&user).bind(hash(&record.id));
            keep.execute(self.store.db.writer()).await?;
        }
        Ok(true)
    }
}

#[async_trait]
impl SessionStore for SessionRows {
    async fn create(&self, record: &mut Record) -> Result<()> {
        while !self.insert(record).await.map_err(backend)? {
            record.id = Id::default();
        }
        Ok(())
    }

    async fn save(&self, record: &Record) -> Result<()> {
        let mut save = pin!(self.update(record));
        let failure = match timeout(PATIENCE, &mut save).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => Some(error),
            Err(_) => None,
        };
        if self.only_notices_go(record).await {
            Event::Fault.because("notices_were_not_struck_out", &"they are shown again");
            return Ok(());
        }
        match failure {
            Some(error) => Err(backend(error)),
            None => save.await.map_err(backend),
        }
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let (hash, now) = (hash(id), self.store.clock.now());
        let row = self.find(hash.clone()).await.map_err(backend)?;
        let Some(row) = row else { return Ok(None) };
        let (created_at, last_seen_at) = (row.1, row.2);
        let data = data_of(row)?;
        if now - last_seen_at >= TOUCH_AFTER.min(self.idle(&data) / 4) {
            self.touch(&hash, &data, created_at).await;
        }
        Ok(Some(Record { id: *id, data, expiry_date: OffsetDateTime::UNIX_EPOCH }))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        let delete = sql(DELETE).bind(hash(id));
        delete.execute(self.store.db.writer()).await.map_err(backend)?;
        Ok(())
    }
}

/// Ends every session of a user, within the change that calls for it, and answers how many.
pub(super) async fn end_all_of(tx: &mut Tx, user_id: &str) -> std::result::Result<u64, DbError> {
    sql(DELETE_OF_USER).bind(user_id).execute(tx.on()).await
}

fn hash(id: &Id) -> Vec<u8> {
    Sha256::digest(id.0.to_le_bytes()).to_vec()
}

/// What is stored, and the user who was read with it.
fn data_of(row: Loaded) -> Result<Data> {
    let (data, _, _, id, username, email, password_hash, credential_version, created_at) = row;
    let mut data: Data =
        serde_json::from_str(&data).map_err(|error| Error::Decode(error.to_string()))?;
    if !id.is_empty() {
        let user = (id, username, email, password_hash, credential_version, created_at);
        let user =
            serde_json::to_string(&user).map_err(|error| Error::Encode(error.to_string()))?;
        data.insert(keys::USER.to_owned(), user.into());
    }
    Ok(data)
}

/// The user that a session was loaded with, from what stands under [`keys::USER`]: one text, which is
/// copied faster than an object.
pub fn user_of(text: &str) -> Option<User> {
    let (id, username, email, password_hash, credential_version, created_at) =
        serde_json::from_str(text).ok()?;
    Some(User { id, username, email, password_hash, credential_version, created_at })
}

/// Without the user, who has a table of their own.
fn stored_part(record: &Record) -> Data {
    let mut data = record.data.clone();
    data.remove(keys::USER);
    data
}

fn columns(record: &Record) -> (Option<String>, Option<i64>, String) {
    let data = stored_part(record);
    let user = data.get(keys::USER_ID).and_then(serde_json::Value::as_str).map(str::to_owned);
    let version = data.get(keys::CREDENTIAL_VERSION).and_then(serde_json::Value::as_i64);
    (user, version, serde_json::Value::from_iter(data).to_string())
}

/// The driver's words go to the log alone.
fn backend(error: DbError) -> Error {
    Error::Backend(error.to_string())
}
