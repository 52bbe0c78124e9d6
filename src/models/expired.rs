//! Rows that have expired, and how they are deleted, some at a time.

use crate::db::{DbError, Executor, sql};

/// The rows of a table that have expired.
pub struct Expired {
    pub(super) delete: &'static str,
    /// How long a row is kept after its time, in seconds.
    pub(super) kept_for: i64,
}

/// The rows of `$table`, whose primary key is `$key`, in which the time `$1` meets `$condition`.
macro_rules! expired {
    ($table:literal, $key:literal, $condition:literal, $kept_for:expr) => {
        $crate::models::expired::Expired {
            delete: concat!(
                "with picked as materialized (select ",
                $key,
                " from ",
                $table,
                " where ",
                $condition,
                " limit $2 for update skip locked) delete from ",
                $table,
                " where (",
                $key,
                ") in (select ",
                $key,
                " from picked)"
            ),
            kept_for: $kept_for,
        }
    };
}
pub(super) use expired;

impl Expired {
    /// Deletes up to `limit` of the rows and returns how many.
    pub async fn delete(
        &self,
        executor: Executor<'_>,
        limit: i64,
        now: i64,
    ) -> Result<u64, DbError> {
        sql(self.delete).bind(now - self.kept_for).bind(limit).execute(executor).await
    }
}
