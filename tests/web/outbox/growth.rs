//! A worker's turn costs as much with many emails in the outbox as with few.

use std::time::{Duration, Instant};

use vestibule::models::outbox::{self, ClaimFilter};

use crate::support::outbox::{NO_SERVER, START, TestOutbox, code, email};

/// Makes 31 emails 62,000. The copies cannot be opened, and nobody opens them here.
const COPY: &str = "insert into vestibule_outbox (id, kind, sealed, tries, created_at, next_try_at,
        claimed_until, expires_at, priority, domain)
    with recursive numbers(number) as
        (select 1 union all select number + 1 from numbers where number < 2000)
    select id || cast(number as text), kind, sealed, tries, created_at, next_try_at,
        claimed_until, expires_at, priority, domain
    from vestibule_outbox cross join numbers";

/// The shortest time of a claim and a look for the next email: other programs disturb single ones.
async fn turn(queue: &TestOutbox) -> Duration {
    let mut shortest = Duration::MAX;
    for _ in 0..20 {
        let started = Instant::now();
        let filter = ClaimFilter::default();
        outbox::claim(&queue.db, &queue.key, START, &filter).await.unwrap();
        outbox::next_due(queue.db.reader(), START).await.unwrap();
        shortest = shortest.min(started.elapsed());
    }
    shortest
}

/// The turns while no email is due, few are, and all.
async fn turns(queue: TestOutbox, copy: &'static str) -> [Duration; 3] {
    queue.put_many(30).await;
    queue.put(&code("bob@example.com")).await;
    queue.run("update vestibule_outbox set next_try_at = next_try_at + 60").await;
    queue.run(copy).await;
    let none_due = turn(&queue).await;
    for _ in 0..20 {
        queue.put(&email("ann@example.com")).await;
    }
    let few_due = turn(&queue).await;
    assert_eq!(queue.claim(START, 1).await.len(), 0, "the few were claimed");
    queue.run("update vestibule_outbox set next_try_at = 0").await;
    let all_due = turn(&queue).await;
    queue.close().await;
    [none_due, few_due, all_due]
}

#[tokio::test(flavor = "multi_thread")]
async fn many_emails_make_no_turn_slower() {
    let databases = TestOutbox::all(NO_SERVER).await.into_iter();
    for (few, many) in databases.zip(TestOutbox::all(NO_SERVER).await) {
        let (few, many) = (turns(few, "select 1").await, turns(many, COPY).await);
        for (few, many) in few.into_iter().zip(many) {
            assert!(many < few * 8, "{many:?} with many emails, and {few:?} with few");
        }
    }
}
