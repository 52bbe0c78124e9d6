//! What is peculiar to connections to PostgreSQL: their settings, transactions, and poolers.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor, PgConnection};

use super::connect::connect;
use super::pool::{Lent, Pool, Restore};
use super::server::Server;
use super::{DbError, WAIT, in_time, longest};

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

impl Restore for PgConnection {
    type Source = Source;

    async fn connect_to(source: &Source) -> Result<Self, sqlx::Error> {
        let mut connection = connect(&source.server).await?;
        if let Some(text) = &source.on_connect {
            connection.execute(AssertSqlSafe(text.clone())).await?;
        }
        Ok(connection)
    }

    async fn restore(&mut self) -> Result<(), sqlx::Error> {
        self.execute("ROLLBACK").await.map(drop)
    }
}

/// Begins a transaction.
pub async fn begin(pool: &Pool<PgConnection>) -> Result<Lent<PgConnection>, DbError> {
    let mut lent = pool.lend().await?;
    let begun = match &pool.source().begin {
        None => in_time(longest(pool.wait()), lent.connection()?.execute("BEGIN")).await,
        Some(text) => {
            let text = AssertSqlSafe(text.clone());
            in_time(longest(pool.wait()), lent.connection()?.execute(text)).await
        }
    };
    lent.note(begun)?;
    Ok(lent)
}

/// Commits the transaction and gives the connection back.
pub async fn commit(mut lent: Lent<PgConnection>) -> Result<(), DbError> {
    let committed = in_time(longest(WAIT), lent.connection()?.execute("COMMIT")).await;
    lent.note(committed)?;
    lent.settle();
    Ok(())
}

/// Whether the transaction may write. When it may not, the connection may be one from before a
/// failover: then all are made anew.
pub async fn check_writable(lent: &mut Lent<PgConnection>) -> Result<(), DbError> {
    let ask = sqlx::query_scalar("select current_setting('transaction_read_only')");
    let asked = ask.persistent(false).fetch_one(lent.connection()?);
    let is_read_only = in_time(longest(WAIT), asked).await.map(|answer: String| answer == "on");
    let is_read_only = lent.note(is_read_only)?;
    lent.note(if is_read_only { Err(DbError::ReadOnly) } else { Ok(()) })
}
