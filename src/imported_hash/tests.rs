//! Hashes that the real programs made, and hostile ones.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const VECTORS: &str = include_str!("../../tests/web/import/password-hashes.json");

fn vectors() -> Vec<Value> {
    serde_json::from_str(VECTORS).unwrap()
}

fn read(kind: &str, hash: &str, extra: &Value) -> Result<Option<ImportedHash>, HashRefusal> {
    parse(Source { kind, hash, extra })
}

fn read_vector(vector: &Value) -> Result<Option<ImportedHash>, HashRefusal> {
    let text = |name: &str| vector[name].as_str().unwrap();
    read(text("kind"), text("hash"), &vector["extra"])
}

/// Whether the password is the right one.
fn opens(hash: &ImportedHash, password: &str) -> bool {
    let output = hash.output_for(password.as_bytes());
    matches!((&hash.output, output), (Output::Plain(expected), Some(output)) if *output == expected.0)
}

#[test]
fn hashes_of_all_programs_open_for_the_right_password_alone() {
    for vector in vectors() {
        let kind = vector["kind"].as_str().unwrap();
        let parsed = read_vector(&vector);
        if ["django md5", "crypt md5"].contains(&kind) {
            assert_eq!(parsed.err(), Some(HashRefusal::Weak), "{vector}");
            continue;
        }
        let parsed = parsed.map_err(|refusal| format!("{vector}: {refusal}")).unwrap();
        let password = vector["password"].as_str().unwrap();
        let is_right = parsed.as_ref().is_some_and(|hash| opens(hash, password));
        assert_eq!(Some(is_right), vector["right"].as_bool(), "{vector}");
        let is_locked = ["django unusable", "crypt locked"].contains(&kind);
        assert_eq!(parsed.is_none(), is_locked, "{vector}");
        if let Some(hash) = parsed.filter(|_| is_right) {
            assert!(!opens(&hash, &format!("{password}!")) || kind == "php bcrypt", "{vector}");
            let again = ImportedHash::from_stored(&hash.to_stored()).unwrap();
            assert!(opens(&again, password), "{vector}");
        }
    }
}

/// Hashes with the outputs of another password: only their parameters matter.
fn costing(kind: &str, params: &str) -> String {
    match kind {
        "django" => {
            format!("pbkdf2_sha256${params}$salt$CjSaERaKFF41XZOHefrmnb0rDoJ2suPMHRuFCyxCu4g=")
        }
        "php" => format!(
            "$argon2id$v=19${params}$c2FsdHNhbHRzYWx0$wzEuBaOrfbx4lI6mVACjvFgrA1XrgdgZweV74JW5iIg"
        ),
        "werkzeug" => format!("scrypt:{params}$salt${}", "ab".repeat(64)),
        "rails" => format!("$2a${params}$jvGyl7WhGyBpIjcvDAIRWejwIboGEQUWZc9ChRlbITiaS2uNy/WD6"),
        "crypt" => format!(
            "$y${params}$6jb0qI4vrQzATjyfYyfxw0$63qjk5mB1wa2y7eJDjr5fT/CXUblxRjID5W1snaXjn1"
        ),
        "ldap" => {
            format!("{{CRYPT}}$5$rounds={params}$salt$OanVgZCItidxoyI.12V.R/7eenw9scWxmqasFyqlOG/")
        }
        _ => format!("$P${params}Xk4BrWuTR8WSNEu6pni/ncgVjritC/"),
    }
}

#[test]
fn costs_are_bounded_before_they_are_paid() {
    for (kind, own) in [
        ("django", "1500000"),
        ("php", "m=65536,t=4,p=1"),
        ("php", "m=102400,t=2,p=8"),
        ("werkzeug", "32768:8:1"),
        ("rails", "14"),
        ("crypt", "j9T"),
        ("ldap", "1000000"),
        ("wordpress", "B"),
    ] {
        assert!(read(kind, &costing(kind, own), &Value::Null).is_ok(), "{kind} {own}");
    }
    for (kind, excessive) in [
        ("django", "2000000000"),
        ("django", "99999999999"),
        ("php", "m=262144,t=1,p=1"),
        ("php", "m=131072,t=40,p=1"),
        ("werkzeug", "262144:8:1"),
        ("werkzeug", "16384:4294967295:4294967295"),
        ("werkzeug", "16384:8:4000"),
        ("rails", "15"),
        ("rails", "31"),
        ("crypt", "jFT"),
        ("ldap", "1000001"),
        ("ldap", "999999999"),
        ("wordpress", "R"),
    ] {
        let refusal = read(kind, &costing(kind, excessive), &Value::Null).err();
        assert_eq!(refusal, Some(HashRefusal::Costly), "{kind} {excessive}");
    }
    let stored = r#"{"algorithm":{"scrypt":{"log_n":63,"r":8,"p":1}},"salt":"","output_length":32,"output":{"plain":""}}"#;
    assert!(ImportedHash::from_stored(stored).unwrap().output_for(b"x").is_none());
}

