//! What a password hash costs, and how many are made at once.

use std::thread::available_parallelism;

use super::sources::RawSettings;
use super::values::whole;

/// OWASP's minimum for Argon2id with one lane: from so many KiB on, so many iterations
/// (Password Storage Cheat Sheet). They are about equally strong.
const MINIMUM: [(u32, u32); 5] = [(47104, 1), (19456, 2), (12288, 3), (9216, 4), (7168, 5)];

const MEMORY_MAX_KIB: u32 = 1_048_576;
const ITERATIONS_MAX: u32 = 64;
const THREADS_MAX: usize = 256;
const QUEUE_MAX: usize = 100_000;

/// At 25 ms a hash, the last in the queue waits for a second.
const QUEUE_A_THREAD: usize = 40;

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

impl Default for HashCost {
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        let threads = cores.min(THREADS_MAX);
        Self { memory_kib: 19456, iterations: 2, threads, queue: threads * QUEUE_A_THREAD }
    }
}

impl HashCost {
    pub(super) fn apply(&mut self, raw: &mut RawSettings) {
        let memory = whole(MINIMUM[4].0..=MEMORY_MAX_KIB);
        raw.set("HASH_MEMORY_KIB", &mut self.memory_kib, memory);
        let iterations = whole(1..=ITERATIONS_MAX);
        raw.set("HASH_ITERATIONS", &mut self.iterations, iterations);
        raw.set("HASH_THREADS", &mut self.threads, whole(1..=THREADS_MAX));
        self.queue = self.threads * QUEUE_A_THREAD;
        raw.set("HASH_QUEUE", &mut self.queue, whole(1..=QUEUE_MAX));
        if !self.is_strong() && raw.are_valid(["HASH_MEMORY_KIB", "HASH_ITERATIONS"]) {
            raw.add_error(weak_setting(raw), weak_words());
        }
    }

    fn is_strong(self) -> bool {
        MINIMUM
            .iter()
            .any(|&(memory, iterations)| self.memory_kib >= memory && self.iterations >= iterations)
    }
}

/// The setting that the error names: the memory if both are set.
fn weak_setting(raw: &RawSettings) -> &'static str {
    if raw.is_set("HASH_MEMORY_KIB") { "HASH_MEMORY_KIB" } else { "HASH_ITERATIONS" }
}

fn weak_words() -> String {
    let pairs = MINIMUM.map(|(memory, iterations)| format!("{iterations} from {memory} KiB"));
    format!(
        "weaker than OWASP's minimum for Argon2id: expected iterations of at least {}",
        pairs.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owasps_minimum_is_strong_and_less_is_not() {
        let cost =
            |memory_kib, iterations| HashCost { memory_kib, iterations, ..HashCost::default() };
        assert!(HashCost::default().is_strong());
        for (memory, iterations) in MINIMUM {
            assert!(cost(memory, iterations).is_strong());
            assert!(!cost(memory - 1, iterations).is_strong());
            assert!(!cost(memory, iterations - 1).is_strong());
        }
        assert!(!cost(MEMORY_MAX_KIB, 0).is_strong());
        assert!(cost(7168, 64).is_strong());
    }
}
