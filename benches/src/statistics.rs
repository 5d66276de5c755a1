//! What is said about a number of samples.

use std::time::Duration;

use serde::Serialize;

/// Samples of one measurement, in milliseconds, in the order in which they were taken.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Adds one.
    pub fn push(&mut self, sample: Duration) {
        self.0.push(sample.as_secs_f64() * 1e3);
    }

    /// The smallest value that at least `percent` of all samples do not exceed; `None` of none.
    pub fn percentile(&self, percent: u32) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (sorted.len() * percent as usize).div_ceil(100);
        sorted.get(rank.saturating_sub(1)).copied()
    }

    /// The summary; `None` of no samples.
    pub fn summary(&self) -> Option<Summary> {
        Some(Summary {
            min: self.percentile(0)?,
            median: self.percentile(50)?,
            p95: self.percentile(95)?,
        })
    }
}

/// In milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The fastest.
    pub min: f64,
    /// Half of all are faster.
    pub median: f64,
    /// Of twenty one is slower.
    pub p95: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(milliseconds: impl IntoIterator<Item = u64>) -> Samples {
        let mut samples = Samples::default();
        for sample in milliseconds {
            samples.push(Duration::from_millis(sample));
        }
        samples
    }

    #[test]
    fn percentiles_are_samples_themselves() {
        let hundred = samples((1..=100).rev());
        let summary = hundred.summary().unwrap();
        assert_eq!((summary.min, summary.median, summary.p95), (1., 50., 95.));
        assert_eq!(hundred.percentile(100), Some(100.));
    }

    #[test]
    fn few_samples_and_none() {
        let three = samples([30, 10, 20]).summary().unwrap();
        assert_eq!((three.min, three.median, three.p95), (10., 20., 30.));
        let one = samples([7]).summary().unwrap();
        assert_eq!((one.min, one.median, one.p95), (7., 7., 7.));
        assert_eq!(Samples::default().summary(), None);
    }
}
