//! Slow clients over real sockets, with timeouts of a fraction of a second.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::CONNECTION;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{interval, timeout};

use super::*;

/// Only a broken server needs as long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Longer than a test may run.
const NEVER: Duration = Duration::from_hours(1);

const SHORT: Duration = Duration::from_millis(100);

/// More than the kernel buffers.
const LARGE: usize = 32 << 20;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// A complete request, in flight until the test lets it finish.
const WORK: &[u8] =
    b"POST /work HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nConnection: close\r\n\r\na";

fn generous() -> Timeouts {
    Timeouts { head: NEVER, write: NEVER, linger: SHORT, life: NEVER }
}

/// Serves until the test ends.
struct TestServer {
    address: SocketAddr,
    _running: JoinSet<()>,
}

impl TestServer {
    async fn start(timeouts: Timeouts, max: usize) -> Self {
        let router = Router::new()
            .route("/", get(async || "hello"))
            .route("/large", get(async || vec![b'a'; LARGE]))
            .route("/refuse", post(async || "too much"));
        let mut server = Server::new(router, max, timeouts);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut running = JoinSet::new();
        let listener = Listener::Tcp(listener);
        running.spawn(async move { server.serve_until(&listener, pending()).await });
        Self { address, _running: running }
    }

    async fn connect(&self) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        // Small, so that the kernel buffers few bytes.
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    async fn send(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        stream
    }
}

/// Reads until the text contains `end` or the connection ends.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains(end) {
        match timeout(PATIENCE, stream.read(&mut buffer)).await.expect("a response or the end") {
            Ok(0) | Err(_) => break,
            Ok(count) => text.push_str(&String::from_utf8_lossy(&buffer[..count])),
        }
    }
    text
}

/// Reads until the connection ends.
async fn read_all(stream: &mut TcpStream) -> String {
    read_until(stream, "\0").await
}

async fn is_quiet(stream: &mut TcpStream) -> bool {
    timeout(SHORT, stream.read(&mut [0; 1])).await.is_err()
}

#[tokio::test]
async fn a_connection_without_a_complete_head_is_closed() {
    let server = TestServer::start(Timeouts { head: SHORT, ..generous() }, 100).await;
    let mut kept = server.send(REQUEST).await;
    assert!(read_until(&mut kept, "hello").await.starts_with("HTTP/1.1 200"));
    let mut silent = server.connect().await;
    let mut halfway = server.send(b"GET / HTTP/1.1\r\nHost:").await;
    assert_eq!(read_all(&mut silent).await, "");
    assert_eq!(read_all(&mut halfway).await, "");
    assert_eq!(read_all(&mut kept).await, "", "a kept connection is closed like a new one");
}

