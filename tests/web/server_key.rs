//! The server's key: replaced by a rotation, lost, or another one than the database was used with.

use std::path::PathBuf;

use axum::http::StatusCode;
use vestibule::accounts::identity_token::public_keys;
use vestibule::accounts::rotate_key::rotate_key;
use vestibule::clock::Clock;
use vestibule::db::{Location, sql};
use vestibule::key::ServerKey;
use vestibule::models::outbox;
use vestibule::tasks::sweep::sweep;
use vestibule::{App, Config};

use crate::support::apps::{WIKI, app_cookie, ask_proxy, at, behind_proxy, session, with_apps};
use crate::support::program::Folder;
use crate::support::{OTHER_PASSWORD, PASSWORD, Site, new_schema};

const DAY: i64 = 24 * 60 * 60;

const OTHER_KEY: &[u8] = b"another key: thirty-two bytes or so\xff";

/// A site with a key file.
async fn site_with_key_file() -> (Site, PathBuf) {
    let site = Site::with(|config| config.secret = None).await;
    let Location::Sqlite(path) = &site.app.config.database else { panic!("a file") };
    let key = path.with_file_name("vestibule.key");
    (site, key)
}

fn lines(key: &PathBuf) -> usize {
    std::fs::read_to_string(key).unwrap().lines().count()
}

/// The site after a rotation and a start.
async fn rotated(site: &Site) -> App {
    rotate_key(&site.app.config).await.unwrap();
    site.app_with(|_| ()).await
}

#[tokio::test]
async fn after_a_rotation_codes_and_emails_are_valid_until_they_have_expired() {
    let (site, key) = site_with_key_file().await;
    site.registered("ann").await;
    let (resetting, code) = site.with_code("ann").await;
    let before = site.mails().await.len();
    let app = rotated(&site).await;
    assert_eq!(lines(&key), 2);
    site.wait(1);
    sweep(&app).await.unwrap();
    assert_eq!(lines(&key), 2, "codes and emails from before are on their way");
    let mails = outbox::newest(app.db.reader(), &app.key, 100).await.unwrap();
    assert_eq!(mails.len(), before, "every email from before can be sent");
    let mut browser = resetting.at(&vestibule::site(&app));
    browser.reset(&code, OTHER_PASSWORD).await;
    assert_eq!(browser.path(), "/login", "{}", browser.text());
    site.wait(DAY);
    sweep(&app).await.unwrap();
    assert_eq!(lines(&key), 1, "the last one has expired");
    assert!(!app.key.has_old_keys());
    let sealed = site.app.key.seal("row", b"mail");
    assert!(app.key.open("row", &sealed).is_none());
}

#[tokio::test]
async fn a_code_from_before_a_rotation_is_refused_once_the_old_key_is_gone() {
    let (site, key) = site_with_key_file().await;
    site.registered("ann").await;
    let (resetting, code) = site.with_code("ann").await;
    let app = rotated(&site).await;
    app.key.forget_old_keys();
    assert_eq!(lines(&key), 2);
    let mut browser = resetting.at(&vestibule::site(&app));
    browser.reset(&code, OTHER_PASSWORD).await;
    assert!(browser.text().contains("Incorrect code"), "{}", browser.text());
}

