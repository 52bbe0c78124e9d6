//! Ids and codes: the only random number generator.

use rand::RngExt;

/// 24 characters: digits and capitals without vowels (no words by accident) and with one alone of
/// those that are read for one another: D for 0, O and Q, L for 1 and I, 2 for Z, 5 for S, 8 for B,
/// V for U and Y.
const CODE_ALPHABET: &[u8; 24] = b"23456789CDFGHJKLMNPRTVWX";

/// Length of a one-time code: 24^8 = 1.1e11. At 20 wrong guesses an account and day
/// (`VESTIBULE_LIMIT_RESET_ACCOUNT`) a year of guessing succeeds with a chance of 6.7e-8.
pub const CODE_LENGTH: usize = 8;

const ID_ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// `N` bytes from the operating system's seeded generator, for keys, nonces and tokens.
#[expect(clippy::disallowed_methods, reason = "this file is the one place that draws")]
pub fn bytes<const N: usize>() -> [u8; N] {
    rand::rng().random()
}

/// A one-time code as it is compared: [`CODE_LENGTH`] characters, no dash.
pub fn code() -> String {
    let drawn = std::iter::repeat_with(bytes::<1>).flatten();
    // A byte above 239 would favour the first characters of the alphabet: 240 is 10 times 24.
    let fair = drawn.filter(|byte| usize::from(*byte) < 240).take(CODE_LENGTH);
    fair.map(|byte| char::from(CODE_ALPHABET[usize::from(byte) % CODE_ALPHABET.len()])).collect()
}

/// Whether every character of `code` is one that [`code`] could have drawn.
pub fn is_code(code: &str) -> bool {
    code.len() == CODE_LENGTH && code.bytes().all(|byte| CODE_ALPHABET.contains(&byte))
}

/// Whether `text` is an id in shape; what a path holds may be anything.
pub fn is_id(text: &str) -> bool {
    text.len() == 26 && text.bytes().all(|byte| ID_ALPHABET.contains(&byte))
}

/// A row's id: 26 characters, 48 bits of `millis` before 80 random ones, so that rows made
/// together lie together in the index and no id can be guessed from another.
pub fn id(millis: i64) -> String {
    let time = (u128::from(millis.unsigned_abs()) & 0xffff_ffff_ffff) << 80;
    let value = time | (u128::from_le_bytes(bytes()) >> 48);
    (0..26)
        .rev()
        .map(|place| usize::try_from((value >> (place * 5)) & 31).unwrap_or_default())
        .map(|index| char::from(ID_ALPHABET[index]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_made_later_sort_later() {
        assert!(id(1_700_000_000_000) < id(1_700_000_000_001));
        assert_eq!(id(0).len(), 26);
        assert_ne!(id(5), id(5));
    }

    #[test]
    fn codes_use_the_alphabet_alone() {
        for _ in 0..200 {
            assert!(is_code(&code()));
        }
        assert!(!is_code("AAAAAAAA"));
        assert!(!is_code("CCCC"));
    }
}
