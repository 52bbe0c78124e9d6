//! The server's key: encrypts stored emails, and keys the digests of codes and other secrets.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::event::Event;
use crate::permissions::{take_from_group, why_not_private};
use crate::random;

/// Fewest bytes of a key: as many as HMAC-SHA256 gives (NIST SP 800-107, 5.3.4).
const KEY_BYTES: usize = 32;

/// XChaCha20's nonce is long enough to be random for every email.
const NONCE_BYTES: usize = 24;

type HmacSha256 = Hmac<Sha256>;

/// A key for each purpose, derived from `VESTIBULE_SECRET` or the key file.
#[derive(Clone)]
pub struct ServerKey {
    sealing: XChaCha20Poly1305,
    digesting: HmacSha256,
}

const NOT_A_KEY: &str =
    "expected at least 32 random bytes in base64: make them with `openssl rand -base64 32`";

impl ServerKey {
    /// Derives the keys from at least 32 random bytes.
    pub fn from_bytes(master: &[u8]) -> Result<Self, String> {
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
        let hmac = |key: &[u8]| HmacSha256::new_from_slice(key).map_err(|_| NOT_A_KEY);
        let mac = hmac(master)?;
        let derive = |label: &[u8]| mac.clone().chain_update(label).finalize().into_bytes();
        Ok(Self {
            sealing: XChaCha20Poly1305::new(&derive(b"vestibule seal v1")),
            digesting: hmac(&derive(b"vestibule digest v1"))?,
        })
    }

    /// The same from base64 in either alphabet, with or without padding.
    pub fn from_base64(text: &str) -> Result<Self, String> {
        let text = text.trim().trim_end_matches('=');
        let master = STANDARD_NO_PAD.decode(text).or_else(|_| URL_SAFE_NO_PAD.decode(text));
        Self::from_bytes(&Zeroizing::new(master.map_err(|_| NOT_A_KEY)?))
    }

    /// Reads the key from a file, or creates the file (mode 0600). Processes that start together use one
    /// key, and none reads half of it.
    pub fn load_or_create(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let unreadable = |cause: io::Error| {
            format!(
                "{shown}: {cause}: let this user read it and write to its folder, or set VESTIBULE_SECRET"
            )
        };
        let opened = File::open(path).or_else(|cause| match cause.kind() {
            ErrorKind::NotFound => create(path).and_then(|()| File::open(path)),
            _ => Err(cause),
        });
        let mut file = opened.map_err(unreadable)?;
        if let Some(cause) = take_from_group(path, &file.metadata().map_err(unreadable)?) {
            Event::FileExposed { cause: &cause }.write();
        }
        if let Some(cause) = why_not_private(path, &file.metadata().map_err(unreadable)?) {
            return Err(format!(
                "{shown}: {cause}. If others may have read it, move it away: a new key is made at the start, pending codes and mails are lost, nothing else"
            ));
        }
        let mut text = Zeroizing::new(String::new());
        file.read_to_string(&mut text).map_err(unreadable)?;
        Self::from_base64(&text).map_err(|cause| {
            format!(
                "{shown}: {cause}. If it cannot be repaired, move it away and start again: a new key is made, pending codes and mails are lost, nothing else"
            )
        })
    }

    /// Encrypts `plain` for the outbox row `row`: 24 bytes of nonce, then XChaCha20-Poly1305. Bound to the
    /// row, so that an attacker who can write to the database cannot send one user's email to another.
    pub fn seal(&self, row: &str, plain: &[u8]) -> Vec<u8> {
        let nonce = random::bytes::<NONCE_BYTES>();
        let payload = Payload { msg: plain, aad: &bound_to(row) };
        // Fails only beyond 256 GiB; an empty seal opens as nothing.
        let sealed = self.sealing.encrypt(&XNonce::from(nonce), payload).unwrap_or_default();
        [nonce.as_slice(), &sealed].concat()
    }

    /// Decrypts a seal; none if it was changed, or made for another row or with another key.
    pub fn open(&self, row: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload { msg: sealed, aad: &bound_to(row) };
        self.sealing.decrypt(&XNonce::from(*nonce), payload).ok()
    }

    /// HMAC-SHA256 of `parts` for one `purpose`, 43 characters of base64url. The length before each part
    /// makes `("ab", "c")` and `("a", "bc")` differ.
    pub fn digest(&self, purpose: &str, parts: &[&str]) -> String {
        let mut mac = self.digesting.clone();
        for part in std::iter::once(&purpose).chain(parts) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    }
}

