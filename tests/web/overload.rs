//! Overload: more logins at once than can be verified.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::ConnectInfo;
use axum::http::StatusCode;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use vestibule::config::HashCost;

use crate::support::program::{Folder, Program};
use crate::support::{Browser, PASSWORD, Site};

const LOGINS: usize = 200;
const THREADS: u64 = 2;

/// The memory of Argon2id for each thread.
const BUFFER_KIB: u64 = 19_456;

/// For 200 connections and the pages meanwhile (measured: a third of this).
const SLACK_KIB: u64 = 48 * 1024;

/// The response time of a page.
fn page(program: &Program) -> Duration {
    let start = Instant::now();
    assert_eq!(program.get("/login", "").status, 200);
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[test]
fn two_hundred_logins_at_once_use_bounded_memory_and_do_not_slow_pages() {
    let folder = Folder::new();
    let settings = [
        ("VESTIBULE_HASH_THREADS", "2"),
        ("VESTIBULE_LIMIT_LOGIN_IP", "off"),
        ("VESTIBULE_LIMIT_LOGIN_ACCOUNT", "off"),
    ];
    let program = folder.serve_with_log(&settings);
    program.register_ann(PASSWORD);
    let before = program.memory("VmRSS");
    let usual = median((0..20).map(|_| page(&program)).collect());
    let unanswered = AtomicUsize::new(LOGINS);
    let (mut pages, mut statuses) = (Vec::new(), Vec::new());
    let started = Instant::now();
    std::thread::scope(|scope| {
        let log_in = |number: usize| {
            let password = if number.is_multiple_of(2) { PASSWORD } else { "not her password" };
            let fields = [("username", "ann"), ("password", password)];
            let status = program.post("/login", "", &fields).status;
            unanswered.fetch_sub(1, Ordering::SeqCst);
            (number, status)
        };
        let logins: Vec<_> =
            (0..LOGINS).map(|number| scope.spawn(move || log_in(number))).collect();
        while unanswered.load(Ordering::SeqCst) > 0 {
            pages.push(page(&program));
        }
        statuses.extend(logins.into_iter().map(|login| login.join().unwrap()));
    });
    for (number, status) in &statuses {
        let right = if number.is_multiple_of(2) { 303 } else { 422 };
        assert!([right, 503].contains(status), "login {number} was answered {status}");
    }
    let answered = statuses.iter().filter(|(_, status)| *status != 503).count();
    assert!(answered >= 40, "only {answered} were answered, although more fit into the queue");
    assert!(started.elapsed() < Duration::from_mins(1), "{:?}", started.elapsed());
    assert!(pages.len() >= 10, "pages wait for logins: {pages:?}");
    // The clients run on the same processors.
    let limit = (usual * 20).max(Duration::from_millis(200));
    let (storm, sent) = (median(pages.clone()), pages.len());
    println!("a page took {usual:?} before, {storm:?} in the storm; {sent} of them");
    assert!(storm < limit, "a page took {usual:?} before, {storm:?} in the storm: {pages:?}");
    let grown = program.memory("VmHWM").saturating_sub(before);
    assert!(grown < THREADS * BUFFER_KIB + SLACK_KIB, "{grown} KiB more than before");
}

#[tokio::test]
async fn a_network_that_fills_the_hash_queue_gives_way_to_another() {
    let site = Site::on_sqlite().await;
    let slow = HashCost { memory_kib: 64 * 1024, iterations: 20, threads: 1, queue: 4 };
    let router = vestibule::site(&site.app_with(|config| config.hash = slow).await);
    let from = |address: &str| {
        let peer: SocketAddr = format!("{address}:4711").parse().unwrap();
        Browser::new(router.clone().layer(Extension(ConnectInfo(peer))))
    };
    let (flooding, other) = (from("203.0.113.9"), from("198.51.100.7"));
    let fields = [("username", "ann"), ("password", "wrong")];
    let mut logins: FuturesUnordered<_> =
        (0..6).map(|_| flooding.post("/login", &fields)).collect();
    let first = logins.next().await.unwrap().status();
    assert_eq!(first, StatusCode::SERVICE_UNAVAILABLE, "one runs, four wait: the queue is full");
    let (logins, login) = tokio::join!(logins.collect::<Vec<_>>(), other.post("/login", &fields));
    let refused = logins.iter().filter(|one| one.status() == StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.count(), 1, "the newest waiting login is refused");
    assert_eq!(login.status(), StatusCode::UNPROCESSABLE_ENTITY);
}
