//! Tests of the key and its file.

use std::fs;
use std::path::{Path, PathBuf};

use base64::engine::general_purpose::STANDARD;

use super::file::{load_or_create, remove_old_keys, rotate};
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
    assert_eq!(key().digest("code", &["ab", "c"]), "t2Oy4ouP3qVk1zgV1M3_Ru1nJqvj9bOp7u2YHFHmPQs");
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
    let made = load_or_create(&path).unwrap();
    let read = load_or_create(&path).unwrap();
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
    load_or_create(&path).unwrap();
    for mode in [0o666, 0o644, 0o604, 0o602, 0o601, 0o664] {
        set_mode(&path, mode);
        let error = load_or_create(&path).unwrap_err();
        let command = format!(
            "mode {mode:04o} lets other users read or change it: run `chmod 600 {}`",
            path.display()
        );
        assert!(error.contains(&command), "{error}");
    }
    for mode in [0o600, 0o400] {
        set_mode(&path, mode);
        load_or_create(&path).unwrap();
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_group_rights_that_a_mount_gives_are_removed() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    let path = folder.join("vestibule.key");
    let made = load_or_create(&path).unwrap().digest("x", &[]);
    for (mode, narrowed) in [(0o640, 0o600), (0o660, 0o600), (0o620, 0o600), (0o440, 0o400)] {
        set_mode(&path, mode);
        assert_eq!(load_or_create(&path).unwrap().digest("x", &[]), made);
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
    load_or_create(&path).unwrap();
    std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
    set_mode(&path, 0o660);
    let error = load_or_create(&path).unwrap_err();
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
        let start = || load_or_create(&path).unwrap().digest("x", &[]);
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
    let error = load_or_create(&path).unwrap_err();
    assert!(error.contains("vestibule.key") && error.contains("move it away"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "short");
    let missing = load_or_create(&folder.join("none/vestibule.key")).unwrap_err();
    assert!(missing.contains("VESTIBULE_SECRET"), "{missing}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_first_of_several_keys_seals_and_all_of_them_open() {
    let [old, new] = [[3; 16], [5; 16]].map(|start| {
        let bytes = [&start[..], &crate::random::bytes::<32>()].concat();
        STANDARD.encode(bytes)
    });
    let before = ServerKey::from_base64(&old).unwrap();
    let (sealed, proof) = (before.seal("row", b"mail"), before.proof("code", &["1"]));
    let both = ServerKey::from_base64(&format!("{new}\n{old}\n")).unwrap();
    assert_eq!(both.open("row", &sealed).unwrap(), b"mail");
    assert!(both.proves(&proof, "code", &["1"]) && !both.proves(&proof, "code", &["2"]));
    assert_ne!(both.proof("code", &["1"]), proof);
    assert!(!both.is_sealed_by_first("row", &sealed));
    assert_eq!(before.open("row", &both.seal("row", b"mail")), None);
    let clone = both.clone();
    both.forget_old_keys();
    assert!(!clone.has_old_keys() && clone.open("row", &sealed).is_none());
    assert!(!clone.proves(&proof, "code", &["1"]));
    assert!(ServerKey::from_base64(&format!("{new} short")).is_err());
}

#[test]
fn digests_stay_the_same_with_the_stored_key() {
    let stored = other_key().with_digest_key(key().digest_key()).unwrap();
    assert_eq!(stored.digest("limit", &["x"]), key().digest("limit", &["x"]));
    assert_ne!(stored.proof("code", &["x"]), key().proof("code", &["x"]));
}

#[test]
fn a_rotation_puts_a_new_key_in_front_and_old_keys_are_removed_behind_it() {
    let folder = folder();
    let path = folder.join("vestibule.key");
    assert!(rotate(&path).unwrap_err().contains("the first start makes one"));
    let old = load_or_create(&path).unwrap();
    let sealed = old.seal("row", b"mail");
    // At the same time: none is lost.
    std::thread::scope(|scope| {
        (0..8).for_each(|_| drop(scope.spawn(|| rotate(&path).unwrap())));
    });
    let lines = || fs::read_to_string(&path).unwrap().lines().count();
    assert_eq!(lines(), 9);
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&path).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    let new = load_or_create(&path).unwrap();
    assert_eq!(new.open("row", &sealed).unwrap(), b"mail");
    remove_old_keys(&path, &old).unwrap();
    assert_eq!(lines(), 9, "nothing is behind the oldest");
    rotate(&path).unwrap();
    remove_old_keys(&path, &new).unwrap();
    assert_eq!(lines(), 2, "a key that is not in force yet stays");
    assert!(load_or_create(&path).unwrap().open("row", &sealed).is_none());
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no draft is left");
    fs::remove_dir_all(folder).unwrap();
}
