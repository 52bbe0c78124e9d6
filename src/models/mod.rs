//! A table each: a row struct and its queries.

pub mod device;
pub mod one_time_code;
pub mod outbox;
pub mod rate_limit;
pub mod session;
pub mod user;

use crate::clock::Clock;
use crate::db::Db;
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
