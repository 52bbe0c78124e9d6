//! The `vestibule_sessions` table, as tower-sessions' store.
//!
//! Rows are keyed by SHA-256 of the session's id: a stolen copy of the table logs nobody in. Saving
//! never inserts, so that a request in flight cannot bring back a session that was just revoked.

use std::collections::HashMap;
use std::fmt::Display;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use tokio::time::timeout;
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{self, Error};

use super::client::Client;
use super::loaded_user::{LastLogin, LoadedUser};
use super::login::Login;
use super::user::User;
use super::user_session::delete_session;
use super::{history, loaded_user};
use crate::clock::Clock;
use crate::config::SessionLife;
use crate::db::{Db, DbError, Executor, row, sql};
use crate::event::Event;

/// The key under which a record has the session's data, an object as JSON. tower-sessions copies it for each
/// reader, and the copy of a text is cheaper than that of an object.
pub const DATA: &str = "data";

/// A key of records that need not be saved: a page has only removed what it showed.
pub const OPTIONAL: &str = "optional";

/// An anonymous session holds flashes and a pending reset, nothing worth more than an hour.
const MAX_ANONYMOUS_IDLE: i64 = 60 * 60;

/// How stale `last_seen_at` may grow before a request writes it: no write on every page. A quarter
/// of the idle time where that is less.
const TOUCH_AFTER: i64 = 5 * 60;

/// How long a page waits for a write that it can do without.
const OPTIONAL_WRITE_TIMEOUT: Duration = Duration::from_millis(500);

/// A session in which a user is logged in, as a request reads it that tower-sessions loads none for.
#[derive(Clone)]
pub struct LoggedInSession {
    /// What the session's row has instead of the id.
    pub key: Vec<u8>,
    pub user: User,
    /// Unix time.
    pub logged_in_at: i64,
    last_seen_at: i64,
    login: Login,
}

/// The store that tower-sessions works on.
#[derive(Clone, Debug)]
pub struct SqlSessionStore {
    db: Db,
    clock: Clock,
    life: SessionLife,
}

row! {
    /// A session, then its user, whose columns are empty in an anonymous one.
    struct SessionRow {
        data: String,
        begun_at: i64,
        last_seen_at: i64,
        username: String,
        email: String,
        password_hash: String,
        credential_version: i64,
        created_at: i64,
        email_verified_at: Option<i64>,
        password_blocked_at: Option<i64>,
        last_login_at: Option<i64>,
        last_login_device: Option<String>,
        last_login_address: Option<String>,
    }
}

/// The session with its user: one query for a page. Also refuses a session whose user has changed the
/// password since: the delete that went with the change can have missed one that was being made at that
/// moment.
macro_rules! load {
    ($last_login:literal, $join:literal) => {
        concat!(
            "select data, sessions.created_at as begun_at, last_seen_at, coalesce(username, '') as username,
            coalesce(email, '') as email, coalesce(password_hash, '') as password_hash,
            coalesce(users.credential_version, 0) as credential_version,
            coalesce(users.created_at, 0) as created_at, email_verified_at, password_blocked_at, ",
            $last_login,
            " from vestibule_sessions as sessions
            left join vestibule_users as users on users.id = sessions.user_id
                and users.credential_version = sessions.credential_version
                and approval_asked_at is null and disabled_at is null ",
            $join,
            " where id_hash = $1 and expires_at > $2
                and (sessions.user_id is null or users.id is not null)"
        )
    };
}

const LOAD: &str = load!(
    "logins.created_at as last_login_at, logins.device as last_login_device,
    logins.address as last_login_address",
    "left join vestibule_history as logins on logins.user_id = users.id and logins.id =
        (select id from vestibule_history where user_id = users.id and kind in ($3, $4) and created_at > $5
            order by id desc limit 1)"
);

/// Without the last login: proxies ask with every request of an application.
const LOAD_USER: &str = load!(
    "cast(null as bigint) as last_login_at, cast(null as text) as last_login_device,
    cast(null as text) as last_login_address",
    ""
);

