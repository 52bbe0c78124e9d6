//! The `vestibule_devices` table: browsers that an account was used from, recognised by a cookie.

use super::client::Client;
use super::expired::{Expired, expired};
use super::user::User;
use crate::db::{DbError, Executor, Tx, row, sql};
use crate::random::token_hash;

/// How long a browser is remembered after its last login, in seconds: as long as browsers keep a
/// cookie at most (RFC 6265bis, 400 days).
pub const LIFETIME: i64 = 400 * 24 * 60 * 60;

/// Devices of one account: logging in without the cookie adds a row each time. From here on
/// [`KEEP_NEWEST`] runs.
const MAX_DEVICES: i64 = 50;

/// Tokens that one browser holds, one for each account that is used in it.
pub const MAX_TOKENS: usize = 4;

/// A browser that an account was used from, found by one of its tokens.
pub struct KnownDevice {
    /// The token that this account gave it.
    pub token: String,
    /// Whether the account was used from there with its present password. After a change of the password
    /// only browsers that knew the new one count: a thief of the old one had one, too.
    pub is_trusted: bool,
    /// 0 if the password was set there without a login since.
    pub logins: i64,
}

/// Of the browser that a login came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceStatus {
    /// The account was used from it with its present password.
    Known,
    /// It is the first device of the account.
    First,
    /// The account was used from other devices, and not from this one with its present password.
    New,
}

row! {
    columns device_columns;
    struct DeviceRow {
        token_hash: Vec<u8>,
        credential_version: i64,
        logins: i64,
    }
}

row! {
    columns listed_columns;
    /// A device as its owner is shown it.
    #[derive(Clone, Debug)]
    pub struct Device {
        pub token_hash: Vec<u8>,
        pub device: Option<String>,
        pub address: Option<String>,
        /// Unix time, if it is known.
        pub created_at: Option<i64>,
        /// Unix time.
        pub last_login_at: i64,
    }
}

impl DeviceRow {
    /// The device as `user` knows it, with the one of `tokens` that it was found by.
    fn known(self, user: &User, tokens: &[String]) -> Option<KnownDevice> {
        let token = tokens.iter().find(|token| token_hash(token) == self.token_hash)?.clone();
        let is_trusted = self.credential_version == user.credential_version;
        Some(KnownDevice { token, is_trusted, logins: self.logins })
    }
}

const RECORD: &str = "insert into vestibule_devices as devices
    (token_hash, user_id, logins, last_login_at, credential_version, device, address, created_at)
    values ($1, $2, $3, $4, $5, $6, $7, $4)
    on conflict (user_id, token_hash) do update set
        logins = devices.logins + $3, last_login_at = $4, credential_version = $5,
        device = $6, address = $7
    returning logins, (select count(*) from vestibule_devices other
        where other.user_id = $2 and other.token_hash <> $1)";
const FIND: &str = concat!(
    "select ",
    device_columns!(),
    " from vestibule_devices where user_id = $1 and token_hash in ($2, $3, $4, $5) and last_login_at > $6
    order by credential_version desc, last_login_at desc limit 1"
);
const LIST: &str = concat!(
    "select ",
    listed_columns!(),
    " from vestibule_devices where user_id = $1 and last_login_at > $2 and credential_version =
    (select credential_version from vestibule_users where id = $1) order by last_login_at desc"
);
/// Keeps the 50 that were used last. As with sessions, two logins at once do not wait for each other, and
/// the numbers are in the text.
const KEEP_NEWEST: &str = "with picked as materialized (
        select token_hash from vestibule_devices where user_id = $1 and token_hash in
        (select token_hash from vestibule_devices where user_id = $1
            order by last_login_at desc limit 100 offset 50)
        for update skip locked)
    delete from vestibule_devices where user_id = $1 and token_hash in (select token_hash from picked)";

/// Devices without a login for [`LIFETIME`].
pub const EXPIRED: Expired =
    expired!("vestibule_devices", "user_id, token_hash", "last_login_at <= $1", LIFETIME);

/// The device that holds one of `tokens` (the first [`MAX_TOKENS`] count), if this user logged in from
/// it. Without a user the same query runs.
pub async fn find_device(
    executor: Executor<'_>,
    user: Option<&User>,
    tokens: &[String],
    now: i64,
) -> Result<Option<KnownDevice>, DbError> {
    let find = sql(FIND).bind(user.map_or("", |user| &user.id));
    let hash_at = |at: usize| tokens.get(at).map_or_else(Vec::new, |token| token_hash(token));
    let find = (0..MAX_TOKENS).fold(find, |find, at| find.bind(hash_at(at)));
    let found = find.bind(now - LIFETIME).fetch_optional::<DeviceRow>(executor).await?;
    Ok(found.zip(user).and_then(|(row, user)| row.known(user, tokens)))
}

/// Adds `logins` to the device that holds `token` and trusts it with the user's present password. It is the
/// browser that had the token `replaced`.
pub async fn record_device(
    tx: &mut Tx,
    user: &User,
    ((token, replaced), client): ((&str, Option<&str>), Client),
    logins: i64,
    now: i64,
) -> Result<DeviceStatus, DbError> {
    let record = sql(RECORD).bind(token_hash(token)).bind(&user.id).bind(logins).bind(now);
    let record = record.bind(user.credential_version).bind(client.device).bind(client.address);
    let recorded = record.fetch_optional(tx.executor()).await?;
    let (logins, other_devices) = recorded.unwrap_or((logins, 0));
    if let Some(replaced) = replaced {
        delete_device(tx, &user.id, &token_hash(replaced)).await?;
    }
    if other_devices >= MAX_DEVICES {
        sql(KEEP_NEWEST).bind(&user.id).execute(tx.executor()).await?;
    }
    Ok(match (logins, other_devices) {
        (1, 0) => DeviceStatus::First,
        (1, _) => DeviceStatus::New,
        _ => DeviceStatus::Known,
    })
}

/// The devices that a user trusts with the present credentials, the last used first.
pub async fn list_devices(
    executor: Executor<'_>,
    user_id: &str,
    now: i64,
) -> Result<Vec<Device>, DbError> {
    sql(LIST).bind(user_id).bind(now - LIFETIME).fetch_all(executor).await
}

/// Forgets a device of a user and returns whether it was known.
pub async fn delete_device(tx: &mut Tx, user_id: &str, key: &[u8]) -> Result<bool, DbError> {
    let delete = sql("delete from vestibule_devices where user_id = $1 and token_hash = $2");
    Ok(delete.bind(user_id).bind(key.to_vec()).execute(tx.executor()).await? > 0)
}

/// Forgets every device of a user.
pub async fn delete_devices(tx: &mut Tx, user_id: &str) -> Result<(), DbError> {
    let delete = sql("delete from vestibule_devices where user_id = $1").bind(user_id);
    delete.execute(tx.executor()).await.map(drop)
}

/// Keeps the devices trusted of a user whose credentials have got another version.
pub async fn keep_devices(
    tx: &mut Tx,
    user_id: &str,
    (from, to): (i64, i64),
) -> Result<(), DbError> {
    let keep = sql("update vestibule_devices set credential_version = $3
        where user_id = $1 and credential_version = $2");
    keep.bind(user_id).bind(from).bind(to).execute(tx.executor()).await.map(drop)
}

/// Forgets every trusted device.
pub async fn delete_all_devices(executor: Executor<'_>) -> Result<u64, DbError> {
    sql("delete from vestibule_devices").execute(executor).await
}
