//! Clients who take their time, over real sockets, with bounds of a fraction of a second.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::CONNECTION;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{interval, timeout};

use super::*;

/// Only a broken server takes it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Longer than a test may run: what ends does so for another reason.
const NEVER: Duration = Duration::from_hours(1);

const SHORT: Duration = Duration::from_millis(100);

/// More than the kernel takes from us at once.
const LARGE: usize = 32 << 20;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// All of it has come: it is at work until it is let be done.
const WORK: &[u8] =
    b"POST /work HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nConnection: close\r\n\r\na";

fn generous() -> Bounds {
    Bounds { head: NEVER, write: NEVER, linger: SHORT, life: NEVER }
}

/// A server that serves until the test ends.
struct Server {
    address: SocketAddr,
    /// Lets `/work` be done.
    work: Arc<Notify>,
    /// Tells that `/work` has begun.
    begun: Arc<Notify>,
    _running: JoinSet<()>,
}

impl Server {
    async fn start(bounds: Bounds, most: usize, proxies: &[&str]) -> Self {
        let (work, begun) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (done, started) = (Arc::clone(&work), Arc::clone(&begun));
        let router = Router::new()
            .route("/", get(async || "hello"))
            .route("/large", get(async || vec![b'a'; LARGE]))
            .route("/refuse", post(async || "too much"))
            .route(
                "/work",
                post(async move |_: String| {
                    started.notify_one();
                    done.notified().await;
                    "done"
                }),
            );
        let proxies = proxies.iter().map(|net| net.parse().unwrap()).collect();
        let mut clients = Clients::new(router, Places::new(most, proxies), bounds);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut running = JoinSet::new();
        running.spawn(async move { clients.serve_until(&listener, std::future::pending()).await });
        Self { address, work, begun, _running: running }
    }

    /// Connects from `127.0.0.LAST`.
    async fn connect(&self, last: u8) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        // Small, so that few bytes on the way count as read.
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        socket.bind((Ipv4Addr::new(127, 0, 0, last), 0).into()).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    async fn send(&self, last: u8, bytes: &[u8]) -> TcpStream {
        let mut stream = self.connect(last).await;
        stream.write_all(bytes).await.unwrap();
        stream
    }
}

/// What comes until something like `end` has come, or the connection has ended.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains(end) {
        match timeout(PATIENCE, stream.read(&mut buffer)).await.expect("an answer or the end") {
            Ok(0) | Err(_) => break,
            Ok(count) => text.push_str(&String::from_utf8_lossy(&buffer[..count])),
        }
    }
    text
}

/// Everything until the connection has ended.
async fn read_all(stream: &mut TcpStream) -> String {
    read_until(stream, "\0").await
}

async fn is_quiet(stream: &mut TcpStream) -> bool {
    timeout(SHORT, stream.read(&mut [0; 1])).await.is_err()
}

