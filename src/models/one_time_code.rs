//! The `vestibule_one_time_codes` table: codes that were sent for any purpose, and every attempt at them.
//!
//! The session keeps a code's id and its keyed digest; what is used up (attempts, time, the code
//! itself) is counted here, in SQL, before an attempt is compared. A code that the operator gives to a user
//! is right in each session with a code for that user, so its digest is here.

use serde::{Deserialize, Serialize};

use super::expired::{Expired, expired};
use crate::db::{DbError, Executor, Tx, row, sql};
use crate::random;

/// How much longer each further code in a row makes the wait before the next, in seconds.
pub const COOL_DOWN: i64 = 30;

/// How long an expired code is kept, in seconds: pages say "expired" and not "unknown".
const EXPIRED_CODE_RETENTION: i64 = 60 * 60;

/// What a code is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    PasswordReset,
    LogIn,
    /// Proves the address that an account is to have.
    ChangeEmail,
    /// Proves the address of the account that is logged in.
    VerifyEmail,
    /// Proves the address of a registration. `user_id` is the registration's id.
    Register,
}

impl Purpose {
    pub const ALL: [Self; 5] =
        [Self::PasswordReset, Self::LogIn, Self::ChangeEmail, Self::VerifyEmail, Self::Register];

    /// As rows and log lines name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::PasswordReset => "password_reset",
            Self::LogIn => "log_in",
            Self::ChangeEmail => "change_email",
            Self::VerifyEmail => "verify_email",
            Self::Register => "register",
        }
    }
}

row! {
    columns code_columns;
    /// A code that was sent, or would have been if an account had matched.
    pub struct OneTimeCodeRow {
        /// Whom it is for. `None` when no account matched, or its credentials have changed: then no code is
        /// right.
        pub user_id: Option<String>,
        pub attempts: i64,
        /// Unix time; 0 once it was replaced.
        pub expires_at: i64,
    }
}

impl OneTimeCodeRow {
    pub fn is_replaced(&self) -> bool {
        self.expires_at == 0
    }
}

row! {
    columns given_columns;
    /// A code to reset a password that the operator got for a user, instead of an email.
    #[derive(Default)]
    pub struct GivenCode {
        pub id: String,
        /// Keyed digest of the id and the code.
        pub digest: String,
    }
}

const INSERT: &str = "insert into vestibule_one_time_codes
    (id, purpose, user_id, attempts, codes_sent, created_at, expires_at)
    values ($1, $2, $3, 0, $4, $5, $6)";
const FIND: &str = concat!(
    "select ",
    code_columns!(),
    " from vestibule_one_time_codes where id = $1 and purpose = $2"
);
const COUNT_ATTEMPT: &str = concat!(
    "update vestibule_one_time_codes set attempts = attempts + 1
    where id = $1 and purpose = $2 and expires_at > $3 and attempts < $4 returning ",
    code_columns!()
);
const REFUND: &str = "update vestibule_one_time_codes set attempts = attempts - 1
    where id = $1 and purpose = $2 and attempts > 0";
/// The row of a replaced code stays, so that of parallel requests the second sees the first. After a pause
/// it can be replaced again: the browser may not have received the response with the new code's id.
const INVALIDATE: &str = "update vestibule_one_time_codes set expires_at = 0, created_at = $3
    where id = $1 and purpose = $4
        and (expires_at > 0 or created_at + $2 <= $3 or created_at > $3 + $2)
    returning codes_sent";
const INSERT_GIVEN: &str = "insert into vestibule_one_time_codes
    (id, purpose, user_id, attempts, codes_sent, created_at, expires_at, digest)
    values ($1, 'password_reset', $2, 0, 1, $3, $4, $5)";
const FIND_GIVEN: &str = concat!(
    "select ",
    given_columns!(),
    " from vestibule_one_time_codes where user_id = $1 and digest is not null and expires_at > $2"
);
const REVOKE_GIVEN: &str =
    "update vestibule_one_time_codes set user_id = null where user_id = $1 and digest is not null";
const USE: &str = "delete from vestibule_one_time_codes
    where id = $1 and purpose = $2 and user_id = $3 and expires_at > $4";
/// The rows stay: a deleted row would show others that there is such an account, and when its owner
/// changes the password.
const REVOKE: &str = "update vestibule_one_time_codes set user_id = null where user_id = $1";

