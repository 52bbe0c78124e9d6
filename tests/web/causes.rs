//! What cannot be used is named with its true cause and what to do: databases, disks, mail servers.

use std::process::Command;

use sqlx::Connection;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use vestibule::db::{Db, Location};

use crate::support::cluster::{Cluster, Pooler};
use crate::support::program::{Ended, Folder};
use crate::support::smtp::{FakeSmtp, Security, Setup};

/// Why the database at `url` cannot be opened.
async fn refusal(url: &str) -> String {
    match Db::open(&Location::parse(url).unwrap()).await {
        Ok(_) => panic!("{url} was opened"),
        Err(error) => error.to_string(),
    }
}

async fn assert_says(url: &str, words: &[&str]) {
    let refused = refusal(url).await;
    for word in words {
        assert!(refused.contains(word), "{url}: {refused}");
    }
    assert!(!refused.contains("hunter2"), "{refused}");
}

async fn run_sql(cluster: &Cluster, text: &'static str) {
    let mut connection = sqlx::PgConnection::connect(&cluster.url()).await.unwrap();
    sqlx::raw_sql(text).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_postgresql_is_told_with_its_cause() {
    let Some((cluster, _)) = Cluster::start_with_tls() else { return };
    run_sql(
        &cluster,
        "create role weak login password 'right'; create role full login connection limit 0",
    )
    .await;
    let at = |user: &str, database: &str, query: &str| {
        format!("postgres://{user}:hunter2@127.0.0.1:{}/{database}{query}", cluster.port())
    };
    assert_says(&at("vestibule", "nowhere", ""), &["the database does not exist", "\"nowhere\""])
        .await;
    assert_says(&at("nobody", "postgres", ""), &["the user does not exist", "\"nobody\""]).await;
    let rights = ["permission denied for schema public", "grant create, usage on schema public"];
    assert_says(&at("weak", "postgres", ""), &rights).await;
    assert_says(&at("full", "postgres", ""), &["no free connection", "max_connections"]).await;
    cluster.set_rules("hostssl all all all scram-sha-256\n");
    let encrypted = ["only encrypted connections", "sslmode=require"];
    assert_says(&at("weak", "postgres", "?sslmode=disable"), &encrypted).await;
    let wrong = refusal(&at("weak", "postgres", "")).await;
    assert!(wrong.contains("refuses the user or the password"), "{wrong}");
    cluster.set_rules("host other all all trust\n");
    assert_says(&at("weak", "postgres", ""), &["add one", "pg_hba.conf"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_no_postgresql_and_a_name_without_an_address_are_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let web = tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.ok();
        }
    });
    let answers = ["no PostgreSQL answers there", "host and port"];
    assert_says(&format!("postgres://v@127.0.0.1:{port}/v"), &answers).await;
    let name = ["the name of the host cannot be resolved"];
    assert_says("postgres://v:hunter2@db.invalid/v", &name).await;
    web.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_a_pooler_is_told_with_its_cause() {
    let Some(cluster) = Cluster::start() else { return };
    let lines = "pool_mode = transaction\nauth_type = md5\n";
    let Some(pooler) = Pooler::start_with(&cluster, lines).await else { return };
    let wrong = pooler.url().replace("vestibule@", "nobody:hunter2@");
    assert_says(&wrong, &["the pooler refuses the user or the password", "auth_file"]).await;
    let Some(pooler) = Pooler::start(&cluster, "transaction").await else { return };
    assert_says(
        &pooler.url(),
        &["in transaction mode", "pgbouncer=transaction", "pool_mode = session"],
    )
    .await;
    let wrong = pooler.url().replace("/postgres", "/nowhere");
    assert_says(&wrong, &["does not know the database", "[databases]"]).await;
}

/// Runs `vestibule migrate` in a mount namespace of its own, after `script`; none where that is not
/// possible.
fn on_disk(folder: &Folder, script: &str) -> Option<Ended> {
    let mut command = Command::new("unshare");
    let script = format!("{script} && cd disk && exec \"$0\" migrate");
    command.args(["--mount", "sh", "-c", &script, env!("CARGO_BIN_EXE_vestibule")]);
    let ended = Ended::from(command.current_dir(&folder.0).output().ok()?);
    if ended.err.contains("Operation not permitted") || ended.err.contains("permission denied") {
        eprintln!("this user mounts nothing: not tested");
        return None;
    }
    Some(ended)
}

#[test]
fn a_disk_that_is_full_or_read_only_is_told() {
    let folder = Folder::new();
    std::fs::create_dir(folder.0.join("disk")).unwrap();
    for (script, words) in [
        ("mount -t tmpfs -o size=16k none disk", "is full: free space there"),
        ("mount -t tmpfs -o size=96k none disk", "is full: free space there"),
        ("mount -t tmpfs -o ro none disk", "is read-only: mount it writable"),
    ] {
        let Some(ended) = on_disk(&folder, script) else { return };
        assert_eq!((ended.status, ended.err.lines().count()), (1, 1), "{script}: {}", ended.err);
        assert!(ended.err.contains(words), "{script}: {}", ended.err);
    }
}

#[test]
fn a_folder_without_rights_and_a_path_that_is_no_file_are_told() {
    let folder = Folder::new();
    std::fs::create_dir(folder.0.join("disk")).unwrap();
    std::fs::write(folder.0.join("file"), "").unwrap();
    let migrate = |url: &str| folder.run(&["migrate"], &[("VESTIBULE_DATABASE_URL", url)], "");
    for (url, words) in [
        ("sqlite:missing/v.db", "the folder missing does not exist: make it"),
        ("sqlite:disk", "disk is a folder, not a file"),
        ("sqlite:file/v.db", "file is not a folder"),
    ] {
        let ended = migrate(url);
        assert_eq!((ended.status, ended.err.lines().count()), (1, 1), "{}", ended.err);
        assert!(ended.err.contains(words), "{url}: {}", ended.err);
    }
    let url = format!("sqlite:{}/v.db", folder.0.join("disk").display());
    let Some(ended) = as_other_user(&folder, &["migrate"], &url) else { return };
    assert!(ended.err.contains("user 65534 may not create files in the folder"), "{}", ended.err);
    assert!(ended.err.contains("v.db (VESTIBULE_DATABASE_URL): "), "{}", ended.err);
}

/// Runs a command as user 65534; none where that is not possible.
fn as_other_user(folder: &Folder, arguments: &[&str], database: &str) -> Option<Ended> {
    let mut other = Command::new("setpriv");
    other.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    other.arg(env!("CARGO_BIN_EXE_vestibule")).args(arguments).current_dir(&folder.0);
    other.env_clear().env("VESTIBULE_DATABASE_URL", database);
    let ended = Ended::from(other.output().ok()?);
    if ended.err.starts_with("setpriv") {
        eprintln!("this user cannot run as another: not tested");
        return None;
    }
    Some(ended)
}

#[test]
fn a_file_that_this_user_may_not_read_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let file = folder.0.join("file");
    std::fs::write(&file, "x").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    for arguments in [
        &["import", "users", "file"][..],
        &["import", "django", "file"],
        &["import", "django", "--from-file", "file"],
        &["copy", "--to-file", "file"],
        &["restore", "file"],
    ] {
        let Some(ended) = as_other_user(&folder, arguments, "sqlite:/tmp/none.db") else { return };
        assert_eq!((ended.status, ended.err.lines().count()), (1, 1), "{}", ended.err);
        assert!(ended.err.contains("user 65534 may not read file: run `chown"), "{}", ended.err);
    }
}

