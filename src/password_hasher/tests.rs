//! What the hash pool answers, and in which order.

use super::*;

fn cost(memory_kib: u32, iterations: u32) -> HashCost {
    HashCost { memory_kib, iterations, threads: 1, queue: 4 }
}

#[tokio::test]
async fn a_right_password_passes_and_others_do_not() {
    let hasher = PasswordHasher::start(&cost(64, 1)).unwrap();
    let right: &[u8] = b"moss lantern quartz";
    let stored = hasher.hash(right).await.unwrap();
    assert!(stored.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{stored}");
    assert_eq!(
        hasher.verify(right, Some(&stored)).await.unwrap(),
        PasswordMatch::Correct { needs_rehash: false }
    );
    let wrong: &[u8] = b"moss lantern quart";
    assert_eq!(hasher.verify(wrong, Some(&stored)).await.unwrap(), PasswordMatch::Incorrect);
    assert_eq!(hasher.verify(right, None).await.unwrap(), PasswordMatch::Incorrect);
}

#[tokio::test]
async fn a_hash_made_with_weaker_parameters_is_stale() {
    let stored = PasswordHasher::start(&cost(64, 1)).unwrap().hash(b"x").await.unwrap();
    let today = PasswordHasher::start(&cost(128, 2)).unwrap();
    let verdict = today.verify(b"x", Some(&stored)).await.unwrap();
    assert_eq!(verdict, PasswordMatch::Correct { needs_rehash: true });
}

#[tokio::test]
async fn a_hash_made_with_stronger_parameters_is_kept() {
    let stronger = PasswordHasher::start(&cost(128, 2)).unwrap();
    let stored = stronger.hash(b"x").await.unwrap();
    let today = PasswordHasher::start(&cost(64, 1)).unwrap();
    let verdict = today.verify(b"x", Some(&stored)).await.unwrap();
    assert_eq!(verdict, PasswordMatch::Correct { needs_rehash: false });
}

#[tokio::test]
async fn argon2s_own_verifier_agrees_with_ours() {
    use argon2::PasswordVerifier;
    let hasher = PasswordHasher::start(&cost(19_456, 2)).unwrap();
    let stored = hasher.hash(b"moss lantern quartz").await.unwrap();
    let theirs = Argon2::default();
    assert!(theirs.verify_password(b"moss lantern quartz", stored.as_str()).is_ok());
    assert!(theirs.verify_password(b"moss lantern", stored.as_str()).is_err());
}

#[tokio::test]
async fn parameters_that_would_eat_the_machine_are_not_obeyed() {
    let hasher = PasswordHasher::start(&cost(64, 1)).unwrap();
    let stored = hasher.hash(b"x").await.unwrap();
    for planted in ["m=4194304,t=1", "m=64,t=4294967295", "m=64,t=65"] {
        let planted = stored.replace("m=64,t=1", planted);
        let started = std::time::Instant::now();
        let verdict = hasher.verify(b"x", Some(&planted)).await.unwrap();
        assert_eq!(verdict, PasswordMatch::Incorrect, "{planted}");
        assert!(started.elapsed().as_secs() < 5, "{planted} was obeyed");
    }
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_work_nobody_waits_for_is_skipped() {
    let hasher = PasswordHasher::start(&cost(64, 1)).unwrap();
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let (begun, begins) = oneshot::channel();
    let blocked = hasher.run(Kind::Hash, move |_| {
        let _ = begun.send(());
        gate.recv()
    });
    let mut blocked = Box::pin(blocked);
    assert!(futures_poll(&mut blocked).await);
    // Else its place in the queue comes free later, and no call is refused.
    begins.await.unwrap();
    let (told, ran) = std::sync::mpsc::channel();
    for _ in 0..8 {
        let told = told.clone();
        let mut left = Box::pin(hasher.run(Kind::Hash, move |_| told.send(())));
        let _ = futures_poll(&mut left).await;
    }
    let refused = hasher.hash(b"x").await;
    assert!(matches!(refused, Err(HashError::Busy)), "{refused:?}");
    go.send(()).unwrap();
    blocked.await.unwrap().unwrap();
    let _ = hasher.verify(b"x", None).await;
    assert!(ran.try_recv().is_err(), "the work of those who left was done all the same");
}

/// A pool of one thread that is busy until something is sent, and room for four jobs.
async fn busy() -> (PasswordHasher, std::sync::mpsc::Sender<()>) {
    let hasher = PasswordHasher::start(&cost(64, 1)).unwrap();
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let (begun, begins) = oneshot::channel();
    let job = move |_: Result<&mut Vec<Block>, HashError>| {
        let _ = begun.send(());
        let _ = gate.recv();
    };
    hasher.pool.add(Kind::Hash, hasher.path, Box::new(job));
    begins.await.unwrap();
    (hasher, go)
}

#[tokio::test]
async fn a_full_queue_refuses_the_newest_job_of_the_network_that_has_the_most() {
    let (hasher, go) = busy().await;
    let password: &[u8] = b"x";
    let [greedy, other] = ["192.0.2.1", "2001:db8::"]
        .map(|network| hasher.for_network([network.parse().unwrap(); 2]));
    let mut held: Vec<_> = (0..4).map(|_| Box::pin(greedy.verify(password, None))).collect();
    for waits in &mut held {
        assert!(futures_poll(waits).await, "one network may use the whole queue");
    }
    let refused = greedy.verify(password, None).await;
    assert!(matches!(refused, Err(HashError::Busy)), "{refused:?}");
    let mut others = Box::pin(other.verify(password, None));
    assert!(futures_poll(&mut others).await, "another waits for its turn");
    let refused = held.pop().unwrap().await;
    assert!(matches!(refused, Err(HashError::Busy)), "{refused:?}");
    go.send(()).unwrap();
    assert_eq!(others.await.unwrap(), PasswordMatch::Incorrect);
    for waits in held {
        assert_eq!(waits.await.unwrap(), PasswordMatch::Incorrect);
    }
}

#[tokio::test]
async fn strength_checks_and_hashes_have_separate_queues_and_take_turns() {
    let (hasher, go) = busy().await;
    let (told, order) = std::sync::mpsc::channel();
    let mut waiting = Vec::new();
    for (kind, name) in
        [(Kind::StrengthCheck, "checked")].repeat(4).into_iter().chain([(Kind::Hash, "hashed"); 2])
    {
        let told = told.clone();
        let mut work = Box::pin(hasher.run(kind, move |_| told.send(name)));
        assert!(futures_poll(&mut work).await, "{name}");
        waiting.push(work);
    }
    let refused = hasher.run_strength_check(|| ()).await;
    assert!(matches!(refused, Err(HashError::Busy)), "{refused:?}");
    go.send(()).unwrap();
    for work in waiting {
        work.await.unwrap().unwrap();
    }
    let order: Vec<_> = order.try_iter().collect();
    assert_eq!(order, ["checked", "hashed", "checked", "hashed", "checked", "checked"]);
}

#[tokio::test]
async fn strength_checks_leave_half_of_the_threads_to_logins() {
    let hasher = PasswordHasher::start(&HashCost { threads: 2, ..cost(64, 1) }).unwrap();
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let mut checking = Box::pin(hasher.run(Kind::StrengthCheck, move |_| gate.recv()));
    assert!(futures_poll(&mut checking).await);
    let password: &[u8] = b"x";
    let mut waiting = Box::pin(hasher.run_strength_check(|| true));
    assert!(futures_poll(&mut waiting).await, "at most one of two threads checks");
    let verdict = hasher.verify(password, None).await.unwrap();
    assert_eq!(verdict, PasswordMatch::Incorrect, "a login does not wait");
    assert!(futures_poll(&mut waiting).await);
    go.send(()).unwrap();
    assert!(waiting.await.unwrap());
    checking.await.unwrap().unwrap();
}

/// Polls once, so that the job is in the queue; whether it is still waiting.
async fn futures_poll<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending())
    })
    .await
}
