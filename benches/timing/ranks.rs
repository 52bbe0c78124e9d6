//! Two distributions of times, and their comparison by rank.

use std::time::Duration;

/// The AUC of distributions that count as similar: 0.5 is indistinguishable, 0 and 1 are disjoint.
const SIMILAR: std::ops::RangeInclusive<f64> = 0.45..=0.55;

/// All times, including outliers.
#[derive(Default)]
pub struct Distributions {
    known: Vec<Duration>,
    unknown: Vec<Duration>,
}

impl Distributions {
    pub fn add(&mut self, is_known: bool, time: Duration) {
        if is_known { &mut self.known } else { &mut self.unknown }.push(time);
    }

    pub fn are_similar(&self) -> bool {
        SIMILAR.contains(&self.auc())
    }

    /// The figures of a row of the table.
    pub fn row(&self) -> String {
        let verdict = if self.are_similar() { "ok" } else { "DIFFERENT" };
        let [known, unknown] = [&self.known, &self.unknown].map(|times| median(times));
        format!("{known:.2} ms | {unknown:.2} ms | {:.3} | {verdict} |", self.auc())
    }

    /// The probability that a request for an existing account takes longer than one for another (Mann-Whitney's
    /// U divided by the number of pairs; equal times count half).
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
