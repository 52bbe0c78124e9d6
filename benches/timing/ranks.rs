//! Two distributions of times, compared by rank.

use std::time::Duration;

/// How well the two may be told apart: 0.5 is not at all, 0 and 1 are always.
const ALIKE: std::ops::RangeInclusive<f64> = 0.45..=0.55;

/// What was measured. Nothing is left out, however slow it was.
#[derive(Default)]
pub struct Distributions {
    known: Vec<Duration>,
    unknown: Vec<Duration>,
}

impl Distributions {
    pub fn add(&mut self, is_known: bool, time: Duration) {
        if is_known { &mut self.known } else { &mut self.unknown }.push(time);
    }

    pub fn are_alike(&self) -> bool {
        ALIKE.contains(&self.auc())
    }

    /// The end of a line of the table.
    pub fn row(&self) -> String {
        let verdict = if self.are_alike() { "ok" } else { "TOLD APART" };
        let [known, unknown] = [&self.known, &self.unknown].map(|times| median(times));
        format!("{known:.2} ms | {unknown:.2} ms | {:.3} | {verdict} |", self.auc())
    }

    /// The chance that an account that exists takes longer than one that does not (Mann-Whitney's U
    /// divided by the number of pairs; of equal times each is half).
    fn auc(&self) -> f64 {
        let mut wins = 0.0;
        for known in &self.known {
            for unknown in &self.unknown {
                wins += match known.cmp(unknown) {
                    std::cmp::Ordering::Greater => 1.0,
                    std::cmp::Ordering::Equal => 0.5,
                    std::cmp::Ordering::Less => 0.0,
                };
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of samples")]
        let pairs = (self.known.len() * self.unknown.len()) as f64;
        wins / pairs
    }
}

/// In milliseconds.
fn median(times: &[Duration]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort();
    sorted[sorted.len() / 2].as_secs_f64() * 1000.0
}
