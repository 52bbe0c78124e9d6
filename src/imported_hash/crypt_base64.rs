//! The Base64 of crypt(3): another alphabet, and the first character has the lowest bits.

const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The value of a number of any length.
pub fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().rev().map(|byte| ALPHABET.iter().position(|known| *known == byte));
    digits.into_iter().try_fold(0_u32, |number, digit| {
        number.checked_mul(64)?.checked_add(u32::try_from(digit?).ok()?)
    })
}

/// The bytes. Bits that fill no byte do not count: Drupal cuts its hashes.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for group in text.as_bytes().chunks(4) {
        let value = number(std::str::from_utf8(group).ok()?)?;
        bytes.extend(&value.to_le_bytes()[..group.len() - 1]);
        if group.len() == 1 {
            return None;
        }
    }
    Some(bytes)
}
