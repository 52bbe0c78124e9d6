//! The time of the newest row, of the tables that a site writes most to. Not of accounts: an import may bring
//! any time.

use crate::db::{DbError, Executor, sql};

/// In Unix time; none in an empty database.
pub async fn newest_row(executor: Executor<'_>) -> Result<Option<i64>, DbError> {
    let newest = sql("select max(at) from (
            select max(last_seen_at) as at from vestibule_sessions
            union all select max(created_at) from vestibule_history
            union all select max(created_at) from vestibule_outbox
            union all select max(created_at) from vestibule_one_time_codes
        ) as newest");
    let row = newest.fetch_optional::<(Option<i64>,)>(executor).await?;
    Ok(row.and_then(|(at,)| at))
}
