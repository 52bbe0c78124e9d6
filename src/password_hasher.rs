//! The password hasher: Argon2id, the hashes of other programs, and other slow work on passwords, on a pool
//! of dedicated threads behind a bounded queue that is fair between networks.
//!
//! A login storm slows logins and no page: requests never hash on the runtime's threads, memory is
//! one buffer per thread, and work that does not fit into the queue is refused at once. An imported hash may
//! need up to 128 MiB while it is compared.

mod pool;
mod queue;
mod refusals;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use subtle::ConstantTimeEq;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use self::pool::Pool;
use self::queue::NetworkPath;
use self::refusals::{Refusals, thread_time};
use crate::config::HashCost;
use crate::event::{self, Event};
use crate::imported_hash::{
    Algorithm as ImportedAlgorithm, ImportedHash, MAX_PASSWORD_BYTES, Output as ImportedOutput,
};
use crate::metrics::Seconds;
use crate::random;

/// Stored hashes with larger parameters are not verified: a planted one could use up the machine.
const MAX_MEMORY_KIB: u32 = 1 << 20;
const MAX_ITERATIONS: u32 = 64;
const MAX_LANES: u32 = 16;

/// A handle to the threads. Clones share them; they end with the last clone.
#[derive(Clone)]
pub struct PasswordHasher {
    hash_pool: Arc<Pool>,
    /// Half as many threads, for checks of the strength of a new password. Anybody can ask for one, so
    /// a flood of them must leave most of the processors to logins.
    check_pool: Arc<Pool>,
    params: Params,
    /// A hash to compare with when there is no account, so that the work is the same.
    dummy: Arc<str>,
    refusals: Arc<Refusals>,
    /// The networks that the work of this handle is queued for.
    path: NetworkPath,
}

/// The result of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordMatch {
    /// `needs_rehash` if the stored hash was made with weaker parameters than today's.
    Correct { needs_rehash: bool },
    /// Also if there is no account.
    Incorrect,
}

/// Why nothing was hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    #[error("the hash queue is full")]
    Busy,
    #[error("hashing failed: {0}")]
    Failed(String),
}

impl PasswordHasher {
    /// Starts the threads.
    pub fn start(cost: &HashCost) -> Result<Self, HashError> {
        let length = Some(Params::DEFAULT_OUTPUT_LEN);
        let params = Params::new(cost.memory_kib, cost.iterations, 1, length).map_err(failed)?;
        let start = |name, threads| Pool::start(name, threads, cost.queue).map(Arc::new);
        let hash_pool = start("argon2", cost.threads).map_err(failed)?;
        let check_pool = start("strength", cost.threads.div_ceil(2)).map_err(failed)?;
        let dummy = phc_string(&params, &random::bytes::<16>(), &random::bytes::<32>())?;
        let path = [IpAddr::V4(Ipv4Addr::UNSPECIFIED); 2];
        let refusals = Arc::default();
        Ok(Self { hash_pool, check_pool, params, dummy: dummy.into(), refusals, path })
    }

    /// The same threads, for work of visitors from a network: a wide network, and the part of it that they
    /// are in. Wide networks are served in turn, and so are the parts of each.
    #[must_use]
    pub fn for_network(&self, path: NetworkPath) -> Self {
        Self { path, ..self.clone() }
    }

    /// Hashes `password` with a new salt. Returns a PHC string.
    pub async fn hash(&self, password: &[u8]) -> Result<String, HashError> {
        let (password, params) = (Zeroizing::new(password.to_vec()), self.params.clone());
        self.run(&self.hash_pool, move |memory| {
            let salt = random::bytes::<16>();
            let output = derive(&params, &password, &salt, memory)?;
            phc_string(&params, &salt, &output)
        })
        .await?
    }