#[test]
fn a_database_that_cannot_be_backed_up_is_named_and_not_the_backup() {
    let folder = Folder::new();
    std::fs::create_dir(folder.0.join("folder")).unwrap();
    std::fs::write(folder.0.join("text.db"), "not a database".repeat(9)).unwrap();
    for (url, words) in [
        ("sqlite:folder", "folder is a folder, not a file"),
        ("sqlite:text.db", "text.db (VESTIBULE_DATABASE_URL): is not a SQLite database"),
    ] {
        let settings = [("VESTIBULE_DATABASE_URL", url)];
        let ended = folder.run(&["backup", "new.db"], &settings, "");
        assert!(ended.status == 1 && ended.err.contains(words), "{}", ended.err);
        assert!(!ended.err.contains("new.db"), "{}", ended.err);
    }
    let ended =
        folder.run(&["user", "add", "ann", "ann@meadow.example"], &[], crate::support::PASSWORD);
    assert_eq!(ended.status, 0, "{}", ended.err);
    let ended = folder.run(&["backup", "/proc/new.db"], &[], "");
    assert!(ended.err.contains("/proc/new.db: cannot be written: No such file"), "{}", ended.err);
}

/// What `vestibule mail test` says.
fn mail_test(url: &str) -> Ended {
    let run = || {
        let settings = [("VESTIBULE_SMTP_URL", url)];
        Folder::new().run(&["mail", "test", "ann@example.com"], &settings, "")
    };
    tokio::task::block_in_place(run)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_refuses_the_login_or_wants_one_is_told() {
    let login = Some(("mailer", "right"));
    let server = FakeSmtp::with(Setup { login, ..Setup::default() }).await;
    let wrong = mail_test(&server.url().replace("right", "hunter2"));
    assert_eq!((wrong.status, wrong.err.lines().count()), (1, 1), "{}", wrong.err);
    assert!(wrong.err.contains("refuses the user or the password (535"), "{}", wrong.err);
    assert!(!wrong.err.contains("reached") && !wrong.err.contains("hunter2"), "{}", wrong.err);
    let setup = Setup { login, security: Security::StartTls, ..Setup::default() };
    let hidden = FakeSmtp::with(setup).await;
    let url = hidden.url().replace("?tls=required", "").replace("localhost", "127.0.0.1");
    let plain = mail_test(&url);
    assert!(
        plain.err.contains("only under TLS: end VESTIBULE_SMTP_URL with ?tls="),
        "{}",
        plain.err
    );
    server.answer("AUTH", "538 5.7.11 Encryption required");
    let refused = mail_test(&server.url());
    assert!(refused.err.contains("only under TLS (538 5.7.11"), "{}", refused.err);
    let none = mail_test(&server.url().replace("mailer:right@", ""));
    assert!(none.err.contains("without a login (530"), "{}", none.err);
    assert!(none.err.contains("add the user and the password"), "{}", none.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_takes_no_mail_for_now_is_told() {
    let server = FakeSmtp::start().await;
    let later = |words: &str| {
        let ended = mail_test(&server.url());
        assert_eq!((ended.status, ended.err.lines().count()), (1, 1), "{}", ended.err);
        assert!(
            ended.err.contains(words) && ended.err.contains("try again later"),
            "{}",
            ended.err
        );
        assert!(!ended.err.contains("VESTIBULE_MAIL_FROM"), "{}", ended.err);
    };
    server.answer("RCPT", "451 4.7.1 greylisted");
    later("the mail server deferred the email: 451 4.7.1 greylisted: ");
    server.answer("MAIL", "452 4.3.1 disk full");
    later("the mail server takes no mail for now (452 4.3.1 disk full): ");
    server.greet_with(Some("421 4.3.2 closing"));
    later("the mail server takes no mail for now (421 4.3.2 closing): ");
    server.greet_with(Some("554 5.7.1 blocked"));
    let ended = mail_test(&server.url());
    assert!(ended.err.contains("refuses the connection (554 5.7.1 blocked)"), "{}", ended.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_speaks_starttls_is_told_with_the_url_to_use() {
    let server = FakeSmtp::with(Setup { security: Security::StartTls, ..Setup::default() }).await;
    let right = server.url();
    let ended = mail_test(&right.replace("smtp://", "smtps://").replace("?tls=required", ""));
    assert!(ended.status == 1 && ended.err.contains("speaks STARTTLS"), "{}", ended.err);
    assert!(ended.err.contains(&format!("use {right}")), "{}", ended.err);
    let plain = mail_test(&right.replace("?tls=required", ""));
    assert!(plain.err.contains("?tls=required"), "{}", plain.err);
    let unknown = mail_test(&right);
    for name in ["VESTIBULE_SMTP_CA", "SSL_CERT_FILE"] {
        assert!(unknown.err.contains(name), "{}", unknown.err);
    }
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let ended = mail_test(&format!("smtp://{closed}"));
    let words = format!("nothing listens on port {} of 127.0.0.1", closed.port());
    assert!(ended.err.contains(&words), "{}", ended.err);
}

#[test]
fn a_character_of_a_password_that_is_not_encoded_is_told() {
    for (name, url) in [
        ("VESTIBULE_SMTP_URL", "smtp://me:hunter2#x@mail.example:587?tls=required"),
        ("VESTIBULE_SMTP_URL", "smtp://me:12#hunter2@mail.example:587?tls=required"),
        ("VESTIBULE_DATABASE_URL", "postgres://me:12#hunter2@db.example/v"),
    ] {
        let ended = Folder::new().run(&["mail", "test", "ann@example.com"], &[(name, url)], "");
        assert_eq!(ended.status, 2, "{}", ended.err);
        assert!(ended.err.contains("write the # in the password as %23"), "{}", ended.err);
        assert!(!ended.err.contains("hunter2") && !ended.err.contains("TLS"), "{}", ended.err);
    }
}
