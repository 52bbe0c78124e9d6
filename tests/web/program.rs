//! The program: its output, its exit, and its data after it is killed.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use sqlx::Connection;

use crate::support::program::{Answer, Ended, Folder};
use crate::support::smtp::FakeSmtp;
use crate::support::{PASSWORD, postgres_url, until};

#[test]
fn without_configuration_the_program_serves_and_prints_where_data_and_mail_are() {
    let folder = Folder::new();
    let program = folder.serve(&[]);
    let port = program.address.port();
    assert!(
        program.output.contains(&format!("serves http://localhost:{port}\n")),
        "{}",
        program.output
    );
    assert!(
        program.output.contains(&folder.0.join("vestibule.db").display().to_string()),
        "{}",
        program.output
    );
    assert!(
        program.output.contains(&format!("http://localhost:{port}/dev/mailbox")),
        "{}",
        program.output
    );
    let mode =
        |name: &str| std::fs::metadata(folder.0.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("vestibule.key"), mode("vestibule.db")), (0o600, 0o600));
    let answer = program.get("/login", "");
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("<title>Log in – Vestibule</title>"));
}

#[test]
fn under_a_path_the_program_serves_there_and_prints_it() {
    let folder = Folder::new();
    let program = folder.serve(&[("VESTIBULE_BASE_URL", "http://localhost:8000/auth/")]);
    let says = |text: &str| assert!(program.output.contains(text), "{}", program.output);
    says("serves http://localhost:8000/auth\n");
    says("http://localhost:8000/auth/dev/mailbox\n");
    assert_eq!(program.get("/auth/login", "").status, 200);
    assert_eq!(program.get("/login", "").status, 404);
    assert_eq!(program.get("/auth/healthz", "").status, 200);
}

#[test]
fn huge_pages_are_enabled_unless_glibc_tunables_is_set() {
    let tunables = |settings: &[(&str, &str)]| {
        let folder = Folder::new();
        let program = folder.serve(settings);
        let path = format!("/proc/{}/environ", program.child.id());
        let environment = std::fs::read_to_string(path).unwrap();
        let value = environment.split('\0').find_map(|one| one.strip_prefix("GLIBC_TUNABLES="));
        value.map(str::to_owned)
    };
    let expected = cfg!(target_env = "gnu").then_some("glibc.malloc.hugetlb=1");
    assert_eq!(tunables(&[]).as_deref(), expected);
    assert_eq!(tunables(&[("GLIBC_TUNABLES", "")]).as_deref(), Some(""));
}

fn set_mode(folder: &Folder, name: &str, mode: u32) {
    let permissions = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(folder.0.join(name), permissions).unwrap();
}

