//! Samples of one figure, and their statistics.

/// A sample, with the share of the CPU that other processes used.
#[derive(Clone, Copy)]
struct Sample {
    value: f64,
    others: f64,
}

/// Samples in order. The n-th samples of two series were taken one after the other.
#[derive(Clone, Default)]
pub struct Series(Vec<Sample>);

impl Series {
    pub fn push(&mut self, value: f64, others: f64) {
        self.0.push(Sample { value, others });
    }

    pub fn median(&self) -> f64 {
        median(self.0.iter().map(|sample| sample.value))
    }

    /// The median of the ratios of samples that were taken one after the other: what slows the machine
    /// for a while slows both.
    pub fn over(&self, other: &Self) -> f64 {
        median(self.0.iter().zip(&other.0).map(|(ours, theirs)| ours.value / theirs.value))
    }

    /// The largest share of CPU that others used during a sample.
    pub fn others(&self) -> f64 {
        self.0.iter().map(|sample| sample.others).fold(0.0, f64::max)
    }
}

pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[half],
        _ => f64::midpoint(sorted[half - 1], sorted[half]),
    }
}

/// The time that a `share` of `times` does not exceed.
pub fn percentile(times: &mut [f64], share: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a length"
    )]
    #[expect(clippy::cast_precision_loss, reason = "a number of samples")]
    let rank = (times.len() as f64 * share).ceil() as usize;
    times.get(rank.clamp(1, times.len().max(1)) - 1).copied().unwrap_or(f64::NAN)
}
