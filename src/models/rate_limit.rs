//! The `limits` table: how often something happened within a window of time.

use crate::db::{DbError, Executor, sql};

/// One statement that begins a window or counts within it, so that parallel requests on any number
/// of nodes are each counted (CVE-2024-4629: parallel logins passed Keycloak's counter). A window
/// that would end too late, after the clock was put back, is cut to its length. Adding nothing, it
/// returns what adding one would.
const COUNT: &str = "
    insert into limits (subject, count, window_ends_at) values ($1, $4, $2)
    on conflict (subject) do update set
        count = case when limits.window_ends_at <= $3 then $4 else limits.count + $4 end,
        window_ends_at = case
            when limits.window_ends_at <= $3 or limits.window_ends_at > $2 then $2
            else limits.window_ends_at end
    returning count + 1 - $4, window_ends_at";

/// Each failure extends the window, up to a year: no account gets more than 100 failures in a year (99
/// failures are remembered for 366 days; any `n` of them for more than `n` / 100 of that), and names
/// that are tried once cost a row for 30 days.
const COUNT_IN_A_ROW: &str = "
    insert into limits (subject, count, window_ends_at) values ($1, 1, $2 + $3)
    on conflict (subject) do update set
        count = case when limits.window_ends_at <= $2 then 1 else limits.count + 1 end,
        window_ends_at = case
            when limits.window_ends_at <= $2 then $2 + $3
            when $3 + limits.count * $4 >= $5 then $2 + $5
            else $2 + $3 + limits.count * $4 end
    returning count, window_ends_at";

const REFUND: &str = "update limits set count = count - $2 where subject = $1 and count > 0";

const RESET: &str = "delete from limits where subject = $1";

const SWEEP: &str = "with picked as materialized (
        select subject from limits where window_ends_at <= $1 limit $2
        for update skip locked)
    delete from limits where subject in (select subject from picked)";

const DAY: i64 = 24 * 60 * 60;

/// How long the first failure in a row is remembered. Waiting for longer gives one guess in 30 days.
const FIRST: i64 = 30 * DAY;

/// How much longer with each further one.
const FURTHER: i64 = 4 * DAY;

/// Rows of names that no account has must be deleted at last.
const LONGEST: i64 = 366 * DAY;

/// Adds 1, or 0 to do the same work without using anything up, to the counter of `subject`, whose
/// window lasts `period` seconds. Returns the count, as if 1 was added, and when the window ends.
pub async fn count(
    on: Executor<'_>,
    subject: &str,
    adds: i64,
    period: i64,
    now: i64,
) -> Result<(i64, i64), DbError> {
    let count = sql(COUNT).bind(subject).bind(now.saturating_add(period)).bind(now).bind(adds);
    Ok(count.optional(on).await?.unwrap_or((i64::MAX, now)))
}

/// Counts a failure of `subject`. Returns how many there were in a row, and until when this one is
/// remembered.
pub async fn count_in_a_row(
    on: Executor<'_>,
    subject: &str,
    now: i64,
) -> Result<(i64, i64), DbError> {
    let count = sql(COUNT_IN_A_ROW).bind(subject).bind(now);
    let row = count.bind(FIRST).bind(FURTHER).bind(LONGEST).optional(on).await?;
    Ok(row.unwrap_or((i64::MAX, now)))
}

/// Takes `added` off the counter of `subject`.
pub async fn refund(on: Executor<'_>, subject: &str, added: i64) -> Result<(), DbError> {
    sql(REFUND).bind(subject).bind(added).execute(on).await.map(drop)
}

/// Forgets the counter of `subject`.
pub async fn reset(on: Executor<'_>, subject: &str) -> Result<(), DbError> {
    sql(RESET).bind(subject).execute(on).await.map(drop)
}

/// Deletes up to `limit` counters whose window has ended and returns how many were deleted.
pub async fn sweep_limits(on: Executor<'_>, limit: i64, now: i64) -> Result<u64, DbError> {
    sql(SWEEP).bind(now).bind(limit).execute(on).await
}
