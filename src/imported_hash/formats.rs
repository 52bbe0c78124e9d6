//! The formats in which other programs write password hashes.

use serde_json::Value;

use super::algorithm::{Algorithm, Digest};
use super::crypt::crypt;
use super::fields::{argon2, base64, hex, number, pbkdf2, scrypt};
use super::{Bytes, ImportedHash, OUTPUT_LENGTHS, Preparation};

/// A hash as another program wrote it.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The program and, for people, the algorithm: `django pbkdf2_sha256`.
    pub kind: &'a str,
    pub hash: &'a str,
    /// What the program keeps elsewhere, such as a pepper.
    pub extra: &'a Value,
}

/// Why a hash is not imported. Its `Display` is for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashRefusal {
    /// Not repeated: it may be a hash in the wrong field.
    #[error("kind names no known program: expected one that begins with {programs}", programs = programs())]
    UnknownKind,
    #[error(
        "md5-crypt, DES and Django's md5$ and sha1$ are too weak to be imported: leave the hash out, and the owner sets a password with \"Forgot your password?\""
    )]
    Weak,
    #[error(
        "the hash costs more to verify than is allowed: leave it out, and the owner sets a password with \"Forgot your password?\""
    )]
    Costly,
    #[error("the hash is damaged, or it is no hash of {0}")]
    Damaged(String),
}

type Parser = fn(Source) -> Option<ImportedHash>;

/// The first word of a kind, and how its hashes are read. Most programs use the texts of crypt(3), where
/// `$…$` names the algorithm.
const PROGRAMS: &[(&str, Parser)] = &[
    ("aspnet", aspnet),
    ("auth0", by_crypt),
    ("better-auth", better_auth),
    ("crypt", by_crypt),
    ("devise", devise),
    ("django", django),
    ("drupal", by_crypt),
    ("firebase", firebase),
    ("keycloak", keycloak),
    ("ldap", ldap),
    ("nextcloud", nextcloud),
    ("passlib", by_crypt),
    ("php", by_crypt),
    ("rails", by_crypt),
    ("spring", spring),
    ("werkzeug", werkzeug),
    ("wordpress", wordpress),
];

/// How hashes begin that are as good as the password.
const WEAK: [&str; 7] = ["md5$", "sha1$", "crypt$", "$1$", "$apr1$", "$md5", "_"];

/// Reads a hash; `None` where no password opens the account.
pub fn parse(source: Source) -> Result<Option<ImportedHash>, HashRefusal> {
    let program = source.kind.split(' ').next().unwrap_or_default();
    let parser = PROGRAMS.iter().find(|(name, _)| *name == program);
    let Some((_, parser)) = parser else { return Err(HashRefusal::UnknownKind) };
    let text = source.hash.strip_prefix("{CRYPT}").unwrap_or(source.hash);
    // Locked, in Django and in crypt(3).
    if text.is_empty() || text.starts_with(['!', '*']) {
        return Ok(None);
    }
    let is_des = text.len() == 13 && !text.contains('$');
    if is_des || WEAK.iter().any(|start| text.starts_with(start)) {
        return Err(HashRefusal::Weak);
    }
    let Some(parsed) = parser(source) else { return Err(HashRefusal::Damaged(program.to_owned())) };
    if !OUTPUT_LENGTHS.contains(&parsed.output_length) {
        return Err(HashRefusal::Damaged(program.to_owned()));
    }
    if parsed.is_bounded() { Ok(Some(parsed)) } else { Err(HashRefusal::Costly) }
}

