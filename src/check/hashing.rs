//! Password hashing: how long one takes here, and how many logins a second to expect.

use std::time::Instant;

use futures_util::future::join_all;

use super::Finding;
use crate::config::HashCost;
use crate::password_hasher::{HashError, PasswordHasher};

const NAME: &str = "password hashing";

/// People notice a longer one, and the threads are busy.
const SLOW_MILLIS: u128 = 500;

pub async fn check(cost: &HashCost) -> Finding {
    let (one, a_second) = match measure(cost).await {
        Ok(measured) => measured,
        Err(error) => return Finding::failed(NAME, error.to_string()),
    };
    let message = format!(
        "one takes {one} ms; expect {a_second} logins a second on {} threads",
        cost.threads
    );
    if one > SLOW_MILLIS {
        let advice =
            "lower VESTIBULE_HASH_MEMORY_KIB or VESTIBULE_HASH_ITERATIONS, or use a faster machine";
        return Finding::warning(NAME, format!("{message}: {advice}"));
    }
    Finding::ok(NAME, message)
}

/// Milliseconds of one hash, and hashes a second on all threads.
async fn measure(cost: &HashCost) -> Result<(u128, u128), HashError> {
    const PASSWORD: &[u8] = b"moss lantern quartz";
    let hasher = PasswordHasher::start(cost)?;
    // The first one takes the memory from the system.
    hasher.hash(PASSWORD).await?;
    let started = Instant::now();
    hasher.hash(PASSWORD).await?;
    let one = started.elapsed().as_millis();
    let count = cost.threads + cost.threads.min(cost.queue);
    let started = Instant::now();
    for hashed in join_all((0..count).map(|_| hasher.hash(PASSWORD))).await {
        hashed?;
    }
    let all = started.elapsed().as_millis().max(1);
    Ok((one, (count as u128 * 1000) / all))
}