    /// Compares a password with a stored hash: a PHC string, or an imported one. Without one, with an empty
    /// one, or with one that cannot be used, the same work is done and the password is incorrect (ASVS 6.3.8:
    /// nobody can tell by time or status who has an account).
    pub async fn verify(
        &self,
        password: &[u8],
        stored: Option<&str>,
    ) -> Result<PasswordMatch, HashError> {
        self.compare_and_learn(password, stored, false).await
    }

    /// Notes how long a comparison with the hash takes; with one of our own, if there is none.
    pub async fn measure(&self, password: &[u8], stored: Option<&str>) -> Result<(), HashError> {
        self.compare_and_learn(password, stored, true).await.map(drop)
    }

    async fn compare_and_learn(
        &self,
        password: &[u8],
        stored: Option<&str>,
        is_measured: bool,
    ) -> Result<PasswordMatch, HashError> {
        let (password, params) = (Zeroizing::new(password.to_vec()), self.params.clone());
        let (dummy, refusals) = (Arc::clone(&self.dummy), Arc::clone(&self.refusals));
        let stored = stored.filter(|hash| !hash.is_empty());
        let stored = stored.map_or_else(|| Arc::clone(&dummy), Arc::from);
        self.run(&self.hash_pool, move |memory| {
            let start = thread_time();
            let imported = ImportedHash::from_stored(&stored);
            let compared = match &imported {
                Some(hash) => compare_imported(&params, &password, hash, memory),
                None => compare(&params, &password, &stored, memory),
            };
            let compared = compared.or_else(|error| {
                Event::log_fault("a_stored_password_hash_cannot_be_used", &error);
                compare(&params, &password, &dummy, memory)
            });
            if is_measured || imported.is_some() {
                refusals.learn(thread_time().saturating_sub(start));
            }
            if let Ok(PasswordMatch::Incorrect) = compared {
                refusals.complete(start);
            }
            compared
        })
        .await?
    }

    /// The text to be stored for a hash of another program, and its scheme if it is not one of our own.
    pub async fn adopt(&self, hash: ImportedHash) -> Result<(String, Option<String>), HashError> {
        let params = self.params.clone();
        if let Some(stored) = as_own(&params, &hash)? {
            return Ok((stored, None));
        }
        let hash = if hash.algorithm.is_fast() {
            self.run(&self.hash_pool, move |memory| wrap(&params, hash, memory)).await??
        } else {
            hash
        };
        Ok((hash.to_stored(), Some(hash.scheme())))
    }

    /// Has refusals take as long as they do without imported hashes.
    pub fn forget_imported(&self) {
        self.refusals.forget();
    }

    /// How many hashes wait for a thread, and how long others did.
    pub fn waiting(&self) -> (usize, Seconds) {
        self.hash_pool.waiting()
    }

    /// Runs a check of a new password's strength, which costs as much as hashing.
    pub async fn run_strength_check<T: Send + 'static>(
        &self,
        check: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashError> {
        self.run(&self.check_pool, move |_| check()).await
    }

    /// Runs `work` on a thread of the pool, unless the caller has been cancelled by then.
    async fn run<T: Send + 'static>(
        &self,
        pool: &Pool,
        work: impl FnOnce(&mut Vec<Block>) -> T + Send + 'static,
    ) -> Result<T, HashError> {
        let (sender, result) = oneshot::channel();
        // What the thread logs belongs to the request. Tests that compare work read the span.
        let (origin, span) = (event::current_origin(), tracing::Span::current());
        let job = move |memory: &mut Vec<Block>| {
            if !sender.is_closed() {
                let work = || span.in_scope(|| event::run_with_origin(origin, || work(memory)));
                let _ = sender.send(catch_unwind(AssertUnwindSafe(work)));
            }
        };
        pool.add(self.path, Box::new(job));
        // The pool drops a job that it refuses.
        let result = result.await.map_err(|_| HashError::Busy)?;
        result.map_err(|_| failed("a panic"))
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
    // A hash made with more memory must not keep this thread's buffer large.
    memory.truncate(today.block_count());
    memory.shrink_to(today.block_count());
    // Never the other way: a hash that was made with more work is not replaced by a weaker one.
    let needs_rehash = work(&params) < work(today);
    if bool::from(found.as_slice().ct_eq(expected.as_bytes())) {
        return Ok(PasswordMatch::Correct { needs_rehash });
    }
    if needs_rehash {
        do_missing_work(today, &params, memory)?;
    }
    Ok(PasswordMatch::Incorrect)
}

