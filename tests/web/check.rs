//! `vestibule check`: what each line says, and that nothing is changed or sent.

mod site;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use sqlx::Connection;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::support::certificates::{Identity, of_days, signed_for_localhost};
use crate::support::cluster::Cluster;
use crate::support::program::{Ended, Folder};
use crate::support::smtp::{FakeSmtp, Security, Setup};
use crate::support::unix::UnixProgram;

const SECRET: (&str, &str) = ("VESTIBULE_SECRET", "YSBrZXkgZm9yIHRlc3RzLCAzMiBieXRlcyBvZiBpdP8=");

/// The hash's floor: what is tested here is not the hash.
const CHEAP: [(&str, &str); 2] =
    [("VESTIBULE_HASH_MEMORY_KIB", "7168"), ("VESTIBULE_HASH_ITERATIONS", "5")];

fn check(folder: &Folder, arguments: &[&str], settings: &[(&str, &str)]) -> Ended {
    let settings = [&CHEAP[..], &[("VESTIBULE_LISTEN", "127.0.0.1:0")], settings].concat();
    let arguments = [&["check"][..], arguments].concat();
    let ended = tokio::task::block_in_place(|| folder.run(&arguments, &settings, ""));
    let is_line = |line: &str| ["ok ", "warning ", "failed "].iter().any(|it| line.starts_with(it));
    let is_json = arguments.contains(&"--json") || ended.status == 2;
    assert!(is_json || ended.out.lines().all(is_line), "{}", ended.out);
    let has_failed = ended.out.lines().any(|line| line.starts_with("failed "));
    assert!(is_json || ended.status == i32::from(has_failed), "{}{}", ended.out, ended.err);
    ended
}

/// The line about `subject`.
fn line<'a>(ended: &'a Ended, subject: &str) -> &'a str {
    let mut lines = ended.out.lines();
    let found = lines.find(|line| line.split_once(' ').unwrap().1.trim().starts_with(subject));
    found.unwrap_or_else(|| panic!("no line about {subject}: {}{}", ended.out, ended.err))
}

#[track_caller]
fn assert_line(ended: &Ended, status: &str, subject: &str, words: &[&str]) {
    let line = line(ended, subject);
    assert!(line.starts_with(status), "{line}");
    for word in words {
        assert!(line.contains(word), "{word}: {line}");
    }
}

