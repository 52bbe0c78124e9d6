//! The `sessions` table, as tower-sessions' store.
//!
//! Rows are keyed by SHA-256 of the session's id: a stolen copy of the table logs nobody in. Saving
//! never inserts, so that a request in flight cannot bring back a session that was just revoked.

use std::cell::RefCell;
use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use tokio::time::timeout;
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{self, Error};

use super::user::User;
use crate::clock::Clock;
use crate::db::{Db, DbError, Executor, SkipLocked, Statement, row, skip_locked, sql};
use crate::event::Event;

/// Keys of the session's JSON that this file reads.
pub mod keys {
    /// Who is logged in.
    pub const USER_ID: &str = "user_id";
    /// The user's credential version at login.
    pub const CREDENTIAL_VERSION: &str = "credential_version";
    /// Whether "keep me logged in" was ticked.
    pub const REMEMBER: &str = "remember";
    /// What the next page shows once.
    pub const NOTICES: &str = "notices";
    /// Set until the page that asks for the newest code is shown.
    pub const CODE_UNSEEN: &str = "code_unseen";
}

/// An anonymous session holds notices and a pending reset, nothing worth more than an hour.
const ANONYMOUS_IDLE: i64 = 60 * 60;

/// How stale `last_seen_at` may grow before a request writes it: no write on every page. A quarter
/// of the idle time where that is less.
const TOUCH_AFTER: i64 = 5 * 60;

/// How long a page waits for a write that it can do without.
pub const PATIENCE: Duration = Duration::from_millis(500);

tokio::task_local! {
    /// tower-sessions hands on nothing of a session but its JSON, where a password hash has no place.
    static USER: RefCell<Option<User>>;
}

/// Runs a request in which [`loaded_user`] answers.
pub async fn with_user<F: Future>(request: F) -> F::Output {
    USER.scope(RefCell::default(), request).await
}

/// The user that the request's session was loaded with.
pub fn loaded_user() -> Option<User> {
    USER.try_with(|user| user.borrow().clone()).ok().flatten()
}

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
pub struct SqlSessionStore {
    db: Db,
    clock: Clock,
    lifetimes: Lifetimes,
}

row! {
    /// A session, then its user, whose columns are empty in an anonymous one.
    struct Session {
        data: String,
        started_at: i64,
        last_seen_at: i64,
        id: String,
        username: String,
        email: String,
        password_hash: String,
        credential_version: i64,
        created_at: i64,
    }
}

/// The session with its user: one query for a page. Also refuses a session whose user has changed the
/// password since: the delete that went with the change can have missed one that was being made at that
/// moment.
const LOAD: &str = "select data, sessions.created_at as started_at, last_seen_at,
        coalesce(users.id, '') as id, coalesce(username, '') as username,
        coalesce(email, '') as email, coalesce(password_hash, '') as password_hash,
        coalesce(users.credential_version, 0) as credential_version,
        coalesce(users.created_at, 0) as created_at
    from sessions left join users on users.id = sessions.user_id
        and users.credential_version = sessions.credential_version
    where id_hash = $1 and expires_at > $2 and (sessions.user_id is null or users.id is not null)";

const INSERT: &str = "insert into sessions
    (id_hash, user_id, credential_version, data, created_at, last_seen_at, expires_at)
    values ($1, $2, $3, $4, $5, $5, $6) on conflict do nothing
    returning (select count(*) from sessions other where other.user_id = $2 and other.id_hash <> $1)";

/// What tower-sessions keeps in a session.
type Data = HashMap<String, Value>;

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

/// Sessions of one account, more than one person has browsers (ASVS 7.1.2): else anyone with a
/// password could fill the disk by logging in. From here on [`KEEP_NEWEST`] runs.
const MAX_SESSIONS: i64 = 100;

const SWEEP: SkipLocked = skip_locked!(
    "select id_hash from sessions where expires_at <= $1 limit $2",
    "delete from sessions where id_hash in (select id_hash from picked)"
);

/// Deletes up to `limit` sessions that have expired and answers how many.
pub async fn sweep_sessions(on: Executor<'_>, limit: i64, now: i64) -> Result<u64, DbError> {
    SWEEP.sql(&on).bind(now).bind(limit).execute(on).await
}

/// Deletes every session of a user and answers how many.
pub async fn revoke_all_for_user(on: Executor<'_>, user_id: &str) -> Result<u64, DbError> {
    sql(DELETE_OF_USER).bind(user_id).execute(on).await
}

impl SqlSessionStore {
    /// A store with these lifetimes.
    pub fn new(db: Db, clock: Clock, lifetimes: Lifetimes) -> Self {
        Self { db, clock, lifetimes }
    }

    fn idle(&self, data: &Data) -> i64 {
        if !data.contains_key(keys::USER_ID) {
            return ANONYMOUS_IDLE;
        }
        match data.get(keys::REMEMBER).and_then(Value::as_bool) {
            Some(true) => self.lifetimes.idle_remembered,
            _ => self.lifetimes.idle,
        }
    }

