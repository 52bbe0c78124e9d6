//! Statements that skip rows which other transactions have locked (PostgreSQL's `skip locked`).

use super::{Executor, Statement, Target, Transaction};

/// A statement in both dialects, made by the macro `skip_locked`.
#[derive(Clone, Copy, Debug)]
pub struct SkipLocked {
    #[doc(hidden)]
    pub sqlite: &'static str,
    #[doc(hidden)]
    pub postgres: &'static str,
}

impl SkipLocked {
    /// The statement for the driver that `on` runs on.
    pub fn sql(&self, on: &Executor<'_>) -> Statement {
        super::sql(match on.0 {
            Target::Sqlite(..) | Target::Transaction(Transaction::Sqlite(_)) => self.sqlite,
            Target::Postgres(..) | Target::Transaction(Transaction::Postgres(_)) => self.postgres,
        })
    }
}

/// `with picked as (…)`, and what is done to the rows that were picked. On PostgreSQL the rows are
/// locked as they are picked, except those that another transaction has locked: such a statement waits
/// for no row, so it is part of no deadlock. SQLite has one writer, and no row to skip.
///
/// Materialised, because a sub-select that PostgreSQL runs again for each row would lock the next
/// `limit` rows each time.
macro_rules! skip_locked {
    ($pick:literal, $rest:literal) => {
        $crate::db::SkipLocked {
            sqlite: concat!("with picked as materialized (", $pick, ") ", $rest),
            postgres: concat!(
                "with picked as materialized (",
                $pick,
                " for update skip locked) ",
                $rest
            ),
        }
    };
}
pub(crate) use skip_locked;
