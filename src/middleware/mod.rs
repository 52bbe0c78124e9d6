//! One concern each, around every request.

pub mod csrf;
pub mod device;
pub mod errors;
pub mod headers;
pub mod peer;
pub mod session;
