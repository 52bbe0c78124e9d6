//! The outbox delivers each email once, to its recipient alone, in spite of outages, rejections and
//! restarts.

mod growth;
mod slow;

use std::time::Duration;

use tokio::time::timeout;
use vestibule::db::{Db, sql};
use vestibule::key::ServerKey;
use vestibule::mail::worker::Worker;
use vestibule::models::mail_log::MailState;
use vestibule::models::outbox::{self, Email, Outbox};

use crate::support::outbox::{DAY, NO_SERVER, START, TestDatabase, TestOutbox, email, mailer};
use crate::support::smtp::FakeSmtp;
use crate::support::until;
use crate::support::work::work_of;

#[tokio::test(flavor = "multi_thread")]
async fn an_email_arrives_whole_and_leaves_the_outbox() {
    let server = FakeSmtp::start().await;
    for mut queue in TestOutbox::all(&server.url()).await {
        let before = server.mails().len();
        let id = queue.put(&email("ann@example.com")).await;
        queue.deliver().await;
        assert_eq!(queue.waiting().await, 0);
        let mails = server.mails();
        assert_eq!(mails.len(), before + 1);
        let mail = mails.last().unwrap();
        assert_eq!(mail.from, "no-reply@site.example");
        assert_eq!(mail.hello, "site.example");
        assert_eq!(mail.to, ["ann@example.com"]);
        assert_eq!(mail.text(), email("ann@example.com").text);
        assert_eq!(mail.part("text/html").unwrap(), "<p>Hello</p>\n");
        let message_id = mail.header("Message-ID").unwrap();
        assert_eq!(message_id, format!("<{id}@site.example>"));
        let date = mail.header("Date").unwrap();
        assert_eq!(date, "Sun, 22 Nov 2026 18:20:00 +0000");
        queue.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_without_emails_begins_no_transaction() {
    for mut queue in TestOutbox::all(NO_SERVER).await {
        let (polled, work) = work_of(queue.worker.deliver_due()).await;
        polled.unwrap();
        assert_eq!(work.len(), 3, "{work:#?}");
        assert!(!work.iter().any(|line| line.contains("begin")), "{work:#?}");
        queue.close().await;
    }
}

/// Emails that were enqueued before the outbox had domains.
#[tokio::test(flavor = "multi_thread")]
async fn an_email_without_a_domain_is_sent() {
    let server = FakeSmtp::start().await;
    for mut queue in TestOutbox::all(&server.url()).await {
        queue.put(&email("ann@example.com")).await;
        queue.run("update vestibule_outbox set domain = ''").await;
        queue.deliver().await;
        assert_eq!(queue.waiting().await, 0);
        queue.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_is_sent_within_90_seconds_of_the_return_of_the_server() {
    let server = FakeSmtp::start().await;
    for mut queue in TestOutbox::all(&server.url()).await {
        server.go_down().await;
        let before = server.mails().len();
        queue.put_many(30).await;
        for _ in 0..20 {
            queue.deliver().await;
            assert_eq!(queue.waiting().await, 30);
            queue.clock.advance(60);
        }
        server.come_back().await;
        queue.deliver().await;
        assert_eq!((queue.waiting().await, server.mails().len()), (0, before + 30));
        queue.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_between_emails_delays_them_by_90_seconds_at_most() {
    let server = FakeSmtp::start().await;
    for mut queue in TestOutbox::all(&server.url()).await {
        let before = server.mails().len();
        queue.put_many(20).await;
        server.drop_after_data(13);
        for _ in 0..30 {
            queue.deliver().await;
            queue.clock.advance(3);
        }
        assert_eq!((queue.waiting().await, server.mails().len()), (0, before + 20));
        queue.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_connection_does_not_count_as_a_try() {
    let server = FakeSmtp::start().await;
    for mut queue in TestOutbox::all(&server.url()).await {
        queue.put(&email("ann@example.com")).await;
        server.greet_with(Some("421 4.3.2 closing"));
        queue.deliver().await;
        server.greet_with(None);
        assert_eq!(queue.tries_and_claim().await, (0, 0));
        queue.deliver().await;
        assert_eq!(queue.waiting().await, 0);
        queue.close().await;
    }
}

/// The server may have accepted it before the connection ended.
#[tokio::test(flavor = "multi_thread")]
async fn an_email_whose_reply_was_lost_is_retried_with_backoff() {
    let server = FakeSmtp::start().await;
    for mut queue in TestOutbox::all(&server.url()).await {
        queue.put(&email("ann@example.com")).await;
        server.drop_after_data(2);
        let before = (server.tries(), server.mails().len());
        for (wait, tries, sent) in [(0, 1, 0), (59, 1, 0), (1, 2, 0), (119, 2, 0), (1, 3, 1)] {
            queue.clock.advance(wait);
            queue.deliver().await;
            let now = (server.tries() - before.0, server.mails().len() - before.1);
            assert_eq!(now, (tries, sent), "after {wait} more seconds");
        }
        queue.close().await;
    }
}

/// A relay that throttles one domain answers 421 to its recipients alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_421_reply_to_recipients_does_not_delay_other_emails() {
    let server = FakeSmtp::start().await;
    for mut queue in TestOutbox::all(&server.url()).await {
        let before = server.mails().len();
        for number in 0..8 {
            let address = format!("slow{number}@example.com");
            server.refuse(&address, "421 4.7.0 too many");
            queue.put(&email(&address)).await;
        }
        queue.clock.advance(1);
        queue.put(&email("ann@example.com")).await;
        queue.deliver().await;
        assert_eq!((server.mails().len(), queue.waiting().await), (before + 1, 8));
        queue.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_recipient_does_not_delay_other_emails() {
    let server = FakeSmtp::start().await;
    server.refuse("no@example.com", "550 5.1.1 <no@example.com>: unknown");
    server.refuse("later@example.com", "451 4.7.1 greylisted");
    for mut queue in TestOutbox::all(&server.url()).await {
        let before = server.mails().len();
        queue.put(&email("no@example.com")).await;
        queue.put(&email("later@example.com")).await;
        queue.put_many(20).await;
        queue.deliver().await;
        assert_eq!((server.mails().len(), queue.waiting().await), (before + 20, 2));
        queue.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deferred_email_is_retried_in_seconds_and_a_rejected_one_in_a_minute() {
    let server = FakeSmtp::start().await;
    for (reply, wait) in [("451 4.7.1 greylisted", 2), ("550 5.1.1 unknown", 60)] {
        for mut queue in TestOutbox::all(&server.url()).await {
            server.refuse("ann@example.com", reply);
            queue.put(&email("ann@example.com")).await;
            queue.deliver().await;
            server.allow("ann@example.com");
            queue.clock.advance(wait - 1);
            queue.deliver().await;
            assert_eq!(queue.waiting().await, 1, "it is not due yet");
            queue.clock.advance(1);
            queue.deliver().await;
            assert_eq!(queue.waiting().await, 0);
            queue.close().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_email_is_retried_for_a_day() {
    let server = FakeSmtp::start().await;
    server.refuse("no@example.com", "550 5.1.1 unknown");
    for mut queue in TestOutbox::all(&server.url()).await {
        let before = server.tries();
        queue.put(&email("no@example.com")).await;
        queue.deliver().await;
        queue.clock.advance(DAY - 1);
        queue.deliver().await;
        assert_eq!((queue.waiting().await, server.tries()), (1, before + 2));
        queue.clock.advance(1);
        queue.deliver().await;
        assert_eq!((queue.waiting().await, server.tries()), (0, before + 2));
        queue.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_code_and_a_decoy_are_never_sent() {
    let server = FakeSmtp::start().await;
    for mut queue in TestOutbox::all(&server.url()).await {
        let code = Email { expires_at: START + 600, ..email("ann@example.com") };
        server.go_down().await;
        queue.put(&code).await;
        queue.put(&email("nobody@example.com").decoy()).await;
        queue.deliver().await;
        assert_eq!(queue.waiting().await, 1, "the code waits");
        queue.clock.advance(600);
        server.come_back().await;
        queue.deliver().await;
        assert_eq!((queue.waiting().await, server.mails().len()), (0, 0));
        queue.close().await;
    }
}

/// However many there are after an outage: each claim would read past those that are left.
#[tokio::test(flavor = "multi_thread")]
async fn all_expired_emails_are_dropped_at_once() {
    for mut queue in TestOutbox::all(NO_SERVER).await {
        queue.put_many(250).await;
        queue.clock.advance(2 * DAY);
        queue.deliver().await;
        assert_eq!(queue.waiting().await, 0);
        queue.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decoy_is_not_in_the_mailbox() {
    for database in TestDatabase::all().await {
        let queue = TestOutbox::open(database, NO_SERVER).await;
        let mut ids = Vec::new();
        for email in [email("a@x.example"), email("b@x.example").decoy(), email("c@x.example")] {
            ids.push(queue.put(&email).await);
            queue.clock.advance(1);
        }
        let shown = outbox::newest(queue.db.reader(), &queue.key, 9).await.unwrap();
        let shown: Vec<_> = shown.into_iter().map(|email| email.id).collect();
        assert_eq!(shown, [ids[2].clone(), ids[0].clone()]);
        queue.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_email_is_not_sent_twice_when_its_row_cannot_be_deleted() {
    let server = FakeSmtp::start().await;
    let database = TestDatabase::sqlite();
    let mut queue = TestOutbox::open(database, &server.url()).await;
    queue
        .run("create trigger stuck before delete on vestibule_outbox begin select raise(abort, 'stuck'); end")
        .await;
    queue.put(&email("ann@example.com")).await;
    queue.deliver().await;
    queue.clock.advance(3600);
    queue.put(&email("bob@example.com")).await;
    queue.deliver().await;
    assert_eq!((server.mails().len(), queue.waiting().await), (1, 2));
    queue.run("drop trigger stuck").await;
    queue.deliver().await;
    assert_eq!(queue.waiting().await, 0);
    assert_eq!(server.mails_to("ann@example.com").len(), 1);
    assert_eq!(server.mails_to("bob@example.com").len(), 1);
    queue.close().await;
}

/// How many recipients the emails from the `before`th on went to.
fn recipients(server: &FakeSmtp, before: usize) -> usize {
    let mails = server.mails().split_off(before).into_iter();
    mails.flat_map(|mail| mail.to).collect::<std::collections::HashSet<_>>().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn several_nodes_send_each_email_once_to_a_slow_server() {
    const EMAILS: usize = 3 * 200;
    let server = FakeSmtp::start().await;
    server.be_slow(Duration::from_millis(5));
    for queue in TestOutbox::all(&server.url()).await {
        let before = server.mails().len();
        queue.put_many(EMAILS).await;
        let mut nodes = tokio::task::JoinSet::new();
        for _ in 0..3 {
            let db = Db::open(&queue.location).await.unwrap();
            let outbox = Outbox::new(queue.key.clone(), queue.clock.clone());
            let mut node = Worker::new(db.clone(), outbox, mailer(&server.url()));
            nodes.spawn(async move {
                node.deliver_due().await.unwrap();
                db.close().await;
            });
        }
        timeout(Duration::from_mins(1), nodes.join_all()).await.unwrap();
        let mails = server.mails().len() - before;
        assert_eq!((recipients(&server, before), mails), (EMAILS, EMAILS));
        queue.close().await;
    }
}

/// A worker does not look for it every second while another node sends it.
#[tokio::test(flavor = "multi_thread")]
async fn a_claimed_email_is_not_due_for_another_node() {
    for database in TestDatabase::all().await {
        let queue = TestOutbox::open(database, NO_SERVER).await;
        queue.put_many(2).await;
        let held = queue.claim(START, 1).await;
        assert_eq!(outbox::next_due(queue.db.reader(), START).await.unwrap(), Some(START));
        queue.claim(START, 1).await;
        assert_eq!(outbox::next_due(queue.db.reader(), START).await.unwrap(), None);
        let over = START + outbox::LEASE_SECONDS;
        assert_eq!(outbox::next_due(queue.db.reader(), over).await.unwrap(), Some(START));
        outbox::reschedule(&queue.db, &held[0], (START + 9, 1), &MailState::Deferred.into())
            .await
            .unwrap();
        assert_eq!(outbox::next_due(queue.db.reader(), START).await.unwrap(), Some(START + 9));
        queue.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_does_not_wait_for_a_locked_row() {
    let Some(database) = TestDatabase::all().await.into_iter().nth(1) else { return };
    let queue = TestOutbox::open(database, NO_SERVER).await;
    queue.put_many(3).await;
    let mut tx = queue.db.begin().await.unwrap();
    let held = sql("select id from vestibule_outbox order by id limit 1 for update");
    let (held,) = held.fetch_optional::<(String,)>(tx.executor()).await.unwrap().unwrap();
    let claimed = timeout(Duration::from_secs(3), queue.claim(START, 8));
    let claimed = claimed.await.expect("it does not wait");
    assert!(claimed.len() == 2 && claimed.iter().all(|email| email.id != held));
    for email in &claimed {
        outbox::reschedule(&queue.db, email, (START, 1), &MailState::Deferred.into())
            .await
            .unwrap();
    }
    let late = START + 2 * DAY;
    let dropped =
        timeout(Duration::from_secs(3), outbox::drop_expired(&queue.db, &queue.key, late));
    assert_eq!(dropped.await.expect("it does not wait").unwrap().len(), 2);
    tx.commit().await.unwrap();
    assert_eq!(outbox::drop_expired(&queue.db, &queue.key, late).await.unwrap().len(), 1);
    queue.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn emails_claimed_by_a_killed_process_are_sent_after_their_lease_or_once_released() {
    let server = FakeSmtp::start().await;
    for mut queue in TestOutbox::all(&server.url()).await {
        queue.put(&email("ann@example.com")).await;
        let before = server.mails().len();
        let held = queue.claim(START, 8).await;
        assert_eq!(held.len(), 1);
        queue.deliver().await;
        assert_eq!(server.mails().len(), before);
        outbox::release_claims(queue.db.writer()).await.unwrap();
        let again = queue.claim(START + 1, 8).await;
        assert_eq!(again[0].tries, 2);
        outbox::reschedule(&queue.db, &held[0], (START, 0), &MailState::Deferred.into())
            .await
            .unwrap();
        queue.clock.advance(1 + outbox::LEASE_SECONDS - 1);
        queue.deliver().await;
        assert_eq!(server.mails().len(), before, "a claim that has run out releases nothing");
        queue.clock.advance(1);
        queue.deliver().await;
        assert_eq!((server.mails().len(), queue.waiting().await), (before + 1, 0));
        queue.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_email_sealed_with_a_lost_key_is_dropped_and_the_others_are_sent() {
    let server = FakeSmtp::start().await;
    for mut queue in TestOutbox::all(&server.url()).await {
        let lost = ServerKey::from_bytes(b"another key: thirty-two bytes or so\xff").unwrap();
        let lost = Outbox::new(lost, queue.clock.clone());
        queue.put_into(&lost, &email("eve@example.com")).await;
        queue.put(&email("ann@example.com")).await;
        let before = server.mails().len();
        queue.deliver().await;
        assert_eq!((server.mails().len(), queue.waiting().await), (before + 1, 0));
        assert!(server.mails_to("eve@example.com").is_empty());
        queue.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_an_email_is_readable_in_the_database() {
    let database = TestDatabase::sqlite();
    let queue = TestOutbox::open(database, NO_SERVER).await;
    queue.put(&email("ann@example.com")).await;
    let TestDatabase::Sqlite(file) = &queue.database else {
        panic!("the first database is SQLite")
    };
    for end in ["", "-wal"] {
        let bytes = std::fs::read(format!("{}{end}", file.display())).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("ann@example") && !text.contains("a line with a dot"));
    }
    queue.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mailbox_keeps_the_newest_200_emails_for_a_day() {
    for database in TestDatabase::all().await {
        let queue = TestOutbox::open(database, NO_SERVER).await;
        for number in 0..205 {
            queue.put(&email(&format!("ann{number}@example.com"))).await;
            queue.clock.advance(1);
        }
        queue.put(&email("nobody@example.com").decoy()).await;
        outbox::trim_mailbox(queue.db.writer(), START).await.unwrap();
        let emails = outbox::newest(queue.db.reader(), &queue.key, 3).await.unwrap();
        let to: Vec<_> = emails.iter().map(|queued| queued.email.to.as_str()).collect();
        let newest = [204, 203, 202].map(|number| format!("ann{number}@example.com"));
        assert_eq!(to, newest);
        assert_eq!(queue.waiting().await, 200);
        queue.clock.advance(DAY);
        outbox::trim_mailbox(queue.db.writer(), queue.clock.now()).await.unwrap();
        assert_eq!(queue.waiting().await, 0);
        queue.put(&email("ann@example.com")).await;
        outbox::clear(queue.db.writer()).await.unwrap();
        assert_eq!(queue.waiting().await, 0);
        queue.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_sends_what_is_enqueued_until_it_is_stopped() {
    let server = FakeSmtp::start().await;
    for queue in TestOutbox::all(&server.url()).await {
        let worker = queue.worker_for(&server);
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let running = tokio::spawn(worker.run(stopped));
        let before = server.mails().len();
        queue.put(&email("ann@example.com")).await;
        let is_sent = async {
            server.until(|server| (server.mails().len() > before).then_some(())).await;
            until(async || queue.waiting().await == 0).await;
        };
        timeout(Duration::from_secs(10), is_sent).await.unwrap();
        stop.send(true).unwrap();
        timeout(Duration::from_secs(10), running).await.unwrap().unwrap();
        queue.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn emails_share_connections() {
    let server = FakeSmtp::start().await;
    let database = TestDatabase::sqlite();
    let mut queue = TestOutbox::open(database, &server.url()).await;
    queue.put_many(24).await;
    queue.deliver().await;
    assert_eq!(server.mails().len(), 24);
    assert!(server.connections() <= 8, "{}", server.connections());
    queue.close().await;
}