#[tokio::test]
async fn a_connection_that_sends_its_head_byte_by_byte_is_closed() {
    let server = TestServer::start(Timeouts { head: SHORT * 3, ..generous() }, 100).await;
    let mut slow = server.send(b"GET / HTTP/1.1\r\nX-A: ").await;
    let trickle =
        async { while slow.write_all(b"a").await.is_ok() && is_quiet(&mut slow).await {} };
    timeout(PATIENCE, trickle).await.expect("closed although bytes keep coming");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_disconnected_and_another_is_served() {
    let server = TestServer::start(Timeouts { write: SHORT, ..generous() }, 1).await;
    let mut unread = server.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut next = server.send(REQUEST).await;
    assert!(read_until(&mut next, "hello").await.contains("hello"));
    assert!(read_all(&mut unread).await.len() < LARGE);
}

#[tokio::test]
async fn a_client_that_pipelines_and_does_not_read_is_disconnected() {
    let server = TestServer::start(Timeouts { write: SHORT, ..generous() }, 1).await;
    let (_unread, mut flood) = server.connect().await.into_split();
    let many = REQUEST.repeat(1000);
    let flooded = async { while flood.write_all(&many).await.is_ok() {} };
    timeout(PATIENCE, flooded).await.expect("closed when the responses are not read");
}

#[tokio::test]
async fn a_client_that_reads_slowly_is_disconnected() {
    let server = TestServer::start(Timeouts { write: SHORT * 10, ..generous() }, 1).await;
    let mut slow = server.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut next = server.send(REQUEST).await;
    // So much that the kernel accepts more from the server several times within the timeout.
    let (mut little, mut moments) = (vec![0; 64 * 1024], interval(Duration::from_millis(10)));
    let trickle = async {
        let mut taken = 0;
        while let Ok(count @ 1..) = slow.read(&mut little).await {
            taken += count;
            moments.tick().await;
        }
        taken
    };
    let (taken, answer) = tokio::join!(trickle, read_until(&mut next, "hello"));
    assert!(taken < LARGE && answer.contains("hello"), "{taken} {answer}");
}

#[tokio::test]
async fn a_response_closes_an_old_connection() {
    let server = TestServer::start(generous(), 100).await;
    let mut young = server.send(&REQUEST.repeat(2)).await;
    let answers = read_until(&mut young, "hello").await;
    assert!(!answers.contains(&format!("{CONNECTION}: close")), "{answers}");
    let server = TestServer::start(Timeouts { life: Duration::ZERO, ..generous() }, 100).await;
    let mut old = server.send(&REQUEST.repeat(2)).await;
    let answers = read_all(&mut old).await;
    assert!(answers.contains(&format!("{CONNECTION}: close")), "{answers}");
    assert_eq!(answers.matches("hello").count(), 1);
}

#[tokio::test]
async fn a_client_that_is_still_sending_reads_the_refusal() {
    let linger = Duration::from_secs(10);
    let server = TestServer::start(Timeouts { linger, ..generous() }, 100).await;
    let head = format!("POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE}\r\n\r\n");
    let mut sender = server.send(head.as_bytes()).await;
    let sent = timeout(PATIENCE, sender.write_all(&vec![b'a'; LARGE])).await;
    sent.expect("read on").expect("not reset while sending");
    assert!(read_until(&mut sender, "too much").await.contains("too much"));
}

#[tokio::test]
async fn a_connection_beyond_the_cap_waits_until_another_closes() {
    let server = TestServer::start(generous(), 2).await;
    let first = server.connect().await;
    let _second = server.connect().await;
    let mut third = server.send(REQUEST).await;
    assert!(is_quiet(&mut third).await);
    drop(first);
    assert!(read_until(&mut third, "hello").await.contains("hello"));
}

#[tokio::test]
async fn a_connection_beyond_those_that_wait_is_rejected_with_503() {
    let server = TestServer::start(generous(), 1).await;
    let open = server.connect().await;
    let mut waiting = Vec::new();
    for _ in 0..MAX_WAITING {
        waiting.push(server.send(REQUEST).await);
    }
    let answer = read_all(&mut server.connect().await).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("Retry-After: "), "{answer}");
    assert!(is_quiet(&mut waiting[0]).await);
    drop(open);
    assert!(read_until(&mut waiting[0], "hello").await.contains("hello"));
}

async fn listener() -> (Listener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (Listener::Tcp(listener), address)
}

/// One is in the kernel's queue, the other is accepted and has sent nothing yet.
#[tokio::test]
async fn new_connections_are_answered_when_the_program_stops() {
    let (listener, address) = listener().await;
    let router = Router::new().route("/", get(async || "hello"));
    let mut server = Server::new(router, 9, generous());
    let mut taken = TcpStream::connect(address).await.unwrap();
    server.serve(listener.accept().await.unwrap());
    let mut waiting = TcpStream::connect(address).await.unwrap();
    server.accept_backlog(listener);
    let ask = async |stream: &mut TcpStream| {
        stream.write_all(REQUEST).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("hello"), "{answer:?}");
    };
    let all = async { tokio::join!(server.drain(), ask(&mut taken), ask(&mut waiting)) };
    timeout(PATIENCE, all).await.unwrap();
}

