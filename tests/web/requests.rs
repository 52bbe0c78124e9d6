//! Hostile requests over a raw socket against the real program: each gets one clear
//! answer and harms no other client.

use std::io::{Read, Write};
use std::time::Duration;

use crate::support::program::{Folder, Program};

/// Only a server that hangs takes this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A second request that an attack tries to hide in the first.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

const FORM: &str = "username=ann&password=moss";

/// The program under attack.
struct Target {
    program: Program,
    _folder: Folder,
}

impl Target {
    fn start() -> Self {
        let folder = Folder::new();
        Self { program: folder.serve(&[]), _folder: folder }
    }

    /// The answer, until the program closes the connection.
    fn attack(&self, request: &[u8]) -> String {
        let mut stream = self.program.connect();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // A refusal may come before everything is sent.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("it hangs after {:?}", String::from_utf8_lossy(&answer))
            }
            _ => String::from_utf8_lossy(&answer).into_owned(),
        }
    }

    /// Asserts that the one answer to `request` has a status of `expected`.
    fn expect(&self, expected: &[u16], request: &[u8]) -> String {
        let answer = self.attack(request);
        let shown = String::from_utf8_lossy(&request[..request.len().min(300)]).into_owned();
        let statuses = statuses(&answer);
        assert_eq!(statuses.len(), 1, "{statuses:?} to {shown:?}");
        assert!(expected.contains(&statuses[0]), "{statuses:?} to {shown:?}");
        assert_eq!(self.program.get("/healthz", "").status, 200, "after {shown:?}");
        answer
    }

    /// A GET of `target` with further lines of the head.
    fn get(&self, expected: &[u16], target: &str, lines: &str) -> String {
        self.expect(expected, self.head("GET", target, lines).as_bytes())
    }

    /// A login with further lines of the head, and this body.
    fn post(&self, expected: &[u16], lines: &str, body: &[u8]) -> String {
        let origin = format!("Origin: http://{}\r\n", self.program.address);
        let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
        let head = self.head("POST", "/login", &format!("{origin}{kind}{lines}"));
        self.expect(expected, &[head.as_bytes(), body].concat())
    }

    fn head(&self, method: &str, target: &str, lines: &str) -> String {
        let host = self.program.address;
        format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{lines}\r\n")
    }

    /// Asserts that no attack left an error in the log or keeps the program from stopping.
    fn unharmed(self) {
        self.program.terminate();
        let (status, log) = self.program.ended();
        assert_eq!(status, 0, "{log}");
        assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
    }
}

/// The status of every answer.
fn statuses(answer: &str) -> Vec<u16> {
    let status = |line: &str| line.get(..3).and_then(|code| code.parse().ok()).unwrap_or(0);
    let parts = answer.split("HTTP/1.").skip(1);
    parts.map(|part| status(part.get(2..).unwrap_or(""))).collect()
}

#[test]
fn a_request_whose_length_can_be_read_in_two_ways_is_one_request_or_none() {
    let target = Target::start();
    let hidden = format!("0\r\n\r\n{SMUGGLED}");
    for lines in [
        "Content-Length: 26\r\nContent-Length: 5\r\n",
        "Content-Length: 26, 26\r\n",
        "Content-Length: 26, 5\r\n",
        "Content-Length: +26\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x1a\r\n",
        "Content-Length: \r\n",
        "Content-Length: 26 26\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length : 26\r\n",
        "Transfer-Encoding : chunked\r\nContent-Length: 26\r\n",
        "Transfer-Encoding: \u{b}chunked\r\nContent-Length: 26\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: identity, chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
    ] {
        target.post(&[400], lines, hidden.as_bytes());
    }
    let same = "Content-Length: 26\r\nContent-Length: 26\r\n";
    target.post(&[422], same, FORM.as_bytes());
    target.unharmed();
}

