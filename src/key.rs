//! The server's key: encrypts stored emails, and keys the digests of codes and other secrets.

pub mod file;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::random;

/// Fewest bytes of a key: as many as HMAC-SHA256 gives (NIST SP 800-107, 5.3.4).
const KEY_BYTES: usize = 32;

/// XChaCha20's nonce is long enough to be random for every email.
const NONCE_BYTES: usize = 24;

type HmacSha256 = Hmac<Sha256>;

const NOT_A_KEY: &str =
    "expected at least 32 random bytes in base64: make them with `openssl rand -base64 32`";

/// The keys that are derived from `VESTIBULE_SECRET` or the key file, one for each purpose.
#[derive(Clone)]
pub struct ServerKey {
    /// The first seals and proves. The others were replaced, or are to replace it: they open and check.
    secrets: Arc<RwLock<Vec<Secret>>>,
    /// Keys the digests that must be the same after a rotation. It is stored in the database.
    digest_key: Zeroizing<Vec<u8>>,
    digesting: HmacSha256,
}

/// What is derived from one line of the key file.
#[derive(Clone)]
struct Secret {
    sealing: XChaCha20Poly1305,
    /// 32 bytes.
    digest_key: Zeroizing<Vec<u8>>,
    proving: HmacSha256,
}

impl Secret {
    fn from_bytes(master: &[u8]) -> Result<Self, String> {
        if master.len() < KEY_BYTES {
            return Err(NOT_A_KEY.into());
        }
        if is_guessable(master) {
            return Err("is too easy to guess: make a key with `openssl rand -base64 32`".into());
        }
        // 32 random bytes are text once in 10^13 draws.
        if master.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) {
            return Err(
                "is text, not random bytes: make a key with `openssl rand -base64 32`".into()
            );
        }
        let mac = hmac(master)?;
        let derive = |label: &[u8]| mac.clone().chain_update(label).finalize().into_bytes();
        let digest_key = Zeroizing::new(derive(b"vestibule digest v1").to_vec());
        Ok(Self {
            sealing: XChaCha20Poly1305::new(&derive(b"vestibule seal v1")),
            proving: hmac(&digest_key)?,
            digest_key,
        })
    }

    /// From base64 in either alphabet, with or without padding.
    fn from_base64(text: &str) -> Result<Self, String> {
        let text = text.trim_end_matches('=');
        let master = STANDARD_NO_PAD.decode(text).or_else(|_| URL_SAFE_NO_PAD.decode(text));
        Self::from_bytes(&Zeroizing::new(master.map_err(|_| NOT_A_KEY)?))
    }

    fn open(&self, row: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload { msg: sealed, aad: &bound_to(row) };
        self.sealing.decrypt(&XNonce::from(*nonce), payload).ok()
    }
}

impl ServerKey {
    /// Derives the keys from at least 32 random bytes.
    pub fn from_bytes(master: &[u8]) -> Result<Self, String> {
        Self::new(vec![Secret::from_bytes(master)?])
    }

    /// The same from base64. After white space may follow the keys that it replaces.
    pub fn from_base64(text: &str) -> Result<Self, String> {
        let secrets = text.split_whitespace().map(Secret::from_base64);
        Self::new(secrets.collect::<Result<_, _>>()?)
    }

    fn new(secrets: Vec<Secret>) -> Result<Self, String> {
        let digest_key = secrets.first().ok_or(NOT_A_KEY)?.digest_key.clone();
        let digesting = hmac(&digest_key)?;
        Ok(Self { secrets: Arc::new(RwLock::new(secrets)), digest_key, digesting })
    }

    /// Encrypts `plain` for the row `row`: 24 bytes of nonce, then XChaCha20-Poly1305. Bound to the
    /// row, so that an attacker who can write to the database cannot send one user's email to another.
    pub fn seal(&self, row: &str, plain: &[u8]) -> Vec<u8> {
        let nonce = random::bytes::<NONCE_BYTES>();
        let payload = Payload { msg: plain, aad: &bound_to(row) };
        let sealing = self.secrets().first().map(|secret| secret.sealing.clone());
        // Fails only beyond 256 GiB; an empty seal opens as nothing.
        let sealed = sealing.and_then(|key| key.encrypt(&XNonce::from(nonce), payload).ok());
        [nonce.as_slice(), &sealed.unwrap_or_default()].concat()
    }

