//! A table each: a row struct and its queries.

pub mod device;
pub mod limit;
pub mod outbox;
pub mod reset;
pub mod session;
pub mod user;

use crate::clock::Clock;
use crate::db::Db;
use crate::key::ServerKey;

/// What every model stands on. Clones share the database's connections.
#[derive(Clone, Debug)]
pub struct Store {
    /// Where the rows are.
    pub db: Db,
    /// What time it is.
    pub clock: Clock,
    /// What digests are keyed and letters are sealed with.
    pub key: ServerKey,
}
