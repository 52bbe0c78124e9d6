//! The `vestibule_registrations` table: what becomes an account once its address is proved.

use super::expired::{Expired, expired};
use super::user::{AcceptedTerms, NewUser};
use crate::db::{DbError, Executor, row, sql};
use crate::random;

/// How long a registration waits to be confirmed, in seconds: a day.
pub const LIFETIME: i64 = 24 * 60 * 60;

row! {
    columns registration_columns;
    /// It has no `Debug`, so that no log gets a password hash.
    pub struct Registration {
        pub id: String,
        /// Empty for an account without one.
        pub username: String,
        pub username_key: String,
        /// As it was typed.
        pub email: String,
        pub email_key: String,
        pub password_hash: String,
        /// When the code from the email was entered. The account then lacks only a username that is free.
        pub proved_at: Option<i64>,
        pub terms_url: Option<String>,
        pub terms_accepted_at: Option<i64>,
    }
}

impl Registration {
    /// The terms that were accepted.
    pub fn terms(&self) -> Option<AcceptedTerms> {
        let terms = self.terms_url.clone().zip(self.terms_accepted_at);
        terms.map(|(terms_url, terms_accepted_at)| AcceptedTerms { terms_url, terms_accepted_at })
    }
}

const INSERT: &str = "insert into vestibule_registrations
    (id, username, username_key, email, email_key, password_hash, terms_url, terms_accepted_at,
        created_at, expires_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

const FIND_BY_CODE: &str = concat!(
    "select ",
    registration_columns!(),
    " from vestibule_registrations where expires_at > $2 and id =
        (select user_id from vestibule_one_time_codes where id = $1 and purpose = 'register')"
);

const PROVE: &str = "update vestibule_registrations set proved_at = $2 where id = $1";

const DELETE: &str = "delete from vestibule_registrations where id = $1 and expires_at > $2";

/// Registrations that have expired.
pub const EXPIRED: Expired = expired!("vestibule_registrations", "id", "expires_at <= $1", 0);

/// Stores a registration. The username and the address may be taken.
pub async fn insert_registration(
    executor: Executor<'_>,
    new: NewUser<'_>,
    now: i64,
) -> Result<Registration, DbError> {
    let id = random::id(now * 1000);
    let insert = sql(INSERT).bind(&id).bind(new.username).bind(new.username_key);
    let insert = insert.bind(new.email).bind(new.email_key).bind(new.password_hash);
    let terms_url = new.terms.map(|terms| terms.terms_url.clone());
    let terms_accepted_at = new.terms.map(|terms| terms.terms_accepted_at);
    let insert = insert.bind(terms_url.clone()).bind(terms_accepted_at);
    insert.bind(now).bind(now + LIFETIME).execute(executor).await?;
    Ok(Registration {
        id,
        username: new.username.to_owned(),
        username_key: new.username_key.to_owned(),
        email: new.email.to_owned(),
        email_key: new.email_key.to_owned(),
        password_hash: new.password_hash.to_owned(),
        proved_at: None,
        terms_url,
        terms_accepted_at,
    })
}

/// The registration that the code with this id is for, whether or not the code is still valid.
pub async fn find_registration_by_code(
    executor: Executor<'_>,
    code: &str,
    now: i64,
) -> Result<Option<Registration>, DbError> {
    sql(FIND_BY_CODE).bind(code).bind(now).fetch_optional(executor).await
}

/// Records that the address is proved.
pub async fn prove_registration(executor: Executor<'_>, id: &str, now: i64) -> Result<(), DbError> {
    sql(PROVE).bind(id).bind(now).execute(executor).await.map(drop)
}

/// Uses up a registration: once, whatever is sent in parallel. Returns whether it was there.
pub async fn delete_registration(
    executor: Executor<'_>,
    id: &str,
    now: i64,
) -> Result<bool, DbError> {
    Ok(sql(DELETE).bind(id).bind(now).execute(executor).await? > 0)
}
