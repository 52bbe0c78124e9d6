//! The `vestibule_users` table.

use crate::db::{DbError, Executor, Statement, Tx, row, sql};
use crate::random;

row! {
    columns user_columns;
    /// It has no `Debug`, so that no log gets a password hash.
    #[derive(Clone)]
    pub struct User {
        /// Opaque, 26 characters; never changes.
        pub id: String,
        /// Lower-case, unique; empty if the account has none.
        pub username: String,
        /// As it was typed; mail goes here.
        pub email: String,
        /// PHC string, or an imported hash; empty without a password.
        pub password_hash: String,
        /// Incremented by each new password or address: sessions and codes of an older one are invalid.
        pub credential_version: i64,
        /// Unix time.
        pub created_at: i64,
        /// When the owner of the address proved that they have it; `None` when a stranger may have typed it,
        /// 0 when that is not known.
        pub email_verified_at: Option<i64>,
        /// Since when the password is not accepted, until a new one is set.
        pub password_blocked_at: Option<i64>,
        /// Since when the account waits for the operator; nobody is logged in to it before.
        pub approval_asked_at: Option<i64>,
        /// Since when the account may not be used.
        pub disabled_at: Option<i64>,
    }
}

pub(super) use user_columns;

impl User {
    /// The key that failed logins are counted by: a new password starts a new count, and no username can
    /// be equal to it.
    pub fn credentials(&self) -> String {
        format!("id {} {}", self.id, self.credential_version)
    }

    /// The username, if there is one.
    pub fn username(&self) -> Option<&str> {
        Some(self.username.as_str()).filter(|username| !username.is_empty())
    }

    /// The username; the address where there is none.
    pub fn display_name(&self) -> &str {
        if self.username.is_empty() { &self.email } else { &self.username }
    }

    /// Whether the operator has yet to approve the account.
    pub fn awaits_approval(&self) -> bool {
        self.approval_asked_at.is_some()
    }

    /// The hash that the right password is compared with, if there is one that opens the account.
    pub fn accepted_hash(&self) -> Option<&str> {
        let is_accepted = self.password_blocked_at.is_none() && self.is_enabled();
        is_accepted.then_some(self.password_hash.as_str())
    }

    /// Whether the account may be used.
    pub fn is_enabled(&self) -> bool {
        self.disabled_at.is_none()
    }

    /// Whether the address is proved or older than proofs. Others may have been typed by a stranger.
    pub fn has_known_address(&self) -> bool {
        self.email_verified_at.is_some()
    }

    /// Whether the owner of the address has confirmed it.
    pub fn is_email_verified(&self) -> bool {
        self.email_verified_at.is_some_and(|at| at > 0)
    }
}

row! {
    columns terms_columns;
    /// The terms that a user accepted to register.
    #[derive(Clone, Debug)]
    pub struct AcceptedTerms {
        /// A URL, or a path on the origin.
        pub terms_url: String,
        /// Unix time.
        pub terms_accepted_at: i64,
    }
}

/// An account to be made.
#[derive(Clone, Copy)]
pub struct NewUser<'a> {
    /// Empty for an account without one.
    pub username: &'a str,
    /// No two accounts share it: of the username, or of the address where there is none.
    pub username_key: &'a str,
    pub email: &'a str,
    /// Two addresses with the same key belong to the same account.
    pub email_key: &'a str,
    pub password_hash: &'a str,
    /// Keyed digest of the browser that registers, to recognise a repeat of its form.
    pub password_set_in: Option<&'a str>,
    /// As in [`User`].
    pub email_verified_at: Option<i64>,
    pub terms: Option<&'a AcceptedTerms>,
}

/// A query for users.
macro_rules! users {
    ($rest:literal) => {
        sql(concat!("select ", user_columns!(), " from vestibule_users ", $rest))
    };
}

/// A taken name or address is no error: the unique keys decide between parallel registrations.
const INSERT: &str = concat!(
    "insert into vestibule_users
    (id, username, email, email_key, password_hash, credential_version, created_at,
        password_set_in, password_set_at, email_verified_at, terms_url, terms_accepted_at, username_key)
    values ($1, $2, $3, $4, $5, 1, $6, $7, $6, $8, $9, $10, $11) on conflict do nothing returning ",
    user_columns!()
);

const SET_USERNAME: &str = concat!(
    "update vestibule_users
    set username = $1, username_key = $4, credential_version = credential_version + 1
    where id = $2 and credential_version = $3 returning ",
    user_columns!()
);

