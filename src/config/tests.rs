//! The configuration as a whole: precedence, errors and their messages.

use std::path::PathBuf;

use super::*;

pub(super) const KEY: &str = "QW/uXofQcsvMc6DGFdBx3oo+7A9hXNbmc6Rf7ddbecY=";

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|&(name, value)| (name.into(), value.into())).collect()
}

pub(super) fn from(pairs: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    Config::from_sources(&BTreeMap::new(), &map(pairs))
}

pub(super) fn errors(pairs: &[(&str, &str)]) -> String {
    from(pairs).unwrap_err().to_string()
}

/// A file that is removed at the end of the test.
pub(super) struct File(PathBuf);

impl File {
    pub(super) fn with(name: &str, content: &[u8]) -> Self {
        let name = format!("vestibule-config-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &str {
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
        let message = errors(&[(&setting.variable(), "\u{7}")]);
        assert!(message.starts_with(&setting.variable()), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
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
fn a_unix_socket_is_listened_to_in_place_of_an_address() {
    let config = from(&[("VESTIBULE_LISTEN", "unix:/run/socket")]).unwrap();
    assert_eq!(config.listen().to_string(), "unix:/run/socket");
    assert_eq!(config.base_url.origin(), "http://localhost");
}

#[test]
fn the_metrics_are_not_where_the_pages_are() {
    let both = |listen, metrics| {
        from(&[("VESTIBULE_LISTEN", listen), ("VESTIBULE_METRICS_LISTEN", metrics)])
    };
    for other in ["127.0.0.1:9464", "unix:/run/metrics"] {
        assert_eq!(
            both("127.0.0.1:8000", other).unwrap().metrics_listen.unwrap().to_string(),
            other
        );
    }
    assert!(both("127.0.0.1:0", "127.0.0.1:0").is_ok());
    for same in ["127.0.0.1:8000", "unix:/run/socket"] {
        let message = both(same, same).unwrap_err().to_string();
        assert!(message.contains("expected another address than VESTIBULE_LISTEN"), "{message}");
    }
    let message = errors(&[("VESTIBULE_METRICS_LISTEN", "9464")]);
    assert!(
        message.starts_with("VESTIBULE_METRICS_LISTEN=\"9464\": expected an address"),
        "{message}"
    );
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
    let message = Config::from_sources(&flags, &environment).unwrap_err();
    assert_eq!(message.to_string().lines().count(), 5);
    let message = message.to_string();
    for line in [
        r#"VESTIBULE_LISTEN="nonsense": expected an address and a port, like 127.0.0.1:8000, or unix:PATH"#,
        r#"VESTIBULE_SITE_NAME="two\nlines": expected 1 to 60 characters on one line"#,
        r#"--password-min "4": expected a whole number from 8 to 64"#,
        "VESTIBULE_LISEN: is not a setting: did you mean VESTIBULE_LISTEN?",
    ] {
        assert!(message.lines().any(|printed| printed == line), "{message}");
    }
    assert_eq!(message.lines().count(), 5);
}

#[test]
fn an_empty_value_is_an_error_except_for_lists() {
    const LISTS: [&str; 2] = ["TRUSTED_PROXIES", "APPS"];
    assert!(LISTS.iter().all(|name| from(&[(&format!("VESTIBULE_{name}"), "")]).is_ok()));
    for setting in SETTINGS.iter() {
        if !LISTS.contains(&setting.name) {
            let message = errors(&[(&setting.variable(), "")]);
            let start = format!("{}=\"\": expected ", setting.variable());
            assert!(message.starts_with(&start), "{message}");
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
        let message = errors(&[(name, value)]);
        assert!(message.starts_with(name) && !message.contains("hush"), "{message}");
    }
    let config = from(&[
        ("VESTIBULE_SECRET", KEY),
        ("VESTIBULE_SMTP_URL", "smtps://me:hush@mail.example"),
        ("VESTIBULE_DATABASE_URL", "postgres://me:hush@db.example/v"),
    ]);
    let shown = format!("{:?}", config.unwrap());
    assert!(!shown.contains("hush") && !shown.contains("[0, 1, 2"), "{shown}");
}

#[test]
fn a_secret_in_a_flag_is_refused_and_not_shown() {
    let flags = map(&[("SECRET", KEY), ("LISEN", "x")]);
    let message = Config::from_sources(&flags, &BTreeMap::new()).unwrap_err();
    let message = message.to_string();
    assert!(message.contains("VESTIBULE_SECRET_FILE") && !message.contains(KEY));
    assert!(message.contains("LISEN: is not a setting"));
}

#[test]
fn production_needs_a_mail_server() {
    let https = ("VESTIBULE_BASE_URL", "https://id.example.org");
    let message = errors(&[https]);
    let start = "VESTIBULE_SMTP_URL: missing: VESTIBULE_BASE_URL is https, and codes must reach people by mail";
    assert!(message.starts_with(start), "{message}");
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
        let message = errors(&[https, ("VESTIBULE_SMTP_URL", url)]);
        assert!(message.starts_with("VESTIBULE_SMTP_URL: would send mail"), "{message}");
        assert!(message.contains("?tls=required") && message.contains("?tls=none"), "{message}");
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
        let message = read.err().map(|errors| errors.to_string()).unwrap_or_default();
        assert_eq!(message.contains("expected a PEM file"), count.is_none(), "{message}");
    }
    assert!(errors(&[("VESTIBULE_SMTP_CA", "/nowhere.pem")]).contains("cannot be read"));
}

#[test]
fn postgres_requires_a_secret() {
    let postgres = ("VESTIBULE_DATABASE_URL", "postgres://me@db.example/v");
    let message = errors(&[postgres]);
    assert!(message.starts_with("VESTIBULE_SECRET: missing"), "{message}");
    assert!(message.contains("openssl rand -base64 32"));
    assert!(from(&[postgres, ("VESTIBULE_SECRET", KEY)]).is_ok());
}

#[test]
fn a_hash_weaker_than_owasps_minimum_is_refused() {
    let message = errors(&[("VESTIBULE_HASH_ITERATIONS", "1")]);
    let start = "VESTIBULE_HASH_ITERATIONS=\"1\": weaker than OWASP's minimum";
    assert!(message.starts_with(start), "{message}");
    let message = errors(&[("VESTIBULE_HASH_MEMORY_KIB", "12288")]);
    assert!(message.contains("3 from 12288 KiB"), "{message}");
    let strong = [("VESTIBULE_HASH_MEMORY_KIB", "12288"), ("VESTIBULE_HASH_ITERATIONS", "3")];
    assert_eq!(from(&strong).unwrap().hash.iterations, 3);
}

#[test]
fn invalid_values_are_not_compared_with_others() {
    let message = errors(&[
        ("VESTIBULE_HASH_MEMORY_KIB", "46 MiB"),
        ("VESTIBULE_HASH_ITERATIONS", "1"),
        ("VESTIBULE_SESSION_IDLE", "40d"),
        ("VESTIBULE_SESSION_MAX", "60 days"),
    ]);
    assert_eq!(message.lines().count(), 2, "{message}");
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
    let message = errors(&[("VESTIBULE_SESSION_IDLE", "31d")]);
    assert_eq!(
        message,
        "VESTIBULE_SESSION_IDLE=\"31d\": expected 30d at most, which is SESSION_MAX"
    );
    let message = errors(&[("VESTIBULE_SESSION_MAX", "7d")]);
    assert!(message.contains("expected 14d at least"), "{message}");
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
    let message = Config::from_sources(&flags, &BTreeMap::new()).unwrap_err().to_string();
    assert!(
        message.starts_with("--accent \"yellow\": expected a colour of three or six"),
        "{message}"
    );
    let message = errors(&[("VESTIBULE_ACCENT", "#ff0")]);
    let start = "VESTIBULE_ACCENT=\"#ff0\": has a contrast of 1.05:1";
    assert!(message.starts_with(start) && message.ends_with(" #727200"), "{message}");
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
    let message = errors(&[("VESTIBULE_LOGO", large.path())]);
    let expected = format!(
        "VESTIBULE_LOGO={:?}: is larger than 64 KiB: expected the path of an SVG, PNG, WebP or JPEG file of 64 KiB at most",
        large.path()
    );
    assert_eq!(message, expected);
}

#[test]
fn a_picture_given_instead_of_its_path_is_not_printed() {
    let picture = File::with("picture", b"<svg>hush</svg>");
    let message = errors(&[("VESTIBULE_LOGO_FILE", picture.path())]);
    assert!(
        message.ends_with("set the variable without _FILE to its path")
            && !message.contains("hush"),
        "{message}"
    );
}

#[test]
fn a_dark_logo_is_checked_like_the_logo_and_requires_it() {
    let picture = File::with("light", b"<svg xmlns='http://www.w3.org/2000/svg'/>");
    let logo = ("VESTIBULE_LOGO", picture.path());
    let both = from(&[logo, ("VESTIBULE_LOGO_DARK", picture.path())]).unwrap().logo.unwrap();
    assert_eq!(both.dark.unwrap().bytes, both.light.bytes);
    assert!(from(&[logo]).unwrap().logo.unwrap().dark.is_none());
    let message = errors(&[("VESTIBULE_LOGO_DARK", picture.path())]);
    assert!(message.ends_with("needs VESTIBULE_LOGO, the logo for light pages"), "{message}");
    let message = errors(&[logo, ("VESTIBULE_LOGO_DARK_FILE", picture.path())]);
    assert!(message.ends_with("set the variable without _FILE to its path"), "{message}");
    let message = errors(&[logo, ("VESTIBULE_LOGO_DARK", "")]);
    assert!(message.starts_with("VESTIBULE_LOGO_DARK=\"\": expected the path of"), "{message}");
}

#[test]
fn the_name_can_be_hidden_only_with_a_logo() {
    let picture = File::with("wordmark", b"<svg xmlns='http://www.w3.org/2000/svg'/>");
    let logo = ("VESTIBULE_LOGO", picture.path());
    let shown =
        |text| from(&[logo, ("VESTIBULE_SHOW_NAME", text)]).unwrap().logo.unwrap().show_name;
    assert!(from(&[logo]).unwrap().logo.unwrap().show_name);
    assert!(shown("yes") && !shown("no"));
    assert!(from(&[("VESTIBULE_SHOW_NAME", "yes")]).is_ok());
    let message = errors(&[("VESTIBULE_SHOW_NAME", "no")]);
    assert!(message.starts_with("VESTIBULE_SHOW_NAME=\"no\": needs VESTIBULE_LOGO: "), "{message}");
}

#[test]
fn after_login_may_name_an_application_and_nothing_else_outside() {
    let config = from(&[]).unwrap();
    assert_eq!((config.after_login.as_str(), config.apps.origins().len()), ("/account", 0));
    let (apps, place) = ("VESTIBULE_APPS", "VESTIBULE_AFTER_LOGIN");
    let config = from(&[(apps, "https://wiki.example.org"), (place, "https://wiki.example.org/a")]);
    assert_eq!(config.unwrap().after_login, "https://wiki.example.org/a");
    let message = errors(&[(place, "https://wiki.example.org/a")]);
    assert!(message.contains("a URL within VESTIBULE_APPS"), "{message}");
}

#[test]
fn without_usernames_a_forgotten_password_asks_for_the_email_alone() {
    let read = |pairs| from(pairs).unwrap().usernames;
    let usernames = read(&[]);
    assert_eq!((usernames.mode, usernames.rule), (UsernameMode::Required, UsernameRule::Ascii));
    assert!(usernames.asked_when_forgotten);
    assert!(!read(&[("VESTIBULE_USERNAME", "none")]).asked_when_forgotten);
    assert!(!read(&[("VESTIBULE_FORGOT", "email")]).asked_when_forgotten);
    assert!(read(&[("VESTIBULE_USERNAME", "optional")]).asked_when_forgotten);
    let both = [("VESTIBULE_USERNAME", "none"), ("VESTIBULE_FORGOT", "username_and_email")];
    assert!(errors(&both).contains("VESTIBULE_FORGOT"));
    for (name, value) in [("USERNAME", "no"), ("USERNAME_RULE", "latin"), ("FORGOT", "username")] {
        assert!(from(&[(&format!("VESTIBULE_{name}"), value)]).is_err(), "{name}");
    }
}
