//! Mail gets out: through outages, refusals and restarts, to its reader alone, and once.

mod slow;

use std::time::Duration;

use tokio::time::timeout;
use vestibule::db::{Db, sql};
use vestibule::key::ServerKey;
use vestibule::mail::worker::{DeliveryRun, End, Worker};
use vestibule::models::outbox::{self, Email, Outbox};

use crate::support::post::{DAY, Place, Post, START, email, mailer};
use crate::support::smtp::FakeSmtp;
use crate::support::until;

/// A round in which `sent` emails went out and nothing else happened.
fn sent(sent: usize) -> DeliveryRun {
    DeliveryRun { sent, ..DeliveryRun::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_email_arrives_whole_and_leaves_the_outbox() {
    let server = FakeSmtp::start().await;
    for mut post in Post::all(&server.url()).await {
        let before = server.mails().len();
        let id = post.put(&email("ann@example.com")).await;
        assert_eq!(post.deliver().await, sent(1));
        assert_eq!(post.waiting().await, 0);
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
        post.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_waits_for_a_server_that_is_down_and_is_out_within_90_seconds_of_its_return() {
    let server = FakeSmtp::start().await;
    for mut post in Post::all(&server.url()).await {
        server.go_down().await;
        let before = server.mails().len();
        post.put_many(30).await;
        for _ in 0..20 {
            assert_eq!(
                post.deliver().await,
                DeliveryRun { end: End::ServerUnavailable, ..DeliveryRun::default() }
            );
            post.clock.advance(60);
        }
        assert_eq!(post.waiting().await, 30);
        server.come_back().await;
        let round = post.deliver().await;
        assert_eq!(round, sent(30));
        assert_eq!((post.waiting().await, server.mails().len()), (0, before + 30));
        post.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_between_mails_delays_them_by_90_seconds_at_most() {
    let server = FakeSmtp::start().await;
    for mut post in Post::all(&server.url()).await {
        let before = server.mails().len();
        post.put_many(20).await;
        server.drop_after_data(13);
        for _ in 0..30 {
            post.deliver().await;
            post.clock.advance(3);
        }
        assert_eq!((post.waiting().await, server.mails().len()), (0, before + 20));
        post.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closing_server_counts_no_try() {
    let server = FakeSmtp::start().await;
    for mut post in Post::all(&server.url()).await {
        let id = post.put(&email("ann@example.com")).await;
        server.greet_with(Some("421 4.3.2 closing"));
        assert_eq!(post.deliver().await.end, End::ServerUnavailable);
        server.greet_with(None);
        let found = outbox::find(post.db.reader(), &post.key, &id).await.unwrap().unwrap();
        assert_eq!((found.tries, found.claimed_until), (0, 0));
        assert_eq!(post.deliver().await.sent, 1);
        post.close().await;
    }
}

/// The server may have taken it before the connection ended.
#[tokio::test(flavor = "multi_thread")]
async fn an_email_whose_answer_was_lost_goes_out_again_in_a_minute_and_then_ever_later() {
    let server = FakeSmtp::start().await;
    for mut post in Post::all(&server.url()).await {
        post.put(&email("ann@example.com")).await;
        server.drop_after_data(2);
        assert_eq!(post.deliver().await.rejected, 1);
        for (wait, rejected, sent) in [(59, 0, 0), (1, 1, 0), (119, 0, 0), (1, 0, 1)] {
            post.clock.advance(wait);
            let round = post.deliver().await;
            assert_eq!((round.rejected, round.sent), (rejected, sent), "after {wait} more seconds");
        }
        post.close().await;
    }
}

/// A relay that throttles one domain answers 421 to its recipients alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_closed_on_at_its_recipients_lets_the_others_pass() {
    let server = FakeSmtp::start().await;
    for mut post in Post::all(&server.url()).await {
        let before = server.mails().len();
        for number in 0..8 {
            let address = format!("slow{number}@example.com");
            server.refuse(&address, "421 4.7.0 too many");
            post.put(&email(&address)).await;
        }
        post.clock.advance(1);
        post.put(&email("ann@example.com")).await;
        let round = post.deliver().await;
        assert_eq!((round.sent, round.rejected, round.end), (1, 8, End::NothingDue));
        assert_eq!(server.mails().len(), before + 1);
        post.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_refused_address_holds_nobody_up() {
    let server = FakeSmtp::start().await;
    server.refuse("no@example.com", "550 5.1.1 <no@example.com>: unknown");
    server.refuse("later@example.com", "451 4.7.1 greylisted");
    for mut post in Post::all(&server.url()).await {
        let before = server.mails().len();
        post.put(&email("no@example.com")).await;
        post.put(&email("later@example.com")).await;
        post.put_many(20).await;
        let round = post.deliver().await;
        assert_eq!((round.sent, round.rejected), (20, 2));
        assert_eq!((round.end, post.waiting().await), (End::NothingDue, 2));
        assert_eq!(server.mails().len(), before + 20);
        post.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_email_put_off_is_tried_in_seconds_and_one_refused_in_a_minute() {
    let server = FakeSmtp::start().await;
    for (reply, wait) in [("451 4.7.1 greylisted", 2), ("550 5.1.1 unknown", 60)] {
        for mut post in Post::all(&server.url()).await {
            server.refuse("ann@example.com", reply);
            post.put(&email("ann@example.com")).await;
            assert_eq!(post.deliver().await.rejected, 1);
            server.allow("ann@example.com");
            post.clock.advance(wait - 1);
            assert_eq!(post.deliver().await, sent(0), "it is not over yet");
            post.clock.advance(1);
            assert_eq!(post.deliver().await, sent(1));
            post.close().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_email_that_is_refused_is_given_up_after_a_day() {
    let server = FakeSmtp::start().await;
    server.refuse("no@example.com", "550 5.1.1 unknown");
    for mut post in Post::all(&server.url()).await {
        post.put(&Email { expires_at: START + 10 * DAY, ..email("no@example.com") }).await;
        post.deliver().await;
        post.clock.advance(DAY - 1);
        post.deliver().await;
        assert_eq!(post.waiting().await, 1);
        post.clock.advance(3600);
        post.deliver().await;
        assert_eq!(post.waiting().await, 0);
        post.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_code_and_a_decoy_are_never_sent() {
    let server = FakeSmtp::start().await;
    for mut post in Post::all(&server.url()).await {
        let code = Email { expires_at: START + 600, ..email("ann@example.com") };
        server.go_down().await;
        post.put(&code).await;
        let decoy = post.put(&email("nobody@example.com").decoy()).await;
        let found = outbox::find(post.db.reader(), &post.key, &decoy).await;
        assert!(found.unwrap().is_none());
        let round = post.deliver().await;
        assert_eq!((round.dropped, round.end), (1, End::ServerUnavailable), "the code waits");
        post.clock.advance(600);
        server.come_back().await;
        let round = post.deliver().await;
        assert_eq!((round.dropped, round.sent), (1, 0));
        assert_eq!((post.waiting().await, server.mails().len()), (0, 0));
        post.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decoy_that_the_worker_did_not_come_to_is_not_in_the_mailbox() {
    for place in Place::all().await {
        let post = Post::open(place, None).await;
        let mut ids = Vec::new();
        for email in [email("a@x.example"), email("b@x.example").decoy(), email("c@x.example")] {
            ids.push(post.put(&email).await);
            post.clock.advance(1);
        }
        let shown = outbox::newest(post.db.reader(), &post.key, 9).await.unwrap();
        let shown: Vec<_> = shown.into_iter().map(|email| email.id).collect();
        assert_eq!(shown, [ids[2].clone(), ids[0].clone()]);
        assert!(outbox::find(post.db.reader(), &post.key, &ids[1]).await.unwrap().is_none());
        let around = |id| outbox::neighbours(post.db.reader(), id);
        assert_eq!(around(&ids[0]).await.unwrap(), (Some(ids[2].clone()), None));
        assert_eq!(around(&ids[2]).await.unwrap(), (None, Some(ids[0].clone())));
        post.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_took_is_not_mailed_twice_when_its_row_cannot_be_deleted() {
    let server = FakeSmtp::start().await;
    let place = Place::sqlite();
    let mut post = Post::open(place, Some(mailer(&server.url()))).await;
    post.run(
        "create trigger stuck before delete on outbox begin select raise(abort, 'stuck'); end",
    )
    .await;
    post.put(&email("ann@example.com")).await;
    assert_eq!(
        post.deliver().await,
        DeliveryRun { sent: 1, end: End::DatabaseFailed, ..DeliveryRun::default() }
    );
    post.clock.advance(3600);
    post.put(&email("bob@example.com")).await;
    assert_eq!(post.deliver().await.end, End::DatabaseFailed);
    post.run("drop trigger stuck").await;
    assert_eq!(post.deliver().await, sent(1));
    assert_eq!(server.mails_to("ann@example.com").len(), 1);
    assert_eq!(server.mails_to("bob@example.com").len(), 1);
    post.close().await;
}

/// Whom the emails from the `before`th on went to, without repeats.
fn readers(server: &FakeSmtp, before: usize) -> usize {
    let mails = server.mails().split_off(before).into_iter();
    mails.flat_map(|mail| mail.to).collect::<std::collections::HashSet<_>>().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn several_nodes_send_each_email_once_however_slow_the_server() {
    const LETTERS: usize = 3 * 200;
    let server = FakeSmtp::start().await;
    server.be_slow(Duration::from_millis(5));
    for post in Post::all(&server.url()).await {
        let before = server.mails().len();
        post.put_many(LETTERS).await;
        let mut nodes = tokio::task::JoinSet::new();
        for _ in 0..3 {
            let db = Db::open(&post.location).await.unwrap();
            let outbox = Outbox::new(post.key.clone(), post.clock.clone());
            let mut node = Worker::new(db.clone(), outbox, Some(mailer(&server.url())));
            nodes.spawn(async move {
                let round = node.deliver_due().await;
                db.close().await;
                round
            });
        }
        let rounds = timeout(Duration::from_mins(1), nodes.join_all()).await.unwrap();
        assert_eq!(rounds.iter().map(|round| round.sent).sum::<usize>(), LETTERS, "{rounds:?}");
        let mails = server.mails().len() - before;
        assert_eq!((readers(&server, before), mails), (LETTERS, LETTERS));
        post.close().await;
    }
}

/// What was due at [`START`] is not looked for every second while another node is at it.
#[tokio::test(flavor = "multi_thread")]
async fn an_email_that_a_node_holds_is_due_for_no_other() {
    for place in Place::all().await {
        let post = Post::open(place, None).await;
        post.put_many(2).await;
        let held = post.claim(START, 1).await;
        assert_eq!(outbox::next_due(post.db.reader(), START).await.unwrap(), Some(START));
        post.claim(START, 1).await;
        assert_eq!(outbox::next_due(post.db.reader(), START).await.unwrap(), None);
        let over = START + outbox::LEASE_SECONDS;
        assert_eq!(outbox::next_due(post.db.reader(), over).await.unwrap(), Some(START));
        outbox::reschedule(post.db.writer(), &held[0], START + 9).await.unwrap();
        assert_eq!(outbox::next_due(post.db.reader(), START).await.unwrap(), Some(START + 9));
        post.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_worker_waits_for_an_email_that_a_transaction_holds() {
    let Some(place) = Place::all().await.into_iter().nth(1) else { return };
    let post = Post::open(place, None).await;
    post.put_many(3).await;
    let mut tx = post.db.begin().await.unwrap();
    let held = sql("select id from outbox order by id limit 1 for update");
    let (held,) = held.optional::<(String,)>(tx.on()).await.unwrap().unwrap();
    let claimed = timeout(Duration::from_secs(3), post.claim(START, 8));
    let claimed = claimed.await.expect("it does not wait");
    assert!(claimed.len() == 2 && claimed.iter().all(|email| email.id != held));
    for email in &claimed {
        outbox::reschedule(post.db.writer(), email, START).await.unwrap();
    }
    let late = START + 2 * DAY;
    let dropped = timeout(Duration::from_secs(3), outbox::drop_expired(&post.db, &post.key, late));
    assert_eq!(dropped.await.expect("it does not wait").unwrap().len(), 2);
    tx.commit().await.unwrap();
    assert_eq!(outbox::drop_expired(&post.db, &post.key, late).await.unwrap().len(), 1);
    post.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_process_held_is_sent_after_its_lease_or_once_released() {
    let server = FakeSmtp::start().await;
    for mut post in Post::all(&server.url()).await {
        post.put(&email("ann@example.com")).await;
        let held = post.claim(START, 8).await;
        assert_eq!(held.len(), 1);
        assert_eq!(post.deliver().await, DeliveryRun::default());
        outbox::release_claims(post.db.writer()).await.unwrap();
        let again = post.claim(START + 1, 8).await;
        assert_eq!(again[0].tries, 2);
        outbox::release(post.db.writer(), &held[0], post.clock.now()).await.unwrap();
        post.clock.advance(1 + outbox::LEASE_SECONDS - 1);
        assert_eq!(post.deliver().await, DeliveryRun::default(), "an old claim gives nothing back");
        post.clock.advance(1);
        assert_eq!(post.deliver().await, sent(1));
        post.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_email_sealed_with_a_lost_key_is_dropped_and_the_others_go_out() {
    let server = FakeSmtp::start().await;
    for mut post in Post::all(&server.url()).await {
        let lost = ServerKey::from_bytes(b"another key: thirty-two bytes or so\xff").unwrap();
        let lost = Outbox::new(lost, post.clock.clone());
        post.put_into(&lost, &email("eve@example.com")).await;
        post.put(&email("ann@example.com")).await;
        assert_eq!(post.deliver().await, sent(1));
        assert_eq!(post.waiting().await, 0);
        assert!(server.mails_to("eve@example.com").is_empty());
        post.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_an_email_is_readable_in_the_database() {
    let place = Place::sqlite();
    let post = Post::open(place, None).await;
    post.put(&email("ann@example.com")).await;
    let Place::Sqlite(file) = &post.place else { panic!("the first place is SQLite") };
    for end in ["", "-wal"] {
        let bytes = std::fs::read(format!("{}{end}", file.display())).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("ann@example") && !text.contains("a line with a dot"));
    }
    post.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_emails_stay_for_the_mailbox_newest_first() {
    for place in Place::all().await {
        let mut post = Post::open(place, None).await;
        for number in 0..205 {
            post.put(&email(&format!("ann{number}@example.com"))).await;
            post.clock.advance(1);
        }
        post.put(&email("nobody@example.com").decoy()).await;
        assert_eq!(post.deliver().await, DeliveryRun::default());
        let emails = outbox::newest(post.db.reader(), &post.key, 3).await.unwrap();
        let to: Vec<_> = emails.iter().map(|email| email.to.as_str()).collect();
        let newest = [204, 203, 202].map(|number| format!("ann{number}@example.com"));
        assert_eq!(to, newest);
        assert_eq!(post.waiting().await, 200);
        post.clock.advance(DAY);
        post.deliver().await;
        assert_eq!(post.waiting().await, 0);
        post.put(&email("ann@example.com")).await;
        outbox::clear(post.db.writer()).await.unwrap();
        assert_eq!(post.waiting().await, 0);
        post.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_sends_when_woken_and_stops_when_told() {
    let server = FakeSmtp::start().await;
    for post in Post::all(&server.url()).await {
        let worker = post.worker_for(&server);
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let running = tokio::spawn(worker.run(stopped));
        let before = server.mails().len();
        post.put(&email("ann@example.com")).await;
        let is_sent = async {
            server.until(|server| (server.mails().len() > before).then_some(())).await;
            until(async || post.waiting().await == 0).await;
        };
        timeout(Duration::from_secs(10), is_sent).await.unwrap();
        stop.send(true).unwrap();
        timeout(Duration::from_secs(10), running).await.unwrap().unwrap();
        post.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn emails_of_one_round_share_connections() {
    let server = FakeSmtp::start().await;
    let place = Place::sqlite();
    let mut post = Post::open(place, Some(mailer(&server.url()))).await;
    post.put_many(24).await;
    assert_eq!(post.deliver().await.sent, 24);
    assert!(server.connections() <= 8, "{}", server.connections());
    post.close().await;
}
