//! The rows of `vestibule_sessions` in which a user is logged in: listed, kept and ended.

use super::client::Client;
use super::expired::{Expired, expired};
use super::login::Login;
use super::user::User;
use crate::db::{DbError, Executor, row, sql};

/// A session as its user is shown it.
#[derive(Clone, Debug)]
pub struct UserSession {
    /// What the session's row has instead of the id.
    pub key: Vec<u8>,
    /// Where the user logged in.
    pub client: Client,
    /// Unix time.
    pub created_at: i64,
    /// Unix time, some minutes behind at most.
    pub last_seen_at: i64,
}

row! {
    columns listed_columns;
    struct ListedRow {
        id_hash: Vec<u8>,
        data: String,
        created_at: i64,
        last_seen_at: i64,
    }
}

/// Those that a request is logged in with.
const LIST: &str = concat!(
    "select ",
    listed_columns!(),
    " from vestibule_sessions where user_id = $1 and credential_version = $2 and expires_at > $3
    order by last_seen_at desc"
);

const DELETE: &str = "delete from vestibule_sessions where id_hash = $1";
const DELETE_OTHERS: &str = "delete from vestibule_sessions where user_id = $1 and id_hash <> $2";
const KEEP: &str = "update vestibule_sessions set credential_version = $2 where id_hash = $1";
const DELETE_OF_USER: &str = "delete from vestibule_sessions where user_id = $1";

/// Sessions that have expired.
pub const EXPIRED: Expired = expired!("vestibule_sessions", "id_hash", "expires_at <= $1", 0);

/// Deletes every session of a user and returns how many.
pub async fn revoke_all_for_user(executor: Executor<'_>, user_id: &str) -> Result<u64, DbError> {
    sql(DELETE_OF_USER).bind(user_id).execute(executor).await
}

/// Deletes every session of a user but the one with this key, and returns how many.
pub async fn revoke_others(
    executor: Executor<'_>,
    user_id: &str,
    key: &[u8],
) -> Result<u64, DbError> {
    sql(DELETE_OTHERS).bind(user_id).bind(key.to_vec()).execute(executor).await
}

/// How many sessions there are in which a user is logged in, with those that are not swept yet.
pub async fn count_logged_in(executor: Executor<'_>) -> Result<i64, DbError> {
    let count = sql("select count(*) from vestibule_sessions where user_id > ''");
    Ok(count.fetch_optional::<(i64,)>(executor).await?.map_or(0, |(count,)| count))
}

/// Keeps the session with this key valid for `user`, whose credentials have changed in it.
pub async fn keep_session(executor: Executor<'_>, key: &[u8], user: &User) -> Result<(), DbError> {
    let keep = sql(KEEP).bind(key.to_vec()).bind(user.credential_version);
    keep.execute(executor).await.map(drop)
}

/// Keeps the sessions of a user valid whose credentials have got another version.
pub async fn keep_sessions(
    executor: Executor<'_>,
    user_id: &str,
    (from, to): (i64, i64),
) -> Result<(), DbError> {
    let keep = sql("update vestibule_sessions set credential_version = $3
        where user_id = $1 and credential_version = $2");
    keep.bind(user_id).bind(from).bind(to).execute(executor).await.map(drop)
}

/// The sessions in which a user is logged in, the last used first.
pub async fn list_sessions(
    executor: Executor<'_>,
    user: &User,
    now: i64,
) -> Result<Vec<UserSession>, DbError> {
    let list = sql(LIST).bind(&user.id).bind(user.credential_version).bind(now);
    let rows = list.fetch_all::<ListedRow>(executor).await?.into_iter();
    Ok(rows.map(ListedRow::session).collect())
}

/// Deletes the session with this key and returns whether there was one.
pub async fn delete_session(executor: Executor<'_>, key: &[u8]) -> Result<bool, DbError> {
    Ok(sql(DELETE).bind(key.to_vec()).execute(executor).await? > 0)
}

impl ListedRow {
    fn session(self) -> UserSession {
        let Self { id_hash: key, data, created_at, last_seen_at } = self;
        let client = Login::of(&data).map(|login| login.client).unwrap_or_default();
        UserSession { key, client, created_at, last_seen_at }
    }
}
