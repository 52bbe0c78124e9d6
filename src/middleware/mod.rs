//! One concern each, around every request.

pub mod cookies;
pub mod csrf;
pub mod error_pages;
pub mod fetched;
pub mod frame;
pub mod framing;
pub mod headers;
pub mod mailbox;
pub mod metrics;
pub mod mount;
pub mod protect;
pub mod request_id;
pub mod session;
