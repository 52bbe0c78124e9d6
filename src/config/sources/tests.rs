//! Where values come from: variables, files, and names that are no settings.

use super::*;
use crate::config::LogFormat;
use crate::config::tests::{File, KEY, errors, from};
use crate::key::ServerKey;

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    let message = errors(&[("VESTIBULE_SMPT_URL", "smtp://me:hush@host")]);
    assert_eq!(message, "VESTIBULE_SMPT_URL: is not a setting: did you mean VESTIBULE_SMTP_URL?");
    let message = errors(&[("VESTIBULE_SECRTE_FILE", "/nowhere")]);
    assert!(message.ends_with("did you mean VESTIBULE_SECRET_FILE?"), "{message}");
    let message = errors(&[("VESTIBULE_", "x"), ("VESTIBULE_COLOUR_SCHEME", "x")]);
    assert_eq!(message.matches("--help").count(), 2);
}

#[test]
fn variables_set_by_kubernetes_are_ignored() {
    let links = [
        ("VESTIBULE_SERVICE_HOST", "10.0.0.7"),
        ("VESTIBULE_SERVICE_PORT", "80"),
        ("VESTIBULE_SERVICE_PORT_HTTP", "80"),
        ("VESTIBULE_SERVICE_PORT_FILE", "/nowhere"),
        ("VESTIBULE_PORT", "tcp://10.0.0.7:80"),
        ("VESTIBULE_PORT_80_TCP", "tcp://10.0.0.7:80"),
        ("VESTIBULE_PORT_80_TCP_ADDR", "10.0.0.7"),
        ("VESTIBULE_PORT_80_TCP_PROTO", "tcp"),
        ("VESTIBULE_PORT_FILE", "/nowhere"),
    ];
    assert_eq!(from(&links).unwrap().listen.port(), 8000);
    for link in links {
        assert!(from(&[link]).is_ok(), "{link:?}");
    }
    let of_another_service = [
        ("VESTIBULE_DB_SERVICE_HOST", "10.0.0.8"),
        ("VESTIBULE_DB_SERVICE_PORT", "5432"),
        ("VESTIBULE_DB_PORT", "tcp://10.0.0.8:5432"),
        ("VESTIBULE_DB_PORT_5432_TCP_ADDR", "10.0.0.8"),
        ("VESTIBULE_LOG", "json"),
    ];
    assert_eq!(from(&of_another_service).unwrap().log, LogFormat::Json);
}

#[test]
fn names_that_only_resemble_kubernetes_variables_are_refused() {
    for name in [
        "PORTS",
        "PORTAL",
        "SERVICE",
        "SERVICES_HOST",
        "DB_PORT",
        "SMTP_PORT",
        "XPORT",
        "LOG_SERVICE_PORT",
    ] {
        let message = errors(&[(&format!("VESTIBULE_{name}"), "x")]);
        assert!(message.starts_with(&format!("VESTIBULE_{name}: is not a setting")), "{message}");
    }
}

#[test]
fn a_value_can_come_from_a_file() {
    let name = File::with("name", "Hall\n".as_bytes());
    let key = File::with("key", KEY.as_bytes());
    let config =
        from(&[("VESTIBULE_SITE_NAME_FILE", name.path()), ("VESTIBULE_SECRET_FILE", key.path())])
            .unwrap();
    assert_eq!(config.site_name, "Hall");
    assert_eq!(config.mail_from.name, "Hall");
    let key = ServerKey::from_base64(KEY).unwrap();
    assert_eq!(config.secret.unwrap().digest("x", &[]), key.digest("x", &[]));
}

#[test]
fn one_newline_at_the_end_of_a_file_is_ignored() {
    for (content, expected) in [("json\r\n", Some(LogFormat::Json)), ("json\n\n", None)] {
        let log = File::with("newlines", content.as_bytes());
        let config = from(&[("VESTIBULE_LOG_FILE", log.path())]);
        assert_eq!(config.ok().map(|config| config.log), expected, "{content:?}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let message = errors(&[("VESTIBULE_SECRET_FILE", "/nowhere/key")]);
    let start = "VESTIBULE_SECRET_FILE=\"/nowhere/key\": cannot be read: No such file";
    assert!(message.starts_with(start), "{message}");
    let binary = File::with("binary", &[0xff, 0xfe]);
    let message = errors(&[("VESTIBULE_LOG_FILE", binary.path())]);
    assert!(message.ends_with("is not UTF-8 text"), "{message}");
}

#[test]
fn the_content_of_a_file_is_never_printed() {
    let file = File::with("wrong", b"hush");
    let message = errors(&[("VESTIBULE_LISTEN_FILE", file.path())]);
    assert!(message.contains(file.path()) && message.contains("expected an address"));
    for setting in SETTINGS.iter() {
        let file_variable = setting.variable() + "_FILE";
        let message = from(&[(&file_variable, file.path())]).map_err(|message| message.to_string());
        assert!(message.err().is_none_or(|message| !message.contains("hush")));
    }
}

#[test]
fn a_value_and_its_file_together_are_an_error() {
    let message = errors(&[("VESTIBULE_SECRET", KEY), ("VESTIBULE_SECRET_FILE", "/nowhere")]);
    assert_eq!(
        message,
        "VESTIBULE_SECRET_FILE=\"/nowhere\": VESTIBULE_SECRET is set too: keep one of the two"
    );
}

#[cfg(unix)]
#[test]
fn a_secret_in_a_file_that_others_can_change_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let file = File::with("exposed", KEY.as_bytes());
    let set_mode = |mode| {
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for mode in [0o666, 0o622, 0o660, 0o602] {
        set_mode(mode);
        let message = errors(&[("VESTIBULE_SECRET_FILE", file.path())]);
        let command =
            format!("mode {mode:04o} lets other users change it: run `chmod go-w {}`", file.path());
        assert!(message.ends_with(&command), "{message}");
    }
    // As Kubernetes and Docker mount secrets.
    for mode in [0o644, 0o444, 0o440, 0o600] {
        set_mode(mode);
        assert!(from(&[("VESTIBULE_SECRET_FILE", file.path())]).is_ok());
    }
}

#[test]
fn the_nearest_name_is_a_few_letters_off_or_a_part() {
    for (typed, meant) in [
        ("LISEN", Some("LISTEN")),
        ("SITENAME", Some("SITE_NAME")),
        ("DATABASE", Some("DATABASE_URL")),
        ("LOGIN_IP", Some("LIMIT_LOGIN_IP")),
        ("SECRTE", Some("SECRET")),
        ("COLOUR_SCHEME", None),
    ] {
        assert_eq!(nearest(typed).map(|setting| setting.name), meant, "{typed}");
    }
}

#[test]
fn the_password_in_a_url_is_not_shown() {
    assert_eq!(shown("https://me:hush@host/x"), "\"https://…@host/x\"");
    assert_eq!(shown("a\nb"), "\"a\\nb\"");
}

#[test]
fn a_value_that_is_not_utf_8_is_refused_and_counts_as_set() {
    use std::os::unix::ffi::OsStringExt;
    let broken = OsString::from_vec(vec![0xff]);
    let environment = BTreeMap::from([("VESTIBULE_LOG".into(), broken)]);
    let mut raw = RawSettings::read(&BTreeMap::new(), &environment);
    assert_eq!(raw.optional("LOG", |_| Ok::<_, String>(())), None);
    assert_eq!(raw.errors, ["VESTIBULE_LOG: is not UTF-8 text"]);
    assert!(raw.is_set("LOG"));
}
