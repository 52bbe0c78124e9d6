//! One concern each, around every request.

pub mod cookies;
pub mod csrf;
pub mod errors;
pub mod first_visit;
pub mod framing;
pub mod gate;
pub mod headers;
pub mod mailbox;
pub mod request_id;
pub mod session;
pub mod shared;
