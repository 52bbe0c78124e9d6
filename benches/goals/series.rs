//! Samples of one figure, and what is said about them.

/// One sample, with the share of the machine's CPU that others used meanwhile.
#[derive(Clone, Copy)]
struct Sample {
    value: f64,
    others: f64,
}

/// Samples in the order in which they were taken: the n-th of two series were taken side by side.
#[derive(Clone, Default)]
pub struct Series(Vec<Sample>);

impl Series {
    pub fn push(&mut self, value: f64, others: f64) {
        self.0.push(Sample { value, others });
    }

    pub fn median(&self) -> f64 {
        median(self.0.iter().map(|sample| sample.value))
    }

    /// The median of the ratios of samples that were taken side by side: what slows the machine down
    /// for a while slows both.
    pub fn over(&self, other: &Self) -> f64 {
        median(self.0.iter().zip(&other.0).map(|(ours, theirs)| ours.value / theirs.value))
    }

    /// The most that others used during any of the samples.
    pub fn others(&self) -> f64 {
        self.0.iter().map(|sample| sample.others).fold(0.0, f64::max)
    }
}

/// The middle one; of an even number the mean of the two in the middle.
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

/// The time that `share` of `times` do not exceed.
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
