//! What `X-Original-URL` holds.
#![no_main]

#[path = "../../tests/web/support/rules.rs"]
#[allow(dead_code, reason = "each target needs one rule")]
mod rules;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rules::forwarded_url(bytes));