#[test]
fn what_cannot_be_verified_is_refused_with_its_reason() {
    for (kind, hash, reason) in [
        ("crypt des", "rqXexS6ZhobKA", "too weak"),
        ("django md5", "md5$salt$34d7a9eeb84b8d94c5647868b0c340a1", "too weak"),
        ("django", "sha1$$9d45d8b9a0f7b0b5fd1e1c5d1a1c0c2e1b2a3f4d", "too weak"),
        ("ldap CRYPT", "{CRYPT}$1$Xm5jegCm$UoNCXnp9ySuZNfoa5sdYj1", "too weak"),
        ("crypt", "$apr1$Xm5jegCm$UoNCXnp9ySuZNfoa5sdYj1", "too weak"),
        ("joomla", "$2y$05$jvGyl7WhGyBpIjcvDAIRWejwIboGEQUWZc9ChRlbITiaS2uNy/WD6", "wordpress"),
        (
            "",
            "$2y$05$jvGyl7WhGyBpIjcvDAIRWejwIboGEQUWZc9ChRlbITiaS2uNy/WD6",
            "names no known program",
        ),
        ("php", "$2x$05$jvGyl7WhGyBpIjcvDAIRWejwIboGEQUWZc9ChRlbITiaS2uNy/WD6", "damaged"),
        ("django", "pbkdf2_sha256$0$salt$CjSaERaKFF41XZOHefrmnb0rDoJ2suPMHRuFCyxCu4g=", "damaged"),
        ("django", "pbkdf2_sha256$1000$salt$CjSaERaKFF41XZOHefrm", "damaged"),
        (
            "crypt",
            "$6$rounds=10$salt$jVCSkrfQmrHBBPAPJVu492dUvbLMH2fh4vIARpR37LiE/NJxN281MvuwzT.Z1fd3l3xylE9UgE1.jqRxzyAwl0",
            "damaged",
        ),
        (
            "devise bcrypt pepper",
            "$2a$05$is.QOke0MsF4X3flQzSHMOuH70524sOfH8TdK2JH3h9YO.3ANDsFK",
            "damaged",
        ),
    ] {
        let refusal = read(kind, hash, &Value::Null).err().expect(hash);
        assert!(refusal.to_string().contains(reason), "{hash}: {refusal}");
    }
}

#[test]
fn a_password_that_is_too_long_is_not_read_in_each_round() {
    let hash = "$6$rounds=1000000$ZMTFlGOQcdiKWTTl$jVCSkrfQmrHBBPAPJVu492dUvbLMH2fh4vIARpR37LiE/NJxN281MvuwzT.Z1fd3l3xylE9UgE1.jqRxzyAwl0";
    let hash = read("crypt", hash, &Value::Null).unwrap().unwrap();
    assert!(hash.output_for(&[b'x'; MAX_PASSWORD_BYTES + 1]).is_none());
}

#[test]
fn the_wrapped_hash_of_a_scheme_is_another_scheme() {
    let hash = read("ldap", "{SHA}4DMkbUWC5+z+kdxI7HpWtce8VNQ=", &json!({})).unwrap().unwrap();
    let wrapped = ImportedHash { output: Output::Wrapped(String::new()), ..hash.clone() };
    assert_ne!(hash.scheme(), wrapped.scheme());
    assert!(hash.algorithm.is_fast());
}

/// A hash that a program made, with some characters deleted, replaced or inserted.
fn damaged() -> impl Strategy<Value = (String, String, Value)> {
    let text = |vector: &Value, name: &str| vector[name].as_str().unwrap().to_owned();
    let edit = (any::<prop::sample::Index>(), 0..4_usize, "[$,=.:0-9a-zé\0]{0,3}");
    (prop::sample::select(vectors()), prop::collection::vec(edit, 0..4)).prop_map(
        move |(vector, edits)| {
            let mut hash: Vec<char> = text(&vector, "hash").chars().collect();
            for (at, deleted, inserted) in edits {
                let at = at.index(hash.len() + 1);
                let end = (at + deleted).min(hash.len());
                hash.splice(at..end, inserted.chars());
            }
            (text(&vector, "kind"), hash.into_iter().collect(), vector["extra"].clone())
        },
    )
}

proptest! {
    #[test]
    fn a_damaged_hash_is_refused_or_computed((kind, hash, extra) in damaged()) {
        if let Ok(Some(parsed)) = read(&kind, &hash, &extra) {
            prop_assert!(parsed.is_bounded());
            if parsed.algorithm.is_fast() {
                prop_assert!(parsed.output_for(b"x").is_some(), "{kind} {hash}");
            }
        }
    }

    #[test]
    fn any_text_is_refused_or_computed(kind in "(django|crypt|ldap|keycloak|aspnet)", hash in "\\PC{0,80}") {
        let _ = read(&kind, &hash, &Value::Null);
        let _ = ImportedHash::from_stored(&hash);
    }
}