#[test]
fn a_database_that_others_can_read_is_made_private_with_a_line_in_the_log() {
    let folder = Folder::new();
    let settings = [("VESTIBULE_LOG", "json")];
    folder.serve_with_log(&settings).kill();
    assert!(!folder.log().contains("file_exposed"), "{}", folder.log());
    let files = ["vestibule.db", "vestibule.db-wal", "vestibule.db-shm"];
    for name in files {
        set_mode(&folder, name, 0o644);
    }
    set_mode(&folder, "", 0o777);
    let program = folder.serve_with_log(&settings);
    for name in files {
        let mode = std::fs::metadata(folder.0.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
        let line = format!("{name}: mode 0644 let other users read or change it; it is 0600 now");
        assert!(folder.log().contains(&line), "{}", folder.log());
    }
    assert!(
        folder
            .log()
            .contains("mode 0777 lets other users replace the files in it: run `chmod o-w ")
    );
    assert_eq!(program.get("/readyz", "").status, 200);
}

#[test]
fn a_key_file_readable_by_its_group_is_made_private_with_a_line_in_the_log() {
    let folder = Folder::new();
    folder.serve(&[]).kill();
    for mode in [0o660, 0o640] {
        set_mode(&folder, "vestibule.key", mode);
        folder.serve_with_log(&[("VESTIBULE_LOG", "json")]).kill();
        let permissions = std::fs::metadata(folder.0.join("vestibule.key")).unwrap().permissions();
        assert_eq!(permissions.mode() & 0o777, 0o600);
        let line = format!(
            "vestibule.key: mode {mode:04o} let other users read or change it; it is 0600 now"
        );
        let log = folder.log();
        assert!(log.contains("file_exposed") && log.contains(&line), "{log}");
    }
}

#[test]
fn a_key_file_readable_by_others_stops_the_start_and_names_the_command() {
    let folder = Folder::new();
    folder.serve(&[]).kill();
    set_mode(&folder, "vestibule.key", 0o666);
    let ended = folder.run(&["serve"], &[("VESTIBULE_LISTEN", "127.0.0.1:0")], "");
    assert_eq!((ended.status, ended.err.lines().count()), (1, 1), "{}", ended.err);
    let path = folder.0.join("vestibule.key").display().to_string();
    let message =
        format!("{path}: mode 0666 lets other users read or change it: run `chmod 600 {path}`");
    assert!(
        ended.err.contains(&message) || ended.err.contains("run `chmod 600 vestibule.key`"),
        "{}",
        ended.err
    );
    set_mode(&folder, "vestibule.key", 0o600);
    folder.serve(&[]);
}

#[test]
fn a_key_file_of_another_user_that_cannot_be_read_is_told_with_the_command() {
    let folder = Folder::new();
    folder.serve(&[]).kill();
    let files = std::fs::read_dir(&folder.0).unwrap().map(|file| file.unwrap().path());
    for path in files.chain([folder.0.clone()]).filter(|path| !path.ends_with("vestibule.key")) {
        if std::os::unix::fs::chown(path, Some(65534), None).is_err() {
            eprintln!("this user gives no files to others: not tested");
            return;
        }
    }
    let database = format!("sqlite:{}/vestibule.db", folder.0.display());
    for command in ["serve", "check"] {
        let mut other = Command::new("setpriv");
        other.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        other.arg(env!("CARGO_BIN_EXE_vestibule")).arg(command).env_clear();
        other.env("VESTIBULE_DATABASE_URL", &database).env("VESTIBULE_LISTEN", "127.0.0.1:0");
        let ended = Ended::from(other.output().unwrap());
        let key = folder.0.join("vestibule.key").display().to_string();
        let words = format!("run it as user 0, or `chown 65534 {key}`");
        assert_eq!(ended.status, 1, "{}", ended.err);
        assert!(
            format!("{}{}", ended.out, ended.err).contains(&words),
            "{}{}",
            ended.out,
            ended.err
        );
    }
}

#[test]
fn a_port_in_use_is_reported_in_one_line() {
    let folder = Folder::new();
    let program = folder.serve(&[]);
    let listen = program.address.to_string();
    let ended = Folder::new().run(&["serve", "--listen", &listen], &[], "");
    assert_eq!(ended.status, 1);
    assert_eq!(
        ended.err,
        format!(
            "vestibule: VESTIBULE_LISTEN={listen}: the port is taken: stop the other program, or choose another with --listen\n"
        )
    );
}

#[test]
fn all_errors_in_the_settings_are_printed_at_once_without_secrets() {
    let settings = [
        ("VESTIBULE_LISTEN", "nowhere"),
        ("VESTIBULE_SMTP_URL", "ftp://ann:hunter2@mail.example"),
        ("VESTIBULE_PASSWORD_MIN", "4"),
        ("VESTIBULE_LISTNE", "127.0.0.1:1"),
        ("VESTIBULE_LIMIT_LOGIN_IP", "many"),
    ];
    let ended = Folder::new().run(&["serve"], &settings, "");
    assert_eq!(ended.status, 2);
    assert_eq!(ended.err.lines().count(), settings.len(), "{}", ended.err);
    for (name, _) in settings {
        assert!(ended.err.contains(name), "{name}: {}", ended.err);
    }
    assert!(
        ended.err.contains("VESTIBULE_LISTEN") && !ended.err.contains("hunter2"),
        "{}",
        ended.err
    );
}

#[test]
fn a_wrong_flag_exits_with_two_and_help_names_every_setting() {
    assert_eq!(Folder::new().run(&["serve", "--lisen", "x"], &[], "").status, 2);
    let help = Folder::new().run(&["serve", "--help"], &[], "");
    assert_eq!(help.status, 0);
    for setting in vestibule::config::SETTINGS.iter() {
        assert!(help.out.contains(&setting.variable()), "{}", setting.variable());
    }
}

#[test]
fn an_unusable_database_is_reported_in_one_line() {
    let folder = Folder::new();
    std::fs::write(
        folder.0.join("text.db"),
        "not a database, but long enough to have a header of its own",
    )
    .unwrap();
    for (url, message) in [
        ("sqlite:missing/vestibule.db", "the folder missing does not exist"),
        ("sqlite:text.db", "is not a SQLite database"),
    ] {
        let ended = folder.run(
            &["serve"],
            &[("VESTIBULE_DATABASE_URL", url), ("VESTIBULE_LISTEN", "127.0.0.1:0")],
            "",
        );
        assert_eq!((ended.status, ended.err.lines().count()), (1, 1), "{}", ended.err);
        assert!(ended.err.contains(message), "{}", ended.err);
    }
}

#[test]
fn an_unreachable_postgresql_is_reported_in_one_line_without_the_password() {
    let settings = [
        ("VESTIBULE_DATABASE_URL", "postgres://ann:hunter2@127.0.0.1:1/accounts"),
        ("VESTIBULE_SECRET", "YSBrZXkgZm9yIHRlc3RzLCAzMiBieXRlcyBvZiBpdP8="),
    ];
    let ended = Folder::new().run(&["migrate"], &settings, "");
    assert_eq!((ended.status, ended.err.lines().count()), (1, 1), "{}", ended.err);
    assert!(
        ended.err.contains("VESTIBULE_DATABASE_URL: no PostgreSQL answers there"),
        "{}",
        ended.err
    );
    assert!(!ended.err.contains("hunter2"));
}

#[test]
fn nothing_acknowledged_is_lost_when_the_program_is_killed() {
    let folder = Folder::new();
    let program = folder.serve(&[]);
    let cookie = program.register_ann(PASSWORD);
    program.kill();
    let program = folder.serve(&[]);
    let account = program.get("/account", &cookie);
    assert_eq!(account.status, 200, "the session is there: {}", account.head);
    assert!(account.body.contains("ann@meadow.example"));
    assert!(program.get("/dev/mailbox", "").body.contains("Your new account"), "the mail is there");
    let login = program.post("/login", "", &[("username", "ann"), ("password", PASSWORD)]);
    assert_eq!(login.status, 303, "the account is there");
    let asked =
        program.post("/forgot", "", &[("username", "ann"), ("email", "ann@meadow.example")]);
    program.kill();
    let program = folder.serve(&[]);
    let code = code_in(&program.get("/dev/mailbox", "").body);
    let fields = [
        ("code", code.as_str()),
        ("password", "velvet anchor pudding"),
        ("password_confirm", "velvet anchor pudding"),
    ];
    let reset = program.post("/reset", &asked.cookie(), &fields);
    program.kill();
    assert!(reset.head.contains("location: /login"), "{}", reset.head);
    let program = folder.serve(&[]);
    let login =
        program.post("/login", "", &[("username", "ann"), ("password", "velvet anchor pudding")]);
    assert_eq!(login.status, 303, "the new password is there");
    assert_eq!(program.get("/account", &cookie).status, 303, "the old session is not");
}

fn code_in(page: &str) -> String {
    let is_code = |line: &&str| {
        line.len() == 9
            && line.as_bytes()[4] == b'-'
            && vestibule::random::is_code(&line.replace('-', ""))
    };
    page.lines().map(str::trim).find(is_code).expect("a code on its own line").to_owned()
}

#[test]
fn on_sigterm_the_program_finishes_requests_and_exits_with_zero() {
    let folder = Folder::new();
    let program = folder.serve(&[]);
    let body = "username=ann&password=moss";
    let mut slow = program.connect();
    slow.write_all(program.post_head("/login", "", body.len()).as_bytes()).unwrap();
    // After a response to a later request, the server has read the head.
    assert_eq!(program.get("/healthz", "").status, 200);
    program.terminate();
    slow.write_all(body.as_bytes()).unwrap();
    assert_eq!(Answer::read(slow).status, 422, "the request that ran is answered");
    let (status, log) = program.ended();
    assert_eq!(status, 0, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_stops_the_program_at_once() {
    let server = FakeSmtp::start().await;
    server.be_silent(true);
    let folder = Folder::new();
    let program = folder.serve(&[("VESTIBULE_SMTP_URL", &server.url())]);
    program.register_ann(PASSWORD);
    let started = std::time::Instant::now();
    program.interrupt();
    // Two signals at the same time would be one. No connection is accepted after the first.
    until(async || tokio::net::TcpStream::connect(program.address).await.is_err()).await;
    program.terminate();
    assert_eq!(program.ended().0, 0);
    assert!(started.elapsed().as_secs() < 9, "{:?}", started.elapsed());
}

#[test]
fn on_ctrl_c_the_program_exits_with_zero() {
    let folder = Folder::new();
    let program = folder.serve(&[]);
    program.interrupt();
    let (status, log) = program.ended();
    assert_eq!(status, 0, "{log}");
    assert!(!log.contains('\u{1b}'), "colours are for terminals: {log}");
}

#[test]
fn connections_beyond_the_maximum_wait() {
    let folder = Folder::new();
    let program = folder.serve(&[("VESTIBULE_MAX_CONNECTIONS", "1")]);
    let first = program.connect();
    let mut second = program.connect();
    second.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    second.set_read_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
    assert!(second.read(&mut [0; 1]).is_err(), "it must wait");
    drop(first);
    second.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    assert_eq!(Answer::read(second).status, 200);
}

#[test]
fn on_postgresql_the_program_serves_and_keeps_what_it_acknowledged() {
    let Some(url) = postgres_url() else { return };
    let schema = format!("program_{}", vestibule::random::id(0));
    let folder = Folder::new();
    let url = format!("{url}?options=-csearch_path%3D{schema}");
    let settings = [
        ("VESTIBULE_DATABASE_URL", url.as_str()),
        ("VESTIBULE_SECRET", "YSBrZXkgZm9yIHRlc3RzLCAzMiBieXRlcyBvZiBpdP8="),
    ];
    create_schema(&schema);
    let program = folder.serve(&settings);
    assert!(!program.output.contains("postgres://"), "{}", program.output);
    let cookie = program.register_ann(PASSWORD);
    program.kill();
    let program = folder.serve(&settings);
    assert_eq!(program.get("/account", &cookie).status, 200);
    assert!(!folder.0.join("vestibule.key").exists());
    let missing = folder.run(&["migrate"], &settings[..1], "");
    assert!(missing.status == 2 && missing.err.contains("VESTIBULE_SECRET"), "{}", missing.err);
}

fn create_schema(name: &str) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut connection = sqlx::PgConnection::connect(&postgres_url().unwrap()).await.unwrap();
        let create = sqlx::AssertSqlSafe(format!("create schema {name}"));
        sqlx::query(create).execute(&mut connection).await.unwrap();
    });
}

