//! The texts of crypt(3) and of those programs that write like it: `$id$…`.

use base64::alphabet::BCRYPT;
use base64::engine::GeneralPurpose;
use base64::prelude::Engine as _;

use super::algorithm::{Algorithm, Digest};
use super::fields::{LENIENT, ab64, argon2, base64, number, parameter, pbkdf2};
use super::{ImportedHash, Preparation, crypt_base64};

/// Some programs set the last bits of the last character.
const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(&BCRYPT, LENIENT);

/// `$id$…`.
pub fn crypt(text: &str) -> Option<ImportedHash> {
    let fields: Vec<&str> = text.strip_prefix('$')?.split('$').collect();
    match fields[..] {
        ["argon2id" | "argon2i" | "argon2d", ..] => argon2(&fields),
        ["2a" | "2b" | "2y", cost, salt_and_output] => bcrypt(cost, salt_and_output),
        ["bcrypt-sha256", params, salt, output] if params.starts_with("v=2,t=2b,") => {
            let hash = bcrypt(parameter(params, "r")?, &format!("{salt}{output}"))?;
            Some(hash.after(Preparation::HmacSha256(salt.to_owned())))
        }
        ["wp", "2y", cost, salt_and_output] => {
            Some(bcrypt(cost, salt_and_output)?.after(Preparation::WordPress))
        }
        ["pbkdf2", rounds, salt, output] => {
            pbkdf2(Digest::Sha1, rounds, &ab64(salt)?, ab64(output)?)
        }
        ["pbkdf2-sha256", rounds, salt, output] => {
            pbkdf2(Digest::Sha256, rounds, &ab64(salt)?, ab64(output)?)
        }
        ["pbkdf2-sha512", rounds, salt, output] => {
            pbkdf2(Digest::Sha512, rounds, &ab64(salt)?, ab64(output)?)
        }
        ["scrypt", params, salt, output] => {
            let [log_n, r, p] = ["ln", "r", "p"].map(|name| number(parameter(params, name)?));
            let algorithm = Algorithm::Scrypt { log_n: log_n?, r: r?, p: p? };
            Some(ImportedHash::new(algorithm, base64(salt)?, base64(output)?))
        }
        ["5", ..] => sha_crypt(Digest::Sha256, &fields[1..]),
        ["6", ..] => sha_crypt(Digest::Sha512, &fields[1..]),
        ["7", params_and_salt, output] => crypt_scrypt(params_and_salt, output),
        ["y", params, salt, output] => {
            let algorithm = Algorithm::Yescrypt { params: params.to_owned() };
            let [salt, output] = [salt, output].map(crypt_base64::decode);
            Some(ImportedHash::new(algorithm, salt?, output?))
        }
        ["P" | "H", rest] => phpass(Digest::Md5, rest),
        ["S", rest] => phpass(Digest::Sha512, rest),
        _ => None,
    }
}

fn bcrypt(cost: &str, salt_and_output: &str) -> Option<ImportedHash> {
    let (salt, output) = salt_and_output.split_at_checked(22)?;
    let decode = |text| BCRYPT_BASE64.decode(text).ok();
    let (salt, output) = (decode(salt)?, decode(output).filter(|output| output.len() == 23)?);
    Some(ImportedHash::new(Algorithm::Bcrypt { cost: number(cost)? }, salt, output))
}

/// The logarithm of the rounds, eight characters of salt, and the output.
fn phpass(digest: Digest, text: &str) -> Option<ImportedHash> {
    let (log_rounds, rest) = text.split_at_checked(1)?;
    let (salt, output) = rest.split_at_checked(8)?;
    let rounds = 1_u32.checked_shl(crypt_base64::number(log_rounds)?)?;
    let output = crypt_base64::decode(output)?;
    Some(ImportedHash::new(Algorithm::Phpass { digest, rounds }, salt.into(), output))
}

/// The logarithm of N as one character, r and p as five each, and the salt as it is used.
fn crypt_scrypt(params_and_salt: &str, output: &str) -> Option<ImportedHash> {
    let (log_n, rest) = params_and_salt.split_at_checked(1)?;
    let (r, rest) = rest.split_at_checked(5)?;
    let (p, salt) = rest.split_at_checked(5)?;
    let [log_n, r, p] = [log_n, r, p].map(crypt_base64::number);
    let algorithm = Algorithm::Scrypt { log_n: log_n?, r: r?, p: p? };
    Some(ImportedHash::new(algorithm, salt.into(), crypt_base64::decode(output)?))
}

/// The rounds, which may be left out, the salt as it is used, and the output.
fn sha_crypt(digest: Digest, fields: &[&str]) -> Option<ImportedHash> {
    let (rounds, salt, output) = match fields {
        [salt, output] => ("5000", salt, output),
        [rounds, salt, output] => (parameter(rounds, "rounds")?, salt, output),
        _ => return None,
    };
    let output = crypt_base64::decode(output).filter(|output| output.len() == digest.length())?;
    let rounds = number(rounds).filter(|rounds| *rounds >= sha_crypt::Params::ROUNDS_MIN)?;
    let algorithm = Algorithm::ShaCrypt { digest, rounds };
    Some(ImportedHash::new(algorithm, (*salt).into(), output))
}