impl std::fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerKey(hidden)")
    }
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

/// Writes a new key to a draft and links it to `path`: unlike a rename, a link never replaces the key of
/// another process.
fn create(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let draft = folder.join(format!(".vestibule.key.{}", random::id(0)));
    let linked = write_key(&draft).and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    let removed = fs::remove_file(&draft);
    linked.and(removed)?;
    File::open(folder)?.sync_all()
}

fn write_key(draft: &Path) -> io::Result<()> {
    let master = Zeroizing::new(random::bytes::<KEY_BYTES>());
    let text = Zeroizing::new(STANDARD.encode(*master));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    writeln!(file, "{}", *text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const MASTER: &[u8; 32] = b"a key for tests, 32 bytes of it\xff";

    fn key() -> ServerKey {
        ServerKey::from_bytes(MASTER).unwrap()
    }

    fn other_key() -> ServerKey {
        ServerKey::from_bytes(b"another one for tests, 33 of them\xff").unwrap()
    }

    fn folder() -> PathBuf {
        let folder = std::env::temp_dir().join(crate::random::id(0));
        fs::create_dir(&folder).unwrap();
        folder
    }

    #[test]
    fn a_sealed_email_opens_in_its_own_row_only() {
        let sealed = key().seal("row1", b"the code");
        assert_eq!(key().open("row1", &sealed).unwrap(), b"the code");
        assert_eq!(key().open("row2", &sealed), None);
        assert_eq!(key().open("row1", &sealed[1..]), None);
        assert_eq!(key().open("row1", b""), None);
        assert_eq!(other_key().open("row1", &sealed), None);
        assert_ne!(key().seal("row1", b"the code"), sealed);
    }

    #[test]
    fn a_changed_seal_does_not_open() {
        let sealed = key().seal("row1", b"the code");
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert_eq!(key().open("row1", &changed), None);
        }
    }

    #[test]
    fn digests_differ_by_purpose_and_by_part() {
        let digest = key().digest("code", &["ab", "c"]);
        assert_eq!(digest, key().digest("code", &["ab", "c"]));
        assert_eq!(digest.len(), 43);
        assert_ne!(digest, key().digest("code", &["a", "bc"]));
        assert_ne!(digest, key().digest("codea", &["b", "c"]));
        assert_ne!(digest, other_key().digest("code", &["ab", "c"]));
    }

    /// Python: hmac(hmac(MASTER, b"vestibule digest v1"), 8 bytes of length + part, …).
    #[test]
    fn digests_stay_the_same_from_version_to_version() {
        assert_eq!(
            key().digest("code", &["ab", "c"]),
            "t2Oy4ouP3qVk1zgV1M3_Ru1nJqvj9bOp7u2YHFHmPQs"
        );
    }

    #[test]
    fn debug_output_hides_the_key() {
        assert_eq!(format!("{:?}", key()), "ServerKey(hidden)");
    }

    #[test]
    fn a_key_is_base64_in_either_alphabet() {
        let standard = "+/8k0Jp3Zs5xQm+/Rb7Yc1Vd9Wf2Xg4Th6Uj8Ki0Lo8=";
        let url_safe = "-_8k0Jp3Zs5xQm-_Rb7Yc1Vd9Wf2Xg4Th6Uj8Ki0Lo8";
        let digest = |text: &str| ServerKey::from_base64(text).unwrap().digest("x", &[]);
        assert_eq!(digest(standard), digest(url_safe));
        assert_eq!(digest(standard), digest(&format!(" {standard}\n")));
    }

    #[test]
    fn a_short_key_is_refused() {
        assert_eq!(ServerKey::from_bytes(&MASTER[1..]).unwrap_err(), NOT_A_KEY);
        for text in ["", "c2hvcnQ=", "not base64!", "not base64 at all, but surely long enough"] {
            assert_eq!(ServerKey::from_base64(text).unwrap_err(), NOT_A_KEY, "{text}");
        }
    }

    #[test]
    fn the_first_start_makes_a_key_and_the_next_reads_it() {
        let folder = folder();
        let path = folder.join("vestibule.key");
        let made = ServerKey::load_or_create(&path).unwrap();
        let read = ServerKey::load_or_create(&path).unwrap();
        assert_eq!(made.digest("x", &[]), read.digest("x", &[]));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no draft is left");
        fs::remove_dir_all(folder).unwrap();
    }

    fn write_private(path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        set_mode(path, 0o600);
    }

    fn set_mode(path: &Path, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_guessable_key_is_refused() {
        let typed = b"abcdabcdabcdabcdabcdabcdabcdabcd";
        for master in [&[0; 32][..], &[7; 64], typed] {
            let refused = ServerKey::from_bytes(master).unwrap_err();
            assert!(refused.contains("is too easy to guess"), "{refused}");
        }
        let counted: [u8; 32] = std::array::from_fn(|at| u8::try_from(at).unwrap());
        let downwards = counted.map(|byte| 250 - 3 * byte);
        for master in [&counted[..], &downwards, &[&counted[..16], &counted[..16]].concat()] {
            let refused = ServerKey::from_bytes(master).unwrap_err();
            assert!(refused.contains("is too easy to guess"), "{refused}");
        }
        for text in [
            "0123456789abcdef0f1e2d3c4b5a6978",
            "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08\n",
            "our very own secret passphrase, 42",
        ] {
            let refused = ServerKey::from_base64(&STANDARD.encode(text)).unwrap_err();
            assert!(refused.contains("is text, not random bytes"), "{refused}");
        }
        // The same digits as `openssl rand -hex 32` writes them are base64 of 48 bytes.
        assert!(ServerKey::from_base64(&"9f86d081884c7d65".repeat(4)).is_ok());
        for _ in 0..1000 {
            assert!(ServerKey::from_bytes(&crate::random::bytes::<32>()).is_ok());
        }
    }

    #[test]
    fn a_key_file_that_others_can_read_or_change_is_refused_with_the_command_to_run() {
        let folder = folder();
        let path = folder.join("vestibule.key");
        ServerKey::load_or_create(&path).unwrap();
        for mode in [0o666, 0o644, 0o604, 0o602, 0o601, 0o664] {
            set_mode(&path, mode);
            let error = ServerKey::load_or_create(&path).unwrap_err();
            let command = format!(
                "mode {mode:04o} lets other users read or change it: run `chmod 600 {}`",
                path.display()
            );
            assert!(error.contains(&command), "{error}");
        }
        for mode in [0o600, 0o400] {
            set_mode(&path, mode);
            ServerKey::load_or_create(&path).unwrap();
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_group_rights_that_a_mount_gives_are_removed() {
        use std::os::unix::fs::PermissionsExt;
        let folder = folder();
        let path = folder.join("vestibule.key");
        let made = ServerKey::load_or_create(&path).unwrap().digest("x", &[]);
        for (mode, narrowed) in [(0o640, 0o600), (0o660, 0o600), (0o620, 0o600), (0o440, 0o400)] {
            set_mode(&path, mode);
            assert_eq!(ServerKey::load_or_create(&path).unwrap().digest("x", &[]), made);
            let found = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert_eq!(found, narrowed, "{mode:o}");
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_key_file_of_another_user_is_refused() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let folder = folder();
        let path = folder.join("vestibule.key");
        ServerKey::load_or_create(&path).unwrap();
        std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
        set_mode(&path, 0o660);
        let error = ServerKey::load_or_create(&path).unwrap_err();
        assert!(error.contains("belongs to user 12345") && error.contains("chown 0 "), "{error}");
        let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&path).unwrap());
        assert_eq!(mode & 0o777, 0o660, "it is left unchanged");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn processes_that_start_together_use_one_key() {
        let folder = folder();
        let path = folder.join("vestibule.key");
        let digests: Vec<_> = std::thread::scope(|scope| {
            let start = || ServerKey::load_or_create(&path).unwrap().digest("x", &[]);
            let starters: Vec<_> = (0..16).map(|_| scope.spawn(start)).collect();
            starters.into_iter().map(|starter| starter.join().unwrap()).collect()
        });
        assert!(digests.iter().all(|digest| digest == &digests[0]));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn an_unusable_key_file_is_named_and_left_unchanged() {
        let folder = folder();
        let path = folder.join("vestibule.key");
        write_private(&path, "short");
        let error = ServerKey::load_or_create(&path).unwrap_err();
        assert!(error.contains("vestibule.key") && error.contains("move it away"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "short");
        let missing = ServerKey::load_or_create(&folder.join("none/vestibule.key")).unwrap_err();
        assert!(missing.contains("VESTIBULE_SECRET"), "{missing}");
        fs::remove_dir_all(folder).unwrap();
    }
}