#[tokio::test]
async fn a_client_that_does_not_send_its_head_is_cut() {
    let server = Server::start(Bounds { head: SHORT, ..generous() }, 100, &[]).await;
    let mut kept = server.send(1, REQUEST).await;
    assert!(read_until(&mut kept, "hello").await.starts_with("HTTP/1.1 200"));
    let mut silent = server.connect(1).await;
    let mut halfway = server.send(1, b"GET / HTTP/1.1\r\nHost:").await;
    assert_eq!(read_all(&mut silent).await, "");
    assert_eq!(read_all(&mut halfway).await, "");
    assert_eq!(read_all(&mut kept).await, "", "one that was kept is cut like a new one");
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_cut_all_the_same() {
    let server = Server::start(Bounds { head: SHORT * 3, ..generous() }, 100, &[]).await;
    let mut slow = server.send(1, b"GET / HTTP/1.1\r\nX-A: ").await;
    let trickle =
        async { while slow.write_all(b"a").await.is_ok() && is_quiet(&mut slow).await {} };
    timeout(PATIENCE, trickle).await.expect("cut although something came all the time");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_and_its_place_goes_on() {
    let server = Server::start(Bounds { write: SHORT, ..generous() }, 1, &[]).await;
    let mut greedy = server.send(1, b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut next = server.send(1, REQUEST).await;
    assert!(read_until(&mut next, "hello").await.contains("hello"));
    assert!(read_all(&mut greedy).await.len() < LARGE);
}

#[tokio::test]
async fn a_client_that_pipelines_and_does_not_read_is_cut() {
    let server = Server::start(Bounds { write: SHORT, ..generous() }, 1, &[]).await;
    let (_unread, mut flood) = server.connect(1).await.into_split();
    let many = REQUEST.repeat(1000);
    let flooded = async { while flood.write_all(&many).await.is_ok() {} };
    timeout(PATIENCE, flooded).await.expect("cut when our answers are not taken");
}

#[tokio::test]
async fn a_client_that_reads_a_little_at_a_time_is_cut_all_the_same() {
    let server = Server::start(Bounds { write: SHORT * 10, ..generous() }, 1, &[]).await;
    let mut slow = server.send(1, b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut next = server.send(1, REQUEST).await;
    // Enough for the kernel to take something more of us several times within the bound.
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
async fn a_connection_ends_with_an_answer_once_its_life_is_over() {
    let server = Server::start(generous(), 100, &[]).await;
    let mut young = server.send(1, &REQUEST.repeat(2)).await;
    let answers = read_until(&mut young, "hello").await;
    assert!(!answers.contains(&format!("{CONNECTION}: close")), "{answers}");
    let server = Server::start(Bounds { life: Duration::ZERO, ..generous() }, 100, &[]).await;
    let mut old = server.send(1, &REQUEST.repeat(2)).await;
    let answers = read_all(&mut old).await;
    assert!(answers.contains(&format!("{CONNECTION}: close")), "{answers}");
    assert_eq!(answers.matches("hello").count(), 1);
}

#[tokio::test]
async fn who_is_still_sending_is_heard_out_and_reads_the_refusal() {
    let linger = Duration::from_secs(10);
    let server = Server::start(Bounds { linger, ..generous() }, 100, &[]).await;
    let head = format!("POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE}\r\n\r\n");
    let mut sender = server.send(1, head.as_bytes()).await;
    let sent = timeout(PATIENCE, sender.write_all(&vec![b'a'; LARGE])).await;
    sent.expect("read on").expect("not reset while sending");
    assert!(read_until(&mut sender, "too much").await.contains("too much"));
}

#[tokio::test]
async fn the_next_one_is_served_when_a_place_is_free_and_not_before() {
    let server = Server::start(generous(), 2, &[]).await;
    let first = server.connect(1).await;
    let _second = server.connect(1).await;
    let mut third = server.send(1, REQUEST).await;
    assert!(is_quiet(&mut third).await, "there are two places");
    drop(first);
    assert!(read_until(&mut third, "hello").await.contains("hello"));
}

#[tokio::test]
async fn one_address_cannot_shut_out_another_by_saying_nothing() {
    let server = Server::start(generous(), 4, &[]).await;
    let mut hogs = Vec::new();
    for beginning in
        [&b""[..], b"GET", REQUEST, b"POST /work HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na"]
    {
        hogs.push(server.send(1, beginning).await);
    }
    hogs.push(server.connect(1).await);
    for _ in 0..3 {
        let mut other = server.send(2, REQUEST).await;
        assert!(read_until(&mut other, "hello").await.contains("hello"));
        hogs.push(server.connect(1).await);
    }
}

#[tokio::test]
async fn two_who_come_at_once_each_get_a_place() {
    let server = Server::start(generous(), 8, &[]).await;
    let mut hogs = Vec::new();
    for _ in 0..8 {
        // Answered, and kept for a next request that does not come.
        let mut hog = server.send(1, REQUEST).await;
        assert!(read_until(&mut hog, "hello").await.contains("hello"));
        hogs.push(hog);
    }
    let mut ninth = server.send(1, REQUEST).await;
    assert!(is_quiet(&mut ninth).await);
    let (mut one, mut other) = tokio::join!(server.send(2, REQUEST), server.send(3, REQUEST));
    assert!(read_until(&mut one, "hello").await.contains("hello"));
    assert!(read_until(&mut other, "hello").await.contains("hello"));
}

#[tokio::test]
async fn work_under_way_is_not_cut_for_anybody() {
    let server = Server::start(generous(), 4, &[]).await;
    let mut workers = Vec::new();
    for _ in 0..4 {
        workers.push(server.send(1, WORK).await);
        timeout(PATIENCE, server.begun.notified()).await.unwrap();
    }
    let mut other = server.send(2, REQUEST).await;
    assert!(is_quiet(&mut other).await);
    server.work.notify_waiters();
    for worker in &mut workers {
        assert!(read_all(worker).await.contains("done"));
    }
    assert!(read_until(&mut other, "hello").await.contains("hello"));
}

#[tokio::test]
async fn a_trusted_proxy_may_take_all_places() {
    let server = Server::start(generous(), 4, &["127.0.0.1/32"]).await;
    let mut proxied = Vec::new();
    for _ in 0..4 {
        proxied.push(server.connect(1).await);
    }
    let mut other = server.send(2, REQUEST).await;
    assert!(is_quiet(&mut other).await);
    drop(proxied.pop());
    assert!(read_until(&mut other, "hello").await.contains("hello"));
}

#[tokio::test]
async fn who_finds_no_place_even_to_wait_is_told_to_come_back() {
    let server = Server::start(generous(), 1, &[]).await;
    let hog = server.connect(1).await;
    let mut waiting = Vec::new();
    for _ in 0..places::MOST_WAITING {
        waiting.push(server.connect(1).await);
    }
    let mut other = server.send(2, REQUEST).await;
    let answer = read_all(waiting.last_mut().unwrap()).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("Retry-After: "), "{answer}");
    assert!(is_quiet(&mut other).await, "the one of whom there are few may wait");
    drop((hog, waiting));
    assert!(read_until(&mut other, "hello").await.contains("hello"));
}

#[tokio::test]
async fn who_comes_while_many_others_wait_is_not_the_one_turned_away() {
    let server = Server::start(generous(), places::MOST_WAITING, &[]).await;
    let mut hogs = Vec::new();
    // Each address has a place and one that waits for a second.
    for last in (1..).take(places::MOST_WAITING) {
        hogs.push(server.send(last, WORK).await);
        timeout(PATIENCE, server.begun.notified()).await.unwrap();
    }
    for last in (1..).take(places::MOST_WAITING) {
        hogs.push(server.connect(last).await);
    }
    let mut other = server.send(200, REQUEST).await;
    let answer = read_all(hogs.last_mut().unwrap()).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(is_quiet(&mut other).await, "it waits");
    server.work.notify_waiters();
    assert!(read_until(&mut other, "hello").await.contains("hello"));
}

#[tokio::test]
async fn four_addresses_cannot_hold_everything() {
    let server = Server::start(generous(), 40, &[]).await;
    let mut hogs = Vec::new();
    for number in 0..40 {
        hogs.push(server.connect(1 + number % 4).await);
    }
    for last in 5..9 {
        let mut other = server.send(last, REQUEST).await;
        assert!(read_until(&mut other, "hello").await.contains("hello"));
        hogs.push(other);
    }
}

#[tokio::test]
async fn an_address_with_as_many_as_a_browser_opens_loses_none() {
    let server = Server::start(generous(), 40, &[]).await;
    let mut modest = Vec::new();
    for number in 0..40 {
        modest.push(server.connect(1 + number % 5).await);
    }
    let mut other = server.send(6, REQUEST).await;
    assert!(is_quiet(&mut other).await);
    drop(modest.pop());
    assert!(read_until(&mut other, "hello").await.contains("hello"));
}

#[tokio::test]
async fn an_address_that_works_does_not_shield_one_that_is_idle() {
    let server = Server::start(generous(), 30, &[]).await;
    let mut hogs = Vec::new();
    for _ in 0..16 {
        hogs.push(server.send(1, WORK).await);
        timeout(PATIENCE, server.begun.notified()).await.unwrap();
    }
    for _ in 0..14 {
        hogs.push(server.connect(2).await);
    }
    let mut other = server.send(3, REQUEST).await;
    assert!(read_until(&mut other, "hello").await.contains("hello"));
}

/// Of one the kernel has connected, and nobody taken; the other is taken and has said nothing yet.
#[tokio::test]
async fn who_has_just_come_when_the_program_stops_is_answered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/", get(async || "hello"));
    let mut clients = Clients::new(router, Places::new(9, Vec::new()), generous());
    let mut taken = TcpStream::connect(address).await.unwrap();
    clients.serve(accept(&listener).await.unwrap());
    let mut waiting = TcpStream::connect(address).await.unwrap();
    clients.serve_last(listener);
    let ask = async |stream: &mut TcpStream| {
        stream.write_all(REQUEST).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("hello"), "{answer:?}");
    };
    let all = async { tokio::join!(clients.finish(), ask(&mut taken), ask(&mut waiting)) };
    timeout(PATIENCE, all).await.unwrap();
}

/// Clients of a program that is told to stop once they have sent what they send.
async fn stop_with(clients: &[&[u8]]) -> (Vec<TcpStream>, JoinSet<()>, Arc<Semaphore>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let done = Arc::new(Semaphore::new(0));
    let may_end = Arc::clone(&done);
    let work = post(async move |body: String| {
        may_end.acquire().await.unwrap().forget();
        body
    });
    let router = Router::new().route("/", get(async || "hello")).route("/work", work);
    let mut serving = Clients::new(router, Places::new(99, Vec::new()), generous());
    let mut streams = Vec::new();
    for bytes in clients {
        let mut stream = TcpStream::connect(address).await.unwrap();
        serving.serve(accept(&listener).await.unwrap());
        stream.write_all(bytes).await.unwrap();
        let is_answered = bytes.starts_with(REQUEST);
        assert!(!is_answered || read_until(&mut stream, "hello").await.ends_with("hello"));
        streams.push(stream);
    }
    let mut running = JoinSet::new();
    serving.serve_last(listener);
    running.spawn(serving.finish());
    (streams, running, done)
}

const HALF_A_HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nX-A:";

#[tokio::test]
async fn half_a_head_does_not_hold_a_program_that_stops() {
    let second = [REQUEST, HALF_A_HEAD].concat();
    let (mut streams, mut running, _) = stop_with(&[HALF_A_HEAD, b"G", &second, b""]).await;
    let stopped = timeout(Duration::from_secs(3), running.join_next()).await;
    assert!(stopped.is_ok(), "the bound is half a second");
    for stream in &mut streams {
        assert_eq!(read_all(stream).await, "");
    }
}

#[tokio::test]
async fn a_head_that_is_completed_in_time_is_answered_when_the_program_stops() {
    let (mut streams, mut running, _) = stop_with(&[HALF_A_HEAD]).await;
    streams[0].write_all(b" b\r\n\r\n").await.unwrap();
    assert!(read_all(&mut streams[0]).await.ends_with("hello"));
    timeout(PATIENCE, running.join_next()).await.unwrap();
}

#[tokio::test]
async fn a_request_whose_head_is_complete_is_finished_when_the_program_stops() {
    let head = b"POST /work HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab";
    let (mut streams, mut running, done) = stop_with(&[head, WORK, HALF_A_HEAD]).await;
    assert_eq!(read_all(&mut streams[2]).await, "", "cut, while the others go on");
    assert!(is_quiet(&mut streams[0]).await && is_quiet(&mut streams[1]).await);
    streams[0].write_all(b"cd").await.unwrap();
    done.add_permits(2);
    assert!(read_all(&mut streams[0]).await.ends_with("abcd"));
    assert!(read_all(&mut streams[1]).await.ends_with('a'));
    timeout(PATIENCE, running.join_next()).await.unwrap();
}

#[tokio::test]
async fn who_is_still_sending_reads_the_refusal_when_the_program_stops() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut sender = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let router = Router::new().route("/refuse", post(async || "too much"));
    let bounds = Bounds { linger: PATIENCE, ..generous() };
    let mut clients = Clients::new(router, Places::new(9, Vec::new()), bounds);
    clients.serve(accept(&listener).await.unwrap());
    let head = format!("POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE}\r\n\r\n");
    sender.write_all(head.as_bytes()).await.unwrap();
    clients.serve_last(listener);
    let stopped = tokio::spawn(clients.finish());
    assert!(timeout(SHORT * 8, stopped).await.is_err(), "longer than half a head is waited for");
    sender.write_all(&vec![b'a'; LARGE / 2]).await.expect("not reset while sending");
    assert!(read_until(&mut sender, "too much").await.contains("too much"));
}
