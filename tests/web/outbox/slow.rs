//! Slow recipients delay their own mail, and no codes to others.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use vestibule::models::mail_log::MailState;
use vestibule::models::outbox::{self, Email};

use crate::support::outbox::{TestOutbox, code, email};
use crate::support::smtp::FakeSmtp;

/// A worker that runs during a test.
struct Running {
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start(queue: &TestOutbox, server: &FakeSmtp) -> Self {
        let worker = queue.worker_for(server);
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(worker.run(stopped));
        Self { stop, task }
    }

    async fn finish(self) {
        self.stop.send_replace(true);
        timeout(Duration::from_secs(10), self.task).await.unwrap().unwrap();
    }
}

async fn until_waiting(server: &FakeSmtp, count: usize) {
    let waiting = server.until(|server| (server.waiting() == count).then_some(()));
    timeout(Duration::from_secs(10), waiting).await.expect("so many are in flight");
}

async fn until_mailed(server: &FakeSmtp, address: &str) {
    let mailed = server.until(|server| server.mails_to(address).pop());
    timeout(Duration::from_secs(10), mailed).await.expect("it is not delayed");
}

/// Enqueues `slow` emails, to whose recipients the server delays its reply, until `in_flight` of them
/// wait. Then a code to `ann` must be sent.
async fn assert_sent_despite(slow: impl Fn() -> Vec<Email>, in_flight: usize, ann: &str) {
    for (server, queue) in sites().await {
        for email in slow() {
            server.hold(email.to.as_str());
            queue.put(&email).await;
        }
        let running = Running::start(&queue, &server);
        until_waiting(&server, in_flight).await;
        queue.put(&code(ann)).await;
        until_mailed(&server, ann).await;
        assert_eq!(server.waiting(), in_flight, "the slow ones are still in flight");
        server.release();
        running.finish().await;
        queue.close().await;
    }
}

async fn sites() -> Vec<(FakeSmtp, TestOutbox)> {
    let server = FakeSmtp::start().await;
    let mut sites = Vec::new();
    for queue in TestOutbox::all(&server.url()).await {
        sites.push((FakeSmtp::start().await, queue));
    }
    sites
}

fn to_one_domain(email: fn(&str) -> Email) -> Vec<Email> {
    (0..64).map(|number| email(&format!("slow{number}@slow.example"))).collect()
}

fn to_many_domains(email: fn(&str) -> Email) -> Vec<Email> {
    (0..64).map(|number| email(&format!("slow@slow{number}.example"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_sent_despite_slow_notices_to_one_domain() {
    assert_sent_despite(|| to_one_domain(email), 4, "ann@example.com").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_sent_despite_slow_notices_to_its_own_domain() {
    assert_sent_despite(|| to_one_domain(email), 4, "ann@slow.example").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_sent_despite_slow_codes_to_one_domain() {
    assert_sent_despite(|| to_one_domain(code), 8, "ann@example.com").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_sent_despite_slow_codes_to_more_domains_than_there_are_slots() {
    let slow = || to_many_domains(code).into_iter().take(30).collect();
    assert_sent_despite(slow, 30, "ann@example.com").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_sent_despite_slow_notices_to_many_domains() {
    assert_sent_despite(|| to_many_domains(email), 12, "ann@example.com").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_is_sent_despite_slow_codes_to_one_domain() {
    for (server, queue) in sites().await {
        server.hold("slow.example");
        for code in to_one_domain(code) {
            queue.put(&code).await;
        }
        queue.put(&email("ann@example.com")).await;
        let running = Running::start(&queue, &server);
        until_mailed(&server, "ann@example.com").await;
        server.release();
        running.finish().await;
        queue.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_is_filled_as_soon_as_it_is_free() {
    for (server, queue) in sites().await {
        server.hold("slow@example.com");
        queue.put(&email("slow@example.com")).await;
        for number in 0..100 {
            queue.put(&email(&format!("ann{number}@example.com"))).await;
        }
        let running = Running::start(&queue, &server);
        until_mailed(&server, "ann99@example.com").await;
        assert_eq!(server.waiting(), 1);
        server.release();
        running.finish().await;
        queue.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_are_claimed_before_notices_and_new_emails_before_retries() {
    for (_, queue) in sites().await {
        for (kind, to) in [(email as fn(&str) -> Email, "a"), (code, "b"), (email, "c")] {
            queue.put(&kind(&format!("{to}@example.com"))).await;
        }
        let deferred = queue.claim(queue.clock.now(), 1).await.remove(0);
        assert_eq!(deferred.email.to, "b@example.com");
        let now = queue.clock.now();
        outbox::reschedule(
            &queue.db,
            &deferred,
            (now, deferred.tries),
            &MailState::Deferred.into(),
        )
        .await
        .unwrap();
        queue.clock.advance(1);
        queue.put(&code("d@example.com")).await;
        let order: Vec<_> =
            queue.claim(queue.clock.now(), 9).await.into_iter().map(|one| one.email.to).collect();
        assert_eq!(order, ["d", "b", "a", "c"].map(|name| format!("{name}@example.com")));
        queue.close().await;
    }
}

/// Greylisting rejects a recipient for some minutes, and a code is valid for ten.
#[tokio::test(flavor = "multi_thread")]
async fn a_greylisted_code_is_retried_every_minute_and_a_notice_less_often() {
    for (server, mut queue) in sites().await {
        queue.worker = queue.worker_for(&server);
        for name in ["ann", "bob"] {
            server.refuse(&format!("{name}@example.com"), "450 4.2.0 greylisted");
        }
        queue.put(&code("ann@example.com")).await;
        queue.put(&email("bob@example.com")).await;
        for _ in 0..300 {
            queue.deliver().await;
            queue.clock.advance(1);
        }
        let tries = server.tries();
        assert!((15..=22).contains(&tries), "{tries} tries of two mails in five minutes");
        server.allow("ann@example.com");
        server.allow("bob@example.com");
        queue.clock.advance(60);
        queue.deliver().await;
        assert_eq!(server.mails_to("ann@example.com").len(), 1);
        assert!(server.mails_to("bob@example.com").is_empty(), "its wait is longer");
        queue.clock.advance(15 * 60);
        queue.deliver().await;
        assert_eq!(server.mails_to("bob@example.com").len(), 1);
        queue.close().await;
    }
}
