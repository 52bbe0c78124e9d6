//! What may be a username, and which look alike.

use super::*;

/// Names that people have in a table of Django users.
const REAL: [&str; 12] = [
    "a",
    "ann@example.org",
    "ann+news",
    "_ann_",
    "ann..b",
    "josé",
    "мария",
    "山田太郎",
    "ann.",
    "-ann",
    "نام",
    "山田ann",
];

fn ascii(typed: &str) -> Result<String, UsernameError> {
    Username::parse(typed, UsernameRule::Ascii).map(|name| name.as_str().to_owned())
}

fn unicode(typed: &str) -> Result<String, UsernameError> {
    Username::parse(typed, UsernameRule::Unicode).map(|name| name.as_str().to_owned())
}

#[test]
fn capitals_spaces_around_it_and_what_is_pasted_with_it_do_not_matter() {
    for typed in [
        " Ann.Smith \t",
        "\u{200b}Ann.Smith\u{feff}",
        "\u{2068}ann.smith\u{2069}",
        "a\u{200d}nn\u{2060}.sm\u{ad}ith",
        "Ａｎｎ．ｓｍｉｔｈ",
    ] {
        assert_eq!(ascii(typed).unwrap(), "ann.smith", "{typed:?}");
        assert_eq!(unicode(typed).unwrap(), "ann.smith", "{typed:?}");
    }
    assert_eq!(unicode("Jose\u{301}").unwrap(), "jos\u{e9}");
}

#[test]
fn what_is_not_plain_ascii_is_refused() {
    for typed in [
        "аnn",
        "ann smith",
        "ann@x",
        "ann\0",
        "ann\r\nBcc: x",
        "änn",
        "a..b",
        "-ann",
        "ann_",
        "mi\u{212a}e",
        "\u{17f}am",
        "ﬁnn",
        "ａnn＠",
        "ann\u{301}",
    ] {
        assert_eq!(ascii(typed), Err(UsernameError::Characters), "{typed:?}");
    }
}

#[test]
fn too_short_and_too_long_are_refused() {
    assert_eq!(ascii("an"), Err(UsernameError::Length));
    assert_eq!(ascii(&"a".repeat(31)), Err(UsernameError::Length));
    assert!(ascii(&"a".repeat(30)).is_ok());
    assert_eq!(ascii("  "), Err(UsernameError::Empty));
    assert!(unicode(&"é".repeat(150)).is_ok());
    assert_eq!(unicode(&"é".repeat(151)), Err(UsernameError::Long));
    let syllable = "\u{cb94}";
    assert!(unicode(&syllable.repeat(MAX_KEY_LENGTH / key_of(syllable, "").len())).is_ok());
    assert_eq!(unicode(&syllable.repeat(MAX_LENGTH)), Err(UsernameError::Long));
    assert_eq!(unicode("\u{200b}"), Err(UsernameError::Empty));
}

#[test]
fn the_sites_own_names_are_kept_from_the_form_alone() {
    let usernames = Usernames {
        mode: UsernameMode::Required,
        rule: UsernameRule::Unicode,
        asked_when_forgotten: true,
    };
    let email = EmailAddress::parse("support@meadow.example").ok();
    let choose = |typed: &str| Username::choose(typed, usernames, email.as_ref());
    for typed in [
        "Admin",
        "adrnin",
        "r00t",
        "@admin",
        "@adrnin",
        "admin@",
        "ad.min",
        "_admin_",
        "+no.reply",
        "root@meadow.example",
        "ann@r00t",
    ] {
        assert_eq!(choose(typed), Err(UsernameError::Reserved), "{typed}");
    }
    assert_eq!(choose("аdmin"), Err(UsernameError::Letters));
    for typed in ["Support@meadow.example", "administrators", "ann@admins", "roots@x"] {
        assert!(choose(typed).is_ok(), "{typed}");
    }
    assert!(ascii("admin").is_ok());
}

#[test]
fn the_unicode_rule_takes_the_names_of_real_tables() {
    for name in REAL {
        assert_eq!(unicode(name).as_deref(), Ok(name));
    }
}

#[test]
fn the_unicode_rule_refuses_mixed_alphabets_signs_and_marks_that_belong_to_no_letter() {
    for typed in [
        "аnn",
        "ann smith",
        "ann\0",
        "ann\r\nBcc: x",
        "..",
        "@",
        "ann:b",
        "ann'b",
        "ann/b",
        "a·b",
        "ann😀",
        "\u{301}ann",
        "i\u{307}",
        "jos\u{e9}\u{301}",
        "a\u{308}\u{308}",
        "\u{130}",
        "mi\u{212a}e",
        "é\u{316}\u{316}\u{316}\u{316}\u{316}",
        "аня@example.org",
        "ann\u{2019}s",
        "ﬁnn",
        "ⓐnn",
    ] {
        assert_eq!(unicode(typed), Err(UsernameError::Letters), "{typed:?}");
    }
}

#[test]
fn names_that_look_alike_have_one_key() {
    for (one, other) in [
        ("paul", "раul"),
        ("paul", "pau1"),
        ("moon", "m00n"),
        ("moon", "rnoon"),
        ("соса", "coca"),
        ("p@ul", "p@u1"),
        ("ann@m.example", "ann@rn.example"),
    ] {
        assert_eq!(key_of(one, ""), key_of(other, ""), "{one} {other}");
    }
    let key_of_address = |email: &str| key_of(email, email);
    assert_ne!(key_of_address("p@ul.example"), key_of_address("p@u1.example"), "two people");
    assert_ne!(key_of("ann@x.example", ""), key_of("anm@x.example", ""));
    assert_ne!(key_of("josé", ""), key_of("jose", ""));
}

/// What the migrations do for the names of before.
#[test]
fn the_keys_of_ascii_names_are_those_of_the_migrations() {
    for byte in (b'a'..=b'z').chain(b'0'..=b'9').chain(*b"._-@+") {
        let name = char::from(byte).to_string();
        let migrated = name.replace('1', "l").replace('0', "o").replace('m', "rn");
        assert_eq!(key_of(&name, ""), migrated);
    }
    assert_eq!(key_of("m10.a-b_c", ""), "rnlo.a-b_c");
}
