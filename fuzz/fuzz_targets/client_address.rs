//! The lines of `X-Forwarded-For`: the first byte is the peer, the rest the lines.
#![no_main]

#[path = "../../tests/web/support/rules.rs"]
#[allow(dead_code, reason = "each target needs one rule")]
mod rules;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((peer, text)) = bytes.split_first() else { return };
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    rules::forwarded(rules::peer(*peer), &lines);
});
