//! A password hash that another program made: how it is stored, and what a password is compared with.

mod algorithm;
mod crypt;
mod crypt_base64;
mod fields;
mod formats;
#[cfg(test)]
mod tests;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha384};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

pub use algorithm::Algorithm;
pub use formats::{HashRefusal, Source, parse};

/// The longest password that is compared, as in libxcrypt: some algorithms read it in each round, and
/// anybody may send one of 64 KiB.
pub const MAX_PASSWORD_BYTES: usize = 512;

/// The lengths of the outputs of all programs, in bytes. An output of another length was cut.
const OUTPUT_LENGTHS: [usize; 5] = [16, 20, 23, 32, 64];

/// A hash of another program. It has no `Debug`, so that it reaches no log.
#[derive(Clone, Serialize, Deserialize)]
pub struct ImportedHash {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    preparation: Option<Preparation>,
    pub algorithm: Algorithm,
    pub salt: Bytes,
    output_length: usize,
    pub output: Output,
}

/// The output of the algorithm for the right password.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    Plain(Bytes),
    /// The output of a fast algorithm, hashed with Argon2id. A PHC string.
    Wrapped(String),
}

/// What the other program did with a password before it hashed it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Preparation {
    HexSha256,
    /// HMAC with this key, as Base64.
    HmacSha256(String),
    /// Without the white space around it, HMAC with a fixed key, as Base64.
    WordPress,
    /// Appended.
    Pepper(String),
    Nfkc,
}

/// Bytes that are Base64 in JSON.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Bytes(pub Vec<u8>);

/// They may be secret.
impl std::fmt::Debug for Bytes {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("…")
    }
}

impl From<Bytes> for String {
    fn from(bytes: Bytes) -> Self {
        BASE64_STANDARD.encode(bytes.0)
    }
}

impl TryFrom<String> for Bytes {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        BASE64_STANDARD.decode(text).map(Self)
    }
}

impl ImportedHash {
    fn new(algorithm: Algorithm, salt: Vec<u8>, output: Vec<u8>) -> Self {
        let output_length = output.len();
        let output = Output::Plain(Bytes(output));
        Self { preparation: None, algorithm, salt: Bytes(salt), output_length, output }
    }

    fn after(self, preparation: Preparation) -> Self {
        Self { preparation: Some(preparation), ..self }
    }

    #[must_use]
    pub fn with_output(self, output: Output) -> Self {
        Self { output, ..self }
    }

    /// Reads what [`Self::to_stored`] wrote. A PHC string is none.
    pub fn from_stored(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The text of the column, instead of a PHC string.
    pub fn to_stored(&self) -> String {
        // Strings and numbers always become JSON.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether it is the output of this algorithm, with the usual length.
    pub fn is_made_with(&self, algorithm: &Algorithm) -> bool {
        self.preparation.is_none() && self.algorithm == *algorithm && self.output_length == 32
    }

    /// The same for hashes that cost the same.
    pub fn scheme(&self) -> String {
        let wrapped = if matches!(self.output, Output::Wrapped(_)) { "wrapped " } else { "" };
        format!("{wrapped}{} {:?}", self.output_length, self.algorithm)
    }

    /// Whether the bounds allow to compute it.
    fn is_bounded(&self) -> bool {
        OUTPUT_LENGTHS.contains(&self.output_length)
            && self.algorithm.is_bounded(self.output_length)
    }

    /// The output for a password; `None` if it is not to be computed.
    pub fn output_for(&self, password: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        if !self.is_bounded() || password.len() > MAX_PASSWORD_BYTES {
            return None;
        }
        let prepared = match &self.preparation {
            Some(preparation) => preparation.apply(password)?,
            None => Zeroizing::new(password.to_vec()),
        };
        self.algorithm.output(&prepared, &self.salt.0, self.output_length).map(Zeroizing::new)
    }
}

impl Preparation {
    fn apply(&self, password: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let text = std::str::from_utf8(password).ok()?;
        let prepared = match self {
            Self::HexSha256 => {
                let digits = |byte: &u8| [byte >> 4, byte & 15].map(u32::from);
                let digits = Sha256::digest(password).iter().flat_map(digits).collect::<Vec<_>>();
                digits.into_iter().filter_map(|digit| char::from_digit(digit, 16)).collect()
            }
            Self::HmacSha256(key) => {
                let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).ok()?;
                BASE64_STANDARD.encode(mac.chain_update(password).finalize().into_bytes())
            }
            Self::WordPress => {
                let trimmed = text.trim_matches([' ', '\t', '\n', '\r', '\0', '\x0b']);
                let mac = Hmac::<Sha384>::new_from_slice(b"wp-sha384").ok()?;
                BASE64_STANDARD.encode(mac.chain_update(trimmed).finalize().into_bytes())
            }
            Self::Pepper(pepper) => format!("{text}{pepper}"),
            Self::Nfkc => text.nfkc().collect(),
        };
        Some(Zeroizing::new(prepared.into_bytes()))
    }
}