#[test]
fn a_closed_pipe_is_not_a_failure() {
    let folder = Folder::new();
    assert_eq!(folder.run(&["user", "add", "ann", "ann@meadow.example"], &[], PASSWORD).status, 0);
    let mut child = folder
        .command(&["user", "list"], &[])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap().as_str()),
        (Some(0), "")
    );
}

#[test]
fn showing_a_user_does_not_create_a_database() {
    let folder = Folder::new();
    let ended = folder.run(&["user", "list"], &[], "");
    assert!(ended.status == 1 && ended.err.contains("there is no database at"), "{}", ended.err);
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 0);
}

#[test]
fn a_silent_connection_is_closed() {
    let folder = Folder::new();
    let program = folder.serve(&[]);
    let mut silent = program.connect();
    let mut slow = program.connect();
    slow.write_all(b"GET /login HTTP/1.1\r\nHost:").unwrap();
    for stream in [&mut silent, &mut slow] {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).expect("closed within the header timeout of 10 seconds");
        assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));
    }
}

#[test]
fn a_body_over_64_kib_is_refused_with_a_page() {
    let folder = Folder::new();
    let program = folder.serve(&[]);
    let answer = program.post("/login", "", &[("username", &"a".repeat(64 * 1024))]);
    assert_eq!(answer.status, 413, "{}", answer.head);
    assert!(answer.body.contains("Your form is too long"));
}

