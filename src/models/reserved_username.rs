//! The `vestibule_reserved_usernames` table: usernames that were given up, for their last owner alone, with what
//! looks like them.

use super::expired::{Expired, expired};
use crate::db::{DbError, Executor, sql};

/// How long a username is reserved, in seconds: 90 days.
pub const RESERVED_FOR: i64 = 90 * 24 * 60 * 60;

const RESERVE: &str =
    "insert into vestibule_reserved_usernames (username_key, user_id, reserved_until)
    values ($1, $2, $3)
    on conflict (username_key) do update set user_id = $2, reserved_until = $3
        where vestibule_reserved_usernames.user_id = $2
            or vestibule_reserved_usernames.reserved_until <= $4";

const IS_RESERVED: &str = "select reserved_until from vestibule_reserved_usernames
    where username_key = $1 and (user_id is null or user_id <> $2) and reserved_until > $3";

/// Reservations that have ended.
pub const EXPIRED: Expired =
    expired!("vestibule_reserved_usernames", "username_key", "reserved_until <= $1", 0);

/// Reserves the username with this key for `user_id`, who gives it up; for nobody when the account is deleted. A
/// name that looks like it may be reserved for another already, and stays theirs.
pub async fn reserve_username(
    executor: Executor<'_>,
    username_key: &str,
    user_id: Option<&str>,
    now: i64,
) -> Result<(), DbError> {
    let reserve = sql(RESERVE).bind(username_key).bind(user_id).bind(now + RESERVED_FOR).bind(now);
    reserve.execute(executor).await.map(drop)
}

/// Whether the username with this key is reserved for another user than `user_id`, which may be empty.
pub async fn is_username_reserved(
    executor: Executor<'_>,
    username_key: &str,
    user_id: &str,
    now: i64,
) -> Result<bool, DbError> {
    let reserved = sql(IS_RESERVED).bind(username_key).bind(user_id).bind(now);
    Ok(reserved.fetch_optional::<(i64,)>(executor).await?.is_some())
}
