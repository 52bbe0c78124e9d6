//! The algorithms of imported hashes, and what they may cost.

use aes::Aes256;
use argon2::{Argon2, Params, Version};
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use md5::Md5;
use pbkdf2::{pbkdf2_hmac, pbkdf2_hmac_with_params};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Sha256, Sha512};

use super::{Bytes, crypt_base64};

/// How a hash is computed from a password, a salt and the length of the output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    Argon2 {
        variant: String,
        version: u32,
        memory_kib: u32,
        passes: u32,
        lanes: u32,
    },
    Bcrypt {
        cost: u32,
    },
    /// The digest of the password and then the salt.
    Digest {
        digest: Digest,
    },
    /// Encrypts the key with the output of scrypt.
    Firebase {
        log_n: u32,
        r: u32,
        signer_key: Bytes,
    },
    Pbkdf2 {
        digest: Digest,
        rounds: u32,
    },
    Phpass {
        digest: Digest,
        rounds: u32,
    },
    Scrypt {
        log_n: u32,
        r: u32,
        p: u32,
    },
    ShaCrypt {
        digest: Digest,
        rounds: u32,
    },
    /// Its parameters as yescrypt writes them.
    Yescrypt {
        params: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Digest {
    Md5,
    Sha1,
    Sha256,
    Sha512,
}

/// More memory is not used, in KiB: each thread of the hash pool may need as much.
const MAX_MEMORY_KIB: u32 = 128 * 1024;

/// The work of an algorithm, in its own unit.
struct Work {
    amount: u64,
    /// With less, a stolen hash is guessed much faster than one of Argon2id.
    slow_from: u64,
    /// The stored text decides what is computed, and a planted one could use up the machine.
    most: u64,
}

impl Algorithm {
    /// Whether its cost may be paid at each login.
    pub fn is_bounded(&self, output_length: usize) -> bool {
        let has_memory =
            !matches!(self, Self::Argon2 { memory_kib, .. } if *memory_kib > MAX_MEMORY_KIB);
        has_memory
            && self.work(output_length).is_some_and(|work| (1..=work.most).contains(&work.amount))
    }

    /// Whether a stolen hash is soon guessed, so that it must not be stored as it is.
    pub fn is_fast(&self) -> bool {
        self.work(1).is_none_or(|work| work.amount < work.slow_from)
    }

    fn work(&self, output_length: usize) -> Option<Work> {
        // Blocks of 128 bytes, so that `most` is 128 MiB.
        let blocks = |log_n: u32, r: u32, p: u32| {
            let amount = 1_u64.checked_shl(log_n)?.checked_mul(r.into())?.checked_mul(p.into())?;
            Some(Work { amount, slow_from: 1 << 17, most: 1 << 20 })
        };
        Some(match self {
            Self::Argon2 { memory_kib, passes, .. } => Work {
                amount: u64::from(*memory_kib) * u64::from(*passes),
                // OWASP's minimum with the least memory.
                slow_from: 7168 * 5,
                most: 1 << 19,
            },
            Self::Bcrypt { cost } => {
                Work { amount: 1_u64.checked_shl(*cost)?, slow_from: 1 << 10, most: 1 << 14 }
            }
            Self::Digest { .. } => Work { amount: 1, slow_from: u64::MAX, most: 1 },
            Self::Firebase { log_n, r, .. } => blocks(*log_n, *r, 1)?,
            Self::Pbkdf2 { digest, rounds } => {
                let outputs = output_length.div_ceil(digest.length());
                let amount = u64::from(*rounds) * u64::try_from(outputs).ok()?;
                Work { amount, slow_from: 100_000, most: 4_000_000 }
            }
            Self::Scrypt { log_n, r, p } => blocks(*log_n, *r, *p)?,
            Self::Phpass { rounds, .. } | Self::ShaCrypt { rounds, .. } => {
                Work { amount: u64::from(*rounds), slow_from: u64::MAX, most: 1_000_000 }
            }
            Self::Yescrypt { params } => {
                let (log_n, r) = yescrypt_cost(params)?;
                blocks(log_n, r, 1)?
            }
        })
    }

    /// The output for a password; `None` with parameters that the algorithm does not have.
    pub fn output(&self, password: &[u8], salt: &[u8], length: usize) -> Option<Vec<u8>> {
        let mut output = vec![0; length];
        match self {
            Self::Argon2 { variant, version, memory_kib, passes, lanes } => {
                let params = Params::new(*memory_kib, *passes, *lanes, Some(length)).ok()?;
                let version = Version::try_from(*version).ok()?;
                let argon2 = Argon2::new(variant.parse().ok()?, version, params);
                argon2.hash_password_into(password, salt, &mut output).ok()?;
            }
            Self::Bcrypt { cost } => output = bcrypt(*cost, salt, password)?,
            Self::Digest { digest } => output = digest.of(&[password, salt]),
            Self::Firebase { log_n, r, signer_key } => {
                let key = scrypt(password, salt, (*log_n, *r, 1), vec![0; 32])?;
                output.clone_from(&signer_key.0);
                let mut cipher = Ctr128BE::<Aes256>::new_from_slices(&key, &[0; 16]).ok()?;
                cipher.apply_keystream(&mut output);
            }
            Self::Pbkdf2 { digest, rounds } => {
                digest.pbkdf2(*rounds, password, salt, &mut output)?;
            }
            Self::Phpass { digest, rounds } => {
                let first = digest.of(&[salt, password]);
                output = (0..*rounds).fold(first, |last, _| digest.of(&[&last, password]));
            }
            Self::Scrypt { log_n, r, p } => {
                output = scrypt(password, salt, (*log_n, *r, *p), output)?;
            }
            Self::ShaCrypt { digest, rounds } => {
                output = sha_crypt(*digest, *rounds, salt, password)?;
            }
            Self::Yescrypt { params } => {
                yescrypt::yescrypt(password, salt, &params.parse().ok()?, &mut output).ok()?;
            }
        }
        output.truncate(length);
        (output.len() == length).then_some(output)
    }
}

impl Digest {
    pub fn length(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    fn of(self, parts: &[&[u8]]) -> Vec<u8> {
        fn digest<D: sha2::Digest>(parts: &[&[u8]]) -> Vec<u8> {
            let digest = parts.iter().fold(D::new(), D::chain_update);
            digest.finalize().to_vec()
        }
        match self {
            Self::Md5 => digest::<Md5>(parts),
            Self::Sha1 => digest::<Sha1>(parts),
            Self::Sha256 => digest::<Sha256>(parts),
            Self::Sha512 => digest::<Sha512>(parts),
        }
    }

    fn pbkdf2(self, rounds: u32, password: &[u8], salt: &[u8], output: &mut [u8]) -> Option<()> {
        use pbkdf2::Algorithm::{Pbkdf2Sha256, Pbkdf2Sha512};
        // What is generic is compiled with this crate: without optimisation a million rounds take 2 s in
        // place of 0.1 s. The other function takes no fewer than a thousand rounds.
        match (self, pbkdf2::Params::new(rounds)) {
            (Self::Sha256, Ok(params)) => {
                pbkdf2_hmac_with_params(password, salt, Pbkdf2Sha256, params, output);
            }
            (Self::Sha512, Ok(params)) => {
                pbkdf2_hmac_with_params(password, salt, Pbkdf2Sha512, params, output);
            }
            (Self::Sha1, _) => pbkdf2_hmac::<Sha1>(password, salt, rounds, output),
            (Self::Sha256, Err(_)) => pbkdf2_hmac::<Sha256>(password, salt, rounds, output),
            (Self::Sha512, Err(_)) => pbkdf2_hmac::<Sha512>(password, salt, rounds, output),
            (Self::Md5, _) => return None,
        }
        Some(())
    }
}

/// Reads 72 bytes of the password, as all programs do.
fn bcrypt(cost: u32, salt: &[u8], password: &[u8]) -> Option<Vec<u8>> {
    let mut key = zeroize::Zeroizing::new(password.to_vec());
    key.push(0);
    key.truncate(72);
    let salt = salt.try_into().ok()?;
    (4..=31).contains(&cost).then(|| bcrypt::bcrypt(cost, salt, &key)[..23].to_vec())
}

fn scrypt(
    password: &[u8],
    salt: &[u8],
    (log_n, r, p): (u32, u32, u32),
    mut output: Vec<u8>,
) -> Option<Vec<u8>> {
    let params = scrypt::Params::new(u8::try_from(log_n).ok()?, r, p).ok()?;
    scrypt::scrypt(password, salt, &params, &mut output).ok()?;
    Some(output)
}

/// The output in the order in which crypt(3) writes its bytes.
fn sha_crypt(digest: Digest, rounds: u32, salt: &[u8], password: &[u8]) -> Option<Vec<u8>> {
    let params = sha_crypt::Params::new(rounds).ok()?;
    let (output, step) = match digest {
        Digest::Sha256 => (sha_crypt::sha256_crypt(password, salt, params).to_vec(), 21),
        Digest::Sha512 => (sha_crypt::sha512_crypt(password, salt, params).to_vec(), 22),
        Digest::Md5 | Digest::Sha1 => return None,
    };
    // Triples, each a third of the output apart; then what is left.
    let third = output.len() / 3;
    let in_triples = third * 3;
    let triple = |number| [2, 1, 0].map(|part| (step * number + part * third) % in_triples);
    let order = (0..third).flat_map(triple).chain(in_triples..output.len());
    Some(order.map(|at| output[at]).collect())
}

/// The logarithm of N, and r, of parameters without options.
fn yescrypt_cost(params: &str) -> Option<(u32, u32)> {
    let params = params.strip_prefix('j')?;
    let (log_n, r) = params.split_at_checked(1)?;
    // Beyond 47 yescrypt writes a number with two characters.
    let number = |text| crypt_base64::number(text).filter(|number| *number < 48);
    (r.len() == 1).then_some((number(log_n)? + 1, number(r)? + 1))
}
