//! A table each: a row struct and its queries.

pub mod device;
pub mod one_time_code;
pub mod outbox;
pub mod rate_limit;
pub mod session;
pub mod user;
