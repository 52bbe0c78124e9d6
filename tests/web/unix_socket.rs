//! Serving on a Unix socket: its file, who is believed on it, and nginx in front.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use crate::support::PASSWORD;
use crate::support::program::Folder;
use crate::support::proxies::{Setup, documented};
use crate::support::unix::UnixProgram;

/// Only a broken program needs as long.
const PATIENCE: Duration = Duration::from_mins(1);

/// One failed login for each address.
const STRICT: [(&str, &str); 3] = [
    ("VESTIBULE_LIMIT_LOGIN_IP", "1/1h"),
    ("VESTIBULE_HASH_MEMORY_KIB", "7168"),
    ("VESTIBULE_HASH_ITERATIONS", "5"),
];

#[test]
fn the_site_is_served_and_the_file_goes_at_the_end() {
    let folder = Folder::new();
    let program = UnixProgram::start(&folder, &[]);
    let socket = program.socket.clone();
    let expected = format!("listening on unix:{}\n", socket.display());
    assert!(program.output.ends_with(&expected), "{}", program.output);
    assert!(program.output.contains("serves http://localhost\n"), "{}", program.output);
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o666, "its folder decides who can reach it");
    assert_eq!(program.get("/login", "").status, 200);
    assert_eq!(program.get("/dev/mailbox", "").status, 200, "a client on this machine");
    assert_eq!(program.get("/dev/mailbox", "X-Forwarded-For: 203.0.113.9\r\n").status, 404);
    assert_eq!(program.end_by("-TERM").status, 0);
    assert!(!socket.exists());
}

#[test]
fn the_file_of_a_killed_program_is_replaced_and_one_in_use_is_not() {
    let folder = Folder::new();
    let killed = UnixProgram::start(&folder, &[]);
    let socket = killed.socket.clone();
    assert_eq!(killed.end_by("-KILL").status, -1);
    assert!(std::fs::symlink_metadata(&socket).unwrap().file_type().is_socket());
    let program = UnixProgram::start(&folder, &[]);
    let second =
        Folder::new().run(&["serve", "--listen", &format!("unix:{}", socket.display())], &[], "");
    assert_eq!(second.status, 1);
    assert!(second.err.contains("another program serves there"), "{}", second.err);
    assert_eq!(program.get("/login", "").status, 200, "it still serves");
}

#[test]
fn of_several_starts_on_an_unused_file_one_serves() {
    let folder = Folder::new();
    drop(UnixListener::bind(folder.0.join("socket")).unwrap());
    let folders: Vec<_> = (0..6).map(|_| Folder::new()).collect();
    let listen = format!("unix:{}", folder.0.join("socket").display());
    let serve = |own: &Folder| {
        let mut command = own.command(&["serve", "--listen", &listen], &[]);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        command.spawn().unwrap()
    };
    let mut children: Vec<_> = folders.iter().map(serve).collect();
    let (mut ended, start) = (Vec::new(), Instant::now());
    while ended.len() < folders.len() - 1 {
        assert!(start.elapsed() < PATIENCE, "more than one serves");
        children.retain_mut(|child| match child.try_wait().unwrap() {
            Some(status) => {
                ended.push(status.code());
                false
            }
            None => true,
        });
        std::thread::yield_now();
    }
    assert_eq!(ended, [Some(1); 5]);
    // The others may have ended before it listens.
    let mut served = UnixStream::connect(folder.0.join("socket"));
    while served.is_err() && start.elapsed() < PATIENCE {
        served = UnixStream::connect(folder.0.join("socket"));
    }
    children[0].kill().unwrap();
    children[0].wait().unwrap();
    assert!(served.is_ok(), "the one that is left serves");
}

#[test]
fn what_is_no_socket_is_left_as_it_is() {
    let folder = Folder::new();
    std::fs::write(folder.0.join("socket"), "a diary").unwrap();
    for (listen, what) in
        [("unix:socket", "it is no socket"), ("unix:missing/socket", "the folder does not exist")]
    {
        let ended = folder.run(&["serve", "--listen", listen], &[], "");
        assert_eq!((ended.status, ended.err.lines().count()), (1, 1), "{}", ended.err);
        assert!(ended.err.contains(what), "{}", ended.err);
    }
    assert_eq!(std::fs::read_to_string(folder.0.join("socket")).unwrap(), "a diary");
    let long = format!("unix:/{}", "x".repeat(107));
    assert_eq!(folder.run(&["serve", "--listen", &long], &[], "").status, 2);
}

#[test]
fn a_failed_start_leaves_no_file() {
    let folder = Folder::new();
    let settings = [("VESTIBULE_DATABASE_URL", "sqlite:missing/vestibule.db")];
    let ended = folder.run(&["serve", "--listen", "unix:socket"], &settings, "");
    assert_eq!(ended.status, 1, "{}", ended.err);
    assert!(!folder.0.join("socket").exists());
}

#[test]
fn the_address_of_a_proxy_on_the_socket_is_believed_only_with_unix() {
    let folder = Folder::new();
    let (ann, bob) = ("X-Forwarded-For: 198.51.100.1\r\n", "X-Forwarded-For: 198.51.100.2\r\n");
    let program = UnixProgram::start(&folder, &STRICT);
    assert_eq!(program.fail_login(ann).status, 422);
    assert_eq!(program.fail_login(bob).status, 429, "all visitors are one");
    let log = program.end_by("-TERM").err;
    assert!(log.contains("does not contain unix"), "{log}");

    let folder = Folder::new();
    let trusted = [("VESTIBULE_TRUSTED_PROXIES", "10.0.0.0/8,unix")];
    let settings: Vec<_> = STRICT.into_iter().chain(trusted).collect();
    let program = UnixProgram::start(&folder, &settings);
    assert_eq!(program.fail_login(ann).status, 422);
    assert_eq!(program.fail_login(bob).status, 422);
    assert_eq!(program.fail_login(ann).status, 429);
    let forged = "X-Forwarded-For: 192.0.2.7, 198.51.100.1\r\n";
    assert_eq!(program.fail_login(forged).status, 429, "only the nearest is the proxy's");
    let behind_another = "X-Forwarded-For: 198.51.100.3, 10.0.0.5\r\n";
    assert_eq!(program.fail_login(behind_another).status, 422);
    assert_eq!(program.get("/dev/mailbox", ann).status, 404);
    let log = program.end_by("-TERM").err;
    assert!(!log.contains("does not contain unix"), "{log}");
    assert!(log.contains("198.51.100.1"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_reaches_the_documented_socket() {
    let text = documented("nginx", "unix:/run/vestibule/socket");
    let text = text.replace("accounts.example.org", "id.example.org");
    let Some(setup) = Setup::on_unix_socket("https://id.example.org", &text).await else { return };
    let fields = [
        ("username", "ann"),
        ("email", "ann@meadow.example"),
        ("password", PASSWORD),
        ("password_confirm", PASSWORD),
    ];
    let mut browser = setup.browser();
    browser.open("https://id.example.org/register").await;
    let answer = browser.submit("https://id.example.org/register", &fields).await;
    assert_eq!(browser.way.last().unwrap(), "https://id.example.org/account", "{}", answer.body);
    assert!(answer.body.contains("127.0.0.1"), "nginx's client: {}", answer.body);
}