/// hyper reads such a request by its chunks, as RFC 9112, 6.3 allows, and must then hang up.
#[test]
fn a_content_length_with_chunks_does_not_let_a_second_request_through() {
    let target = Target::start();
    let (length, chunked) = ("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n");
    let host = format!("Host: {0}\r\nOrigin: http://{0}\r\n", target.program.address);
    for lines in [format!("{length}{chunked}"), format!("{chunked}{length}")] {
        let head = format!("POST /login HTTP/1.1\r\n{host}{lines}\r\n");
        let answer = target.expect(&[415], format!("{head}0\r\n\r\n{SMUGGLED}").as_bytes());
        assert!(!answer.contains("Page not found"), "{answer}");
        let head = format!("GET /login HTTP/1.1\r\n{host}{lines}\r\n");
        target.expect(&[400], format!("{head}0\r\n\r\n{SMUGGLED}").as_bytes());
        let old = format!("POST /login HTTP/1.0\r\n{host}{lines}\r\n");
        target.expect(&[400], format!("{old}0\r\n\r\n{SMUGGLED}").as_bytes());
    }
    target.unharmed();
}

#[test]
fn broken_chunks_are_refused_and_end_the_connection() {
    let target = Target::start();
    let chunked = "Transfer-Encoding: chunked\r\n";
    for body in [
        format!("-1\r\n{FORM}\r\n0\r\n\r\n{SMUGGLED}"),
        format!("0x1a\r\n{FORM}\r\n0\r\n\r\n{SMUGGLED}"),
        format!("FFFFFFFFFFFFFFFFF\r\n{FORM}\r\n0\r\n\r\n{SMUGGLED}"),
        format!("1a\n{FORM}\n0\n\n{SMUGGLED}"),
        format!("1a;a\n{FORM}\r\n0\r\n\r\n{SMUGGLED}"),
        format!("1a\r\n{FORM}XX0\r\n\r\n{SMUGGLED}"),
        format!("\r\n{FORM}\r\n0\r\n\r\n{SMUGGLED}"),
    ] {
        target.post(&[422], chunked, body.as_bytes());
    }
    let plain = format!("1a;extension=x\r\n{FORM}\r\n0\r\nContent-Length: 3\r\n\r\n");
    let answer = target.post(&[422], chunked, plain.as_bytes());
    assert!(answer.contains("Incorrect username or password"), "{answer}");
    target.unharmed();
}

#[test]
fn a_head_that_is_not_well_formed_is_refused() {
    let target = Target::start();
    for lines in [
        "X-A: b\r\n folded\r\n",
        "X-A: b\0c\r\n",
        "X\0A: b\r\n",
        "X-A: b\rX-B: c\r\n",
        "X-A\r\n",
        ": x\r\n",
        "X A: x\r\n",
        "X-A : x\r\n",
        "X-Ä: x\r\n",
    ] {
        target.get(&[400], "/login", lines);
    }
    for head in [
        "GET /login HTTP/1.1\r\n Host: x\r\n\r\n",
        "GET /login HTTP/1.1\rHost: x\r\n\r\n",
        "GET  HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /login\r\n\r\n",
        "GET /login HTTP/1.2\r\nHost: x\r\n\r\n",
        "GET /login HTTP/2.0\r\nHost: x\r\n\r\n",
        "GET /login HTTP/1.1 x\r\nHost: x\r\n\r\n",
        "\x16\x03\x01\x02\0\x01\0\x01\u{7f}\r\n\r\n",
    ] {
        target.expect(&[400], head.as_bytes());
    }
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    assert_eq!(target.attack(preface), "", "HTTP/2 is hung up on");
    target.unharmed();
}

#[test]
fn a_request_must_have_exactly_one_valid_host() {
    let target = Target::start();
    for lines in [
        "",
        "Host: \r\n",
        "Host: a b\r\n",
        "Host: a/b\r\n",
        "Host: ann@meadow.example\r\n",
        "Host: a, b\r\n",
        "Host: \u{e4}\r\n",
        "Host: meadow.example\r\nHost: meadow.example\r\n",
        "Host: meadow.example\r\nHost: evil.example\r\n",
    ] {
        for path in ["/login", "/healthz", "/_vestibule/app.css"] {
            let head = format!("GET {path} HTTP/1.1\r\n{lines}\r\n");
            let answer = target.expect(&[400], head.as_bytes());
            assert!(answer.contains("connection: close\r\n"), "{answer}");
        }
    }
    let old = "GET /login HTTP/1.0\r\n\r\n";
    target.expect(&[200], old.as_bytes());
    target.unharmed();
}

