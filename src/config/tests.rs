//! The configuration as a whole: precedence, errors and their messages.

use std::path::PathBuf;

use super::*;

const KEY: &str = "QW/uXofQcsvMc6DGFdBx3oo+7A9hXNbmc6Rf7ddbecY=";

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|&(name, value)| (name.into(), value.into())).collect()
}

fn from(pairs: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    Config::from_sources(&BTreeMap::new(), &map(pairs))
}

fn errors(pairs: &[(&str, &str)]) -> String {
    from(pairs).unwrap_err().to_string()
}

/// A file that is removed at the end of the test.
struct File(PathBuf);

impl File {
    fn with(name: &str, content: &[u8]) -> Self {
        let name = format!("vestibule-config-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn without_settings_the_config_is_the_default() {
    let config = from(&[("PATH", "/bin"), ("VESTIBULE", "x")]).unwrap();
    assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
    assert_eq!(config.listen.to_string(), "127.0.0.1:8000");
    assert_eq!(config.base_url.origin(), "http://localhost:8000");
    assert!(config.base_url_is_default);
    assert_eq!(config.mail_from.address, "no-reply@localhost");
    assert_eq!(config.sessions.idle_unremembered, 43_200);
    assert!(!config.notices.sends(Notice::Login) && config.notices.sends(Notice::NewDevice));
}

#[test]
fn every_setting_of_the_table_is_read() {
    for setting in SETTINGS.iter() {
        let words = errors(&[(&setting.variable(), "\u{7}")]);
        assert!(words.starts_with(&setting.variable()), "{words}");
        assert_eq!(words.lines().count(), 1, "{words}");
    }
}

#[test]
fn a_flag_overrides_the_environment() {
    let flags = map(&[("LISTEN", "0.0.0.0:9000")]);
    let environment = map(&[("VESTIBULE_LISTEN", "nonsense"), ("VESTIBULE_LOG", "json")]);
    let config = Config::from_sources(&flags, &environment).unwrap();
    assert_eq!(config.listen.to_string(), "0.0.0.0:9000");
    assert_eq!(config.base_url.origin(), "http://localhost:9000");
    assert_eq!(config.log, LogFormat::Json);
}

#[test]
fn all_errors_are_printed_at_once_one_per_line() {
    let flags = map(&[("PASSWORD_MIN", "4")]);
    let environment = map(&[
        ("VESTIBULE_LISTEN", "nonsense"),
        ("VESTIBULE_LIMIT_LOGIN_IP", "many"),
        ("VESTIBULE_SITE_NAME", "two\nlines"),
        ("VESTIBULE_LISEN", "127.0.0.1:1"),
    ]);
    let words = Config::from_sources(&flags, &environment).unwrap_err();
    assert_eq!(words.to_string().lines().count(), 5);
    let words = words.to_string();
    for line in [
        r#"VESTIBULE_LISTEN="nonsense": expected an address and a port, like 127.0.0.1:8000"#,
        r#"VESTIBULE_SITE_NAME="two\nlines": expected 1 to 60 characters on one line"#,
        r#"--password-min "4": expected a whole number from 8 to 64"#,
        "VESTIBULE_LISEN: is not a setting: did you mean VESTIBULE_LISTEN?",
    ] {
        assert!(words.lines().any(|printed| printed == line), "{words}");
    }
    assert_eq!(words.lines().count(), 5);
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    let words = errors(&[("VESTIBULE_SMPT_URL", "smtp://me:hush@host")]);
    assert_eq!(words, "VESTIBULE_SMPT_URL: is not a setting: did you mean VESTIBULE_SMTP_URL?");
    let words = errors(&[("VESTIBULE_SECRTE_FILE", "/nowhere")]);
    assert!(words.ends_with("did you mean VESTIBULE_SECRET_FILE?"), "{words}");
    let words = errors(&[("VESTIBULE_", "x"), ("VESTIBULE_COLOUR_SCHEME", "x")]);
    assert_eq!(words.matches("--help").count(), 2);
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
        let words = errors(&[(&format!("VESTIBULE_{name}"), "x")]);
        assert!(words.starts_with(&format!("VESTIBULE_{name}: is not a setting")), "{words}");
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
    let words = errors(&[("VESTIBULE_SECRET_FILE", "/nowhere/key")]);
    let start = "VESTIBULE_SECRET_FILE=\"/nowhere/key\": cannot be read: No such file";
    assert!(words.starts_with(start), "{words}");
    let binary = File::with("binary", &[0xff, 0xfe]);
    let words = errors(&[("VESTIBULE_LOG_FILE", binary.path())]);
    assert!(words.ends_with("is not UTF-8 text"), "{words}");
}

#[test]
fn the_content_of_a_file_is_never_printed() {
    let file = File::with("wrong", b"hush");
    let words = errors(&[("VESTIBULE_LISTEN_FILE", file.path())]);
    assert!(words.contains(file.path()) && words.contains("expected an address"));
    for setting in SETTINGS.iter() {
        let file_variable = setting.variable() + "_FILE";
        let words = from(&[(&file_variable, file.path())]).map_err(|words| words.to_string());
        assert!(words.err().is_none_or(|words| !words.contains("hush")));
    }
}

#[test]
fn a_value_and_its_file_together_are_an_error() {
    let words = errors(&[("VESTIBULE_SECRET", KEY), ("VESTIBULE_SECRET_FILE", "/nowhere")]);
    assert_eq!(
        words,
        "VESTIBULE_SECRET_FILE=\"/nowhere\": VESTIBULE_SECRET is set too: keep one of the two"
    );
}

#[test]
fn an_empty_value_is_an_error_except_for_lists() {
    assert!(from(&[("VESTIBULE_TRUSTED_PROXIES", "")]).is_ok());
    for setting in SETTINGS.iter() {
        if setting.name != "TRUSTED_PROXIES" {
            let words = errors(&[(&setting.variable(), "")]);
            let start = format!("{}=\"\": expected ", setting.variable());
            assert!(words.starts_with(&start), "{words}");
        }
    }
}

#[test]
fn a_secret_is_never_printed() {
    for (name, value) in [
        ("VESTIBULE_SECRET", "hush"),
        ("VESTIBULE_SMTP_URL", "smpt://me:hush@host"),
        ("VESTIBULE_DATABASE_URL", "postgres://me:hush@host:port/x"),
        ("VESTIBULE_BASE_URL", "https://me:hush@id.example.org"),
    ] {
        let words = errors(&[(name, value)]);
        assert!(words.starts_with(name) && !words.contains("hush"), "{words}");
    }
    let config = from(&[
        ("VESTIBULE_SECRET", KEY),
        ("VESTIBULE_SMTP_URL", "smtps://me:hush@mail.example"),
        ("VESTIBULE_DATABASE_URL", "postgres://me:hush@db.example/v"),
    ]);
    let shown = format!("{:?}", config.unwrap());
    assert!(!shown.contains("hush") && !shown.contains("[0, 1, 2"), "{shown}");
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
        let words = errors(&[("VESTIBULE_SECRET_FILE", file.path())]);
        let command =
            format!("mode {mode:04o} lets other users change it: run `chmod go-w {}`", file.path());
        assert!(words.ends_with(&command), "{words}");
    }
    // As Kubernetes and Docker mount secrets.
    for mode in [0o644, 0o444, 0o440, 0o600] {
        set_mode(mode);
        assert!(from(&[("VESTIBULE_SECRET_FILE", file.path())]).is_ok());
    }
}

#[test]
fn a_secret_in_a_flag_is_refused_and_not_shown() {
    let flags = map(&[("SECRET", KEY), ("LISEN", "x")]);
    let words = Config::from_sources(&flags, &BTreeMap::new()).unwrap_err();
    let words = words.to_string();
    assert!(words.contains("VESTIBULE_SECRET_FILE") && !words.contains(KEY));
    assert!(words.contains("LISEN: is not a setting"));
}

#[test]
fn production_needs_a_mail_server() {
    let https = ("VESTIBULE_BASE_URL", "https://id.example.org");
    let words = errors(&[https]);
    let start = "VESTIBULE_SMTP_URL: missing: VESTIBULE_BASE_URL is https, and codes must reach people by mail";
    assert!(words.starts_with(start), "{words}");
    let config = from(&[https, ("VESTIBULE_SMTP_URL", "smtp://127.0.0.1:25")]).unwrap();
    assert_eq!(config.mail_from.address, "no-reply@id.example.org");
    assert!(!config.base_url_is_default);
    let wrong = errors(&[https, ("VESTIBULE_SMTP_URL", "mail.example")]);
    assert_eq!(wrong.lines().count(), 1, "{wrong}");
}

#[test]
fn production_sends_unencrypted_mail_to_another_machine_only_with_tls_none() {
    let https = ("VESTIBULE_BASE_URL", "https://id.example.org");
    for url in ["smtp://mail.example", "smtp://192.0.2.1:587", "smtp://[2001:db8::1]:25"] {
        let words = errors(&[https, ("VESTIBULE_SMTP_URL", url)]);
        assert!(words.starts_with("VESTIBULE_SMTP_URL: would send mail"), "{words}");
        assert!(words.contains("?tls=required") && words.contains("?tls=none"), "{words}");
        assert!(from(&[https, ("VESTIBULE_SMTP_URL", &format!("{url}?tls=none"))]).is_ok());
        assert!(from(&[("VESTIBULE_SMTP_URL", url)]).is_ok(), "in development");
    }
}

#[test]
fn certificates_to_trust_for_the_mail_server_are_read_from_a_pem_file() {
    let pem = include_str!("../../tests/web/mailer/ecdsa_with_sha512.pem");
    for (name, text, count) in [
        ("smtp_ca", pem.to_owned(), Some(1)),
        ("smtp_cas", pem.repeat(2), Some(2)),
        ("smtp_none", String::new(), None),
        ("smtp_der", "\u{30}\u{82}".to_owned(), None),
        ("smtp_cut", pem.replace("MII", "MI!"), None),
        ("smtp_other", pem.replace("MII", "AII"), None),
    ] {
        let file = File::with(name, text.as_bytes());
        let url = ("VESTIBULE_SMTP_URL", "smtps://mail.example");
        let read = from(&[url, ("VESTIBULE_SMTP_CA", file.path())]);
        let server = read.as_ref().ok().and_then(|config| config.smtp.clone());
        assert_eq!(server.map(|server| server.ca.len()), count, "{name}");
        let words = read.err().map(|errors| errors.to_string()).unwrap_or_default();
        assert_eq!(words.contains("expected a PEM file"), count.is_none(), "{words}");
    }
    assert!(errors(&[("VESTIBULE_SMTP_CA", "/nowhere.pem")]).contains("cannot be read"));
}

#[test]
fn postgres_requires_a_secret() {
    let postgres = ("VESTIBULE_DATABASE_URL", "postgres://me@db.example/v");
    let words = errors(&[postgres]);
    assert!(words.starts_with("VESTIBULE_SECRET: missing"), "{words}");
    assert!(words.contains("openssl rand -base64 32"));
    assert!(from(&[postgres, ("VESTIBULE_SECRET", KEY)]).is_ok());
}

#[test]
fn a_hash_weaker_than_owasps_minimum_is_refused() {
    let words = errors(&[("VESTIBULE_HASH_ITERATIONS", "1")]);
    let start = "VESTIBULE_HASH_ITERATIONS=\"1\": weaker than OWASP's minimum";
    assert!(words.starts_with(start), "{words}");
    let words = errors(&[("VESTIBULE_HASH_MEMORY_KIB", "12288")]);
    assert!(words.contains("3 from 12288 KiB"), "{words}");
    let strong = [("VESTIBULE_HASH_MEMORY_KIB", "12288"), ("VESTIBULE_HASH_ITERATIONS", "3")];
    assert_eq!(from(&strong).unwrap().hash.iterations, 3);
}

#[test]
fn invalid_values_are_not_compared_with_others() {
    let words = errors(&[
        ("VESTIBULE_HASH_MEMORY_KIB", "46 MiB"),
        ("VESTIBULE_HASH_ITERATIONS", "1"),
        ("VESTIBULE_SESSION_IDLE", "40d"),
        ("VESTIBULE_SESSION_MAX", "60 days"),
    ]);
    assert_eq!(words.lines().count(), 2, "{words}");
}

#[test]
fn the_queue_grows_with_the_threads_unless_it_is_set() {
    let threads = ("VESTIBULE_HASH_THREADS", "3");
    assert_eq!(from(&[threads]).unwrap().hash.queue, 120);
    let queue = ("VESTIBULE_HASH_QUEUE", "7");
    assert_eq!(from(&[threads, queue]).unwrap().hash.queue, 7);
}

#[test]
fn session_idle_cannot_exceed_session_max() {
    let words = errors(&[("VESTIBULE_SESSION_IDLE", "31d")]);
    assert_eq!(words, "VESTIBULE_SESSION_IDLE=\"31d\": expected 30d at most, which is SESSION_MAX");
    let words = errors(&[("VESTIBULE_SESSION_MAX", "7d")]);
    assert!(words.contains("expected 14d at least"), "{words}");
    let short = [("VESTIBULE_SESSION_IDLE", "1h"), ("VESTIBULE_SESSION_MAX", "1d")];
    assert_eq!(from(&short).unwrap().sessions.idle_unremembered, 3600);
}

#[test]
fn the_default_sender_of_a_site_with_an_ip_address_is_valid() {
    let config = from(&[("VESTIBULE_BASE_URL", "http://192.0.2.1:8000")]).unwrap();
    assert_eq!(config.mail_from.address, "no-reply@[192.0.2.1]");
}

#[test]
fn a_pale_accent_is_refused_with_a_darker_one() {
    let flags = map(&[("ACCENT", "663399")]);
    let config = Config::from_sources(&flags, &BTreeMap::new()).unwrap();
    assert_eq!(config.accent, Accent::parse("#639").unwrap());
    assert_eq!(config.accent.light.accent, Colour([0x66, 0x33, 0x99]));
    let flags = map(&[("ACCENT", "yellow")]);
    let words = Config::from_sources(&flags, &BTreeMap::new()).unwrap_err().to_string();
    assert!(words.starts_with("--accent \"yellow\": expected a colour of three or six"), "{words}");
    let words = errors(&[("VESTIBULE_ACCENT", "#ff0")]);
    let start = "VESTIBULE_ACCENT=\"#ff0\": has a contrast of 1.05:1";
    assert!(words.starts_with(start) && words.ends_with(" #727200"), "{words}");
}

#[test]
fn a_logo_is_read_at_the_start_and_has_64_kib_at_most() {
    let mut picture = b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec();
    picture.resize(64 * 1024, b' ');
    let whole = File::with("whole", &picture);
    let logo = from(&[("VESTIBULE_LOGO", whole.path())]).unwrap().logo.unwrap().light;
    assert_eq!((logo.extension, &logo.bytes[..]), ("svg", &picture[..]));
    picture.push(b' ');
    let large = File::with("large", &picture);
    let words = errors(&[("VESTIBULE_LOGO", large.path())]);
    let expected = format!(
        "VESTIBULE_LOGO={:?}: is larger than 64 KiB: expected the path of an SVG, PNG, WebP or JPEG file of 64 KiB at most",
        large.path()
    );
    assert_eq!(words, expected);
}

#[test]
fn a_picture_given_instead_of_its_path_is_not_printed() {
    let picture = File::with("picture", b"<svg>hush</svg>");
    let words = errors(&[("VESTIBULE_LOGO_FILE", picture.path())]);
    assert!(
        words.ends_with("set the variable without _FILE to its path") && !words.contains("hush"),
        "{words}"
    );
}

#[test]
fn a_dark_logo_is_checked_like_the_logo_and_requires_it() {
    let picture = File::with("light", b"<svg xmlns='http://www.w3.org/2000/svg'/>");
    let logo = ("VESTIBULE_LOGO", picture.path());
    let both = from(&[logo, ("VESTIBULE_LOGO_DARK", picture.path())]).unwrap().logo.unwrap();
    assert_eq!(both.dark.unwrap().bytes, both.light.bytes);
    assert!(from(&[logo]).unwrap().logo.unwrap().dark.is_none());
    let words = errors(&[("VESTIBULE_LOGO_DARK", picture.path())]);
    assert!(words.ends_with("needs VESTIBULE_LOGO, the logo for light pages"), "{words}");
    let words = errors(&[logo, ("VESTIBULE_LOGO_DARK_FILE", picture.path())]);
    assert!(words.ends_with("set the variable without _FILE to its path"), "{words}");
    let words = errors(&[logo, ("VESTIBULE_LOGO_DARK", "")]);
    assert!(words.starts_with("VESTIBULE_LOGO_DARK=\"\": expected the path of"), "{words}");
}

#[test]
fn the_name_can_be_hidden_only_with_a_logo() {
    let picture = File::with("wordmark", b"<svg xmlns='http://www.w3.org/2000/svg'/>");
    let logo = ("VESTIBULE_LOGO", picture.path());
    let shown =
        |words| from(&[logo, ("VESTIBULE_SHOW_NAME", words)]).unwrap().logo.unwrap().show_name;
    assert!(from(&[logo]).unwrap().logo.unwrap().show_name);
    assert!(shown("yes") && !shown("no"));
    assert!(from(&[("VESTIBULE_SHOW_NAME", "yes")]).is_ok());
    let words = errors(&[("VESTIBULE_SHOW_NAME", "no")]);
    assert!(words.starts_with("VESTIBULE_SHOW_NAME=\"no\": needs VESTIBULE_LOGO: "), "{words}");
}
