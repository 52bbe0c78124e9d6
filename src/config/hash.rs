//! What a password hash costs, and how many are made at once.

use std::thread::available_parallelism;

use super::sources::RawSettings;
use super::values::whole;

/// OWASP's minimum for Argon2id with one lane: from so many KiB on, so many iterations
/// (Password Storage Cheat Sheet). They are about equally strong.
const MINIMUM: [(u32, u32); 5] = [(47104, 1), (19456, 2), (12288, 3), (9216, 4), (7168, 5)];

const MAX_THREADS: usize = 256;

/// At 25 ms a hash, the last in the queue waits for a second.
const QUEUE_PER_THREAD: usize = 40;

/// Argon2id's parameters (one lane) and the pool that it runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashCost {
    /// Memory for one hash, in KiB.
    pub memory_kib: u32,
    /// Passes over that memory.
    pub iterations: u32,
    /// Hashes made at once.
    pub threads: usize,
    /// Hashes that may wait.
    pub queue: usize,
}

impl HashCost {
    pub(super) fn read(raw: &mut RawSettings) -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        let threads = raw.optional("HASH_THREADS", whole(1..=MAX_THREADS));
        let threads = threads.unwrap_or(cores.min(MAX_THREADS));
        let queue = raw.optional("HASH_QUEUE", whole(1..=100_000));
        let cost = Self {
            memory_kib: raw.value("HASH_MEMORY_KIB", whole(7168..=1_048_576)),
            iterations: raw.value("HASH_ITERATIONS", whole(1..=64)),
            threads,
            queue: queue.unwrap_or(threads * QUEUE_PER_THREAD),
        };
        if !cost.is_strong() && raw.are_valid(["HASH_MEMORY_KIB", "HASH_ITERATIONS"]) {
            let is_memory = raw.is_set("HASH_MEMORY_KIB");
            let name = if is_memory { "HASH_MEMORY_KIB" } else { "HASH_ITERATIONS" };
            let pairs = MINIMUM.map(|(memory, passes)| format!("{passes} from {memory} KiB"));
            let pairs = pairs.join(", ");
            raw.add_error(name, format!("weaker than OWASP's minimum for Argon2id: expected iterations of at least {pairs}"));
        }
        cost
    }

    fn is_strong(self) -> bool {
        MINIMUM
            .iter()
            .any(|&(memory, iterations)| self.memory_kib >= memory && self.iterations >= iterations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owasps_minimum_is_strong_and_less_is_not() {
        let cost =
            |memory_kib, iterations| HashCost { memory_kib, iterations, threads: 1, queue: 1 };
        for (memory, iterations) in MINIMUM {
            assert!(cost(memory, iterations).is_strong());
            assert!(!cost(memory - 1, iterations).is_strong());
            assert!(!cost(memory, iterations - 1).is_strong());
        }
        assert!(!cost(1_048_576, 0).is_strong());
        assert!(cost(7168, 64).is_strong());
    }
}
