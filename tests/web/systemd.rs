//! The program under systemd: readiness, the watchdog, sockets that are passed, and the journal.

use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use sqlx::{Connection, Executor};

use crate::support::postgres_url;
use crate::support::program::{Answer, Folder, Program};
use crate::support::proxies::is_there;
use crate::support::unix::UnixProgram;

const ACTIVATE: &str = "/usr/bin/systemd-socket-activate";

/// What the service manager would get.
struct Manager(UnixDatagram, String);

impl Manager {
    fn new(folder: &Folder) -> Self {
        let path = folder.0.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self(socket, path.display().to_string())
    }

    fn next(&self) -> String {
        let mut message = [0; 1024];
        let length = self.0.recv(&mut message).expect("a message");
        String::from_utf8(message[..length].to_vec()).unwrap()
    }
}

#[test]
fn systemd_is_told_when_the_site_is_served_and_when_it_stops() {
    let folder = Folder::new();
    let manager = Manager::new(&folder);
    let program = folder.serve(&[("NOTIFY_SOCKET", &manager.1)]);
    assert_eq!(manager.next(), "READY=1\n");
    assert_eq!(program.get("/login", "").status, 200);
    program.terminate();
    assert_eq!(manager.next(), "STOPPING=1\n");
    assert_eq!(program.ended().0, 0);
}

#[test]
fn a_failed_start_is_never_ready() {
    let folder = Folder::new();
    let manager = Manager::new(&folder);
    let settings = [
        ("NOTIFY_SOCKET", &*manager.1),
        ("VESTIBULE_LISTEN", "127.0.0.1:0"),
        ("VESTIBULE_DATABASE_URL", "sqlite:missing/vestibule.db"),
    ];
    assert_eq!(folder.run(&["serve"], &settings, "").status, 1);
    manager.0.set_nonblocking(true).unwrap();
    assert!(manager.0.recv(&mut [0; 64]).is_err());
}

#[test]
fn a_manager_that_is_away_does_not_stop_the_site() {
    let folder = Folder::new();
    let program = folder.serve(&[("NOTIFY_SOCKET", "/nowhere/notify")]);
    assert_eq!(program.get("/login", "").status, 200);
    program.terminate();
    let (status, log) = program.ended();
    assert_eq!(status, 0);
    assert!(log.contains("the_service_manager_was_not_told"), "{log}");
}

#[test]
fn the_watchdog_is_fed_while_the_site_works() {
    let folder = Folder::new();
    let manager = Manager::new(&folder);
    let settings = [("NOTIFY_SOCKET", &*manager.1), ("WATCHDOG_USEC", "300000")];
    let program = folder.serve(&settings);
    assert_eq!(manager.next(), "READY=1\n");
    for _ in 0..3 {
        assert_eq!(manager.next(), "WATCHDOG=1\n");
    }
    drop(program);
    let other =
        [("NOTIFY_SOCKET", &*manager.1), ("WATCHDOG_USEC", "300000"), ("WATCHDOG_PID", "1")];
    let folder = Folder::new();
    let program = folder.serve(&other);
    while manager.next() != "READY=1\n" {}
    program.terminate();
    assert_eq!(manager.next(), "STOPPING=1\n", "the watchdog was for another process");
}

/// Its role may have no connection for a while.
#[tokio::test(flavor = "multi_thread")]
async fn the_watchdog_is_not_fed_while_the_database_does_not_answer() {
    let Some(url) = postgres_url() else { return };
    let role = format!("watched_{}", vestibule::random::id(0)).to_lowercase();
    let mut owner = sqlx::PgConnection::connect(&url).await.unwrap();
    let run = async |owner: &mut sqlx::PgConnection, statement: String| {
        owner.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
    };
    run(&mut owner, format!("create role {role} login superuser")).await;
    run(&mut owner, format!("create schema {role} authorization {role}")).await;
    let own = url.replace("//vestibule@", &format!("//{role}@"));
    let own = format!("{own}?options=-csearch_path%3D{role}");
    let folder = Folder::new();
    let manager = Manager::new(&folder);
    let settings = [
        ("NOTIFY_SOCKET", &*manager.1),
        ("WATCHDOG_USEC", "600000"),
        ("VESTIBULE_DATABASE_URL", &own),
        ("VESTIBULE_SECRET", "YSBrZXkgZm9yIHRlc3RzLCAzMiBieXRlcyBvZiBpdP8="),
    ];
    let program = tokio::task::block_in_place(|| folder.serve(&settings));
    assert_eq!(manager.next(), "READY=1\n");
    assert_eq!(manager.next(), "WATCHDOG=1\n");
    run(&mut owner, format!("alter role {role} connection limit 0 nosuperuser")).await;
    let kill = "select pg_terminate_backend(pid) from pg_stat_activity where usename = ";
    run(&mut owner, format!("{kill}'{role}'")).await;
    manager.0.set_read_timeout(Some(Duration::from_millis(1500))).unwrap();
    // One may have been under way.
    let fed = (0..9).take_while(|_| manager.0.recv(&mut [0; 64]).is_ok()).count();
    assert!(fed < 3, "{fed}");
    run(&mut owner, format!("alter role {role} connection limit -1 superuser")).await;
    manager.0.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    assert_eq!(manager.next(), "WATCHDOG=1\n", "as soon as it is back");
    drop(program);
    run(&mut owner, format!("{kill}'{role}'")).await;
    run(&mut owner, format!("drop schema {role} cascade")).await;
    run(&mut owner, format!("drop role {role}")).await;
}