/// Codes that expired a while ago.
pub const EXPIRED: Expired =
    expired!("vestibule_one_time_codes", "id", "expires_at <= $1", EXPIRED_CODE_RETENTION);

/// Makes a code for `user_id`, the `codes_sent`th in a row in its browser, and returns its id.
pub async fn insert_code(
    executor: Executor<'_>,
    purpose: Purpose,
    user_id: Option<&str>,
    (codes_sent, ttl): (i64, i64),
    now: i64,
) -> Result<String, DbError> {
    let id = random::id(now * 1000);
    let insert = sql(INSERT).bind(&id).bind(purpose.name()).bind(user_id);
    insert.bind(codes_sent).bind(now).bind(now.saturating_add(ttl)).execute(executor).await?;
    Ok(id)
}

/// Makes a code for `user_id` that the operator gives to the user, in place of earlier ones. Lock the user
/// before.
pub async fn insert_given_code(
    tx: &mut Tx,
    user_id: &str,
    code: &GivenCode,
    (ttl, now): (i64, i64),
) -> Result<(), DbError> {
    sql(REVOKE_GIVEN).bind(user_id).execute(tx.executor()).await?;
    let insert = sql(INSERT_GIVEN).bind(&code.id).bind(user_id).bind(now).bind(now + ttl);
    insert.bind(&code.digest).execute(tx.executor()).await.map(drop)
}

/// The code that the operator got for a user, if it is valid.
pub async fn find_given_code(
    executor: Executor<'_>,
    user_id: &str,
    now: i64,
) -> Result<Option<GivenCode>, DbError> {
    sql(FIND_GIVEN).bind(user_id).bind(now).fetch_optional(executor).await
}

/// The code with this id, valid or not.
pub async fn find_code(
    executor: Executor<'_>,
    purpose: Purpose,
    id: &str,
) -> Result<Option<OneTimeCodeRow>, DbError> {
    sql(FIND).bind(id).bind(purpose.name()).fetch_optional(executor).await
}

/// Counts an attempt against `max`. Only what was counted may be compared; `None` when the code is invalid.
pub async fn count_attempt(
    executor: Executor<'_>,
    purpose: Purpose,
    id: &str,
    max: i64,
    now: i64,
) -> Result<Option<OneTimeCodeRow>, DbError> {
    let count = sql(COUNT_ATTEMPT).bind(id).bind(purpose.name()).bind(now).bind(max);
    count.fetch_optional(executor).await
}

/// Refunds an attempt that was not compared, or was right and changed nothing. Returns whether the code
/// exists.
pub async fn refund_attempt(
    executor: Executor<'_>,
    purpose: Purpose,
    id: &str,
) -> Result<bool, DbError> {
    Ok(sql(REFUND).bind(id).bind(purpose.name()).execute(executor).await? > 0)
}

/// Uses the code up: once, whatever is sent in parallel. Returns whether it was valid.
pub async fn use_code(
    executor: Executor<'_>,
    purpose: Purpose,
    id: &str,
    user_id: &str,
    now: i64,
) -> Result<bool, DbError> {
    let used = sql(USE).bind(id).bind(purpose.name()).bind(user_id).bind(now);
    Ok(used.execute(executor).await? > 0)
}

/// Invalidates the code so that another can replace it, and returns how many were sent in a row; `None`
/// when it does not exist, or was replaced by a parallel request.
pub async fn invalidate_code(
    executor: Executor<'_>,
    purpose: Purpose,
    id: &str,
    now: i64,
) -> Result<Option<i64>, DbError> {
    let invalidate = sql(INVALIDATE).bind(id).bind(COOL_DOWN).bind(now).bind(purpose.name());
    let sent = invalidate.fetch_optional::<(i64,)>(executor).await?;
    Ok(sent.map(|(codes_sent,)| codes_sent))
}

/// Invalidates every code of a user, when the password or the address changes.
pub async fn revoke_all_for_user(executor: Executor<'_>, user_id: &str) -> Result<(), DbError> {
    sql(REVOKE).bind(user_id).execute(executor).await.map(drop)
}

/// Deletes every code.
pub async fn delete_all_codes(executor: Executor<'_>) -> Result<u64, DbError> {
    sql("delete from vestibule_one_time_codes").execute(executor).await
}
