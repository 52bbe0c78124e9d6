//! Ids and codes: the only random number generator.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::{Rng, RngExt};
use sha2::{Digest, Sha256};

/// No vowels, so that no code is a word, and one character of those that look alike: D for 0, O and Q, L
/// for 1 and I, 2 for Z, 5 for S, 8 for B, V for U and Y.
const CODE_ALPHABET: &[u8; 24] = b"23456789CDFGHJKLMNPRTVWX";

/// 24^8 codes are 1.1e11. With 20 guesses a day for an account (`VESTIBULE_LIMIT_RESET_ACCOUNT`), a
/// year of guessing succeeds with a probability of 6.7e-8.
pub const CODE_LENGTH: usize = 8;

const ID_ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Seeded by the operating system.
#[expect(clippy::disallowed_methods, reason = "the one place that uses the generator")]
fn rng() -> impl Rng {
    rand::rng()
}

/// `N` bytes for keys, nonces and tokens.
pub fn bytes<const N: usize>() -> [u8; N] {
    rng().random()
}

/// 16 bytes in base64url without padding.
const TOKEN_LENGTH: usize = 22;

/// A secret of 128 bits for a cookie or a link.
pub fn token() -> String {
    URL_SAFE_NO_PAD.encode(bytes::<16>())
}

/// What a table has in place of a token. A plain hash is enough: no token of 128 bits can be guessed (ASVS 6.5.2).
pub fn token_hash(token: &str) -> Vec<u8> {
    Sha256::digest(token).to_vec()
}

/// Whether `text` has the form of a token.
pub fn is_token(text: &str) -> bool {
    text.len() == TOKEN_LENGTH && URL_SAFE_NO_PAD.decode(text).is_ok()
}

/// A one-time code as it is compared: [`CODE_LENGTH`] characters, no dash.
pub fn code() -> String {
    let mut rng = rng();
    let mut character = || char::from(CODE_ALPHABET[rng.random_range(0..CODE_ALPHABET.len())]);
    (0..CODE_LENGTH).map(|_| character()).collect()
}

/// Whether `code` has the form of a code.
pub fn is_code(code: &str) -> bool {
    code.len() == CODE_LENGTH && code.bytes().all(|byte| CODE_ALPHABET.contains(&byte))
}

/// Whether `text` has the form of an id; a path may hold anything.
pub fn is_id(text: &str) -> bool {
    text.len() == 26 && text.bytes().all(|byte| ID_ALPHABET.contains(&byte))
}

/// A row's id: 26 characters of 48 bits of time and 80 random bits. Rows made together lie together in
/// the index, and no id can be guessed from another.
pub fn id(millis: i64) -> String {
    let value = (u128::from(millis.unsigned_abs()) << 80) | (rng().random::<u128>() >> 48);
    let digits = (0..26).rev().map(|place| usize::try_from((value >> (place * 5)) & 31));
    digits.map(|digit| char::from(ID_ALPHABET[digit.unwrap_or_default()])).collect()
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
    fn codes_use_only_the_alphabet() {
        for _ in 0..200 {
            assert!(is_code(&code()));
        }
        assert!(!is_code("AAAAAAAA"));
        assert!(!is_code("CCCC"));
    }
}