#[test]
fn a_request_target_that_is_not_a_path_of_this_site_is_refused() {
    let target = Target::start();
    for path in [
        "/\0",
        "\\login",
        "/lo gin",
        "/_vestibule/%c0%ae%c0%ae%c0%afetc",
        "/dev/mailbox/%ff",
        "/\u{7f}",
    ] {
        target.get(&[400], path, "");
    }
    let deep = format!("/{}2f", "%25".repeat(3000));
    for path in [
        "//login",
        "/login/",
        "/%c0%af%c0%ae",
        "/%zz%",
        "/ä",
        "/%0d%0aSet-Cookie:x=y",
        "/%25%32%35",
        "/_vestibule/../../etc/passwd",
        "/_vestibule/..%2f..%2fetc%2fpasswd",
        "/_vestibule/app.css%00",
        "/dev/mailbox/%00",
        "*",
        &deep,
        &format!("/{}", "a".repeat(30_000)),
    ] {
        let answer = target.get(&[404], path, "");
        assert!(!answer.to_lowercase().contains("set-cookie"), "{answer}");
    }
    target.get(&[414, 431], &format!("/{}", "a".repeat(70_000)), "");
    target.get(&[200], "http://evil.example/login", "");
    target.get(&[400], "evil.example:80", "");
    target.expect(&[400], target.head("CONNECT", "evil.example:443", "").as_bytes());
    target.unharmed();
}

#[test]
fn a_query_has_one_next_and_odd_ones_lead_nowhere() {
    let target = Target::start();
    for query in
        ["next=/a&next=//evil.example", "next=/a&next=/a", "next=&next", "n%65xt=/a&next=/b"]
    {
        for page in ["/login", "/register"] {
            let answer = target.get(&[400], &format!("{page}?{query}"), "");
            assert!(answer.contains("read this request</h1>"), "{answer}");
        }
    }
    let deep = format!("next=%2F{}2fevil.example", "%25".repeat(3000));
    for query in [
        "next=%c0%af%c0%afevil.example",
        "next=/a%00b",
        "next=/a%0d%0aSet-Cookie:x",
        "next[]=/a&next[]=/b",
        "Next=/a",
        "next=%zz%&%=%",
        &deep,
    ] {
        let answer = target.get(&[200], &format!("/login?{query}"), "");
        assert!(!answer.contains("name=\"next\"") && !answer.contains("evil"), "{query}: {answer}");
    }
    target.unharmed();
}

#[test]
fn a_body_that_is_too_large_or_invalid_is_refused() {
    let target = Target::start();
    let length = |body: &[u8]| format!("Content-Length: {}\r\n", body.len());
    let large = vec![b'a'; 64 * 1024 + 1];
    target.post(&[413], &length(&large), &large);
    target.post(&[413], "Content-Length: 18446744073709551613\r\n", &large);
    target.post(&[413], "Content-Length: 65537\r\nExpect: 100-continue\r\n", b"");
    let chunks = [b"10001\r\n", large.as_slice(), b"\r\n0\r\n\r\n"].concat();
    target.post(&[413], "Transfer-Encoding: chunked\r\n", &chunks);
    let most = &large[1..];
    let answer = target.post(&[422], &length(most), most);
    assert!(answer.contains("Enter your password."), "{answer}");
    let many = (0..10_000).map(|n| format!("{n}=")).collect::<Vec<_>>().join("&");
    for body in [
        many.as_bytes(),
        "a=b&".repeat(10_000).as_bytes(),
        b"username=%c0%af&password=x",
        b"username=\xff\xfe&password=x",
        b"username=a&password=%ed%a0%80",
        b"user\0name=a",
        b"{}",
        b"\0\0\0\0",
    ] {
        let answer = target.post(&[422], &length(body), body);
        assert!(answer.contains("read this form</h1>"), "{answer}");
    }
    for body in [
        &b"username=%zz&password=%"[..],
        b"username=a%00&password=%00",
        b"username=a%0d%0ab&password=x",
    ] {
        let answer = target.post(&[422], &length(body), body);
        assert!(answer.contains("Incorrect username or password"), "{answer}");
    }
    target.unharmed();
}

#[test]
fn a_request_head_that_is_too_large_is_refused() {
    let target = Target::start();
    let lines =
        |count: usize| (0..count).map(|n| format!("X-{n}: a\r\n")).collect::<Vec<_>>().concat();
    target.get(&[431], "/login", &lines(200));
    target.get(&[431], "/login", &format!("X-A: {}\r\n", "a".repeat(100_000)));
    target.get(&[200], "/login", &lines(90));
    target.unharmed();
}

