//! The password hasher: Argon2id, and other slow work on passwords, on a pool of dedicated threads
//! behind a bounded queue that is fair between networks.
//!
//! A login storm slows logins and no page: requests never hash on the runtime's threads, memory is
//! one buffer a thread, and work that does not fit into the queue is refused at once.

mod pool;
mod queue;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use self::pool::{Kind, Pool};
use self::queue::Path;
use crate::config::HashCost;
use crate::event::{self, Event};
use crate::random;

/// Stored parameters above these are not obeyed: a planted hash must not be able to eat the
/// machine (1 GiB, 64 passes, 16 lanes).
const MOST_MEMORY_KIB: u32 = 1 << 20;
const MOST_ITERATIONS: u32 = 64;
const MOST_LANES: u32 = 16;

/// A handle to the pool. Clones share its threads, which end with the last clone.
#[derive(Clone)]
pub struct PasswordHasher {
    pool: Arc<Pool>,
    params: Params,
    /// A hash to compare with when there is no account, so that the work is the same.
    dummy: Arc<str>,
    /// The network that the work of this handle is queued for, after the one that contains it.
    path: Path,
}

/// The result of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordMatch {
    /// The password is correct.
    Correct {
        /// The stored hash was made with weaker parameters than today's.
        needs_rehash: bool,
    },
    /// The password is incorrect, or there is no account.
    Incorrect,
}

/// Why nothing was hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// The queue is full.
    #[error("the hash queue is full")]
    Busy,
    /// Argon2 rejected its parameters, or a thread died.
    #[error("hashing failed: {0}")]
    Failed(String),
}

impl PasswordHasher {
    /// Starts `cost.threads` threads.
    ///
    /// # Errors
    /// When Argon2 does not take the parameters, or no thread can be started.
    pub fn start(cost: &HashCost) -> Result<Self, HashError> {
        let params =
            Params::new(cost.memory_kib, cost.iterations, 1, Some(Params::DEFAULT_OUTPUT_LEN))
                .map_err(failed)?;
        let pool = Arc::new(Pool::start(cost.threads, cost.queue)?);
        let dummy = phc_string(&params, &random::bytes::<16>(), &random::bytes::<32>())?;
        let path = [IpAddr::V4(Ipv4Addr::UNSPECIFIED); 2];
        Ok(Self { pool, params, dummy: dummy.into(), path })
    }

    /// The same pool, for work of visitors from a network: a wide network, and the part of it that they
    /// are in. Wide networks are served in turn, and so are the parts of each. When the queue is full,
    /// the wide network with the most queued work loses the newest job of its part with the most.
    #[must_use]
    pub fn for_network(&self, path: [IpAddr; 2]) -> Self {
        Self { path, ..self.clone() }
    }

    /// Hashes `password` with a new salt. Returns a PHC string.
    ///
    /// # Errors
    /// [`HashError::Busy`] when the queue is full.
    pub async fn hash(&self, password: &[u8]) -> Result<String, HashError> {
        let (password, params) = (Zeroizing::new(password.to_vec()), self.params.clone());
        self.run(Kind::Hash, move |memory| {
            let salt = random::bytes::<16>();
            let output = derive(&params, &password, &salt, memory)?;
            phc_string(&params, &salt, &output)
        })
        .await?
    }

    /// Compares a password with a stored PHC string. Without one, or with one that cannot be used,
    /// the same work is done and the answer is [`PasswordMatch::Incorrect`] (ASVS 6.3.8: nobody can tell by
    /// time or status who has an account).
    ///
    /// # Errors
    /// [`HashError::Busy`] when the queue is full.
    pub async fn verify(
        &self,
        password: &[u8],
        stored: Option<&str>,
    ) -> Result<PasswordMatch, HashError> {
        let (password, params) = (Zeroizing::new(password.to_vec()), self.params.clone());
        let dummy = Arc::clone(&self.dummy);
        let stored = stored.map(str::to_owned);
        self.run(Kind::Hash, move |memory| {
            let Some(stored) = stored else {
                return compare(&params, &password, &dummy, memory)
                    .map(|_| PasswordMatch::Incorrect);
            };
            compare(&params, &password, &stored, memory).or_else(|error| {
                Event::log_fault("a_stored_password_hash_cannot_be_used", &error);
                compare(&params, &password, &dummy, memory).map(|_| PasswordMatch::Incorrect)
            })
        })
        .await?
    }

    /// Runs a check of a new password's strength, which costs as much as hashing.
    ///
    /// # Errors
    /// [`HashError::Busy`] when the queue is full.
    pub async fn run_strength_check<T: Send + 'static>(
        &self,
        check: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashError> {
        self.run(Kind::StrengthCheck, move |_| check()).await
    }

    /// Runs `work` on a thread of the pool. It is skipped when the caller was cancelled.
    async fn run<T: Send + 'static>(
        &self,
        kind: Kind,
        work: impl FnOnce(&mut Vec<Block>) -> T + Send + 'static,
    ) -> Result<T, HashError> {
        let (answer, waiting) = oneshot::channel();
        // What the thread logs belongs to the request; the span is the tests' that compare work.
        let (request, span) = (event::current_origin(), tracing::Span::current());
        let job = move |memory: Result<&mut Vec<Block>, HashError>| {
            let _span = span.enter();
            if !answer.is_closed() {
                let _ = answer
                    .send(memory.map(|memory| event::run_with_origin(request, || work(memory))));
            }
        };
        self.pool.add(kind, self.path, Box::new(job));
        waiting.await.map_err(|_| failed("the hash thread dropped the work"))?
    }
}

impl std::fmt::Debug for PasswordHasher {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("PasswordHasher").field("params", &self.params).finish_non_exhaustive()
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
    password: &[u8],
    stored: &str,
    memory: &mut Vec<Block>,
) -> Result<PasswordMatch, HashError> {
    let hash = PasswordHash::new(stored).map_err(failed)?;
    let params = bounded_params(&hash)?;
    let (Some(salt), Some(expected)) = (&hash.salt, &hash.hash) else {
        return Err(failed("the stored hash has no salt or no output"));
    };
    let found = derive(&params, password, salt, memory)?;
    let needs_rehash = is_weaker(&params, today);
    // A hash made with more memory must not keep this thread's buffer large.
    memory.truncate(today.block_count());
    memory.shrink_to(today.block_count());
    if !bool::from(subtle::ConstantTimeEq::ct_eq(found.as_slice(), expected.as_bytes())) {
        return if needs_rehash {
            harden(today, &params, memory)
        } else {
            Ok(PasswordMatch::Incorrect)
        };
    }
    Ok(PasswordMatch::Correct { needs_rehash })
}

/// Does the rest of today's work after a comparison with a weaker hash: else the response time to a
/// wrong password would tell that there is an account, old or seldom used.
fn harden(
    today: &Params,
    stored: &Params,
    memory: &mut Vec<Block>,
) -> Result<PasswordMatch, HashError> {
    let rest = (work(today) - work(stored)) / u64::from(today.t_cost());
    let rest = u32::try_from(rest).map_err(failed)?;
    if rest >= Params::MIN_M_COST {
        let rest = Params::new(rest, today.t_cost(), 1, None).map_err(failed)?;
        derive(&rest, b"nobody's password", b"nobody's salt", memory)?;
    }
    Ok(PasswordMatch::Incorrect)
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
