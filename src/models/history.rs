//! The `vestibule_history` table: what happened to each account, and which emails were sent about it.

use super::client::Client;
use super::expired::{Expired, expired};
use crate::clock::Clock;
use crate::db::{DbError, Executor, Tx, row, sql};
use crate::random;

/// How long an entry is kept, in seconds: 90 days.
pub const LIFETIME: i64 = 90 * 24 * 60 * 60;

/// The kind of an entry about an email. Its detail is the email's kind.
pub const EMAIL: &str = "email";

/// The kinds of the entries about a login. To register is to log in.
pub const LOGIN: &str = "login";
pub const REGISTERED: &str = "registered";

/// Entries of one account: each login adds one. From here on [`KEEP_NEWEST`] runs.
const MAX_ENTRIES: i64 = 1000;

/// Greater than every id.
const AFTER_ALL: &str = "z";

row! {
    columns history_columns;
    /// An entry.
    #[derive(Clone, Debug)]
    pub struct HistoryEntry {
        /// Later entries have greater ids.
        pub id: String,
        pub kind: String,
        pub detail: Option<String>,
        /// "Firefox on Linux", if it is known.
        pub device: Option<String>,
        pub address: Option<String>,
        /// Unix time.
        pub created_at: i64,
    }
}

/// An entry about something that was done.
#[derive(Clone, Debug)]
pub struct NewEntry<'a> {
    pub user_id: &'a str,
    pub kind: &'a str,
    pub detail: Option<&'a str>,
    pub client: Client,
}

const INSERT: &str =
    "insert into vestibule_history (user_id, id, kind, detail, device, address, created_at)
    values ($1, $2, $3, $4, $5, $6, $7)
    returning (select count(*) from vestibule_history other where other.user_id = $1)";

/// Counts nothing: that would take longer for an account than for nobody.
const INSERT_EMAIL: &str = "insert into vestibule_history (user_id, id, kind, detail, created_at)
    values ($1, $2, $3, $4, $5)";

/// As with sessions, two logins at once do not wait for each other, and the numbers are in the text.
const KEEP_NEWEST: &str = "with picked as materialized (
        select id from vestibule_history where user_id = $1 and id in
        (select id from vestibule_history where user_id = $1 order by id desc limit 100 offset 1000)
        for update skip locked)
    delete from vestibule_history where user_id = $1 and id in (select id from picked)";

const PAGE: &str = concat!(
    "select ",
    history_columns!(),
    " from vestibule_history where user_id = $1 and id < $2 and created_at > $3
    order by id desc limit $4"
);

/// Entries older than [`LIFETIME`], and those about emails to nobody's account, which are only there because they
/// must cost the same.
pub const EXPIRED: Expired =
    expired!("vestibule_history", "user_id, id", "created_at <= $1 or user_id = ''", LIFETIME);

/// Adds an entry within `tx`.
pub async fn insert_entry(tx: &mut Tx, new: NewEntry<'_>, clock: &Clock) -> Result<(), DbError> {
    let insert = sql(INSERT).bind(new.user_id).bind(random::id(clock.millis())).bind(new.kind);
    let insert =
        insert.bind(new.detail).bind(new.client.device).bind(new.client.address).bind(clock.now());
    let others = insert.fetch_optional::<(i64,)>(tx.executor()).await?;
    if others >= Some((MAX_ENTRIES,)) {
        sql(KEEP_NEWEST).bind(new.user_id).execute(tx.executor()).await?;
    }
    Ok(())
}

/// Adds an entry about an email of this kind within `tx`. Without an account the same is written.
pub async fn insert_email(
    tx: &mut Tx,
    user_id: Option<&str>,
    kind: &str,
    clock: &Clock,
) -> Result<(), DbError> {
    let insert = sql(INSERT_EMAIL).bind(user_id.unwrap_or_default());
    let insert = insert.bind(random::id(clock.millis())).bind(EMAIL).bind(kind);
    insert.bind(clock.now()).execute(tx.executor()).await.map(drop)
}

/// Up to `limit` entries of a user, the newest first: those before the entry `before`, if there is one.
pub async fn list_entries(
    executor: Executor<'_>,
    user_id: &str,
    before: Option<&str>,
    limit: i64,
    now: i64,
) -> Result<Vec<HistoryEntry>, DbError> {
    let page = sql(PAGE).bind(user_id).bind(before.unwrap_or(AFTER_ALL)).bind(now - LIFETIME);
    page.bind(limit).fetch_all(executor).await
}

/// Deletes the history of a user.
pub async fn delete_history_of_user(executor: Executor<'_>, user_id: &str) -> Result<(), DbError> {
    let delete = sql("delete from vestibule_history where user_id = $1").bind(user_id);
    delete.execute(executor).await.map(drop)
}