#[tokio::test]
async fn a_rotation_clears_no_failures() {
    let (site, _) = site_with_key_file().await;
    site.registered("ann").await;
    let mut attacker = site.browser();
    for _ in 0..10 {
        attacker.log_in("ann", OTHER_PASSWORD).await;
    }
    let app = rotated(&site).await;
    let mut after = site.browser().at(&vestibule::site(&app));
    assert_eq!(after.log_in("ann", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn pages_from_before_a_rotation_work_and_sessions_last() {
    let (site, _) = site_with_key_file().await;
    let ann = site.registered("ann").await;
    let mut elsewhere = site.browser();
    elsewhere.log_in("ann", PASSWORD).await;
    let mut page = ann.at(&site.router);
    page.open("/account/sessions").await;
    let id = page.attribute("main input[name=session]", "value").unwrap();
    let after = vestibule::site(&rotated(&site).await);
    assert!(ann.at(&after).is_logged_in().await && elsewhere.at(&after).is_logged_in().await);
    ann.at(&after).post("/account/sessions/revoke", &[("session", &id)]).await;
    assert!(ann.at(&after).is_logged_in().await && !elsewhere.at(&after).is_logged_in().await);
}

#[tokio::test]
async fn identity_tokens_outlive_the_key_that_sealed_their_keys() {
    let (site, _) = site_with_key_file().await;
    let before = public_keys(&site.app).await.unwrap();
    let app = rotated(&site).await;
    assert_eq!(public_keys(&app).await.unwrap(), before);
    site.wait(2 * DAY);
    sweep(&app).await.unwrap();
    assert!(!app.key.has_old_keys());
    let app = site.app_with(|_| ()).await;
    assert_eq!(public_keys(&app).await.unwrap(), before);
}

#[tokio::test]
async fn after_a_rotation_applications_ask_again_who_is_logged_in() {
    let (site, _) = site_with_key_file().await;
    let ann = site.registered("ann").await;
    let cookie = app_cookie(&behind_proxy(&site).await, WIKI, &session(&ann)).await;
    rotate_key(&site.app.config).await.unwrap();
    let proxy = at(&site.app_with(with_apps).await, crate::support::apps::PROXY);
    // Whoever has the old key could make cookies of any session.
    assert_eq!(ask_proxy(&proxy, WIKI, &cookie).await.status(), StatusCode::FOUND);
    let cookie = app_cookie(&proxy, WIKI, &session(&ann)).await;
    assert_eq!(ask_proxy(&proxy, WIKI, &cookie).await.status(), StatusCode::OK);
}

#[test]
fn a_command_beside_a_server_seals_with_the_key_that_the_server_has() {
    let folder = Folder::new();
    let program = folder.serve(&[]);
    program.register_ann(PASSWORD);
    let key = || std::fs::read_to_string(folder.0.join("vestibule.key")).unwrap();
    let old = key();
    let rotated = folder.run(&["key", "rotate"], &[], "");
    assert_eq!((rotated.status, rotated.out.as_str()), (0, ""), "{}", rotated.err);
    assert!(rotated.err.contains("until you start it again"), "{}", rotated.err);
    let new = key();
    assert!(new.ends_with(&old) && new.lines().count() == 2);
    for line in new.lines() {
        assert!(!rotated.err.contains(line), "{}", rotated.err);
    }
    let invited = folder.run(&["user", "invite", "bob@meadow.example"], &[], "");
    assert_eq!(invited.status, 0, "{}", invited.err);
    assert!(program.get("/dev/mailbox", "").body.contains("bob@meadow.example"));
    program.kill();
    let program = folder.serve_with_log(&[("VESTIBULE_LOG", "json")]);
    assert!(folder.log().contains("key_rotated"), "{}", folder.log());
    let mailbox = program.get("/dev/mailbox", "").body;
    assert!(mailbox.contains("bob@meadow.example") && mailbox.contains("ann@meadow.example"));
    program.kill();
    let idle = folder.run(&["key", "rotate"], &[], "");
    assert!(idle.err.contains("comes into force when the server starts"), "{}", idle.err);
}

#[test]
fn with_a_key_in_a_setting_a_rotation_says_what_to_do() {
    let folder = Folder::new();
    let key = "b+iXfJnZ0sGeXfdc3Ii4TnVZdo1Jwf4dyyCWQMUFSsg=";
    let rotated = folder.run(&["key", "rotate"], &[("VESTIBULE_SECRET", key)], "");
    assert_eq!((rotated.status, rotated.out.as_str()), (2, ""), "{}", rotated.err);
    assert!(rotated.err.contains("in front of the old one") && !rotated.err.contains(key));
    let missing = folder.run(&["key", "rotate"], &[], "");
    assert!(missing.status == 1 && missing.err.contains("no key to replace"), "{}", missing.err);
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 0);
}

#[test]
fn a_lost_key_stops_the_start_until_a_new_one_is_accepted() {
    let folder = Folder::new();
    let program = folder.serve(&[]);
    program.register_ann(PASSWORD);
    program.kill();
    let path = folder.0.join("vestibule.key");
    let key = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let listen = [("VESTIBULE_LISTEN", "127.0.0.1:0")];
    for arguments in [&["serve"][..], &["user", "list"], &["user", "invite", "bob@meadow.example"]]
    {
        let refused = folder.run(arguments, &listen, "");
        assert_eq!((refused.status, refused.out.as_str()), (1, ""), "{arguments:?}");
        for word in ["vestibule.key: the key is missing", "restore", "serve --accept-new-key"] {
            assert!(refused.err.contains(word), "{word}: {}", refused.err);
        }
        assert!(!path.exists(), "{arguments:?} made a key");
    }
    std::fs::write(&path, key.replace(key.lines().next().unwrap(), OTHER_LINE)).unwrap();
    set_private(&path);
    let refused = folder.run(&["serve"], &listen, "");
    assert!(refused.err.contains("this is not the key"), "{}", refused.err);
    let mut command = folder.command(&["serve", "--accept-new-key"], &listen);
    command.env("VESTIBULE_LOG", "json");
    let program = folder.start_with_log(command);
    let log = folder.log();
    assert!(log.contains("key_replaced") && log.contains("lost with the old key"), "{log}");
    let login = program.post("/login", "", &[("username", "ann"), ("password", PASSWORD)]);
    assert_eq!(login.status, 303, "{}", login.head);
    program.kill();
    folder.serve(&[]);
}

const OTHER_LINE: &str = "b+iXfJnZ0sGeXfdc3Ii4TnVZdo1Jwf4dyyCWQMUFSsg=";

fn set_private(path: &PathBuf) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Restored with the key of a later rotation, a database would otherwise be lost twice.
#[test]
fn a_key_that_is_not_the_databases_is_not_rotated() {
    let folder = Folder::new();
    let program = folder.serve(&[]);
    program.register_ann(PASSWORD);
    program.kill();
    let path = folder.0.join("vestibule.key");
    let key = std::fs::read_to_string(&path).unwrap();
    let refused = |settings: &[(&str, &str)]| {
        let settings = [settings, &[("VESTIBULE_LISTEN", "127.0.0.1:0")]].concat();
        let [start, rotation] =
            [&["serve"][..], &["key", "rotate"]].map(|words| folder.run(words, &settings, ""));
        assert_eq!((rotation.status, rotation.out.as_str()), (1, ""), "{}", rotation.err);
        assert_eq!(rotation.err, start.err);
        rotation.err
    };
    std::fs::remove_file(&path).unwrap();
    assert!(refused(&[]).contains("the key is missing") && !path.exists());
    assert!(refused(&[("VESTIBULE_SECRET", OTHER_LINE)]).contains("this is not the key"));
    std::fs::write(&path, OTHER_LINE).unwrap();
    set_private(&path);
    assert!(refused(&[]).contains("this is not the key"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), OTHER_LINE);
    std::fs::write(&path, key).unwrap();
    for _ in 0..2 {
        assert_eq!(folder.run(&["key", "rotate"], &[], "").status, 0);
    }
}

#[test]
fn a_lost_key_that_sealed_nothing_is_replaced_by_a_server_alone() {
    let folder = Folder::new();
    assert_eq!(folder.run(&["user", "add", "ann", "ann@meadow.example"], &[], PASSWORD).status, 0);
    let path = folder.0.join("vestibule.key");
    std::fs::remove_file(&path).unwrap();
    // It could run beside a server that has the key in VESTIBULE_SECRET.
    assert_eq!(folder.run(&["user", "list"], &[], "").status, 1);
    assert!(!path.exists());
    folder.serve_with_log(&[("VESTIBULE_LOG", "json")]).kill();
    assert!(path.exists() && folder.log().contains("key_replaced"), "{}", folder.log());
    assert_eq!(folder.run(&["user", "list"], &[], "").status, 0);
}

async fn start(config: &Config, key: &[u8]) -> Result<App, String> {
    let mut config = config.clone();
    config.secret = ServerKey::from_bytes(key).ok();
    App::start_at(config, Clock::System).await.map_err(|error| error.to_string())
}

on_both_databases! {
    async fn a_node_with_another_key_is_refused(site: Site) {
        site.registered("ann").await;
        let refused = start(&site.app.config, OTHER_KEY).await.unwrap_err();
        assert!(refused.starts_with("VESTIBULE_SECRET: this is not the key"), "{refused}");
        assert!(refused.contains("1 emails"), "{refused}");
        start(&site.app.config, crate::support::KEY).await.unwrap();
    }

    async fn a_key_that_an_older_program_sealed_with_is_the_databases(site: Site) {
        site.registered("ann").await;
        let forget = async || {
            sql("delete from vestibule_server_key").execute(site.db().writer()).await.unwrap();
        };
        forget().await;
        assert!(start(&site.app.config, OTHER_KEY).await.is_err());
        start(&site.app.config, crate::support::KEY).await.unwrap();
        assert_eq!(site.count("select count(*) from vestibule_server_key").await, 1);
        forget().await;
        sql("delete from vestibule_outbox").execute(site.db().writer()).await.unwrap();
        public_keys(&site.app).await.unwrap();
        assert!(start(&site.app.config, OTHER_KEY).await.is_err(), "keys of tokens are sealed, too");
    }

    async fn nodes_that_start_with_the_new_key_first_open_what_the_old_one_sealed(site: Site) {
        site.registered("ann").await;
        let (resetting, code) = site.with_code("ann").await;
        let both = key_of(&[OTHER_KEY, crate::support::KEY]);
        let app = site.app_with(|config| config.secret = Some(both)).await;
        resetting.at(&vestibule::site(&app)).reset(&code, OTHER_PASSWORD).await;
        assert!(site.browser().at(&vestibule::site(&app)).log_in("ann", OTHER_PASSWORD).await.is_logged_in().await);
        let refused = start(&site.app.config, crate::support::KEY).await;
        assert!(refused.is_err(), "the old key alone does not open what is sealed now");
        start(&site.app.config, OTHER_KEY).await.unwrap();
    }
}

fn key_of(masters: &[&[u8]]) -> ServerKey {
    use base64::Engine;
    let lines = masters.iter().map(|key| base64::engine::general_purpose::STANDARD.encode(key));
    ServerKey::from_base64(&lines.collect::<Vec<_>>().join(" ")).unwrap()
}

#[tokio::test]
async fn on_postgresql_another_key_is_refused_even_if_nothing_is_sealed() {
    let Some(url) = new_schema().await else { return };
    let site = Site::at(&url, |_| ()).await;
    let refused = start(&site.app.config, OTHER_KEY).await.unwrap_err();
    assert!(refused.contains("0 emails, 0 codes and 0 signing keys"), "{refused}");
    let mut config = site.app.config.clone();
    config.secret = ServerKey::from_bytes(OTHER_KEY).ok();
    App::builder(config).accept_new_key().build().await.unwrap();
    assert!(start(&site.app.config, crate::support::KEY).await.is_err());
}
