//! The rows of `vestibule_users` that an import writes, and the imported hashes that are left.

use std::collections::HashSet;
use std::fmt::Write;
use std::sync::LazyLock;

use crate::db::{DbError, Executor, row, sql};
use crate::random;

/// The rows of one statement.
pub const BATCH: usize = 100;

const COLUMNS: usize = 10;

static INSERT: LazyLock<String> = LazyLock::new(|| {
    let mut text = "insert into vestibule_users (id, username, username_key, email, email_key, password_hash, password_scheme, created_at, email_verified_at, disabled_at, credential_version) values ".to_owned();
    for row in 0..BATCH {
        let values = placeholders(row * COLUMNS + 1, COLUMNS);
        let _ = write!(text, "{}({values}, 1)", if row == 0 { "" } else { ", " });
    }
    // A name or address that was taken in the meantime is no error.
    text + " on conflict do nothing returning id"
});

static FIND: LazyLock<String> = LazyLock::new(|| {
    let names = placeholders(1, NAMES * BATCH);
    format!(
        "select username, username_key, email_key from vestibule_users where username_key in ({names})
            or email_key in ({names}) or username in ({names}) and username <> ''"
    )
});

const NEXT_SCHEME: &str = "select password_scheme, password_hash from vestibule_users
    where password_scheme > $1 order by password_scheme limit 1";

/// An account to be made.
#[derive(Clone)]
pub struct ImportedUser {
    pub id: String,
    /// This and the next three as in [`super::user::NewUser`].
    pub username: String,
    pub username_key: String,
    pub email: String,
    pub email_key: String,
    /// Empty without a password.
    pub password_hash: String,
    /// Of a hash that is none of our own.
    pub password_scheme: Option<String>,
    /// Unix time, as the next two.
    pub created_at: i64,
    pub email_verified_at: Option<i64>,
    pub disabled_at: Option<i64>,
}

/// What no two accounts share: the username and its key, and that of the address.
const NAMES: usize = 3;

row! {
    /// What an account is known by.
    pub struct UserNames {
        pub username: String,
        pub username_key: String,
        pub email_key: String,
    }
}

row! {
    /// A stored hash, and what hashes like it cost.
    pub struct StoredScheme {
        pub password_scheme: String,
        pub password_hash: String,
    }
}

fn placeholders(first: usize, count: usize) -> String {
    let numbers = first..first + count;
    numbers.map(|number| format!("${number}")).collect::<Vec<_>>().join(", ")
}

/// A new id.
pub fn new_id(now: i64) -> String {
    random::id(now * 1000)
}

impl ImportedUser {
    /// What no other account is known by.
    pub fn names(&self) -> [&str; NAMES] {
        [&self.username, &self.username_key, &self.email_key]
    }
}

impl UserNames {
    /// As [`ImportedUser::names`].
    pub fn names(&self) -> [&str; NAMES] {
        [&self.username, &self.username_key, &self.email_key]
    }
}

/// The accounts that are known by a name of up to [`BATCH`] users.
pub async fn find_users_by_names(
    executor: Executor<'_>,
    users: impl Iterator<Item = &ImportedUser>,
) -> Result<Vec<UserNames>, DbError> {
    let names: Vec<&str> = users.flat_map(ImportedUser::names).collect();
    let Some(last) = names.last() else { return Ok(Vec::new()) };
    let padded = names.iter().chain(std::iter::repeat(last)).take(NAMES * BATCH);
    padded.fold(sql(&FIND), |find, name| find.bind(*name)).fetch_all(executor).await
}

/// Makes up to [`BATCH`] accounts. Returns the ids of those that were made: not where another account has
/// the username or the address.
pub async fn insert_users(
    executor: Executor<'_>,
    users: &[ImportedUser],
) -> Result<HashSet<String>, DbError> {
    let Some(last) = users.last() else { return Ok(HashSet::new()) };
    // A row that is repeated conflicts with itself.
    let padded = users.iter().chain(std::iter::repeat(last)).take(BATCH);
    let insert = padded.fold(sql(&INSERT), |insert, user| {
        let insert = insert.bind(&*user.id).bind(&*user.username).bind(&*user.username_key);
        let insert = insert.bind(&*user.email).bind(&*user.email_key).bind(&*user.password_hash);
        let insert = insert.bind(user.password_scheme.as_deref()).bind(user.created_at);
        insert.bind(user.email_verified_at).bind(user.disabled_at)
    });
    let ids: Vec<(String,)> = insert.fetch_all(executor).await?;
    Ok(ids.into_iter().map(|(id,)| id).collect())
}

/// The next scheme of an imported hash, in alphabetical order, with one of its hashes.
pub async fn find_scheme_after(
    executor: Executor<'_>,
    scheme: &str,
) -> Result<Option<StoredScheme>, DbError> {
    sql(NEXT_SCHEME).bind(scheme).fetch_optional(executor).await
}
