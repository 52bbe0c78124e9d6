//! One SQL statement, its values, and how it is run.

use std::sync::Arc;

use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgQueryResult, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteQueryResult, SqliteRow};
use sqlx::{
    Arguments, AssertSqlSafe, Either, Encode, Executor as _, FromRow, Postgres, SqlSafeStr, SqlStr,
    Sqlite, Type,
};

use super::connection::Connection;
use super::pool::{Pool, PooledConnection};
use super::{DbError, Executor};

/// Removed on SQLite, which has one writer and no such clause. A statement that skips locked rows waits for
/// none and is part of no deadlock. It belongs within `with … as materialized`: PostgreSQL may run another
/// sub-select again for each row, and lock the next rows each time.
const SKIP_LOCKED: &str = "for update skip locked";

/// A row that either driver can fill: a struct of the macro `row`, or a tuple of `String`, `i64`,
/// `Vec<u8>` and their `Option`s.
pub trait Row: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}
impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{}

/// One SQL statement and its values, in the order of their placeholders.
pub struct Statement {
    text: &'static str,
    /// Encoded for both drivers: only later it is known which one runs it.
    values: Result<(SqliteArguments, PgArguments), BoxDynError>,
}

/// Starts a [`Statement`]. The text is a constant: no input can become SQL (ASVS 1.2.4).
pub fn sql(text: &'static str) -> Statement {
    Statement { text, values: Ok(Default::default()) }
}

impl Statement {
    /// Binds the next placeholder.
    #[must_use]
    pub fn bind<'v, T>(mut self, value: T) -> Self
    where
        T: Clone + Encode<'v, Sqlite> + Type<Sqlite> + Encode<'v, Postgres> + Type<Postgres>,
    {
        self.values = self.values.and_then(|(mut sqlite, mut postgres)| {
            sqlite.add(value.clone())?;
            postgres.add(value)?;
            Ok((sqlite, postgres))
        });
        self
    }

    /// The first row, or none.
    pub async fn fetch_optional<R: Row>(
        self,
        executor: Executor<'_>,
    ) -> Result<Option<R>, DbError> {
        Ok(self.fetch_all(executor).await?.into_iter().next())
    }

    /// Every row.
    pub async fn fetch_all<R: Row>(self, executor: Executor<'_>) -> Result<Vec<R>, DbError> {
        Ok(self.run(executor).await?.0)
    }

    /// Runs it and returns how many rows it changed.
    pub async fn execute(self, executor: Executor<'_>) -> Result<u64, DbError> {
        Ok(self.run::<()>(executor).await?.1)
    }

    async fn run<R: Row>(&self, executor: Executor<'_>) -> Result<(Vec<R>, u64), DbError> {
        match executor {
            Executor::Transaction(connection) => self.run_on(connection).await,
            Executor::Writer(pool) => self.run_alone(pool).await,
            Executor::Reader(pool) => match self.run_alone(pool).await {
                // A read can be repeated, and the next connection is a new one.
                Err(error) if error.is_connection_lost() => self.run_alone(pool).await,
                done => done,
            },
        }
    }

    fn text_for_sqlite(&self) -> SqlStr {
        // No other statement has the clause, and to search for it costs 4,000 instructions.
        if self.text.starts_with("with ") {
            return AssertSqlSafe(self.text.replace(SKIP_LOCKED, "")).into_sql_str();
        }
        self.text.into_sql_str()
    }

    async fn run_alone<R: Row>(&self, pool: &Arc<Pool>) -> Result<(Vec<R>, u64), DbError> {
        let mut connection = pool.acquire_for_statement().await?;
        let done = self.run_on(&mut connection).await?;
        connection.finish().await?;
        Ok(done)
    }

    async fn run_on<R: Row>(
        &self,
        connection: &mut PooledConnection,
    ) -> Result<(Vec<R>, u64), DbError> {
        let is_cached = !connection.pool.source.is_per_transaction();
        let values = self.values.as_ref();
        let (sqlite, postgres) = values.map_err(|why| sqlx::Error::Protocol(why.to_string()))?;
        let run = async |connection: &mut Connection| match connection {
            Connection::Sqlite(connection) => {
                let query = sqlx::query_with(self.text_for_sqlite(), sqlite.clone());
                let query = query.persistent(is_cached);
                collect(connection.fetch_many(query), SqliteQueryResult::rows_affected).await
            }
            Connection::Postgres(connection) => {
                let query = sqlx::query_with(self.text, postgres.clone()).persistent(is_cached);
                collect(connection.fetch_many(query), PgQueryResult::rows_affected).await
            }
        };
        connection.run(run).await
    }
}

/// The rows of a result, and how many the statement changed.
async fn collect<Done, Raw: sqlx::Row, R: for<'r> FromRow<'r, Raw>>(
    mut results: BoxStream<'_, Result<Either<Done, Raw>, sqlx::Error>>,
    changed_by: impl Fn(&Done) -> u64,
) -> Result<(Vec<R>, u64), sqlx::Error> {
    let (mut rows, mut changed) = (Vec::new(), 0);
    while let Some(result) = results.try_next().await? {
        match result {
            Either::Left(done) => changed += changed_by(&done),
            Either::Right(row) => rows.push(R::from_row(&row)?),
        }
    }
    Ok((rows, changed))
}
