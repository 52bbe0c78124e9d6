//! An email address, as typed.
#![no_main]

#[path = "../../tests/web/support/rules.rs"]
#[allow(dead_code, reason = "each target needs one rule")]
mod rules;

libfuzzer_sys::fuzz_target!(|typed: &str| rules::email(typed));
