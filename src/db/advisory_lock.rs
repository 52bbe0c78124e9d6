//! A lock for work that one node at a time does.

use super::connection::Source;
use super::{Db, DbError, Tx, sql};

/// A lock of this schema, because several sites may share a database. Held by a transaction, not a session,
/// so that a pooler (`PgBouncer`) keeps it on one connection.
const TAKE: &str = "select 1::bigint where pg_try_advisory_xact_lock(
    hashtextextended('vestibule ' || current_schema() || ' ' || $1, 0))";

/// Held until [`AdvisoryLock::release`], until shortly after it is dropped, or until this node dies: the
/// lock ends with its connection.
pub struct AdvisoryLock(Option<Tx>);

impl Db {
    /// The lock of the job `what`; `None` while another node holds it. On SQLite there is one node.
    pub async fn try_advisory_lock(&self, what: &str) -> Result<Option<AdvisoryLock>, DbError> {
        if let Source::Sqlite(_) = self.writers.source {
            return Ok(Some(AdvisoryLock(None)));
        }
        let mut tx = self.begin().await?;
        let taken = sql(TAKE).bind(what).optional::<(i64,)>(tx.on()).await?;
        Ok(taken.map(|_| AdvisoryLock(Some(tx))))
    }
}

impl AdvisoryLock {
    /// To be called at least every 30 seconds, after which PostgreSQL ends a transaction that is idle.
    /// After an error the lock is lost, and another node may hold it.
    pub async fn keep_alive(&mut self) -> Result<(), DbError> {
        match &mut self.0 {
            Some(tx) => sql("select 1").execute(tx.on()).await.map(drop),
            None => Ok(()),
        }
    }

    /// Releases the lock.
    pub async fn release(self) -> Result<(), DbError> {
        match self.0 {
            Some(tx) => tx.commit().await,
            None => Ok(()),
        }
    }
}
