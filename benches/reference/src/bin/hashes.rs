//! `hashes SECONDS THREADS [MEMORY_KIB ITERATIONS]` prints how many Argon2id hashes a second this machine
//! computes. Each thread keeps its buffer.

use std::thread;
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use reference::ProgramResult;

/// The default of Vestibule: OWASP's minimum for two passes.
const MEMORY_KIB: u32 = 19456;
const ITERATIONS: u32 = 2;

fn main() -> ProgramResult {
    let seconds: f64 = argument(1, 4.0)?;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads: usize = argument(2, cores)?;
    let params = Params::new(argument(3, MEMORY_KIB)?, argument(4, ITERATIONS)?, 1, Some(32))
        .map_err(|cause| format!("invalid parameters: {cause}"))?;
    let time = Duration::from_secs_f64(seconds);
    let rate = thread::scope(|scope| {
        let one = || scope.spawn(|| hash_for(&params, time));
        let running: Vec<_> = (0..threads).map(|_| one()).collect();
        let rates = running.into_iter().map(|thread| thread.join());
        rates.map(|rate| rate.unwrap_or(Err(argon2::Error::OutOfMemory))).sum::<Result<f64, _>>()
    })?;
    println!("{rate:.2}");
    Ok(())
}

/// Hashes a second of one thread. The first hash is not counted, because it touches new memory.
fn hash_for(params: &Params, time: Duration) -> Result<f64, argon2::Error> {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    let mut memory = vec![Block::new(); params.block_count()];
    let mut hash = |salt: u64| {
        let (password, salt) = (b"moss lantern quartz", [salt.to_le_bytes(); 2].concat());
        argon2.hash_password_into_with_memory(password, &salt, &mut [0; 32], &mut memory)
    };
    hash(0)?;
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < time {
        count += 1;
        hash(count)?;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

/// The argument at this index, or the default.
fn argument<T: std::str::FromStr>(index: usize, default: T) -> Result<T, String> {
    let Some(text) = std::env::args().nth(index) else { return Ok(default) };
    text.parse().map_err(|_| format!("{text}: expected a number"))
}
