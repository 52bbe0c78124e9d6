//! The hash pool: Argon2id, and the judgement of new passwords, on threads of its own, behind a
//! bounded queue that is fair between networks.
//!
//! A login storm slows logins and no page: requests never hash on the runtime's threads, memory is
//! one buffer a thread, and what does not fit the queue is refused at once.

mod pool;
mod queue;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use tokio::sync::oneshot;

use self::pool::{Kind, Pool};
use super::password::{Password, PasswordError};
use crate::config::HashCost;
use crate::event::{self, Event};
use crate::random;

/// Stored parameters above these are not obeyed: a planted hash must not be able to eat the
/// machine (1 GiB, 64 passes, 16 lanes).
const MOST_MEMORY_KIB: u32 = 1 << 20;
const MOST_ITERATIONS: u32 = 64;
const MOST_LANES: u32 = 16;

/// The way into the pool. Clones share its threads, which end with the last clone.
#[derive(Clone)]
pub struct Hasher {
    pool: Arc<Pool>,
    params: Params,
    /// What a password is verified against when there is no account: the same work.
    nobody: Arc<str>,
    /// Whose work this handle brings.
    network: IpAddr,
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
        let pool = Arc::new(Pool::start(cost.threads, cost.queue)?);
        let nobody = phc_string(&params, &random::bytes::<16>(), &random::bytes::<32>())?;
        let network = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Ok(Self { pool, params, nobody: nobody.into(), network })
    }

    /// The same pool for work of visitors from `network`: networks are served in turn, and when the
    /// queue is full, the one with the most work in it gives way.
    #[must_use]
    pub fn on_behalf_of(&self, network: IpAddr) -> Self {
        Self { network, ..self.clone() }
    }

    /// Hashes with a new salt; answers a PHC string.
    ///
    /// # Errors
    /// [`HashError::Busy`] when the queue is full.
    pub async fn hash(&self, password: &Password) -> Result<String, HashError> {
        let (password, params) = (password.clone(), self.params.clone());
        self.run(Kind::Hash, move |memory| {
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
        self.run(Kind::Hash, move |memory| {
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

    /// Says why a password is easy to guess, if it is. Judging costs as much as hashing, so it is
    /// done by the same threads.
    ///
    /// # Errors
    /// [`HashError::Busy`] when the queue is full.
    pub async fn judge(
        &self,
        password: &Password,
        context: Vec<String>,
    ) -> Result<Option<PasswordError>, HashError> {
        let password = password.clone();
        self.run(Kind::Judgement, move |_| password.guessable(&context)).await
    }

    /// Runs `work` on a thread of the pool. It is skipped when nobody waits for it any more.
    async fn run<T: Send + 'static>(
        &self,
        kind: Kind,
        work: impl FnOnce(&mut Vec<Block>) -> T + Send + 'static,
    ) -> Result<T, HashError> {
        let (answer, waiting) = oneshot::channel();
        // What the thread logs belongs to the request; the span is the tests' that compare work.
        let (request, span) = (event::carried(), tracing::Span::current());
        let job = move |memory: Result<&mut Vec<Block>, HashError>| {
            let _span = span.enter();
            if !answer.is_closed() {
                let _ = answer.send(memory.map(|memory| request.run(|| work(memory))));
            }
        };
        self.pool.add(kind, self.network, Box::new(job));
        waiting.await.map_err(|_| failed("the hash thread dropped the work"))?
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
