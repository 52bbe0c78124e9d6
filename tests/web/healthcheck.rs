//! `vestibule healthcheck`, as containers run it.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use sqlx::Connection;

use crate::support::program::{Ended, Folder};
use crate::support::unix::UnixProgram;

fn check(settings: &[(&str, &str)]) -> Ended {
    Folder::new().run(&["healthcheck"], settings, "")
}

#[test]
fn a_server_that_is_ready_is_healthy() {
    let folder = Folder::new();
    let program = folder.serve(&[]);
    let port = program.address.port();
    for listen in [format!("127.0.0.1:{port}"), format!("0.0.0.0:{port}")] {
        let ended = check(&[("VESTIBULE_LISTEN", &listen)]);
        assert_eq!((ended.status, &*ended.out, &*ended.err), (0, "", ""), "{listen}");
    }
}

#[test]
fn all_interfaces_of_ipv6_are_asked_on_this_machine() {
    let folder = Folder::new();
    if TcpListener::bind("[::1]:0").is_err() {
        eprintln!("there is no IPv6: not tested");
        return;
    }
    let program = folder.serve(&[("VESTIBULE_LISTEN", "[::]:0")]);
    let listen = format!("[::]:{}", program.address.port());
    assert_eq!(check(&[("VESTIBULE_LISTEN", &listen)]).status, 0);
}

#[test]
fn a_path_of_the_base_url_and_a_unix_socket_are_asked() {
    let folder = Folder::new();
    let base = [("VESTIBULE_BASE_URL", "http://localhost:8000/auth")];
    let program = UnixProgram::start(&folder, &base);
    let listen = format!("unix:{}", program.socket.display());
    let healthy = check(&[("VESTIBULE_LISTEN", &listen), base[0]]);
    assert_eq!(healthy.status, 0, "{}", healthy.err);
    let elsewhere = check(&[("VESTIBULE_LISTEN", &listen)]);
    assert_eq!(elsewhere.status, 1);
    assert!(elsewhere.err.contains("status 404"), "{}", elsewhere.err);
    assert_eq!(program.end_by("-TERM").status, 0);
    let gone = check(&[("VESTIBULE_LISTEN", &listen), base[0]]);
    assert_eq!((gone.status, gone.err.lines().count()), (1, 1), "{}", gone.err);
}

#[test]
fn a_server_that_is_away_or_does_not_answer_is_not_healthy() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = silent.local_addr().unwrap().to_string();
    let start = Instant::now();
    let ended = check(&[("VESTIBULE_LISTEN", &listen)]);
    assert_eq!(ended.status, 1);
    assert!(ended.err.contains("does not answer within 2 seconds"), "{}", ended.err);
    assert!(start.elapsed() >= Duration::from_secs(2));
    drop(silent);
    let ended = check(&[("VESTIBULE_LISTEN", &listen)]);
    assert_eq!(ended.status, 1);
    assert!(ended.err.contains("refused"), "{}", ended.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_database_takes_no_writes_is_not_healthy() {
    let folder = Folder::new();
    let program = tokio::task::block_in_place(|| folder.serve(&[]));
    let url = format!("sqlite:{}", folder.0.join("vestibule.db").display());
    let mut other = sqlx::SqliteConnection::connect(&url).await.unwrap();
    sqlx::query("begin immediate").execute(&mut other).await.unwrap();
    let listen = program.address.to_string();
    let checked = || tokio::task::block_in_place(|| check(&[("VESTIBULE_LISTEN", &listen)]));
    assert_eq!(checked().status, 1);
    sqlx::query("rollback").execute(&mut other).await.unwrap();
    assert_eq!(checked().status, 0);
}
