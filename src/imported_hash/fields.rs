//! The fields of which other programs make a password hash.

use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::Engine as _;

use super::ImportedHash;
use super::algorithm::{Algorithm, Digest};

/// With or without padding, which some programs leave out.
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);

pub const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);

/// `argon2id$v=19$m=…,t=…,p=…$salt$output`, of which old texts have no version.
pub fn argon2(fields: &[&str]) -> Option<ImportedHash> {
    let (variant, version, params, salt, output) = match fields {
        [variant, version, params, salt, output] => (variant, *version, params, salt, output),
        [variant, params, salt, output] => (variant, "v=16", params, salt, output),
        _ => return None,
    };
    let algorithm = Algorithm::Argon2 {
        variant: (*variant).to_owned(),
        version: number(parameter(version, "v")?)?,
        memory_kib: number(parameter(params, "m")?)?,
        passes: number(parameter(params, "t")?)?,
        lanes: number(parameter(params, "p")?)?,
    };
    Some(ImportedHash::new(algorithm, base64(salt)?, base64(output)?))
}

pub fn pbkdf2(digest: Digest, rounds: &str, salt: &[u8], output: Vec<u8>) -> Option<ImportedHash> {
    let algorithm = Algorithm::Pbkdf2 { digest, rounds: number(rounds)? };
    Some(ImportedHash::new(algorithm, salt.to_vec(), output))
}

pub fn scrypt([n, r, p]: [&str; 3], salt: &str, output: Vec<u8>) -> Option<ImportedHash> {
    let n = number(n).filter(|n| n.is_power_of_two())?;
    let algorithm = Algorithm::Scrypt { log_n: n.trailing_zeros(), r: number(r)?, p: number(p)? };
    Some(ImportedHash::new(algorithm, salt.into(), output))
}

/// The value of a name in `name=value,…`.
pub fn parameter<'a>(params: &'a str, name: &str) -> Option<&'a str> {
    let pairs = params.split(',').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find_map(|(known, value)| (known == name).then_some(value))
}

/// A positive number. One that is too large is the largest: its hash costs too much, and is not damaged.
pub fn number(text: &str) -> Option<u32> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u32::MAX)).filter(|number| *number > 0)
}

pub fn base64(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text).ok()
}

/// passlib writes `.` for `+`.
pub fn ab64(text: &str) -> Option<Vec<u8>> {
    base64(&text.replace('.', "+"))
}

pub fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.chars().map(|digit| digit.to_digit(16));
    let digits: Vec<u8> = digits.map(|digit| u8::try_from(digit?).ok()).collect::<Option<_>>()?;
    digits
        .len()
        .is_multiple_of(2)
        .then(|| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}