    /// A failure is only logged: a page that needs no write must not fail because of one.
    async fn touch(&self, hash: &[u8], data: &Data, started_at: i64) {
        let now = self.clock.now();
        let expires_at = (now + self.idle(data)).min(started_at + self.lifetimes.most);
        let touch = sql(TOUCH).bind(hash.to_vec()).bind(now).bind(expires_at);
        let touched = timeout(PATIENCE, touch.execute(self.db.writer())).await;
        if let Err(error) = touched.unwrap_or(Err(DbError::Timeout)) {
            Event::Fault.because("the_last_use_of_a_session_was_not_noted", &error);
        }
    }

    async fn update(&self, record: &Record) -> Result<(), DbError> {
        let now = self.clock.now();
        let save = bind_record(SAVE, record).bind(now).bind(now + self.idle(&record.data));
        save.bind(self.lifetimes.most).execute(self.db.writer()).await.map(drop)
    }

    /// The session with this digest, unless it has expired.
    async fn find(&self, digest: Vec<u8>) -> Result<Option<Session>, DbError> {
        sql(LOAD).bind(digest).bind(self.clock.now()).optional(self.db.reader()).await
    }

    /// Whether the save would do nothing but remove what was shown, which can be shown again.
    async fn only_removes_shown(&self, record: &Record) -> bool {
        let Ok(Some(session)) = self.find(hash(&record.id)).await else { return false };
        let mut stored: Data = serde_json::from_str(&session.data).unwrap_or_default();
        let [notices, unseen] = [keys::NOTICES, keys::CODE_UNSEEN].map(|key| stored.remove(key));
        (notices.is_some() || unseen.is_some()) && stored == record.data
    }

    /// Whether the id was free.
    async fn insert(&self, record: &Record) -> Result<bool, DbError> {
        let now = self.clock.now();
        let expires_at = now + self.idle(&record.data).min(self.lifetimes.most);
        let insert = bind_record(INSERT, record).bind(now).bind(expires_at);
        let Some((others,)) = insert.optional::<(i64,)>(self.db.writer()).await? else {
            return Ok(false);
        };
        if let Some(user) = user_id(record)
            && others >= MAX_SESSIONS
        {
            let on = self.db.writer();
            KEEP_NEWEST.sql(&on).bind(user).bind(hash(&record.id)).execute(on).await?;
        }
        Ok(true)
    }
}

#[async_trait]
impl SessionStore for SqlSessionStore {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        while !self.insert(record).await.map_err(backend)? {
            record.id = Id::default();
        }
        Ok(())
    }

    async fn save(&self, record: &Record) -> session_store::Result<()> {
        let mut save = pin!(self.update(record));
        let failure = match timeout(PATIENCE, &mut save).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => Some(error),
            Err(_) => None,
        };
        if self.only_removes_shown(record).await {
            Event::Fault.because("notices_were_not_struck_out", &"they are shown again");
            return Ok(());
        }
        match failure {
            Some(error) => Err(backend(error)),
            None => save.await.map_err(backend),
        }
    }

    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        let (hash, now) = (hash(id), self.clock.now());
        let Some(session) = self.find(hash.clone()).await.map_err(backend)? else {
            return Ok(None);
        };
        let Session { data, started_at, last_seen_at, .. } = session;
        let Session { id: user_id, username, email, password_hash, .. } = session;
        let Session { credential_version, created_at, .. } = session;
        let user =
            User { id: user_id, username, email, password_hash, credential_version, created_at };
        // Outside a request, in a test, there is nobody to tell.
        let _ = USER.try_with(|slot| slot.replace(Some(user).filter(|user| !user.id.is_empty())));
        let data: Data =
            serde_json::from_str(&data).map_err(|error| Error::Decode(error.to_string()))?;
        if now - last_seen_at >= TOUCH_AFTER.min(self.idle(&data) / 4) {
            self.touch(&hash, &data, started_at).await;
        }
        Ok(Some(Record { id: *id, data, expiry_date: OffsetDateTime::UNIX_EPOCH }))
    }

    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        let delete = sql(DELETE).bind(hash(id));
        delete.execute(self.db.writer()).await.map_err(backend)?;
        Ok(())
    }
}

fn hash(id: &Id) -> Vec<u8> {
    Sha256::digest(id.0.to_le_bytes()).to_vec()
}

fn user_id(record: &Record) -> Option<&str> {
    record.data.get(keys::USER_ID).and_then(Value::as_str)
}

/// Binds the first four columns: id, user, credential version, data.
fn bind_record(text: &'static str, record: &Record) -> Statement {
    let version = record.data.get(keys::CREDENTIAL_VERSION).and_then(Value::as_i64);
    let data = Value::from_iter(record.data.clone()).to_string();
    let user = user_id(record).map(str::to_owned);
    sql(text).bind(hash(&record.id)).bind(user).bind(version).bind(&data)
}

/// The driver's words go to the log alone.
fn backend(error: DbError) -> Error {
    Error::Backend(error.to_string())
}
