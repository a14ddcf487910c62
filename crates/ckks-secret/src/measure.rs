//! Noise measurement, to hold the formulas of [`adyton_ckks::noise`] against.

use adyton_ckks::Scale;

/// Statistics of slot errors in ring units: (found − expected)·scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoiseReport {
    /// Mean error.
    pub mean: f64,
    /// Root of the mean squared error.
    pub std: f64,
    /// Largest absolute error.
    pub worst: f64,
    /// Number of slots.
    pub slots: usize,
}

impl NoiseReport {
    /// Compares slots with what they should be. Slots that one side lacks are not looked at.
    #[must_use]
    pub fn measure(found: &[f64], expected: &[f64], scale: &Scale) -> Self {
        let unit = scale.to_f64();
        let errors: Vec<f64> = found.iter().zip(expected).map(|(x, y)| (x - y) * unit).collect();
        let count = errors.len().max(1) as f64;
        Self {
            mean: errors.iter().sum::<f64>() / count,
            std: (errors.iter().map(|error| error * error).sum::<f64>() / count).sqrt(),
            worst: errors.iter().fold(0.0, |worst, error| error.abs().max(worst)),
            slots: errors.len(),
        }
    }

    /// Several measurements as one.
    #[must_use]
    pub fn merge(reports: &[Self]) -> Self {
        let slots: usize = reports.iter().map(|report| report.slots).sum();
        let weighted = |value: fn(&Self) -> f64| {
            let total: f64 = reports.iter().map(|r| value(r) * r.slots as f64).sum();
            total / slots.max(1) as f64
        };
        Self {
            mean: weighted(|report| report.mean),
            std: weighted(|report| report.std * report.std).sqrt(),
            worst: reports.iter().fold(0.0, |worst, report| report.worst.max(worst)),
            slots,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_by_hand() {
        let report = NoiseReport::measure(&[1.0, 3.0], &[0.0, 5.0], &Scale::pow2(1));
        assert_eq!(report, NoiseReport { mean: -1.0, std: 10.0f64.sqrt(), worst: 4.0, slots: 2 });
        let exact = NoiseReport::measure(&[1.0, 1.0], &[1.0, 1.0], &Scale::one());
        let merged = NoiseReport::merge(&[report, exact]);
        assert_eq!(merged, NoiseReport { mean: -0.5, std: 5.0f64.sqrt(), worst: 4.0, slots: 4 });
    }
}