#[test]
fn only_the_methods_of_a_page_are_answered() {
    let target = Target::start();
    for (path, allowed) in [
        ("/", "GET,HEAD"),
        ("/login", "GET,HEAD,POST"),
        ("/reset/resend", "POST"),
        ("/account", "GET,HEAD"),
        ("/healthz", "GET,HEAD"),
        ("/_vestibule/app.css", "GET,HEAD"),
        ("/.well-known/change-password", "GET,HEAD"),
    ] {
        for method in ["TRACE", "OPTIONS", "PUT", "PATCH", "DELETE", "PROPFIND", "FOO", "get"] {
            let lines = "X-Secret: 4711\r\nContent-Length: 0\r\n";
            let answer = target.expect(&[405], target.head(method, path, lines).as_bytes());
            assert!(answer.contains(&format!("allow: {allowed}\r\n")), "{method} {path}: {answer}");
            assert!(!answer.contains("4711"), "{answer}");
        }
    }
    target.expect(&[404], target.head("FOO", "/nowhere", "").as_bytes());
    target.expect(&[404], target.head("OPTIONS", "*", "").as_bytes());
    target.unharmed();
}

#[test]
fn headers_that_override_method_or_path_change_nothing() {
    let target = Target::start();
    let length = format!("Content-Length: {}\r\n", FORM.len());
    for lines in [
        "X-HTTP-Method-Override: DELETE\r\n",
        "X-HTTP-Method: DELETE\r\nX-Method-Override: DELETE\r\n",
        "X-Original-URL: /account\r\nX-Rewrite-URL: /account\r\n",
        "Expect: something-else\r\n",
    ] {
        let answer = target.post(&[422], &format!("{lines}{length}"), FORM.as_bytes());
        assert!(answer.contains("Incorrect username or password"), "{answer}");
    }
    let answer = target.attack(
        format!("{}{FORM}", target.program.post_head("/login", "", FORM.len()))
            .replacen("Connection:", "Expect: 100-continue\r\nConnection:", 1)
            .as_bytes(),
    );
    assert_eq!(statuses(&answer), [100, 422]);
    for lines in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Range: bytes=0-1,0-1,0-1\r\n",
        "X-A: \u{e4}\r\nCookie: \u{e4}=\u{e4}; vestibule=\u{e4}; =; ;;;\r\n",
        "Content-Length: 5\r\n",
    ] {
        let page = target.expect(
            &[200],
            [target.head("GET", "/login", lines).as_bytes(), b"hello"].concat().as_slice(),
        );
        assert!(page.contains("<title>Log in"), "{page}");
    }
    target.unharmed();
}

#[test]
fn a_connection_beyond_the_cap_is_served_when_another_closes() {
    let folder = Folder::new();
    let program = folder.serve(&[("VESTIBULE_MAX_CONNECTIONS", "4")]);
    let mut silent: Vec<_> = (0..4).map(|_| program.connect()).collect();
    let mut fifth = program.connect();
    fifth.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    fifth.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert!(fifth.read(&mut [0; 1]).is_err(), "it waits");
    silent.pop();
    fifth.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = String::new();
    fifth.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn the_cap_of_connections_is_reached_before_the_limit_of_open_files() {
    // The soft limit is raised as the setting needs; the hard limit may allow fewer.
    for (limits, lowered) in [((150, 4096), None), ((200, 200), Some("connections=72"))] {
        let folder = Folder::new();
        let settings = [("VESTIBULE_MAX_CONNECTIONS", "160")];
        let program = folder.serve_with_open_files(limits, &settings);
        let silent: Vec<_> = (0..240).map(|_| program.connect()).collect();
        let mut rejected = String::new();
        (&silent[239]).read_to_string(&mut rejected).unwrap();
        assert!(rejected.starts_with("HTTP/1.1 503"), "{limits:?}: {rejected}");
        drop(silent);
        program.terminate();
        let (status, log) = program.ended();
        assert_eq!(status, 0, "{log}");
        assert!(!log.contains("a_connection_was_not_accepted"), "{limits:?}: {log}");
        let line = log.lines().find(|line| line.contains("connections_lowered"));
        assert_eq!(line.is_some(), lowered.is_some(), "{limits:?}: {log}");
        assert!(line.unwrap_or_default().ends_with(lowered.unwrap_or_default()), "{line:?}");
    }
}
