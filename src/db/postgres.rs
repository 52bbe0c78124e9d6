//! What is peculiar to connections to PostgreSQL: their settings, transactions, and poolers.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor, PgConnection};

use super::connect::connect;
use super::pool::{Pool, PooledConnection, RollBack};
use super::server::Server;
use super::{DbError, WAIT, statement_timeout, with_timeout};

/// Where connections lead, and the settings of each.
#[derive(Debug)]
pub struct Source {
    server: Server,
    /// `set …` and `begin; set local …`: a pooler that gives each transaction another connection
    /// would give what is set on a connection to another program.
    on_connect: Option<String>,
    begin: Option<String>,
}

impl Source {
    /// Connections on which no statement waits for a lock longer than `wait`.
    pub fn new(server: Server, wait: Duration) -> Self {
        let settings = [
            ("lock_timeout", format!("{}ms", wait.as_millis())),
            // No transaction is left open: the next one finds the rows free.
            ("idle_in_transaction_session_timeout", "30s".to_owned()),
        ];
        // Not in the startup message, where PgBouncer refuses them.
        let set = |how: &str| {
            settings.each_ref().map(|(name, value)| format!("{how} {name} = '{value}'")).join("; ")
        };
        let is_per_transaction = server.is_per_transaction == Some(true);
        Self {
            on_connect: (!is_per_transaction).then(|| set("set")),
            begin: is_per_transaction.then(|| format!("begin; {}", set("set local"))),
            server,
        }
    }

    /// Whether each transaction may run on another connection of the server.
    pub fn is_per_transaction(&self) -> bool {
        self.begin.is_some()
    }
}

impl RollBack for PgConnection {
    type Source = Source;

    async fn connect_to(source: &Source) -> Result<Self, sqlx::Error> {
        let mut connection = connect(&source.server).await?;
        if let Some(text) = &source.on_connect {
            connection.execute(AssertSqlSafe(text.clone())).await?;
        }
        Ok(connection)
    }

    async fn reset(&mut self) -> Result<(), sqlx::Error> {
        self.execute("ROLLBACK").await.map(drop)
    }
}

/// Begins a transaction.
pub async fn begin(pool: &Pool<PgConnection>) -> Result<PooledConnection<PgConnection>, DbError> {
    let mut connection = pool.acquire().await?;
    let begun = match &pool.source().begin {
        None => {
            with_timeout(statement_timeout(pool.wait()), connection.connection()?.execute("BEGIN"))
                .await
        }
        Some(text) => {
            let text = AssertSqlSafe(text.clone());
            with_timeout(statement_timeout(pool.wait()), connection.connection()?.execute(text))
                .await
        }
    };
    connection.note(begun)?;
    Ok(connection)
}

/// Commits the transaction and gives the connection back.
pub async fn commit(mut connection: PooledConnection<PgConnection>) -> Result<(), DbError> {
    let committed =
        with_timeout(statement_timeout(WAIT), connection.connection()?.execute("COMMIT")).await;
    connection.note(committed)?;
    connection.release();
    Ok(())
}

/// Whether the transaction may write. When it may not, the connection may be one from before a
/// failover: then all are made anew.
pub async fn check_writable(
    connection: &mut PooledConnection<PgConnection>,
) -> Result<(), DbError> {
    let ask = sqlx::query_scalar("select current_setting('transaction_read_only')");
    let asked = ask.persistent(false).fetch_one(connection.connection()?);
    let is_read_only =
        with_timeout(statement_timeout(WAIT), asked).await.map(|answer: String| answer == "on");
    let is_read_only = connection.note(is_read_only)?;
    connection.note(if is_read_only { Err(DbError::ReadOnly) } else { Ok(()) })
}
