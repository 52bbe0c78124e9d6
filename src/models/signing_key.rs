//! The `vestibule_signing_keys` table: the keys of identity tokens, sealed with the server's key.

use crate::db::{DbError, Executor, row, sql};

row! {
    columns key_columns;
    /// A key.
    #[derive(Clone, Debug)]
    pub struct SigningKeyRow {
        /// 1 for the first key.
        pub number: i64,
        /// PKCS#8, sealed for this number.
        pub sealed: Vec<u8>,
        /// Unix time.
        pub created_at: i64,
    }
}

const ALL: &str =
    concat!("select ", key_columns!(), " from vestibule_signing_keys order by number");

/// Of two nodes that make the same key number, one wins.
const INSERT: &str = "insert into vestibule_signing_keys (number, sealed, created_at)
    values ($1, $2, $3) on conflict do nothing";

const DELETE_BEFORE: &str = "delete from vestibule_signing_keys where number < $1";

/// Every key, the oldest first.
pub async fn find_signing_keys(executor: Executor<'_>) -> Result<Vec<SigningKeyRow>, DbError> {
    sql(ALL).fetch_all(executor).await
}

/// Adds a key, unless there is one with its number, and returns whether it did.
pub async fn insert_signing_key(
    executor: Executor<'_>,
    new: &SigningKeyRow,
) -> Result<bool, DbError> {
    let insert = sql(INSERT).bind(new.number).bind(new.sealed.clone()).bind(new.created_at);
    Ok(insert.execute(executor).await? > 0)
}

/// Stores the key as it is sealed now.
pub async fn reseal_signing_key(
    executor: Executor<'_>,
    key: &SigningKeyRow,
) -> Result<(), DbError> {
    let reseal = sql("update vestibule_signing_keys set sealed = $1 where number = $2");
    reseal.bind(key.sealed.clone()).bind(key.number).execute(executor).await.map(drop)
}

/// Deletes the keys with a lower number.
pub async fn delete_signing_keys_before(
    executor: Executor<'_>,
    number: i64,
) -> Result<(), DbError> {
    sql(DELETE_BEFORE).bind(number).execute(executor).await.map(drop)
}