#[test]
fn users_without_a_username_are_added_by_their_address() {
    let folder = Folder::new();
    let run = |mode: &str, arguments: &[&str]| {
        folder.run(arguments, &[("VESTIBULE_USERNAME", mode)], PASSWORD)
    };
    let added = run("none", &["user", "add", "ann@meadow.example", "--json"]);
    let user: serde_json::Value = serde_json::from_str(&added.out).unwrap();
    assert!(user["username"].is_null() && user["email"] == "ann@meadow.example", "{user}");
    assert_eq!(run("optional", &["user", "add", "bob@meadow.example"]).status, 0);
    assert_eq!(run("optional", &["user", "add", "cat", "cat@meadow.example"]).status, 0);
    assert_eq!(run("none", &["user", "add", "dan", "dan@meadow.example"]).status, 2);
    let missing = run("required", &["user", "add", "dan@meadow.example"]);
    assert_eq!(missing.status, 2, "{}", missing.err);
    assert!(missing.err.contains("VESTIBULE_USERNAME"), "{}", missing.err);
    let shown = run("none", &["user", "show", "ann@meadow.example"]);
    assert!(shown.out.starts_with("-\tann@meadow.example\t"), "{}", shown.out);
}

#[test]
fn users_are_added_shown_and_listed_on_the_command_line() {
    let folder = Folder::new();
    let run = |arguments: &[&str], input: &str| folder.run(arguments, &[], input);
    assert_eq!(run(&["migrate"], "").status, 0);
    for (list, empty) in [(&["user", "list"][..], ""), (&["user", "list", "--json"], "[]\n")] {
        let listed = run(list, "");
        assert_eq!((listed.status, listed.out.as_str()), (0, empty), "{}", listed.err);
    }
    let added =
        run(&["user", "add", "Ann", "ann@meadow.example", "--json"], &format!("{PASSWORD}\n"));
    assert_eq!(added.status, 0, "{}", added.err);
    let user: serde_json::Value = serde_json::from_str(&added.out).unwrap();
    assert_eq!(
        (user["username"].as_str(), user["email"].as_str()),
        (Some("ann"), Some("ann@meadow.example"))
    );
    let twice = run(&["user", "add", "ann", "other@meadow.example"], PASSWORD);
    assert_eq!((twice.status, twice.out.as_str()), (1, ""));
    assert!(twice.err.contains("belongs to an account already"), "{}", twice.err);
    assert_eq!(run(&["user", "add", "bob", "bob@meadow.example"], "password1234").status, 1);
    assert_eq!(run(&["user", "add", "b b", "bob@meadow.example"], PASSWORD).status, 2);
    assert_eq!(run(&["user", "add", "bob", "bob@meadow.example"], PASSWORD).status, 0);
    for login in ["ann", "ANN@meadow.example"] {
        let shown = run(&["user", "show", login], "");
        assert_eq!((shown.status, shown.out.lines().count()), (0, 1), "{}", shown.err);
    }
    for arguments in ["user show ann", "user show ann --json", "user list", "user list --json"] {
        let output = run(&arguments.split(' ').collect::<Vec<_>>(), "");
        assert!(output.out.contains("ann@meadow.example"), "{arguments}: {}", output.err);
        for secret in ["argon2", PASSWORD] {
            assert!(!format!("{}{}", output.out, output.err).contains(secret), "{}", output.out);
        }
    }
    let missing = run(&["user", "show", "eve"], "");
    assert_eq!((missing.status, missing.out.as_str()), (1, ""));
    for (search, count) in [("", 2), ("meadow", 2), ("ANN", 1), ("eve", 0), ("%", 0), ("_", 0)] {
        let listed = run(&["user", "list", "--search", search, "--json"], "");
        let users: Vec<serde_json::Value> = serde_json::from_str(&listed.out).unwrap();
        assert_eq!((listed.status, users.len()), (0, count), "{search:?}");
    }
    let program = folder.serve(&[]);
    let login = program.post("/login", "", &[("username", "ann"), ("password", PASSWORD)]);
    assert!(login.head.contains("location: /account"), "{}", login.head);
}