/// Stops a server, of at most `max` connections, after each client has sent its bytes.
async fn stop_with(max: usize, clients: &[&[u8]]) -> (Vec<TcpStream>, JoinSet<()>, Arc<Semaphore>) {
    let (listener, address) = listener().await;
    let done = Arc::new(Semaphore::new(0));
    let may_end = Arc::clone(&done);
    let work = post(async move |body: String| {
        may_end.acquire().await.unwrap().forget();
        body
    });
    let router = Router::new().route("/", get(async || "hello")).route("/work", work);
    let mut server = Server::new(router, max, generous());
    let mut streams = Vec::new();
    for bytes in clients {
        let mut stream = TcpStream::connect(address).await.unwrap();
        server.serve(listener.accept().await.unwrap());
        stream.write_all(bytes).await.unwrap();
        let is_answered = bytes.starts_with(REQUEST);
        assert!(!is_answered || read_until(&mut stream, "hello").await.ends_with("hello"));
        streams.push(stream);
    }
    let mut running = JoinSet::new();
    server.accept_backlog(listener);
    running.spawn(server.drain());
    (streams, running, done)
}

const HALF_A_HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nX-A:";

#[tokio::test]
async fn half_a_head_does_not_delay_the_stop() {
    let second = [REQUEST, HALF_A_HEAD].concat();
    let (mut streams, mut running, _) = stop_with(99, &[HALF_A_HEAD, b"G", &second, b""]).await;
    let stopped = timeout(Duration::from_secs(3), running.join_next()).await;
    assert!(stopped.is_ok(), "the bound is half a second");
    for stream in &mut streams {
        assert_eq!(read_all(stream).await, "");
    }
}

#[tokio::test]
async fn a_head_completed_in_time_is_answered_when_the_program_stops() {
    let (mut streams, mut running, _) = stop_with(99, &[HALF_A_HEAD]).await;
    streams[0].write_all(b" b\r\n\r\n").await.unwrap();
    assert!(read_all(&mut streams[0]).await.ends_with("hello"));
    timeout(PATIENCE, running.join_next()).await.unwrap();
}

#[tokio::test]
async fn a_request_in_flight_is_answered_when_the_program_stops() {
    let head = b"POST /work HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab";
    let (mut streams, mut running, done) = stop_with(99, &[head, WORK, HALF_A_HEAD]).await;
    assert_eq!(read_all(&mut streams[2]).await, "", "closed, while the others go on");
    assert!(is_quiet(&mut streams[0]).await && is_quiet(&mut streams[1]).await);
    streams[0].write_all(b"cd").await.unwrap();
    done.add_permits(2);
    assert!(read_all(&mut streams[0]).await.ends_with("abcd"));
    assert!(read_all(&mut streams[1]).await.ends_with('a'));
    timeout(PATIENCE, running.join_next()).await.unwrap();
}

#[tokio::test]
async fn a_waiting_connection_is_answered_when_the_program_stops() {
    let (mut streams, mut running, done) = stop_with(1, &[WORK, WORK]).await;
    assert!(is_quiet(&mut streams[1]).await);
    done.add_permits(2);
    for stream in &mut streams {
        assert!(read_all(stream).await.ends_with('a'));
    }
    timeout(PATIENCE, running.join_next()).await.unwrap();
}

#[tokio::test]
async fn a_client_that_is_still_sending_reads_the_refusal_when_the_program_stops() {
    let (listener, address) = listener().await;
    let mut sender = TcpStream::connect(address).await.unwrap();
    let router = Router::new().route("/refuse", post(async || "too much"));
    let timeouts = Timeouts { linger: PATIENCE, ..generous() };
    let mut server = Server::new(router, 9, timeouts);
    server.serve(listener.accept().await.unwrap());
    let head = format!("POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE}\r\n\r\n");
    sender.write_all(head.as_bytes()).await.unwrap();
    server.accept_backlog(listener);
    let stopped = tokio::spawn(server.drain());
    assert!(
        timeout(SHORT * 8, stopped).await.is_err(),
        "the server waits longer than for half a head"
    );
    sender.write_all(&vec![b'a'; LARGE / 2]).await.expect("not reset while sending");
    assert!(read_until(&mut sender, "too much").await.contains("too much"));
}
