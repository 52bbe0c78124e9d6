//! The `vestibule_rate_limits` table: how often something happened within a window of time.

use super::expired::{Expired, expired};
use crate::db::{DbError, Executor, row, sql};

row! {
    /// A counter after it was counted.
    pub struct RateLimitRow {
        pub count: i64,
        /// Unix time.
        pub window_ends_at: i64,
    }
}

impl RateLimitRow {
    /// A database that returns no row must not lift a limit.
    fn exceeded(now: i64) -> Self {
        Self { count: i64::MAX, window_ends_at: now }
    }
}

/// One statement that begins a window or counts within it, so that parallel requests on any number
/// of nodes are each counted (CVE-2024-4629: parallel logins passed Keycloak's counter). A window
/// that would end too late, after the clock was put back, is cut to its length. Adding nothing, it
/// returns what adding one would.
const COUNT: &str = "
    insert into vestibule_rate_limits as limits (subject, count, window_ends_at) values ($1, $4, $2)
    on conflict (subject) do update set
        count = case when limits.window_ends_at <= $3 then $4 else limits.count + $4 end,
        window_ends_at = case
            when limits.window_ends_at <= $3 or limits.window_ends_at > $2 then $2
            else limits.window_ends_at end
    returning count + 1 - $4 as count, window_ends_at";

/// Each failure extends the window, up to a year: no account gets more than 100 failures in a year (99
/// failures are remembered for 366 days; any `n` of them for more than `n` / 100 of that), and names
/// that are tried once cost a row for 30 days.
const COUNT_IN_A_ROW: &str = "
    insert into vestibule_rate_limits as limits (subject, count, window_ends_at) values ($1, 1, $2 + $3)
    on conflict (subject) do update set
        count = case when limits.window_ends_at <= $2 then 1 else limits.count + 1 end,
        window_ends_at = case
            when limits.window_ends_at <= $2 then $2 + $3
            when $3 + limits.count * $4 >= $5 then $2 + $5
            else $2 + $3 + limits.count * $4 end
    returning count, window_ends_at";

const REFUND: &str =
    "update vestibule_rate_limits set count = count - $2 where subject = $1 and count > 0";

const RESET: &str = "delete from vestibule_rate_limits where subject = $1";

/// Counters whose window has ended.
pub const EXPIRED: Expired =
    expired!("vestibule_rate_limits", "subject", "window_ends_at <= $1", 0);

const DAY: i64 = 24 * 60 * 60;

/// How long the first failure in a row is remembered. Waiting for longer gives one guess in 30 days.
const FIRST_WINDOW: i64 = 30 * DAY;

/// How much longer it is remembered with each further one.
const WINDOW_STEP: i64 = 4 * DAY;

/// Rows of names that no account has must be deleted some day.
const MAX_WINDOW: i64 = 366 * DAY;

/// Adds 1, or 0 to do the same work without using anything up, to the counter of `subject`, whose
/// window lasts `period` seconds. Returns the count as if 1 was added.
pub async fn count(
    executor: Executor<'_>,
    subject: &str,
    adds: i64,
    period: i64,
    now: i64,
) -> Result<RateLimitRow, DbError> {
    let count = sql(COUNT).bind(subject).bind(now.saturating_add(period)).bind(now).bind(adds);
    Ok(count.fetch_optional(executor).await?.unwrap_or_else(|| RateLimitRow::exceeded(now)))
}

/// Counts a failure of `subject`. Returns how many there were in a row, and how long this one is remembered.
pub async fn count_in_a_row(
    executor: Executor<'_>,
    subject: &str,
    now: i64,
) -> Result<RateLimitRow, DbError> {
    let count = sql(COUNT_IN_A_ROW).bind(subject).bind(now);
    let count = count.bind(FIRST_WINDOW).bind(WINDOW_STEP).bind(MAX_WINDOW);
    Ok(count.fetch_optional(executor).await?.unwrap_or_else(|| RateLimitRow::exceeded(now)))
}

/// Subtracts `added` from the counter of `subject`.
pub async fn refund(executor: Executor<'_>, subject: &str, added: i64) -> Result<(), DbError> {
    sql(REFUND).bind(subject).bind(added).execute(executor).await.map(drop)
}

/// Deletes the counter of `subject`.
pub async fn reset(executor: Executor<'_>, subject: &str) -> Result<(), DbError> {
    sql(RESET).bind(subject).execute(executor).await.map(drop)
}
