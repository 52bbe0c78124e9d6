//! The columns of `vestibule_users` about accounts that wait for the operator.

use super::user::{User, user_columns};
use crate::db::{DbError, Executor, Tx, sql};

const APPROVE: &str = concat!(
    "update vestibule_users set approval_asked_at = null, approval_told_at = null
    where id = $1 and approval_asked_at > 0 returning ",
    user_columns!()
);

/// The comparison, and not `is not null`, makes SQLite use the index of accounts that wait.
const LIST: &str = concat!(
    "select ",
    user_columns!(),
    " from vestibule_users where approval_asked_at > 0 order by approval_asked_at"
);

const IS_ANY_NEW: &str = "select id from vestibule_users
    where approval_asked_at > 0 and approval_told_at is null limit 1";

const NOTE_OPERATOR_TOLD: &str = "update vestibule_users set approval_told_at = $1
    where approval_asked_at > 0 and approval_told_at is null";

/// Makes a new user wait for approval. Returns them as they are then.
pub async fn ask_for_approval(tx: &mut Tx, user: User, now: i64) -> Result<User, DbError> {
    let ask = sql("update vestibule_users set approval_asked_at = $2 where id = $1");
    ask.bind(&user.id).bind(now).execute(tx.executor()).await?;
    Ok(User { approval_asked_at: Some(now), ..user })
}

/// Approves a user, and returns them as they are then; `None` if they do not wait.
pub async fn approve_user(executor: Executor<'_>, id: &str) -> Result<Option<User>, DbError> {
    sql(APPROVE).bind(id).fetch_optional(executor).await
}

/// The users who wait for approval, oldest first.
pub async fn list_waiting(executor: Executor<'_>) -> Result<Vec<User>, DbError> {
    sql(LIST).fetch_all(executor).await
}

/// How many users wait for approval.
pub async fn count_waiting(executor: Executor<'_>) -> Result<i64, DbError> {
    let count = sql("select count(*) from vestibule_users where approval_asked_at > 0");
    Ok(count.fetch_optional::<(i64,)>(executor).await?.map_or(0, |(count,)| count))
}

/// Whether a user waits whom the operator was not told of.
pub async fn is_any_new(executor: Executor<'_>) -> Result<bool, DbError> {
    Ok(sql(IS_ANY_NEW).fetch_optional::<(String,)>(executor).await?.is_some())
}

/// Records that the operator is told of all users who wait.
pub async fn note_operator_told(executor: Executor<'_>, now: i64) -> Result<(), DbError> {
    sql(NOTE_OPERATOR_TOLD).bind(now).execute(executor).await.map(drop)
}
