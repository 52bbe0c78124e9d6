//! The hash pool: Argon2id, and the judgement of new passwords, on threads of its own, behind a
//! bounded queue.
//!
//! A login storm slows logins and no page: requests never hash on the runtime's threads, memory is
//! one buffer a thread, and what does not fit the queue is refused at once.

mod shares;

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use self::shares::Shares;
use super::password::{Password, PasswordError};
use crate::config::HashCost;
use crate::event::{self, Event};
use crate::random;

/// Stored parameters above these are not obeyed: a planted hash must not be able to eat the
/// machine (1 GiB, 64 passes, 16 lanes).
const MOST_MEMORY_KIB: u32 = 1 << 20;
const MOST_ITERATIONS: u32 = 64;
const MOST_LANES: u32 = 16;

/// How long a judgement may wait for its turn: as long as the sixty registrations of one address take
/// at 70 ms each (measured, the worst passwords), so that these alone refuse nobody else.
const JUDGED_WITHIN: Duration = Duration::from_secs(5);

type Job = Box<dyn FnOnce(&mut Vec<Block>) + Send>;

/// The way into the pool. Clones share its threads, which end with the last clone.
#[derive(Clone)]
pub struct Hasher {
    jobs: SyncSender<Job>,
    /// Judgements under way: anybody can ask for one, so they leave half of the pool to logins. With
    /// one thread a login waits for one of them. A flood of them costs others a 503 where a password
    /// is chosen, and no login.
    judgements: Arc<Semaphore>,
    /// Judgements under way or waiting for their turn: as many as the queue is long. Each holds a
    /// request open.
    waiting: Arc<Semaphore>,
    params: Params,
    /// What a password is verified against when there is no account: the same work.
    nobody: Arc<str>,
    /// Of all places, and of those for judgements.
    shares: [Arc<Shares>; 2],
    /// Whose work this handle brings.
    whose: Option<IpAddr>,
}

/// What a verification found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The password is right.
    Right {
        /// The hash was made with weaker parameters than today's: hash it anew.
        stale: bool,
    },
    /// The password is wrong, or there is no account.
    Wrong,
}

/// Why nothing was hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// The queue is full: answer 503 and let them come back.
    #[error("the hash queue is full")]
    Busy,
    /// Argon2 refused its parameters, or a thread is gone.
    #[error("hashing failed: {0}")]
    Failed(String),
}

impl Hasher {
    /// Starts `cost.threads` threads.
    ///
    /// # Errors
    /// When Argon2 does not take the parameters, or no thread can be started.
    pub fn start(cost: &HashCost) -> Result<Self, HashError> {
        let params =
            Params::new(cost.memory_kib, cost.iterations, 1, Some(Params::DEFAULT_OUTPUT_LEN))
                .map_err(failed)?;
        let (jobs, queue) = sync_channel::<Job>(cost.queue);
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..cost.threads {
            let queue = Arc::clone(&queue);
            let thread = std::thread::Builder::new().name(format!("argon2-{number}"));
            thread.spawn(move || work_off(&queue)).map_err(failed)?;
        }
        let nobody = phc_string(&params, &random::bytes::<16>(), &random::bytes::<32>())?;
        let judgements = (cost.threads / 2).max(1);
        let waiting = Arc::new(Semaphore::new(judgements + cost.queue));
        let judgements = Arc::new(Semaphore::new(judgements));
        let (nobody, shares) =
            (nobody.into(), [Shares::new(cost.queue / 2), Shares::new(cost.queue / 4)]);
        Ok(Self { jobs, judgements, waiting, params, nobody, shares, whose: None })
    }

    /// The same pool for work of visitors from `network`, which gets half of the places at most, and a
    /// quarter of those for judgements. `None` is nobody in particular, who is not counted.
    #[must_use]
    pub fn on_behalf_of(&self, network: Option<IpAddr>) -> Self {
        Self { whose: network, ..self.clone() }
    }

