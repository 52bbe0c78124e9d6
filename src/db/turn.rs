//! Work that one node at a time does: it has the turn, the others leave it out.

use super::{Db, DbError, Engine, Tx, sql};

/// Of this schema alone, because several sites may share a database. Held by a transaction and not by a
/// session, so that a pooler between the two (`PgBouncer`) keeps it on one connection.
const TAKE: &str = "select 1::bigint where pg_try_advisory_xact_lock(
    hashtextextended('vestibule ' || current_schema() || ' ' || $1, 0))";

/// The right to do something now. It ends with [`Turn::end`], a little after this is dropped, and when
/// the node is gone: the lock goes with its connection.
pub struct Turn(Option<Tx>);

impl Db {
    /// Takes the turn to do `what`; `None` while another node has it. On SQLite there is one node.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn turn(&self, what: &str) -> Result<Option<Turn>, DbError> {
        if let Engine::Sqlite { .. } = self.0 {
            return Ok(Some(Turn(None)));
        }
        let mut tx = self.begin().await?;
        let taken = sql(TAKE).bind(what).optional::<(i64,)>(tx.on()).await?;
        Ok(taken.map(|_| Turn(Some(tx))))
    }
}

impl Turn {
    /// To be called at least every 30 seconds, after which PostgreSQL ends a transaction that is idle.
    ///
    /// # Errors
    /// When the turn is lost: the connection is gone, and another node may have it.
    pub async fn keep(&mut self) -> Result<(), DbError> {
        match &mut self.0 {
            Some(tx) => sql("select 1").execute(tx.on()).await.map(drop),
            None => Ok(()),
        }
    }

    /// Gives the turn to whoever asks next.
    ///
    /// # Errors
    /// When the database fails; then the turn ends with the connection.
    pub async fn end(self) -> Result<(), DbError> {
        match self.0 {
            Some(tx) => tx.commit().await,
            None => Ok(()),
        }
    }
}