const SET_EMAIL: &str = concat!(
    "update vestibule_users
    set email = $1, email_key = $2, email_verified_at = $3, credential_version = credential_version + 1,
        username = case when username = email_key then '' else username end,
        username_key = case when username in ('', email_key) then $2 else username_key end
    where id = $4 and credential_version = $5 returning ",
    user_columns!()
);

const DISABLE: &str = concat!(
    "update vestibule_users set disabled_at = $2, credential_version = credential_version + 1
    where id = $1 and disabled_at is null returning ",
    user_columns!()
);

const ENABLE: &str = concat!(
    "update vestibule_users set disabled_at = null
    where id = $1 and disabled_at is not null returning ",
    user_columns!()
);

const RESTORE_EMAIL: &str = concat!(
    "update vestibule_users set email = $2, email_key = $3, email_verified_at = $4,
        username = case when username = email_key then '' else username end,
        username_key = case when username in ('', email_key) then $3 else username_key end
    where id = $1 and email_key <> $3
    and not exists (select 1 from vestibule_users other where other.email_key = $3
        or ($3 in (other.username_key, other.username)
            and vestibule_users.username in ('', vestibule_users.email_key))
    ) returning ",
    user_columns!()
);

const VERIFY_EMAIL: &str = "update vestibule_users set email_verified_at = $3
    where id = $1 and credential_version = $2";

const FIND_TERMS: &str = concat!(
    "select ",
    terms_columns!(),
    " from vestibule_users where id = $1 and terms_url is not null"
);

const DELETE: &str =
    concat!("delete from vestibule_users where id = $1 returning ", user_columns!());

pub async fn find_user(executor: Executor<'_>, id: &str) -> Result<Option<User>, DbError> {
    users!("where id = $1").bind(id).fetch_optional(executor).await
}

pub async fn find_user_by_username(
    executor: Executor<'_>,
    username: &str,
) -> Result<Option<User>, DbError> {
    users!("where username = $1 and username <> ''").bind(username).fetch_optional(executor).await
}

pub async fn find_user_by_email(
    executor: Executor<'_>,
    email_key: &str,
) -> Result<Option<User>, DbError> {
    users!("where email_key = $1").bind(email_key).fetch_optional(executor).await
}

/// The user with this address; where there is none, the user with this username. The owner of an address can
/// prove it, so that a username that is the same captures no login.
pub async fn find_user_by_email_or_username(
    executor: Executor<'_>,
    email_key: &str,
    username: &str,
) -> Result<Option<User>, DbError> {
    let find = users!(
        "where email_key = $1 or (username = $2 and username <> '')
            order by case when email_key = $1 then 0 else 1 end limit 1"
    );
    find.bind(email_key).bind(username).fetch_optional(executor).await
}

/// The user with this username and this address, if one account has both. The username of an account without
/// one is its address.
pub async fn find_user_by_username_and_email(
    executor: Executor<'_>,
    username: &str,
    email_key: &str,
) -> Result<Option<User>, DbError> {
    let find =
        users!("where email_key = $2 and (username = $1 or (username = '' and email_key = $1))");
    find.bind(username).bind(email_key).fetch_optional(executor).await
}

/// The user who registered in the browser with this digest after `since` and has kept the password.
pub async fn find_user_registered_in(
    executor: Executor<'_>,
    (username, email_key): (&str, &str),
    browser: &str,
    since: i64,
) -> Result<Option<User>, DbError> {
    let find = users!(
        "where username = $1 and email_key = $2 and password_set_in = $3 and password_set_at > $4"
    );
    find.bind(username).bind(email_key).bind(browser).bind(since).fetch_optional(executor).await
}

/// The terms that a user accepted, if there were any.
pub async fn find_accepted_terms(
    executor: Executor<'_>,
    id: &str,
) -> Result<Option<AcceptedTerms>, DbError> {
    sql(FIND_TERMS).bind(id).fetch_optional(executor).await
}

/// Up to `limit` users whose username or address contains `part`, by username.
pub async fn search_users(
    executor: Executor<'_>,
    part: &str,
    limit: i64,
) -> Result<Vec<User>, DbError> {
    let part = part.trim().to_lowercase();
    let part = part.replace('!', "!!").replace('%', "!%").replace('_', "!_");
    let search = users!(
        "where username like $1 escape '!' or email_key like $1 escape '!'
            or lower(email) like $1 escape '!' order by username, email_key limit $2"
    );
    search.bind(format!("%{part}%").as_str()).bind(limit).fetch_all(executor).await
}

