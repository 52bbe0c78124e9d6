//! Opens a PostgreSQL database, and checks that it can be used.

mod explain;

use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection, Executor, PgConnection, Row};
use tokio::time::timeout;

use super::connection::{Source, connect};
use super::error::SETTING;
use super::pool::Pool;
use super::server::Server;
use super::{Db, DbError, migrations};
use crate::event::Event;
use explain::explain;

/// For one node. PostgreSQL's default limit is 100 for all nodes.
const MAX_CONNECTIONS: u32 = 16;

/// How long the checks at the start may take after the connection is open.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// Held by every connection of a process that uses the database, and by one that uses it alone. The schema is
/// part of the key, because several sites may share a database.
const USE: &str =
    "select pg_advisory_lock_shared(hashtextextended('vestibule use ' || current_schema(), 0))";
const USE_ALONE: &str =
    "select pg_advisory_lock(hashtextextended('vestibule use ' || current_schema(), 0))";

/// A lock that was not free in time.
const LOCKED: &str = "55P03";

pub(super) async fn open(server: &Server, wait: Duration) -> Result<Db, DbError> {
    open_with(server, wait, USE, MAX_CONNECTIONS).await
}

/// As [`open`], for this process alone, on one connection.
pub(super) async fn open_alone(server: &Server, wait: Duration) -> Result<Db, DbError> {
    if server.is_per_transaction == Some(true) {
        return Err(unusable(
            "a pooler in transaction mode cannot show whether others use the database: connect to PostgreSQL itself",
        ));
    }
    open_with(server, wait, USE_ALONE, 1).await
}

async fn open_with(
    server: &Server,
    wait: Duration,
    use_lock: &'static str,
    max: u32,
) -> Result<Db, DbError> {
    let pool = connect_pool(server, wait, use_lock, max).await?;
    migrations::migrate(&pool).await.map_err(|error| match error {
        _ if error.code() == LOCKED => DbError::InUse(SETTING.to_owned()),
        DbError::Driver(error) => why_unusable(&error),
        other => other,
    })?;
    Ok(Db { readers: Arc::clone(&pool), writers: pool, _memory: None, in_use: None })
}

/// Connects first without the pool, whose error would only be a timeout.
pub(super) async fn connect_pool(
    server: &Server,
    wait: Duration,
    use_lock: &'static str,
    max: u32,
) -> Result<Arc<Pool>, DbError> {
    let connected = timeout(wait, connect(server)).await;
    let connected = connected
        .map_err(|_| unusable(format!("nothing answers within {} seconds", wait.as_secs_f32())))?;
    let first = connected.map_err(|error| why_unusable(&error))?;
    let checked = timeout(CHECK_TIMEOUT, check(server, first)).await;
    checked.map_err(|_| why_no_answer(server))??;
    if let Some(cause) = server.weakness() {
        Event::WeakSetting { cause }.write();
    }
    let source = Source::Postgres { server: server.clone(), lock_timeout: wait, use_lock };
    Ok(Pool::new(source, max, wait))
}

/// Whether `server`, to which `first` is connected, can be used as it is.
async fn check(server: &Server, mut first: PgConnection) -> Result<(), DbError> {
    let encoding = ask(&mut first, "select current_setting('server_encoding')").await?;
    if encoding != "UTF8" {
        return Err(unusable(format!(
            "the database's encoding is {encoding}, and it must hold every name and address: make another with `create database NAME encoding 'UTF8' template template0`"
        )));
    }
    if server.is_per_transaction.is_none() && is_pooled_by_transaction(server, &mut first).await? {
        return Err(unusable(
            "a pooler like PgBouncer is in transaction mode: it gives each transaction another connection (pool_mode = transaction in pgbouncer.ini): add pgbouncer=transaction to the URL's parameters, or set pool_mode = session for this database and add pgbouncer=session",
        ));
    }
    first.close().await.map_err(DbError::Driver)
}

/// Whether a second client gets the server's connection that `first` had, or `first` gets another one.
async fn is_pooled_by_transaction(
    server: &Server,
    first: &mut PgConnection,
) -> Result<bool, DbError> {
    const BACKEND: &str = "select pg_backend_pid()::text";
    let (before, again) = (ask(first, BACKEND).await?, ask(first, BACKEND).await?);
    // Without a second connection only `first` can be compared.
    let Ok(mut second) = connect(server).await else { return Ok(before != again) };
    second.execute("begin").await.map_err(|error| why_unusable(&error))?;
    let other = ask(&mut second, BACKEND).await?;
    // While `second` has a pooler's only connection, `first` would wait for it.
    let is_pooled = other == before || again != before || ask(first, BACKEND).await? != before;
    second.close().await.map_err(DbError::Driver)?;
    Ok(is_pooled)
}

/// A pooler accepts more clients than it has server connections, and queues their statements.
fn why_no_answer(server: &Server) -> DbError {
    let advice = if server.is_per_transaction.is_some() {
        ""
    } else {
        ", and name its pool_mode in the URL's parameters: pgbouncer=transaction or pgbouncer=session"
    };
    unusable(format!(
        "the server accepts connections and does not answer statements, like a pooler without a free connection: raise default_pool_size in pgbouncer.ini{advice}"
    ))
}

/// The text that `query` selects, without a prepared statement.
async fn ask(connection: &mut PgConnection, query: &'static str) -> Result<String, DbError> {
    let row = connection.fetch_one(query).await.map_err(|error| why_unusable(&error))?;
    Ok(row.try_get(0)?)
}

pub(super) fn why_unusable(error: &sqlx::Error) -> DbError {
    unusable(explain(error))
}

fn unusable(cause: impl Into<String>) -> DbError {
    DbError::Unusable { path: SETTING.to_owned(), cause: cause.into() }
}