/// Compares with the hash of another program, which is always to be replaced by one of our own.
fn compare_imported(
    today: &Params,
    password: &[u8],
    hash: &ImportedHash,
    memory: &mut Vec<Block>,
) -> Result<PasswordMatch, HashError> {
    if password.len() > MAX_PASSWORD_BYTES {
        return Ok(PasswordMatch::Incorrect);
    }
    let found =
        hash.output_for(password).ok_or_else(|| failed("the imported hash cannot be computed"))?;
    let is_correct = match &hash.output {
        ImportedOutput::Plain(expected) => found.ct_eq(&expected.0).into(),
        ImportedOutput::Wrapped(stored) => {
            compare(today, &found, stored, memory)? != PasswordMatch::Incorrect
        }
    };
    let needs_rehash = true;
    Ok(if is_correct { PasswordMatch::Correct { needs_rehash } } else { PasswordMatch::Incorrect })
}

/// The hash as a PHC string, if it is what this program makes today.
fn as_own(today: &Params, hash: &ImportedHash) -> Result<Option<String>, HashError> {
    let own = ImportedAlgorithm::Argon2 {
        variant: Algorithm::Argon2id.as_str().to_owned(),
        version: Version::V0x13.into(),
        memory_kib: today.m_cost(),
        passes: today.t_cost(),
        lanes: today.p_cost(),
    };
    match &hash.output {
        ImportedOutput::Plain(output) if hash.is_made_with(&own) => {
            phc_string(today, &hash.salt.0, &output.0).map(Some)
        }
        _ => Ok(None),
    }
}

/// Hashes the output of a fast algorithm, so that a stolen hash is as hard to guess as one of our own.
fn wrap(
    today: &Params,
    hash: ImportedHash,
    memory: &mut Vec<Block>,
) -> Result<ImportedHash, HashError> {
    let ImportedOutput::Plain(inner) = &hash.output else { return Ok(hash) };
    let salt = random::bytes::<16>();
    let output = derive(today, &inner.0, &salt, memory)?;
    let output = ImportedOutput::Wrapped(phc_string(today, &salt, &output)?);
    Ok(hash.with_output(output))
}

/// Does the rest of today's work after a comparison with a weaker hash: else the time of the answer to
/// a wrong password would tell that there is an account, old or seldom used.
fn do_missing_work(
    today: &Params,
    stored: &Params,
    memory: &mut Vec<Block>,
) -> Result<(), HashError> {
    let missing = (work(today) - work(stored)) / u64::from(today.t_cost());
    let missing = u32::try_from(missing).map_err(failed)?;
    if missing >= Params::MIN_M_COST {
        let params = Params::new(missing, today.t_cost(), 1, None).map_err(failed)?;
        derive(&params, b"nobody's password", b"nobody's salt", memory)?;
    }
    Ok(())
}

/// What a guess costs.
fn work(params: &Params) -> u64 {
    u64::from(params.m_cost()) * u64::from(params.t_cost())
}

fn bounded_params(hash: &PasswordHash) -> Result<Params, HashError> {
    if hash.algorithm.as_str() != "argon2id" || hash.version != Some(0x13) {
        return Err(failed("the stored hash is not Argon2id of version 19"));
    }
    let params = Params::try_from(hash).map_err(failed)?;
    if params.m_cost() > MAX_MEMORY_KIB
        || params.t_cost() > MAX_ITERATIONS
        || params.p_cost() > MAX_LANES
    {
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