/// Makes an account; `None` when the username or the address is taken.
pub async fn insert_user(
    executor: Executor<'_>,
    new: NewUser<'_>,
    now: i64,
) -> Result<Option<User>, DbError> {
    let insert = sql(INSERT).bind(random::id(now * 1000).as_str()).bind(new.username);
    let insert = insert.bind(new.email).bind(new.email_key).bind(new.password_hash).bind(now);
    let insert = insert.bind(new.password_set_in).bind(new.email_verified_at);
    let insert = insert.bind(new.terms.map(|terms| terms.terms_url.as_str()));
    let insert = insert.bind(new.terms.map(|terms| terms.terms_accepted_at));
    let insert = insert.bind(new.username_key);
    insert.fetch_optional(executor).await
}

/// How a change of a user's names ended.
pub enum NameChange {
    Changed(User),
    /// Another account has the name.
    Taken,
    /// The credentials have changed since the user was read.
    Superseded,
}

impl NameChange {
    async fn of(update: Statement, executor: Executor<'_>) -> Result<Self, DbError> {
        match update.fetch_optional(executor).await {
            Ok(user) => Ok(user.map_or(Self::Superseded, Self::Changed)),
            Err(error) if error.is_duplicate() => Ok(Self::Taken),
            Err(error) => Err(error),
        }
    }
}

/// Sets the username and its key. After [`NameChange::Taken`] the transaction cannot be used any more.
pub async fn set_username(
    tx: &mut Tx,
    user: &User,
    (username, key): (&str, &str),
) -> Result<NameChange, DbError> {
    let set = sql(SET_USERNAME).bind(username).bind(&user.id).bind(user.credential_version);
    let set = set.bind(key);
    NameChange::of(set, tx.executor()).await
}

/// Sets the address, which the owner proved at `verified_at`, or as in [`User`]. A username that is the old address goes with it: somebody else
/// may have that address next. After [`NameChange::Taken`] the transaction cannot be used any more.
pub async fn set_email(
    tx: &mut Tx,
    user: &User,
    (email, email_key): (&str, &str),
    verified_at: i64,
) -> Result<NameChange, DbError> {
    let set = sql(SET_EMAIL).bind(email).bind(email_key).bind(verified_at);
    let set = set.bind(&user.id).bind(user.credential_version);
    NameChange::of(set, tx.executor()).await
}

/// Locks a user until the transaction ends. Returns whether the credentials are still those of `user`.
pub async fn lock_user(executor: Executor<'_>, user: &User) -> Result<bool, DbError> {
    let lock = sql("update vestibule_users set credential_version = credential_version
        where id = $1 and credential_version = $2");
    Ok(lock.bind(&user.id).bind(user.credential_version).execute(executor).await? > 0)
}

/// Disables a user, and returns the user as they are then; `None` if they were disabled or deleted before.
pub async fn disable_user(tx: &mut Tx, id: &str, now: i64) -> Result<Option<User>, DbError> {
    sql(DISABLE).bind(id).bind(now).fetch_optional(tx.executor()).await
}

/// Enables a user, and returns the user as they are then; `None` if they were enabled or deleted before.
pub async fn enable_user(tx: &mut Tx, id: &str) -> Result<Option<User>, DbError> {
    sql(ENABLE).bind(id).fetch_optional(tx.executor()).await
}

/// Gives a user an earlier address back, which the owner has proved by a link; `None` when it is the present one, or another account has it.
pub async fn restore_email(
    tx: &mut Tx,
    id: &str,
    (email, email_key): (&str, &str),
    now: i64,
) -> Result<Option<User>, DbError> {
    let restore = sql(RESTORE_EMAIL).bind(id).bind(email).bind(email_key).bind(now);
    restore.fetch_optional(tx.executor()).await
}

/// Records that the owner of the address has proved it, unless the credentials have changed since `user` was
/// read.
pub async fn verify_email(executor: Executor<'_>, user: &User, now: i64) -> Result<bool, DbError> {
    let verify = sql(VERIFY_EMAIL).bind(&user.id).bind(user.credential_version).bind(now);
    Ok(verify.execute(executor).await? > 0)
}

/// Deletes a user, with the rows of other tables that refer to it. Returns the user as they were then; `None` if
/// somebody else deleted them before.
pub async fn delete_user(executor: Executor<'_>, id: &str) -> Result<Option<User>, DbError> {
    sql(DELETE).bind(id).fetch_optional(executor).await
}