    /// Decrypts a seal; none if it was changed, or made for another row or with another key.
    pub fn open(&self, row: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        self.secrets().iter().find_map(|secret| secret.open(row, sealed))
    }

    /// Whether the key that seals opens this, and not only one of the others.
    pub fn is_sealed_by_first(&self, row: &str, sealed: &[u8]) -> bool {
        self.secrets().first().is_some_and(|secret| secret.open(row, sealed).is_some())
    }

    /// HMAC-SHA256 of `parts` for one `purpose`, 43 characters of base64url, the same after a rotation. The
    /// length before each part makes `("ab", "c")` and `("a", "bc")` differ.
    pub fn digest(&self, purpose: &str, parts: &[&str]) -> String {
        digest(&self.digesting, purpose, parts)
    }

    /// As [`ServerKey::digest`], with the key that is in force: whoever has an old one cannot make it.
    pub fn proof(&self, purpose: &str, parts: &[&str]) -> String {
        let proving = self.secrets().first().map(|secret| secret.proving.clone());
        digest(&proving.unwrap_or_else(|| self.digesting.clone()), purpose, parts)
    }

    /// Whether `proof` was made for this with a key that opens, in constant time (ASVS 11.2.4).
    pub fn proves(&self, proof: &str, purpose: &str, parts: &[&str]) -> bool {
        let is_equal = |secret: &Secret| {
            digest(&secret.proving, purpose, parts).as_bytes().ct_eq(proof.as_bytes())
        };
        self.secrets().iter().any(|secret| is_equal(secret).into())
    }

    /// The key of [`ServerKey::digest`], to be stored sealed.
    pub fn digest_key(&self) -> &[u8] {
        &self.digest_key
    }

    /// With the stored key of [`ServerKey::digest`].
    pub fn with_digest_key(self, stored: &[u8]) -> Result<Self, String> {
        Ok(Self {
            digest_key: Zeroizing::new(stored.to_vec()),
            digesting: hmac(stored)?,
            secrets: self.secrets,
        })
    }

    /// Seals with the key that opens this, while a rotation is not in force yet.
    pub fn seal_with_key_of(&self, row: &str, sealed: &[u8]) {
        let mut secrets = self.secrets.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = secrets.iter().position(|secret| secret.open(row, sealed).is_some()) {
            secrets[..=at].rotate_right(1);
        }
    }

    /// Whether keys that were replaced still open.
    pub fn has_old_keys(&self) -> bool {
        self.secrets().len() > 1
    }

    /// From now on only the first key opens, in all clones.
    pub fn forget_old_keys(&self) {
        self.secrets.write().unwrap_or_else(PoisonError::into_inner).truncate(1);
    }

    fn secrets(&self) -> RwLockReadGuard<'_, Vec<Secret>> {
        self.secrets.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerKey(hidden)")
    }
}

fn hmac(key: &[u8]) -> Result<HmacSha256, String> {
    HmacSha256::new_from_slice(key).map_err(|_| NOT_A_KEY.to_owned())
}

fn digest(keyed: &HmacSha256, purpose: &str, parts: &[&str]) -> String {
    let mut mac = keyed.clone();
    for part in std::iter::once(&purpose).chain(parts) {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}

/// Of 32 random bytes, once in 10^33 draws at most 8 values differ, and once in 10^27 half have the same
/// difference to the byte before, as in 00 01 02 ….
fn is_guessable(master: &[u8]) -> bool {
    let mut distances = [0; 256];
    for pair in master.windows(2) {
        distances[usize::from(pair[1].wrapping_sub(pair[0]))] += 1;
    }
    let is_sequence = distances.iter().any(|count| count * 2 >= master.len());
    is_sequence || master.iter().collect::<BTreeSet<_>>().len() <= 8
}

fn bound_to(row: &str) -> Vec<u8> {
    [b"outbox".as_slice(), row.as_bytes()].concat()
}