/// The content and mode of each file.
fn files(folder: &Path) -> BTreeMap<String, (Vec<u8>, u32)> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let files = entries.map(|entry| {
        let mode = entry.metadata().unwrap().permissions().mode();
        let name = entry.file_name().into_string().unwrap();
        (name, (std::fs::read(entry.path()).unwrap(), mode))
    });
    files.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn in_an_empty_folder_nothing_is_created_and_nothing_has_failed() {
    let folder = Folder::new();
    let ended = check(&folder, &[], &[]);
    assert_eq!(ended.status, 0, "{}", ended.out);
    assert_line(&ended, "warning", "database", &["does not exist"]);
    assert_line(&ended, "ok", "key", &["the first start creates it"]);
    assert_line(&ended, "ok", "password hashing", &["logins a second"]);
    assert!(files(&folder.0).is_empty());
    let json = check(&folder, &["--json"], &[]);
    let findings: Vec<BTreeMap<String, String>> = serde_json::from_str(&json.out).unwrap();
    assert_eq!(findings.len(), ended.out.lines().count());
    for finding in findings {
        assert_eq!(finding.keys().collect::<Vec<_>>(), ["message", "name", "status"]);
        assert!(["ok", "warning", "failed"].contains(&finding["status"].as_str()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_settings_are_told_as_at_the_start() {
    let ended = check(&Folder::new(), &["--json"], &[("VESTIBULE_LISTEN", "nowhere")]);
    assert_eq!((ended.status, ended.out.as_str()), (2, ""));
    assert!(ended.err.contains("VESTIBULE_LISTEN"), "{}", ended.err);
    for url in
        ["nonsense", "ftp://a.example", "https://ann:hunter2@a.example", "https://a.example?x"]
    {
        let ended = check(&Folder::new(), &["--url", url], &[]);
        assert!(
            ended.status == 2 && ended.err.contains("--url: expected the URL"),
            "{}",
            ended.err
        );
        assert!(!ended.err.contains("hunter2"), "{}", ended.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_read_beside_its_server_and_left_as_it_is_without() {
    let folder = Folder::new();
    let program = tokio::task::block_in_place(|| folder.serve(&[]));
    let ended = check(&folder, &[], &[]);
    assert_eq!(ended.status, 0, "{}", ended.out);
    assert_line(&ended, "ok", "database", &["SQLite 3.", "can be read and written"]);
    assert_line(&ended, "ok", "migrations", &["schema version"]);
    assert_line(&ended, "ok", "journal mode", &["wal"]);
    assert_line(&ended, "ok", "free space", &["MiB"]);
    assert_line(&ended, "ok", "key", &["private"]);
    std::fs::set_permissions(folder.0.join("vestibule.db"), std::fs::Permissions::from_mode(0o644))
        .unwrap();
    assert_line(&check(&folder, &[], &[]), "warning", "database file", &["chmod 600"]);
    std::fs::set_permissions(folder.0.join("vestibule.db"), std::fs::Permissions::from_mode(0o600))
        .unwrap();
    program.terminate();
    assert_eq!(program.ended().0, 0);
    let before = files(&folder.0);
    assert_eq!(
        before.keys().collect::<Vec<_>>(),
        ["vestibule.db", "vestibule.db.lock", "vestibule.key"]
    );
    assert_eq!(check(&folder, &[], &[]).status, 0);
    assert!(files(&folder.0) == before, "a file was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_or_not_ours_is_told_as_by_serve() {
    let folder = Folder::new();
    let listen = |listen: &str| check(&folder, &[], &[("VESTIBULE_LISTEN", listen)]);
    assert_line(&listen("127.0.0.1:0"), "ok", "listen", &["is free"]);
    let program = tokio::task::block_in_place(|| folder.serve(&[]));
    let own = listen(&program.address.to_string());
    assert_line(&own, "ok", "listen", &["the server runs at"]);
    let metrics = [("VESTIBULE_METRICS_LISTEN", "127.0.0.1:0")];
    let program = tokio::task::block_in_place(|| folder.serve(&metrics));
    let (_, metrics) = program.output.split_once("metrics  http://").unwrap();
    let metrics = [("VESTIBULE_METRICS_LISTEN", metrics.split('/').next().unwrap())];
    assert_line(&check(&folder, &[], &metrics), "ok", "metrics listen", &["the server runs at"]);
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closing = std::thread::spawn({
        let other = other.try_clone().unwrap();
        move || drop(other.accept())
    });
    let taken = listen(&other.local_addr().unwrap().to_string());
    let words = ["the port is taken", "--listen", "The server does not answer there"];
    assert_line(&taken, "warning", "listen", &words);
    closing.join().unwrap();
    let away = "192.0.2.1:8000";
    let words = "this machine does not have the address: choose another with --listen";
    assert_line(&listen(away), "failed", "listen", &[words]);
    let serve = || folder.run(&["serve"], &[("VESTIBULE_LISTEN", away)], "");
    let served = tokio::task::block_in_place(serve);
    assert!(served.status == 1 && served.err.contains(words), "{}", served.err);
    let socket = listen("unix:missing/socket");
    assert_line(&socket, "failed", "listen", &["the folder missing does not exist"]);
    assert_line(&listen("unix:socket"), "ok", "listen", &["unix:"]);
    assert!(!folder.0.join("socket").exists());
    let program = tokio::task::block_in_place(|| UnixProgram::start(&folder, &[]));
    let own = listen("unix:socket");
    assert_line(&own, "ok", "listen", &["the server runs at unix:"]);
    drop(program);
}

/// As systemd makes it, in a folder of root's.
#[test]
fn a_unix_socket_of_another_user_is_only_a_warning() {
    let folder = Folder::new();
    let _socket = std::os::unix::net::UnixListener::bind(folder.0.join("socket")).unwrap();
    std::fs::set_permissions(&folder.0, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(folder.0.join("socket"), std::fs::Permissions::from_mode(0o600))
        .unwrap();
    let mut other = Command::new("setpriv");
    other.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    other.args([env!("CARGO_BIN_EXE_vestibule"), "check"]).current_dir(&folder.0);
    other.env("VESTIBULE_LISTEN", "unix:socket");
    let ended = Ended::from(other.output().unwrap());
    if ended.err.starts_with("setpriv") {
        eprintln!("this user cannot become another: not tested");
        return;
    }
    let words = "the socket belongs to another user. The server does not answer there";
    assert_line(&ended, "warning", "listen", &[words]);
}

async fn run_sql(folder: &Folder, text: &'static str) {
    let options = sqlx::sqlite::SqliteConnectOptions::new();
    let options = options.filename(folder.0.join("vestibule.db")).create_if_missing(true);
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(text).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

fn migrate(folder: &Folder) {
    let ended = tokio::task::block_in_place(|| folder.run(&["migrate"], &[], ""));
    assert_eq!(ended.status, 0, "{}", ended.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_another_program_locks_is_told() {
    let folder = Folder::new();
    migrate(&folder);
    let options = sqlx::sqlite::SqliteConnectOptions::new();
    let options = options.filename(folder.0.join("vestibule.db"));
    let mut other = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql("begin immediate").execute(&mut other).await.unwrap();
    let words = ["takes no writes", "is locked by another program"];
    assert_line(&check(&folder, &[], &[SECRET]), "failed", "database", &words);
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_and_newer_migrations_are_told_and_not_run() {
    let folder = Folder::new();
    migrate(&folder);
    run_sql(&folder, "delete from vestibule_migrations where version > 20").await;
    let before = files(&folder.0);
    assert_line(&check(&folder, &[], &[SECRET]), "warning", "migrations", &["pending", "back up"]);
    assert!(files(&folder.0) == before, "a file was changed");
    run_sql(&folder, "update vestibule_migrations set version = 9999 where version = 20").await;
    let newer = ["written by a newer Vestibule", "9999"];
    assert_line(&check(&folder, &[], &[SECRET]), "failed", "migrations", &newer);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_another_program_is_told() {
    let folder = Folder::new();
    run_sql(&folder, "create table auth_user (id integer)").await;
    let other = ["1 tables of another program", "VESTIBULE_DATABASE_URL"];
    assert_line(&check(&folder, &[], &[SECRET]), "warning", "migrations", &other);
    std::fs::write(folder.0.join("vestibule.db"), "not a database, but as long as a header of one")
        .unwrap();
    let ended = check(&folder, &[], &[SECRET]);
    assert_line(&ended, "failed", "database", &["is not a SQLite database"]);
    assert!(ended.err.contains("one check failed"), "{}", ended.err);
    let missing = [("VESTIBULE_DATABASE_URL", "sqlite:missing/v.db"), SECRET];
    let ended = check(&folder, &[], &missing);
    assert_line(&ended, "failed", "database", &["the folder missing does not exist"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_from_the_future_is_told() {
    let folder = Folder::new();
    migrate(&folder);
    assert_line(&check(&folder, &[], &[SECRET]), "ok", "clock", &["UTC"]);
    run_sql(
        &folder,
        "insert into vestibule_outbox (id, kind, sealed, tries, created_at, next_try_at, claimed_until, expires_at)
         values ('x', 'x', x'', 0, unixepoch() + 7200, 0, 0, 0)",
    )
    .await;
    let words = ["2 hours before the newest row", "set the clock"];
    assert_line(&check(&folder, &[], &[SECRET]), "failed", "clock", &words);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_exposed_weak_or_missing_is_told_and_left_as_it_is() {
    let folder = Folder::new();
    tokio::task::block_in_place(|| folder.serve(&[])).kill();
    let key = folder.0.join("vestibule.key");
    let other = ["VESTIBULE_SECRET is not the key that the database was used with", "restore"];
    assert_line(&check(&folder, &[], &[SECRET]), "failed", "key", &other);
    for mode in [0o644, 0o640] {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_line(&check(&folder, &[], &[]), "failed", "key", &["chmod 600"]);
        let found = std::fs::metadata(&key).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode);
    }
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&key, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n").unwrap();
    assert_line(&check(&folder, &[], &[]), "failed", "key", &["too easy to guess"]);
    std::fs::remove_file(&key).unwrap();
    assert_line(&check(&folder, &[], &[]), "failed", "key", &["missing", "restore it"]);
    assert!(!key.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mail_server_is_tried_without_an_email() {
    let login = Some(("mailer", "right"));
    let server = FakeSmtp::with(Setup { login, ..Setup::default() }).await;
    let folder = Folder::new();
    let from = ("VESTIBULE_MAIL_FROM", "no-reply@site.example");
    let checked = |url: &str| check(&folder, &[], &[("VESTIBULE_SMTP_URL", url), from]);
    let url = server.url();
    assert_line(&checked(&url), "ok", "mail server", &["takes email from no-reply@site.example"]);
    assert_eq!((server.mails().len(), server.tries()), (0, 1));
    let wrong = checked(&url.replace("right", "hunter2"));
    assert_line(&wrong, "failed", "mail server", &["refuses the user or the password (535"]);
    assert!(!wrong.out.contains("hunter2"), "{}", wrong.out);
    for (reply, status, words) in [
        ("550 5.1.1 unknown", "ok", "no mailbox no-reply@site.example"),
        ("451 4.7.1 later", "warning", "451 4.7.1 later"),
        ("553 5.7.1 Sender address rejected: not owned", "failed", "VESTIBULE_MAIL_FROM"),
        ("550 Sender not allowed \x1b[31m", "failed", "550 Sender not allowed  [31m"),
    ] {
        server.refuse("no-reply@site.example", reply);
        assert_line(&checked(&url), status, "mail server", &[words]);
    }
    server.answer("MAIL", "550 5.7.60 not allowed to send as this sender");
    let words =
        ["the sender no-reply@site.example is not accepted: 550 5.7.60", "VESTIBULE_MAIL_FROM"];
    assert_line(&checked(&url), "failed", "mail server", &words);
    assert!(server.mails().is_empty());
    let domain = line(&checked(&url), "sender domain").to_owned();
    for words in ["Not asked", "SPF", "_dmarc.site.example", "DKIM"] {
        assert!(domain.contains(words), "{domain}");
    }
}

/// So many days from now, as a page writes it.
fn day_in(days: i64) -> String {
    let words = format_description!("[day padding:none] [month repr:long] [year]");
    let at = vestibule::clock::Clock::System.now() + days * 24 * 60 * 60;
    OffsetDateTime::from_unix_timestamp(at).unwrap().format(words).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_servers_certificate_that_expires_soon_or_has_expired_is_told_with_the_day() {
    let folder = Folder::new();
    let ca = folder.0.join("ca.pem");
    let ca_setting = ("VESTIBULE_SMTP_CA", &*ca.display().to_string());
    for security in [Security::Tls, Security::StartTls] {
        for (days, status, name, words) in [
            (13, "warning", "mail certificate", "expires on"),
            (-1, "failed", "mail server", "expired on"),
        ] {
            let identity = Identity::self_signed(&of_days(&["localhost"], -60, days));
            std::fs::write(&ca, &identity.pem).unwrap();
            let server =
                FakeSmtp::identified(Setup { security, ..Setup::default() }, identity).await;
            let settings = [("VESTIBULE_SMTP_URL", &*server.url()), ca_setting];
            let ended = check(&folder, &[], &settings);
            assert_line(&ended, status, name, &[words, &day_in(days)]);
        }
    }
    let (identity, authority) = signed_for_localhost();
    std::fs::write(&ca, authority).unwrap();
    let setup = Setup { security: Security::Tls, ..Setup::default() };
    let server = FakeSmtp::identified(setup, identity).await;
    let ended = check(&folder, &[], &[("VESTIBULE_SMTP_URL", &server.url()), ca_setting]);
    assert_line(&ended, "ok", "mail server", &["the certificate is trusted"]);
    assert!(!ended.out.contains("expires"), "{}", ended.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_is_read_and_no_table_is_created() {
    let Some((cluster, _)) = Cluster::start_with_tls() else { return };
    let url = cluster.url();
    let folder = Folder::new();
    let checked = |url: &str| check(&folder, &[], &[("VESTIBULE_DATABASE_URL", url), SECRET]);
    let ended = checked(&url);
    assert_line(&ended, "ok", "database", &["PostgreSQL 1", "can be read and written"]);
    assert_line(&ended, "ok", "database TLS", &["TLSv1.3"]);
    assert_line(&ended, "ok", "migrations", &["is empty"]);
    assert_line(&ended, "ok", "pooler", &["none in transaction mode"]);
    let plain = checked(&format!("{url}?sslmode=disable&pgbouncer=session"));
    assert_line(&plain, "ok", "database TLS", &["none is needed on this machine"]);
    assert_line(&plain, "ok", "pooler", &["session mode"]);
    let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
    let tables = "select count(*) from pg_tables where schemaname = 'public'";
    let (tables,): (i64,) = sqlx::query_as(tables).fetch_one(&mut connection).await.unwrap();
    assert_eq!(tables, 0);
    sqlx::raw_sql("create role weak login").execute(&mut connection).await.unwrap();
    let weak = checked(&url.replace("vestibule@", "weak@"));
    assert_line(&weak, "failed", "migrations", &["may not create tables", "grant create"]);
    sqlx::raw_sql("alter database postgres set default_transaction_read_only = on")
        .execute(&mut connection)
        .await
        .unwrap();
    assert_line(&checked(&url), "failed", "database", &["takes no writes"]);
    let away = checked("postgres://v:hunter2@127.0.0.1:1/v");
    assert_line(&away, "failed", "database", &["no PostgreSQL answers there"]);
    assert!(!away.out.contains("hunter2"), "{}", away.out);
    let json: Vec<Value> = serde_json::from_str(&check(&folder, &["--json"], &[]).out).unwrap();
    assert!(!json.is_empty());
}