fn activated(folder: &Folder, listen: &str) -> Command {
    let mut command = Command::new(ACTIVATE);
    let program = env!("CARGO_BIN_EXE_vestibule");
    command.args(["-l", listen, "-E", "VESTIBULE_LISTEN=127.0.0.1:1", program, "serve"]);
    command.current_dir(&folder.0).stderr(Stdio::null()).stdout(Stdio::piped());
    command
}

#[test]
fn a_passed_tcp_socket_is_served() {
    if !is_there(ACTIVATE) {
        return;
    }
    let folder = Folder::new();
    let address = crate::support::proxies::free_address();
    let mut child = activated(&folder, &address.to_string()).spawn().unwrap();
    // The first connection starts the program.
    let mut stream = loop {
        if let Ok(stream) = std::net::TcpStream::connect(address) {
            break stream;
        }
        assert!(child.try_wait().unwrap().is_none(), "it ended");
    };
    std::io::Write::write_all(
        &mut stream,
        b"GET /login HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .unwrap();
    assert_eq!(Answer::read(stream).status, 200);
    let mut output = String::new();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap());
    while !output.contains("listening on ") {
        assert_ne!(std::io::BufRead::read_line(&mut lines, &mut output).unwrap(), 0, "{output}");
    }
    assert!(output.contains(&format!("listening on http://{address}\n")), "{output}");
    let base_url = format!("serves http://localhost:{}\n", address.port());
    assert!(output.contains(&base_url), "{output}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_passed_unix_socket_is_served_and_its_file_stays() {
    if !is_there(ACTIVATE) {
        return;
    }
    let folder = Folder::new();
    let socket = folder.0.join("passed");
    let command = activated(&folder, &socket.display().to_string());
    let first = std::thread::spawn({
        let socket = socket.clone();
        move || while std::os::unix::net::UnixStream::connect(&socket).is_err() {}
    });
    let program = UnixProgram::spawn(command, socket.clone());
    first.join().unwrap();
    assert!(program.output.ends_with(&format!("unix:{}\n", socket.display())));
    assert_eq!(program.get("/login", "").status, 200);
    assert_eq!(program.end_by("-TERM").status, 0);
    assert!(socket.exists(), "it is systemd's");
}

#[test]
fn two_passed_sockets_are_refused() {
    if !is_there(ACTIVATE) {
        return;
    }
    let folder = Folder::new();
    let [one, other] = ["one", "other"].map(|name| folder.0.join(name).display().to_string());
    let mut command = Command::new(ACTIVATE);
    command.args(["-l", &one, "-l", &other, env!("CARGO_BIN_EXE_vestibule"), "serve"]);
    let child = command.current_dir(&folder.0).stderr(Stdio::piped()).spawn().unwrap();
    while std::os::unix::net::UnixStream::connect(&one).is_err() {}
    let ended = child.wait_with_output().unwrap();
    let err = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{err}");
    assert!(err.contains("2 sockets were passed"), "{err}");
}

#[test]
fn each_line_of_a_failed_start_has_its_priority_for_the_journal() {
    let folder = Folder::new();
    std::fs::create_dir(folder.0.join("vestibule.db")).unwrap();
    for (arguments, wrong, lines) in [
        (&["serve"][..], &["VESTIBULE_CODE_TTL", "VESTIBULE_LISTEN"][..], 2),
        (&["serve", "--no-such-flag"], &[], 5),
        (&["serve"], &[], 1),
    ] {
        let log = std::fs::File::create(folder.0.join("log")).unwrap();
        let found = log.metadata().unwrap();
        let stream = format!("{}:{}", found.dev(), found.ino());
        let mut settings = vec![("JOURNAL_STREAM", stream.as_str())];
        settings.extend(wrong.iter().map(|name| (*name, "wrong")));
        let mut command = folder.command(arguments, &settings);
        assert!(!command.stderr(log).status().unwrap().success());
        let log = folder.log();
        assert!(log.lines().count() >= lines, "{log}");
        assert!(log.lines().all(|line| line.starts_with("<3>")), "{log}");
    }
}

/// Serves with standard error in a file, and returns the first line of the log.
fn first_line(journal: impl Fn(&std::fs::Metadata) -> String, format: &str) -> String {
    let folder = Folder::new();
    let log = std::fs::File::create(folder.0.join("log")).unwrap();
    let stream = journal(&log.metadata().unwrap());
    let settings = [("JOURNAL_STREAM", stream.as_str()), ("VESTIBULE_LOG", format)];
    let program: Program = folder.serve_with_log(&settings);
    program.terminate();
    assert_eq!(program.ended().0, 0);
    folder.log().lines().next().unwrap().to_owned()
}

#[test]
fn lines_for_the_journal_begin_with_their_priority() {
    let here = |log: &std::fs::Metadata| format!("{}:{}", log.dev(), log.ino());
    let line = first_line(here, "json");
    let json = line.strip_prefix("<6>").unwrap_or_else(|| panic!("{line}"));
    assert_eq!(serde_json::from_str::<serde_json::Value>(json).unwrap()["event"], "started");
    assert!(first_line(here, "text").starts_with("<6>20"));
    let elsewhere = |log: &std::fs::Metadata| format!("{}:{}", log.dev(), log.ino() + 1);
    assert!(first_line(elsewhere, "json").starts_with('{'), "another program's");
    assert!(first_line(|_| String::new(), "json").starts_with('{'));
}
