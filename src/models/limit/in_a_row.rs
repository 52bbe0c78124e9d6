//! Failed logins to an account in a row, over however many windows of the other limits.

use super::Limited;
use crate::db::{DbError, Executor, sql};
use crate::models::Store;

/// Each failure makes the row live longer, until it is a year: nobody gets more than
/// [`MOST_IN_A_ROW`] failures in a year (99 failures are remembered for 366 days; any `n` of them for
/// more than `n` / 100 of that), and names that are tried once cost a database row for 30 days.
const COUNT_IN_A_ROW: &str = "
    insert into limits (subject, count, window_ends_at) values ($1, 1, $2 + $3)
    on conflict (subject) do update set
        count = case when limits.window_ends_at <= $2 then 1 else limits.count + 1 end,
        window_ends_at = case
            when limits.window_ends_at <= $2 then $2 + $3
            when $3 + limits.count * $4 >= $5 then $2 + $5
            else $2 + $3 + limits.count * $4 end
    returning count";

/// Failures in a row that an account may have (NIST SP 800-63B-4, 3.2.2: 100 at most).
pub const MOST_IN_A_ROW: i64 = 100;

const DAY: i64 = 24 * 60 * 60;

/// How long the first failure is remembered. A guesser who waits for longer gets one guess in 30 days.
const FIRST: i64 = 30 * DAY;

/// How much longer with each further one.
const FURTHER: i64 = 4 * DAY;

/// "Until a reset" ends at last: rows of names that nobody has must not stay for ever.
const LONGEST: i64 = 366 * DAY;

impl Store {
    pub(super) async fn count_in_a_row(
        &self,
        on: Executor<'_>,
        account: &str,
    ) -> Result<i64, DbError> {
        let counted = sql(COUNT_IN_A_ROW)
            .bind(&self.subject(Limited::LoginInARow, account))
            .bind(self.clock.now())
            .bind(FIRST)
            .bind(FURTHER)
            .bind(LONGEST);
        let row = counted.optional::<(i64,)>(on).await?;
        Ok(row.map_or(i64::MAX, |(count,)| count))
    }
}