#[test]
fn migrating_makes_the_database_and_can_be_repeated() {
    let folder = Folder::new();
    for _ in 0..2 {
        let ended = folder.run(&["migrate"], &[], "");
        let version = vestibule::db::latest_version();
        assert_eq!(ended.status, 0);
        assert_eq!(ended.err, format!("The database is at schema version {version}.\n"));
    }
    assert!(folder.0.join("vestibule.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_test_email_is_sent_and_the_servers_reply_is_printed() {
    let server = FakeSmtp::start().await;
    let url = server.url();
    let ended = Folder::new().run(
        &["mail", "test", "you@meadow.example"],
        &[("VESTIBULE_SMTP_URL", &url)],
        "",
    );
    assert_eq!(ended.status, 0, "{}", ended.err);
    assert!(ended.out.starts_with("250"), "{}", ended.out);
    assert_eq!(server.mails_to("you@meadow.example").len(), 1);
    server.refuse("no@meadow.example", "550 5.1.1 no such user");
    let refused = Folder::new().run(
        &["mail", "test", "no@meadow.example"],
        &[("VESTIBULE_SMTP_URL", &url)],
        "",
    );
    assert_eq!((refused.status, refused.out.as_str()), (1, ""));
    assert!(refused.err.contains("550"), "{}", refused.err);
    let unset = Folder::new().run(&["mail", "test", "you@meadow.example"], &[], "");
    assert!(unset.status == 1 && unset.err.contains("VESTIBULE_SMTP_URL"), "{}", unset.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_waits_for_a_server_that_is_down_and_requests_do_not() {
    let server = FakeSmtp::start().await;
    server.go_down().await;
    let folder = Folder::new();
    let program = folder.serve(&[("VESTIBULE_SMTP_URL", &server.url())]);
    program.register_ann(PASSWORD);
    assert_eq!(
        program.get("/dev/mailbox", "").status,
        404,
        "with a mail server there is no mailbox"
    );
    server.come_back().await;
    let patience = tokio::time::Duration::from_secs(90);
    let arrived = server.until(|server| server.mails_to("ann@meadow.example").pop());
    tokio::time::timeout(patience, arrived)
        .await
        .expect("out within 90 seconds of the server's return");
    program.terminate();
    assert_eq!(program.ended().0, 0);
    assert_eq!(server.mails().len(), 1);
}