    /// Hashes with a new salt; answers a PHC string.
    ///
    /// # Errors
    /// [`HashError::Busy`] when the queue is full.
    pub async fn hash(&self, password: &Password) -> Result<String, HashError> {
        let (password, params) = (password.clone(), self.params.clone());
        self.run(move |memory| {
            let salt = random::bytes::<16>();
            let output = derive(&params, password.as_bytes(), &salt, memory)?;
            phc_string(&params, &salt, &output)
        })
        .await?
    }

    /// Compares a password with a stored PHC string. Without one, or with one that cannot be used,
    /// the same work is done and the answer is [`Verdict::Wrong`] (ASVS 6.3.8: nobody can tell by
    /// time or status who has an account).
    ///
    /// # Errors
    /// [`HashError::Busy`] when the queue is full.
    pub async fn verify(
        &self,
        password: &Password,
        stored: Option<&str>,
    ) -> Result<Verdict, HashError> {
        let (password, params) = (password.clone(), self.params.clone());
        let nobody = Arc::clone(&self.nobody);
        let stored = stored.map(str::to_owned);
        self.run(move |memory| {
            let Some(stored) = stored else {
                return compare(&params, &password, &nobody, memory).map(|_| Verdict::Wrong);
            };
            compare(&params, &password, &stored, memory).or_else(|error| {
                Event::Fault.because("a_stored_password_hash_cannot_be_used", &error);
                compare(&params, &password, &nobody, memory).map(|_| Verdict::Wrong)
            })
        })
        .await?
    }

    /// Says why a password is easy to guess, if it is. Judging costs as much as hashing, so it
    /// stands in the same queue.
    ///
    /// # Errors
    /// [`HashError::Busy`] when the queue is full, or no turn comes within five seconds.
    pub async fn judge(
        &self,
        password: &Password,
        context: Vec<String>,
    ) -> Result<Option<PasswordError>, HashError> {
        // Held by the work itself: who hangs up while it is done must not make room for more.
        let share = self.shares[1].take(self.whose).ok_or(HashError::Busy)?;
        let place = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| HashError::Busy)?;
        let turn = timeout(JUDGED_WITHIN, Arc::clone(&self.judgements).acquire_owned()).await;
        let turn = turn.map_err(|_| HashError::Busy)?.map_err(failed)?;
        let password = password.clone();
        self.run(move |_| {
            let judged = password.guessable(&context);
            drop((share, place, turn));
            judged
        })
        .await
    }

    /// Runs `work` on a thread of the pool. It is skipped when nobody waits for it any more.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Vec<Block>) -> T + Send + 'static,
    ) -> Result<T, HashError> {
        let share = self.shares[0].take(self.whose).ok_or(HashError::Busy)?;
        let (answer, waiting) = oneshot::channel();
        // What the thread logs belongs to the request; the span is the tests' that compare work.
        let (request, span) = (event::carried(), tracing::Span::current());
        let job = Box::new(move |memory: &mut Vec<Block>| {
            let _span = span.enter();
            if answer.is_closed() {
                return;
            }
            let done = request.run(|| work(memory));
            // Before the answer: who gets it may come again at once.
            drop(share);
            let _ = answer.send(done);
        });
        self.jobs.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(_) => HashError::Busy,
            TrySendError::Disconnected(_) => failed("no hash thread is left"),
        })?;
        waiting.await.map_err(|_| failed("the hash thread dropped the work"))
    }
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Hasher").field("params", &self.params).finish_non_exhaustive()
    }
}

fn failed(cause: impl ToString) -> HashError {
    HashError::Failed(cause.to_string())
}

/// One thread's life: take a job, do it, until the last sender is gone. The memory is kept: a fresh
/// allocation of 19 MiB for each hash costs a third of the throughput in page faults (measured).
fn work_off(queue: &Mutex<Receiver<Job>>) {
    let mut memory = Vec::new();
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        if catch_unwind(AssertUnwindSafe(|| job(&mut memory))).is_err() {
            // The panic itself has its own line; the thread goes on.
            memory = Vec::new();
        }
    }
}

