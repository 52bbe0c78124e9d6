//! What the hash pool answers, and in which order.

use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::imported_hash;

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

/// A hash of another program for the password "correct horse 7".
fn imported(kind: &str, hash: &str) -> ImportedHash {
    let source = imported_hash::Source { kind, hash, extra: &serde_json::Value::Null };
    imported_hash::parse(source).unwrap().unwrap()
}

#[tokio::test]
async fn a_fast_hash_is_not_stored_as_it_is() {
    let hasher = PasswordHasher::start(&cost(64, 1)).unwrap();
    let hash = imported("ldap SHA", "{SHA}4DMkbUWC5+z+kdxI7HpWtce8VNQ=");
    let (stored, scheme) = hasher.adopt(hash).await.unwrap();
    assert!(stored.contains("argon2id") && !stored.contains("4DMkbUWC5"), "{stored}");
    assert!(scheme.is_some());
    for (password, expected) in [
        ("correct horse 7", PasswordMatch::Correct { needs_rehash: true }),
        ("correct horse 8", PasswordMatch::Incorrect),
    ] {
        let compared = hasher.verify(password.as_bytes(), Some(&stored)).await.unwrap();
        assert_eq!(compared, expected, "{password}");
    }
}

#[tokio::test]
async fn a_slow_hash_is_stored_as_it_is_and_one_of_our_own_as_a_phc_string() {
    let hasher = PasswordHasher::start(&cost(8192, 2)).unwrap();
    let own = "$argon2id$v=19$m=8192,t=2,p=1$ZnlwLnR6M3gxV2pFTmZORg$g/zj5p0DGVXmwQgJ/Giq48A2r+p+6SRJq9j25+43jAw";
    assert_eq!(hasher.adopt(imported("php", own)).await.unwrap(), (own.to_owned(), None));
    let slow = imported(
        "werkzeug",
        "scrypt:32768:8:1$iUpdR1ZVaBOG3w2t$dbfff2f99521d90b70cd7744af733b32c0d95ce341fcda0e08cad319e0d5c436794485f87c984c745ce87bb38884eaf0bf39ae83db555593d85d902c41e5f827",
    );
    let (stored, scheme) = hasher.adopt(slow).await.unwrap();
    assert!(scheme.is_some_and(|scheme| !scheme.contains("wrapped")));
    let compared = hasher.verify(b"correct horse 7", Some(&stored)).await.unwrap();
    assert_eq!(compared, PasswordMatch::Correct { needs_rehash: true });
}

/// The processor time of the one thread is the same, however busy the machine is.
async fn time_of_refusal(hasher: &PasswordHasher, stored: Option<&str>) -> Duration {
    let time = async || hasher.run(&hasher.hash_pool, |_| thread_time()).await.unwrap();
    let before = time().await;
    assert_eq!(hasher.verify(b"wrong", stored).await.unwrap(), PasswordMatch::Incorrect);
    time().await.saturating_sub(before)
}

#[tokio::test]
async fn a_cheap_imported_hash_is_refused_no_sooner_than_one_of_our_own() {
    let hasher = PasswordHasher::start(&cost(64 * 1024, 4)).unwrap();
    let cheap = format!("pbkdf2:sha256:100000$salt${}", "ab".repeat(32));
    let (cheap, _) = hasher.adopt(imported("werkzeug", &cheap)).await.unwrap();
    let own = time_of_refusal(&hasher, None).await;
    hasher.measure(b"x", None).await.unwrap();
    let time = time_of_refusal(&hasher, Some(&cheap)).await;
    assert!(time >= own.mul_f64(0.8), "{time:?} and {own:?}");
}

#[tokio::test]
async fn every_refusal_takes_as_long_as_one_with_the_slowest_imported_hash() {
    let hasher = PasswordHasher::start(&cost(64, 1)).unwrap();
    let slow = imported(
        "django",
        "pbkdf2_sha256$1000000$QzyD8VtHrh8xk3TnRxbtnu$ZmvwKucDN+b+FUkDAQCrvVYMiEsEZj7JD9B1n/zxu8o=",
    );
    let (slow, _) = hasher.adopt(slow).await.unwrap();
    let fast = hasher.adopt(imported("ldap", "{SHA}4DMkbUWC5+z+kdxI7HpWtce8VNQ=")).await.unwrap().0;
    let own = hasher.hash(b"correct horse 7").await.unwrap();
    let time_of = async |stored: Option<&str>| time_of_refusal(&hasher, stored).await;
    let own_before = time_of(Some(&own)).await;
    let slowest = time_of(Some(&slow)).await;
    assert!(own_before * 4 < slowest, "{own_before:?} and {slowest:?}");
    for (name, stored) in [("own", Some(&own)), ("fast", Some(&fast)), ("nobody", None)] {
        let time = time_of(stored.map(String::as_str)).await;
        assert!(time >= slowest.mul_f64(0.95), "{name}: {time:?} and {slowest:?}");
        assert!(time < slowest.mul_f64(1.5), "{name}: {time:?} and {slowest:?}");
    }
    hasher.forget_imported();
    assert!(time_of(None).await * 4 < slowest, "no imported hash is left");
}

#[tokio::test]
async fn a_long_password_and_a_planted_hash_are_refused() {
    let hasher = PasswordHasher::start(&cost(64, 1)).unwrap();
    let (stored, _) =
        hasher.adopt(imported("wordpress", "$P$BXk4BrWuTR8WSNEu6pni/ncgVjritC/")).await.unwrap();
    let long = vec![b'x'; 64 * 1024];
    assert_eq!(hasher.verify(&long, Some(&stored)).await.unwrap(), PasswordMatch::Incorrect);
    for planted in
        [stored.replace("8192", "4294967295"), stored.replace("argon2id", "argon2"), "{".to_owned()]
    {
        assert_eq!(
            hasher.verify(b"x", Some(&planted)).await.unwrap(),
            PasswordMatch::Incorrect,
            "{planted}"
        );
    }
}
