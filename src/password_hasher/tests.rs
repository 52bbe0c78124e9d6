//! What the hash pool answers, and in which order.

use std::sync::mpsc;

use super::*;

fn cost(memory_kib: u32, iterations: u32) -> HashCost {
    HashCost { memory_kib, iterations, threads: 1, queue: 4 }
}

#[tokio::test]
async fn a_right_password_passes_and_others_do_not() {
    let hasher = PasswordHasher::start(&cost(64, 1)).unwrap();
    let right = b"moss lantern quartz";
    let stored = hasher.hash(right).await.unwrap();
    assert!(stored.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{stored}");
    assert_eq!(
        hasher.verify(right, Some(&stored)).await.unwrap(),
        PasswordMatch::Correct { needs_rehash: false }
    );
    let wrong = b"moss lantern quart";
    assert_eq!(hasher.verify(wrong, Some(&stored)).await.unwrap(), PasswordMatch::Incorrect);
    assert_eq!(hasher.verify(right, None).await.unwrap(), PasswordMatch::Incorrect);
}

#[tokio::test]
async fn a_hash_made_with_weaker_parameters_needs_a_rehash() {
    let stored = PasswordHasher::start(&cost(64, 1)).unwrap().hash(b"x").await.unwrap();
    let today = PasswordHasher::start(&cost(128, 2)).unwrap();
    let result = today.verify(b"x", Some(&stored)).await.unwrap();
    assert_eq!(result, PasswordMatch::Correct { needs_rehash: true });
}

#[tokio::test]
async fn a_hash_made_with_stronger_parameters_is_kept() {
    let stronger = PasswordHasher::start(&cost(128, 2)).unwrap();
    let stored = stronger.hash(b"x").await.unwrap();
    let today = PasswordHasher::start(&cost(64, 1)).unwrap();
    let result = today.verify(b"x", Some(&stored)).await.unwrap();
    assert_eq!(result, PasswordMatch::Correct { needs_rehash: false });
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
async fn a_planted_hash_with_excessive_parameters_is_not_computed() {
    let hasher = PasswordHasher::start(&cost(64, 1)).unwrap();
    let stored = hasher.hash(b"x").await.unwrap();
    for planted in ["m=4194304,t=1", "m=64,t=4294967295", "m=64,t=65"] {
        let planted = stored.replace("m=64,t=1", planted);
        let started = std::time::Instant::now();
        let result = hasher.verify(b"x", Some(&planted)).await.unwrap();
        assert_eq!(result, PasswordMatch::Incorrect, "{planted}");
        assert!(started.elapsed().as_secs() < 5, "{planted} was computed");
    }
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_the_work_of_cancelled_callers_is_skipped() {
    let (hasher, go) = busy().await;
    let (sender, done) = mpsc::channel();
    for _ in 0..8 {
        let sender = sender.clone();
        let mut cancelled = Box::pin(hasher.run(&hasher.hash_pool, move |_| sender.send(())));
        let _ = is_waiting(&mut cancelled).await;
    }
    let refused = hasher.hash(b"x").await;
    assert!(matches!(refused, Err(HashError::Busy)), "{refused:?}");
    go.send(()).unwrap();
    let _ = hasher.verify(b"x", None).await;
    assert!(done.try_recv().is_err(), "cancelled work was done");
}

/// A hasher with room for four jobs, whose thread is busy until something is sent.
async fn busy() -> (PasswordHasher, mpsc::Sender<()>) {
    let hasher = PasswordHasher::start(&cost(64, 1)).unwrap();
    let go = occupy(&hasher.hash_pool).await;
    (hasher, go)
}

/// Keeps a thread of the pool busy until something is sent.
async fn occupy(pool: &Pool) -> mpsc::Sender<()> {
    let (go, gate) = mpsc::channel();
    let (begun, begins) = oneshot::channel();
    let job = move |_: &mut Vec<Block>| {
        let _ = begun.send(());
        let _ = gate.recv();
    };
    pool.add([Ipv4Addr::UNSPECIFIED.into(); 2], Box::new(job));
    begins.await.unwrap();
    go
}

#[tokio::test]
async fn a_panic_fails_one_call_and_the_thread_goes_on() {
    let hasher = PasswordHasher::start(&cost(64, 1)).unwrap();
    let failed = hasher.run(&hasher.hash_pool, |_| "a bug".parse::<u8>().unwrap()).await;
    assert!(matches!(failed, Err(HashError::Failed(_))), "{failed:?}");
    assert_eq!(hasher.verify(b"x", None).await.unwrap(), PasswordMatch::Incorrect);
}

#[tokio::test]
async fn a_full_queue_refuses_the_newest_job_of_the_network_that_has_the_most() {
    let (hasher, go) = busy().await;
    let [greedy, other] = ["192.0.2.1", "2001:db8::"]
        .map(|network| hasher.for_network([network.parse().unwrap(); 2]));
    let mut held: Vec<_> = (0..4).map(|_| Box::pin(greedy.verify(b"x", None))).collect();
    for waits in &mut held {
        assert!(is_waiting(waits).await, "one network may use the whole queue");
    }
    let refused = greedy.verify(b"x", None).await;
    assert!(matches!(refused, Err(HashError::Busy)), "{refused:?}");
    let mut others = Box::pin(other.verify(b"x", None));
    assert!(is_waiting(&mut others).await, "another waits for its turn");
    let refused = held.pop().unwrap().await;
    assert!(matches!(refused, Err(HashError::Busy)), "{refused:?}");
    go.send(()).unwrap();
    assert_eq!(others.await.unwrap(), PasswordMatch::Incorrect);
    for waits in held {
        assert_eq!(waits.await.unwrap(), PasswordMatch::Incorrect);
    }
}

#[tokio::test]
async fn strength_checks_have_their_own_queue_and_threads() {
    let hasher = PasswordHasher::start(&cost(64, 1)).unwrap();
    let go = occupy(&hasher.check_pool).await;
    let mut waiting: Vec<_> = (0..4).map(|_| Box::pin(hasher.run_strength_check(|| ()))).collect();
    for check in &mut waiting {
        assert!(is_waiting(check).await);
    }
    let refused = hasher.run_strength_check(|| ()).await;
    assert!(matches!(refused, Err(HashError::Busy)), "{refused:?}");
    let result = hasher.verify(b"x", None).await.unwrap();
    assert_eq!(result, PasswordMatch::Incorrect, "a login does not wait for checks");
    go.send(()).unwrap();
    for check in waiting {
        check.await.unwrap();
    }
}

/// Polls once, so that the job is in the queue. Returns whether it is still waiting.
async fn is_waiting<F: Future + Unpin>(future: &mut F) -> bool {
    futures_util::poll!(future).is_pending()
}
