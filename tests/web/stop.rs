//! Stopping the program while clients have sent half a request.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::support::program::Folder;

/// The limit is half a second, but a machine under load is slow.
const SOON: Duration = Duration::from_secs(5);

#[test]
fn a_hangup_does_not_stop_the_site() {
    let program = Folder::new().serve(&[]);
    program.hang_up();
    assert_eq!(program.get("/login", "").status, 200);
    program.terminate();
    let (status, log) = program.ended();
    assert_eq!(status, 0);
    assert!(log.contains("finished"), "{log}");
}

#[test]
fn half_a_head_does_not_delay_the_stop() {
    let folder = Folder::new();
    let program = folder.serve(&[]);
    let mut halves = Vec::new();
    for half in [
        &b""[..],
        b"G",
        b"GET /login HTTP/1.1\r\n",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nA: ",
    ] {
        let mut stream = program.connect();
        stream.write_all(half).unwrap();
        halves.push(stream);
    }
    // After this response, what was sent before has been read.
    assert_eq!(program.get("/login", "").status, 200);
    let stopped = Instant::now();
    program.terminate();
    let (status, log) = program.ended();
    assert!(stopped.elapsed() < SOON, "{:?}", stopped.elapsed());
    assert_eq!(status, 0);
    assert!(log.contains("finished"), "{log}");
    for mut half in halves {
        let mut answer = Vec::new();
        let _ = half.read_to_end(&mut answer);
        assert!(answer.is_empty());
    }
}