fn programs() -> String {
    PROGRAMS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn by_crypt(source: Source) -> Option<ImportedHash> {
    crypt(source.hash)
}

fn aspnet(source: Source) -> Option<ImportedHash> {
    let bytes = base64(source.hash)?;
    let number = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let (digest, rounds, salt_and_output, salt_length) = match bytes.first()? {
        0 if bytes.len() == 49 => (Digest::Sha1, 1000, &bytes[1..], 16),
        1 => {
            let digest = match number(1)? {
                0 => Digest::Sha1,
                1 => Digest::Sha256,
                2 => Digest::Sha512,
                _ => return None,
            };
            (digest, number(5)?, bytes.get(13..)?, usize::try_from(number(9)?).ok()?)
        }
        _ => return None,
    };
    let (salt, output) = salt_and_output.split_at_checked(salt_length)?;
    Some(ImportedHash::new(Algorithm::Pbkdf2 { digest, rounds }, salt.to_vec(), output.to_vec()))
}

/// The salt is used as it is written.
fn better_auth(source: Source) -> Option<ImportedHash> {
    let (salt, output) = source.hash.split_once(':')?;
    let algorithm = Algorithm::Scrypt { log_n: 14, r: 16, p: 1 };
    Some(ImportedHash::new(algorithm, salt.into(), hex(output)?).after(Preparation::Nfkc))
}

fn devise(source: Source) -> Option<ImportedHash> {
    let pepper = source.extra["pepper"].as_str()?.to_owned();
    Some(crypt(source.hash)?.after(Preparation::Pepper(pepper)))
}

/// Salts are used as they are written.
fn django(source: Source) -> Option<ImportedHash> {
    let (algorithm, rest) = source.hash.split_once('$')?;
    let fields: Vec<&str> = rest.split('$').collect();
    match (algorithm, &fields[..]) {
        ("pbkdf2_sha256", [rounds, salt, output]) => {
            pbkdf2(Digest::Sha256, rounds, salt.as_bytes(), base64(output)?)
        }
        ("pbkdf2_sha1", [rounds, salt, output]) => {
            pbkdf2(Digest::Sha1, rounds, salt.as_bytes(), base64(output)?)
        }
        ("scrypt", [n, salt, r, p, output]) => scrypt([n, r, p], salt, base64(output)?),
        ("argon2", _) => argon2(&fields),
        ("bcrypt", _) => crypt(rest),
        ("bcrypt_sha256", _) => Some(crypt(rest)?.after(Preparation::HexSha256)),
        _ => None,
    }
}

fn firebase(Source { hash, extra, .. }: Source) -> Option<ImportedHash> {
    let text = |name: &str| base64(extra[name].as_str()?);
    let number = |name: &str| u32::try_from(extra[name].as_u64()?).ok();
    let algorithm = Algorithm::Firebase {
        log_n: number("memCost")?,
        r: number("rounds")?,
        signer_key: Bytes(text("signerKey")?),
    };
    let salt = [text("salt")?, text("saltSeparator")?].concat();
    let output = base64(hash)?;
    let is_whole = output.len() == text("signerKey")?.len();
    is_whole.then(|| ImportedHash::new(algorithm, salt, output))
}

/// The rows of Keycloak's table `credential`: two JSON texts in a JSON object.
fn keycloak(source: Source) -> Option<ImportedHash> {
    let both: Value = serde_json::from_str(source.hash).ok()?;
    let inner = |name: &str| serde_json::from_str::<Value>(both[name].as_str()?).ok();
    let (data, secret) = (inner("credentialData")?, inner("secretData")?);
    let rounds = u32::try_from(data["hashIterations"].as_u64()?).ok()?;
    let more = |name: &str| data["additionalParameters"][name][0].as_str();
    let algorithm = match data["algorithm"].as_str()? {
        "pbkdf2" => Algorithm::Pbkdf2 { digest: Digest::Sha1, rounds },
        "pbkdf2-sha256" => Algorithm::Pbkdf2 { digest: Digest::Sha256, rounds },
        "pbkdf2-sha512" => Algorithm::Pbkdf2 { digest: Digest::Sha512, rounds },
        "argon2" => Algorithm::Argon2 {
            variant: format!("argon2{}", more("type")?),
            version: if more("version")? == "1.3" { 0x13 } else { 0x10 },
            memory_kib: number(more("memory")?)?,
            passes: rounds,
            lanes: number(more("parallelism")?)?,
        },
        _ => return None,
    };
    let [salt, output] = ["salt", "value"].map(|name| base64(secret[name].as_str()?));
    Some(ImportedHash::new(algorithm, salt?, output?))
}

/// `{SCHEME}…`.
fn ldap(source: Source) -> Option<ImportedHash> {
    let (scheme, rest) = source.hash.strip_prefix('{')?.split_once('}')?;
    let digest = match scheme {
        "SMD5" => Digest::Md5,
        "SHA" | "SSHA" => Digest::Sha1,
        "SSHA256" => Digest::Sha256,
        "SSHA512" => Digest::Sha512,
        "ARGON2" | "CRYPT" => return crypt(rest),
        _ => return None,
    };
    let bytes = base64(rest)?;
    let (output, salt) = bytes.split_at_checked(digest.length())?;
    Some(ImportedHash::new(Algorithm::Digest { digest }, salt.to_vec(), output.to_vec()))
}

/// A version, and then a text of PHP.
fn nextcloud(source: Source) -> Option<ImportedHash> {
    let (_, hash) = source.hash.split_once('|')?;
    crypt(hash)
}

fn spring(source: Source) -> Option<ImportedHash> {
    crypt(source.hash.strip_prefix("{bcrypt}")?)
}

/// `method$salt$output`, where the salt is used as it is written.
fn werkzeug(source: Source) -> Option<ImportedHash> {
    let [method, salt, output] = source.hash.split('$').collect::<Vec<_>>()[..] else {
        return None;
    };
    match method.split(':').collect::<Vec<_>>()[..] {
        ["scrypt", n, r, p] => scrypt([n, r, p], salt, hex(output)?),
        ["pbkdf2", digest, rounds] => {
            let digest = match digest {
                "sha1" => Digest::Sha1,
                "sha256" => Digest::Sha256,
                "sha512" => Digest::Sha512,
                _ => return None,
            };
            pbkdf2(digest, rounds, salt.as_bytes(), hex(output)?)
        }
        _ => None,
    }
}

/// Before 2007 it wrote a plain MD5.
fn wordpress(source: Source) -> Option<ImportedHash> {
    if source.hash.starts_with('$') {
        return crypt(source.hash);
    }
    let output = hex(source.hash).filter(|output| output.len() == Digest::Md5.length())?;
    Some(ImportedHash::new(Algorithm::Digest { digest: Digest::Md5 }, Vec::new(), output))
}
