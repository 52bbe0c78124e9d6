//! One concern each, around every request.

pub mod cookies;
pub mod csrf;
pub mod errors;
pub mod framing;
pub mod headers;
pub mod mailbox;
pub mod request_id;
pub mod session;