fn derive(
    params: &Params,
    password: &[u8],
    salt: &[u8],
    memory: &mut Vec<Block>,
) -> Result<Vec<u8>, HashError> {
    let mut output = vec![0; params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN)];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    let needed = params.block_count();
    if memory.len() < needed {
        memory.resize(needed, Block::new());
    }
    argon2
        .hash_password_into_with_memory(password, salt, &mut output, &mut memory[..needed])
        .map_err(failed)?;
    tracing::trace!(memory_kib = params.m_cost(), iterations = params.t_cost(), "hashed");
    Ok(output)
}

fn compare(
    today: &Params,
    password: &Password,
    stored: &str,
    memory: &mut Vec<Block>,
) -> Result<Verdict, HashError> {
    let hash = PasswordHash::new(stored).map_err(failed)?;
    let params = bounded_params(&hash)?;
    let (Some(salt), Some(expected)) = (&hash.salt, &hash.hash) else {
        return Err(failed("the stored hash has no salt or no output"));
    };
    let found = derive(&params, password.as_bytes(), salt, memory)?;
    let is_stale = is_weaker(&params, today);
    // A hash made with more memory must not keep this thread's buffer large.
    memory.truncate(today.block_count());
    memory.shrink_to(today.block_count());
    if !bool::from(subtle::ConstantTimeEq::ct_eq(found.as_slice(), expected.as_bytes())) {
        return if is_stale { harden(today, &params, memory) } else { Ok(Verdict::Wrong) };
    }
    Ok(Verdict::Right { stale: is_stale })
}

/// Does the work that a hash made with weaker parameters falls short of today's: else a wrong
/// password would tell by its time that there is an account, old or seldom used.
fn harden(today: &Params, stored: &Params, memory: &mut Vec<Block>) -> Result<Verdict, HashError> {
    let rest = (work(today) - work(stored)) / u64::from(today.t_cost());
    let rest = u32::try_from(rest).map_err(failed)?;
    if rest >= Params::MIN_M_COST {
        let rest = Params::new(rest, today.t_cost(), 1, None).map_err(failed)?;
        derive(&rest, b"nobody's password", b"nobody's salt", memory)?;
    }
    Ok(Verdict::Wrong)
}

fn work(params: &Params) -> u64 {
    u64::from(params.m_cost()) * u64::from(params.t_cost())
}

/// By the work that a guess costs. Never the other way: a hash that was made with more is not made
/// anew with less.
fn is_weaker(stored: &Params, today: &Params) -> bool {
    work(stored) < work(today)
}

fn cost_of(params: &Params) -> (u32, u32, u32) {
    (params.m_cost(), params.t_cost(), params.p_cost())
}

fn bounded_params(hash: &PasswordHash) -> Result<Params, HashError> {
    if hash.algorithm.as_str() != "argon2id" || hash.version != Some(0x13) {
        return Err(failed("the stored hash is not Argon2id of version 19"));
    }
    let params = Params::try_from(hash).map_err(failed)?;
    let (memory, iterations, lanes) = cost_of(&params);
    if memory > MOST_MEMORY_KIB || iterations > MOST_ITERATIONS || lanes > MOST_LANES {
        return Err(failed("the stored hash asks for more work than is allowed"));
    }
    Ok(params)
}

