//! A lock for work that only one node may do at a time.

use super::connection::Source;
use super::{Db, DbError, Tx, sql};

/// The schema is part of the key, because several sites may share a database. A transaction holds the lock,
/// not a session, because `PgBouncer` may give a session another connection.
const TRY_LOCK: &str = "select 1::bigint where pg_try_advisory_xact_lock(
    hashtextextended('vestibule ' || current_schema() || ' ' || $1, 0))";

/// Released by [`AdvisoryLock::release`], shortly after it is dropped, or with the connection of a node that
/// dies.
pub struct AdvisoryLock(Option<Tx>);

impl Db {
    /// The lock named `what`; `None` while another node holds it. On SQLite there is one node.
    pub async fn try_advisory_lock(&self, what: &str) -> Result<Option<AdvisoryLock>, DbError> {
        if let Source::Sqlite(_) = self.writers.source {
            return Ok(Some(AdvisoryLock(None)));
        }
        let mut tx = self.begin().await?;
        let taken = sql(TRY_LOCK).bind(what).fetch_optional::<(i64,)>(tx.executor()).await?;
        Ok(taken.map(|_| AdvisoryLock(Some(tx))))
    }
}

impl AdvisoryLock {
    /// To be called at least every 30 seconds: PostgreSQL ends idle transactions. After an error another node
    /// may hold the lock.
    pub async fn keep_alive(&mut self) -> Result<(), DbError> {
        match &mut self.0 {
            Some(tx) => sql("select 1").execute(tx.executor()).await.map(drop),
            None => Ok(()),
        }
    }

    pub async fn release(self) -> Result<(), DbError> {
        match self.0 {
            Some(tx) => tx.commit().await,
            None => Ok(()),
        }
    }
}
