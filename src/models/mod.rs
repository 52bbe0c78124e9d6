//! A table each: a row struct and its queries.

pub mod device;
pub mod limit;
pub mod one_time_code;
pub mod outbox;
pub mod session;
pub mod user;

use crate::clock::Clock;
use crate::db::{Db, DbError, Tx};
use crate::key::ServerKey;
use outbox::Outbox;

/// What every model stands on. Clones share the database's connections.
#[derive(Clone, Debug)]
pub struct Store {
    /// Where the rows are.
    pub db: Db,
    /// What time it is.
    pub clock: Clock,
    /// What digests are keyed and emails are sealed with.
    pub key: ServerKey,
    /// Where emails are enqueued.
    pub outbox: Outbox,
}

impl Store {
    /// Puts `email`, if there is one, into the outbox within `tx`.
    pub async fn post(&self, tx: &mut Tx, email: Option<&outbox::Email>) -> Result<(), DbError> {
        if let Some(email) = email {
            self.outbox.enqueue(tx, email).await?;
        }
        Ok(())
    }
}
