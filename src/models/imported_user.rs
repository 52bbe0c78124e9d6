//! The rows of `vestibule_users` that an import writes, and the imported hashes that are left.

use std::collections::HashSet;
use std::fmt::Write;
use std::sync::LazyLock;

use crate::db::{DbError, Executor, Statement, row, sql};

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

static FIND_KEPT: LazyLock<String> = LazyLock::new(|| {
    let (names, now) = (placeholders(1, NAMES * BATCH), NAMES * BATCH + 1);
    format!(
        "select '' as username, username_key, '' as email_key from vestibule_reserved_usernames
            where username_key in ({names}) and reserved_until > ${now}
        union all
        select '', '', email_key from vestibule_mail_links
            where email_key in ({names}) and purpose = 'not_me' and keeps_email = 1 and expires_at > ${now}"
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
    /// What an account is known by, or what is kept for one.
    #[derive(Clone)]
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
    let Some(find) = with_names(&FIND, users) else { return Ok(Vec::new()) };
    find.fetch_all(executor).await
}

/// Of the names of up to [`BATCH`] users, those that were given up and are kept.
pub async fn find_kept_names(
    executor: Executor<'_>,
    users: impl Iterator<Item = &ImportedUser>,
    now: i64,
) -> Result<Vec<UserNames>, DbError> {
    let Some(find) = with_names(&FIND_KEPT, users) else { return Ok(Vec::new()) };
    find.bind(now).fetch_all(executor).await
}

/// None without a user.
fn with_names<'a>(
    text: &'static str,
    users: impl Iterator<Item = &'a ImportedUser>,
) -> Option<Statement> {
    let names: Vec<&str> = users.flat_map(ImportedUser::names).collect();
    let last = names.last()?;
    let padded = names.iter().chain(std::iter::repeat(last)).take(NAMES * BATCH);
    Some(padded.fold(sql(text), |find, name| find.bind(*name)))
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