const INSERT: &str = "insert into vestibule_sessions
    (id_hash, data, created_at, last_seen_at, expires_at, user_id, credential_version)
    values ($1, $2, $3, $3, $4, $5, $6)
    returning (select count(*) from vestibule_sessions other
        where other.user_id = $5 and other.id_hash <> $1)";

/// Sets new data, if there is any, and the time of the last use. The user stays: a login begins a new
/// session.
const UPDATE: &str = "update vestibule_sessions
    set data = coalesce($2, data), last_seen_at = $3,
        expires_at = case when created_at + $5 < $4 then created_at + $5 else $4 end
    where id_hash = $1";

/// As [`UPDATE`], without new data, unless another request did it since `last_seen_at` was read.
const TOUCH: &str = "update vestibule_sessions
    set last_seen_at = $2,
        expires_at = case when created_at + $4 < $3 then created_at + $4 else $3 end
    where id_hash = $1 and last_seen_at = $5";

/// Keeps the new session and the 99 others that were used last. Two logins at once, or one and a change
/// of the password, delete in no fixed order; rows that the other holds are left to the next login. The
/// numbers are in the text: SQLite makes a new plan for each value of a bound `limit`.
const KEEP_NEWEST: &str = "with picked as materialized (
        select id_hash from vestibule_sessions where id_hash in
        (select id_hash from vestibule_sessions where user_id = $1 and id_hash <> $2
            order by last_seen_at desc limit 100 offset 99)
        for update skip locked)
    delete from vestibule_sessions where id_hash in (select id_hash from picked)";

/// Sessions of one account, more than one person has browsers (ASVS 7.1.2): else anyone with a
/// password could fill the disk by logging in. From here on [`KEEP_NEWEST`] runs.
const MAX_SESSIONS: i64 = 100;

/// The key of the session whose id is a cookie's value.
pub fn session_key(cookie: &str) -> Option<Vec<u8>> {
    cookie.parse().ok().map(|id| hash(&id))
}

/// The user who is logged in in the session with this key: one query.
pub async fn find_user_by_session(
    executor: Executor<'_>,
    key: &[u8],
    now: i64,
) -> Result<Option<LoggedInSession>, DbError> {
    let load = sql(LOAD_USER).bind(key.to_vec()).bind(now);
    let found = load.fetch_optional::<SessionRow>(executor).await?;
    Ok(found.and_then(|session| {
        let login = Login::of(&session.data)?;
        Some(LoggedInSession {
            key: key.to_vec(),
            logged_in_at: session.begun_at,
            last_seen_at: session.last_seen_at,
            user: session.user(&login),
            login,
        })
    }))
}

/// Notes that a session was used at `now`, unless that was done since it was read.
pub async fn touch_session(
    executor: Executor<'_>,
    session: &LoggedInSession,
    life: SessionLife,
    now: i64,
) -> Result<(), DbError> {
    let touch = sql(TOUCH).bind(session.key.clone()).bind(now);
    let touch = touch.bind(now + life.idle_of(&session.login)).bind(life.max);
    touch.bind(session.last_seen_at).execute(executor).await.map(drop)
}

/// Waits a moment for a write that a page can do without. A failure is only logged, with `reason`.
pub async fn write_if_possible<E: Display + From<DbError>>(
    reason: &'static str,
    write: impl Future<Output = Result<(), E>>,
) -> bool {
    let written = timeout(OPTIONAL_WRITE_TIMEOUT, write).await;
    written
        .unwrap_or_else(|_| Err(DbError::Timeout.into()))
        .inspect_err(|error| Event::log_fault(reason, error))
        .is_ok()
}

impl LoggedInSession {
    /// Whether the last use is so long ago that another one is to be noted.
    pub fn is_touch_due(&self, life: SessionLife, after: i64, now: i64) -> bool {
        now - self.last_seen_at >= after.min(life.idle_of(&self.login) / 4)
    }
}

impl SessionRow {
    fn loaded_user(&self, login: &Login) -> LoadedUser {
        let (device, address) = (self.last_login_device.clone(), self.last_login_address.clone());
        let last_login =
            self.last_login_at.map(|at| LastLogin { at, client: Client { device, address } });
        LoadedUser { user: self.user(login), begun_at: self.begun_at, last_login }
    }