fn phc_string(params: &Params, salt: &[u8], output: &[u8]) -> Result<String, HashError> {
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(params).map_err(failed)?,
        salt: Some(Salt::new(salt).map_err(failed)?),
        hash: Some(Output::new(output).map_err(failed)?),
    };
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(memory_kib: u32, iterations: u32) -> HashCost {
        HashCost { memory_kib, iterations, threads: 1, queue: 4 }
    }

    #[tokio::test]
    async fn a_right_password_passes_and_others_do_not() {
        let hasher = Hasher::start(&cost(64, 1)).unwrap();
        let right = Password::typed("moss lantern quartz");
        let stored = hasher.hash(&right).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{stored}");
        assert_eq!(
            hasher.verify(&right, Some(&stored)).await.unwrap(),
            Verdict::Right { stale: false }
        );
        let wrong = Password::typed("moss lantern quart");
        assert_eq!(hasher.verify(&wrong, Some(&stored)).await.unwrap(), Verdict::Wrong);
        assert_eq!(hasher.verify(&right, None).await.unwrap(), Verdict::Wrong);
    }

    #[tokio::test]
    async fn a_hash_made_with_weaker_parameters_is_stale() {
        let stored =
            Hasher::start(&cost(64, 1)).unwrap().hash(&Password::typed("x")).await.unwrap();
        let today = Hasher::start(&cost(128, 2)).unwrap();
        let verdict = today.verify(&Password::typed("x"), Some(&stored)).await.unwrap();
        assert_eq!(verdict, Verdict::Right { stale: true });
    }

    #[tokio::test]
    async fn a_hash_made_with_stronger_parameters_is_kept() {
        let stronger = Hasher::start(&cost(128, 2)).unwrap();
        let stored = stronger.hash(&Password::typed("x")).await.unwrap();
        let today = Hasher::start(&cost(64, 1)).unwrap();
        let verdict = today.verify(&Password::typed("x"), Some(&stored)).await.unwrap();
        assert_eq!(verdict, Verdict::Right { stale: false });
    }

    #[tokio::test]
    async fn argon2s_own_verifier_agrees_with_ours() {
        use argon2::PasswordVerifier;
        let hasher = Hasher::start(&cost(19_456, 2)).unwrap();
        let stored = hasher.hash(&Password::typed("moss lantern quartz")).await.unwrap();
        let theirs = Argon2::default();
        assert!(theirs.verify_password(b"moss lantern quartz", stored.as_str()).is_ok());
        assert!(theirs.verify_password(b"moss lantern", stored.as_str()).is_err());
    }

    #[tokio::test]
    async fn parameters_that_would_eat_the_machine_are_not_obeyed() {
        let hasher = Hasher::start(&cost(64, 1)).unwrap();
        let stored = hasher.hash(&Password::typed("x")).await.unwrap();
        for planted in ["m=4194304,t=1", "m=64,t=4294967295", "m=64,t=65"] {
            let planted = stored.replace("m=64,t=1", planted);
            let started = std::time::Instant::now();
            let verdict = hasher.verify(&Password::typed("x"), Some(&planted)).await.unwrap();
            assert_eq!(verdict, Verdict::Wrong, "{planted}");
            assert!(started.elapsed().as_secs() < 5, "{planted} was obeyed");
        }
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_work_nobody_waits_for_is_skipped() {
        let hasher = Hasher::start(&cost(64, 1)).unwrap();
        let (go, gate) = std::sync::mpsc::channel::<()>();
        let (begun, begins) = oneshot::channel();
        let blocked = hasher.run(move |_| {
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
            let mut left = Box::pin(hasher.run(move |_| told.send(())));
            let _ = futures_poll(&mut left).await;
        }
        let refused = hasher.hash(&Password::typed("x")).await;
        assert!(matches!(refused, Err(HashError::Busy)), "{refused:?}");
        go.send(()).unwrap();
        blocked.await.unwrap().unwrap();
        let _ = hasher.verify(&Password::typed("x"), None).await;
        assert!(ran.try_recv().is_err(), "the work of those who left was done all the same");
    }

    #[tokio::test]
    async fn one_network_leaves_half_of_the_places_to_the_others() {
        let hasher = Hasher::start(&cost(64, 1)).unwrap();
        let password = Password::typed("x");
        let (go, gate) = std::sync::mpsc::channel::<()>();
        let mut blocked = Box::pin(hasher.run(move |_| gate.recv()));
        assert!(futures_poll(&mut blocked).await);
        let [greedy, other] =
            ["192.0.2.1", "2001:db8::"].map(|network| hasher.on_behalf_of(network.parse().ok()));
        let mut held: Vec<_> = (0..2).map(|_| Box::pin(greedy.verify(&password, None))).collect();
        for waits in &mut held {
            assert!(futures_poll(waits).await);
        }
        let refused = greedy.verify(&password, None).await;
        assert!(matches!(refused, Err(HashError::Busy)), "{refused:?}");
        let mut others = Box::pin(other.verify(&password, None));
        assert!(futures_poll(&mut others).await, "another waits for its turn");
        go.send(()).unwrap();
        assert_eq!(others.await.unwrap(), Verdict::Wrong);
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_any_more_keeps_its_share_until_it_is_gone() {
        let hasher = Hasher::start(&cost(64, 1)).unwrap();
        let password = Password::typed("x");
        let (go, gate) = std::sync::mpsc::channel::<()>();
        let mut blocked = Box::pin(hasher.run(move |_| gate.recv()));
        assert!(futures_poll(&mut blocked).await);
        let greedy = hasher.on_behalf_of("192.0.2.1".parse().ok());
        for _ in 0..8 {
            let _ = futures_poll(&mut Box::pin(greedy.verify(&password, None))).await;
        }
        let mut other = Box::pin(hasher.verify(&password, None));
        assert!(futures_poll(&mut other).await, "two of four places are left");
        go.send(()).unwrap();
        assert_eq!(other.await.unwrap(), Verdict::Wrong);
        assert_eq!(
            greedy.verify(&password, None).await.unwrap(),
            Verdict::Wrong,
            "and then it is free"
        );
    }

    #[tokio::test]
    async fn judgements_leave_half_of_the_pool_to_logins() {
        let hasher = Hasher::start(&HashCost { threads: 2, ..cost(64, 1) }).unwrap();
        let password = Password::typed("x");
        let held = hasher.judgements.acquire().await.unwrap();
        assert_eq!(hasher.judgements.available_permits(), 0, "one of two threads at most judges");
        let mut waiting = Box::pin(hasher.judge(&password, Vec::new()));
        assert!(futures_poll(&mut waiting).await, "it waits for its turn");
        let verdict = hasher.verify(&password, None).await.unwrap();
        assert_eq!(verdict, Verdict::Wrong, "a login does not");
        drop(held);
        assert!(waiting.await.unwrap().is_some());
    }

    #[tokio::test]
    async fn no_more_judgements_wait_than_the_queue_has_places() {
        let hasher = Hasher::start(&cost(64, 1)).unwrap();
        let password = Password::typed("x");
        let held = hasher.judgements.acquire().await.unwrap();
        let mut waiting = Vec::new();
        for _ in 0..5 {
            let mut judgement = Box::pin(hasher.judge(&password, Vec::new()));
            assert!(futures_poll(&mut judgement).await, "it waits for its turn");
            waiting.push(judgement);
        }
        let mut refused = Box::pin(hasher.judge(&password, Vec::new()));
        let at_once =
            std::future::poll_fn(|context| std::task::Poll::Ready(refused.as_mut().poll(context)));
        let at_once = at_once.await;
        assert!(matches!(at_once, std::task::Poll::Ready(Err(HashError::Busy))), "{at_once:?}");
        drop((held, refused));
        for judgement in waiting {
            assert!(judgement.await.unwrap().is_some());
        }
        assert!(hasher.judge(&password, Vec::new()).await.unwrap().is_some(), "it is over");
    }

    /// Polls once, so that the job is in the queue; whether it is still waiting.
    async fn futures_poll<F: Future + Unpin>(future: &mut F) -> bool {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending())
        })
        .await
    }
}
