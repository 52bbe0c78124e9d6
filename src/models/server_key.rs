//! The `vestibule_server_key` table: a row that only the server's key opens, and what else is sealed with it.

use crate::db::{DbError, Executor, row, sql};
use crate::key::ServerKey;

/// What the row is sealed for.
const SEALED_FOR: &str = "server key";

row! {
    columns key_columns;
    /// The row.
    pub struct ServerKeyRow {
        /// The key of digests, sealed.
        sealed: Vec<u8>,
        /// Unix time.
        pub used_since: i64,
    }
}

const FIND: &str = concat!("select ", key_columns!(), " from vestibule_server_key where id = 1");
const INSERT: &str = "insert into vestibule_server_key (id, sealed, used_since) values (1, $1, $2)
    on conflict do nothing";
/// Of two processes that replace it, one does.
const REPLACE: &str = "update vestibule_server_key set sealed = $1, used_since = $2
    where id = 1 and sealed = $3";

/// Codes are not sealed: no other key makes their digests.
const COUNT_LOST: &str = "select
    (select count(*) from vestibule_outbox) as mails,
    (select count(*) from vestibule_one_time_codes where expires_at > $1) as codes,
    (select count(*) from vestibule_signing_keys) as signing_keys";
const HAS_OLDER: &str =
    "select expires_at from vestibule_outbox where created_at <= $1 and expires_at > $2
    union all
    select expires_at from vestibule_one_time_codes where created_at <= $1 and expires_at > $2
    limit 1";
const NEWEST_EMAIL: &str = "select id, sealed from vestibule_outbox order by id desc limit 1";

row! {
    /// How much another key does not open.
    pub struct Lost {
        pub mails: i64,
        pub codes: i64,
        pub signing_keys: i64,
    }
}

impl Lost {
    pub fn is_nothing(&self) -> bool {
        self.mails + self.codes + self.signing_keys == 0
    }
}

impl ServerKeyRow {
    /// `key` with the digests of this database; none if the row is sealed with another key.
    pub fn open(&self, key: &ServerKey) -> Option<ServerKey> {
        let digest_key = key.open(SEALED_FOR, &self.sealed)?;
        key.clone().with_digest_key(&digest_key).ok()
    }

    pub fn is_sealed_by_first(&self, key: &ServerKey) -> bool {
        key.is_sealed_by_first(SEALED_FOR, &self.sealed)
    }

    /// Has `key` seal as this row is sealed.
    pub fn lead(&self, key: &ServerKey) {
        key.seal_with_key_of(SEALED_FOR, &self.sealed);
    }
}

/// The row; none before the first start.
pub async fn find_server_key(executor: Executor<'_>) -> Result<Option<ServerKeyRow>, DbError> {
    sql(FIND).fetch_optional(executor).await
}

/// Writes the row, unless there is one.
pub async fn insert_server_key(
    executor: Executor<'_>,
    key: &ServerKey,
    now: i64,
) -> Result<(), DbError> {
    let sealed = key.seal(SEALED_FOR, key.digest_key());
    sql(INSERT).bind(sealed).bind(now).execute(executor).await.map(drop)
}

/// Seals the row with `key`, and returns whether it was still `old`.
pub async fn replace_server_key(
    executor: Executor<'_>,
    old: &ServerKeyRow,
    key: &ServerKey,
    now: i64,
) -> Result<bool, DbError> {
    let sealed = key.seal(SEALED_FOR, key.digest_key());
    let replace = sql(REPLACE).bind(sealed).bind(now).bind(old.sealed.clone());
    Ok(replace.execute(executor).await? > 0)
}

/// What another key does not open.
pub async fn count_lost(executor: Executor<'_>, now: i64) -> Result<Lost, DbError> {
    let lost = sql(COUNT_LOST).bind(now).fetch_optional(executor).await?;
    Ok(lost.unwrap_or(Lost { mails: 0, codes: 0, signing_keys: 0 }))
}

/// Whether codes or emails from before `since` are still valid.
pub async fn has_older(executor: Executor<'_>, since: i64, now: i64) -> Result<bool, DbError> {
    let found = sql(HAS_OLDER).bind(since).bind(now).fetch_optional::<(i64,)>(executor).await?;
    Ok(found.is_some())
}

/// Whether `key` opens the newest email; true if there is none.
pub async fn opens_newest_email(executor: Executor<'_>, key: &ServerKey) -> Result<bool, DbError> {
    let newest = sql(NEWEST_EMAIL).fetch_optional::<(String, Vec<u8>)>(executor).await?;
    Ok(newest.is_none_or(|(id, sealed)| key.open(&id, &sealed).is_some()))
}