    fn user(&self, login: &Login) -> User {
        User {
            id: login.user_id.clone(),
            username: self.username.clone(),
            email: self.email.clone(),
            password_hash: self.password_hash.clone(),
            credential_version: self.credential_version,
            created_at: self.created_at,
            email_verified_at: self.email_verified_at,
            password_blocked_at: self.password_blocked_at,
            approval_asked_at: None,
            disabled_at: None,
        }
    }
}

impl SqlSessionStore {
    pub fn new(db: Db, clock: Clock, life: SessionLife) -> Self {
        Self { db, clock, life }
    }

    fn idle(&self, login: Option<&Login>) -> i64 {
        login.map_or(MAX_ANONYMOUS_IDLE, |login| self.life.idle_of(login))
    }

    async fn update(&self, id: &Id, data: &str, new: Option<&str>) -> Result<(), DbError> {
        let now = self.clock.now();
        let update = sql(UPDATE).bind(hash(id)).bind(new);
        let update = update.bind(now).bind(now + self.idle(Login::of(data).as_ref()));
        update.bind(self.life.max).execute(self.db.writer()).await.map(drop)
    }
}

#[async_trait]
impl SessionStore for SqlSessionStore {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        let (data, now) = (data(record), self.clock.now());
        let login = Login::of(data);
        let expires_at = now + self.idle(login.as_ref()).min(self.life.max);
        let user = login.as_ref().map(|login| login.user_id.clone());
        let insert = sql(INSERT).bind(hash(&record.id)).bind(data).bind(now);
        let insert = insert
            .bind(expires_at)
            .bind(user.clone())
            .bind(login.map(|login| login.credential_version));
        let others = match insert.fetch_optional::<(i64,)>(self.db.writer()).await {
            // The account was deleted in the meantime: there is nothing to be logged in to.
            Err(error) if error.is_reference() => return Ok(()),
            inserted => inserted.map_err(backend)?,
        };
        if let Some(user) = user
            && others >= Some((MAX_SESSIONS,))
        {
            let keep = sql(KEEP_NEWEST).bind(&user).bind(hash(&record.id));
            keep.execute(self.db.writer()).await.map_err(backend)?;
        }
        Ok(())
    }

    async fn save(&self, record: &Record) -> session_store::Result<()> {
        let data = data(record);
        let save = self.update(&record.id, data, Some(data));
        if record.data.contains_key(OPTIONAL) {
            write_if_possible("notices_were_not_struck_out", save).await;
            return Ok(());
        }
        save.await.map_err(backend)
    }

    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        let now = self.clock.now();
        let load = sql(LOAD).bind(hash(id)).bind(now);
        let load =
            load.bind(history::LOGIN).bind(history::REGISTERED).bind(now - history::LIFETIME);
        let found = load.fetch_optional::<SessionRow>(self.db.reader()).await.map_err(backend)?;
        let Some(session) = found else { return Ok(None) };
        let login = Login::of(&session.data);
        if now - session.last_seen_at >= TOUCH_AFTER.min(self.idle(login.as_ref()) / 4) {
            write_if_possible(
                "the_last_use_of_a_session_was_not_noted",
                self.update(id, &session.data, None),
            )
            .await;
        }
        loaded_user::set(login.map(|login| session.loaded_user(&login)));
        let data = HashMap::from([(DATA.to_owned(), Value::String(session.data))]);
        Ok(Some(Record { id: *id, data, expiry_date: OffsetDateTime::UNIX_EPOCH }))
    }

    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        delete_session(self.db.writer(), &hash(id)).await.map(drop).map_err(backend)
    }
}

fn hash(id: &Id) -> Vec<u8> {
    Sha256::digest(id.0.to_le_bytes()).to_vec()
}

fn data(record: &Record) -> &str {
    record.data.get(DATA).and_then(Value::as_str).unwrap_or("{}")
}

/// Driver errors are only logged.
fn backend(error: DbError) -> Error {
    Error::Backend(error.to_string())
}

/// Ends every session.
pub async fn delete_all_sessions(executor: Executor<'_>) -> Result<u64, DbError> {
    sql("delete from vestibule_sessions").execute(executor).await
}
