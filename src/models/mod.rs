//! The M: a table each (a struct and its SQL) and a value each (parsed once, at the edge).

pub mod client_address;
pub mod device;
pub mod email;
pub mod hasher;
pub mod limit;
pub mod mailbox;
pub mod next_path;
pub mod one_time_code;
pub mod outbox;
pub mod password;
pub mod pasted;
pub mod reset;
pub mod session;
pub mod user;
pub mod username;

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
