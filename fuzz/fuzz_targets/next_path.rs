//! What stands in \`next\`.
#![no_main]

#[path = "../../tests/web/support/rules.rs"]
#[allow(dead_code, reason = "each target needs one rule")]
mod rules;

libfuzzer_sys::fuzz_target!(|typed: &str| {
    rules::next_path(typed);
    rules::next_with_apps(typed);
});
