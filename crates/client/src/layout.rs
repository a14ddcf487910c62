//! Samples into slots, as the program lays them out.

use adyton_program::InputLayout;

/// Inputs that do not fit the program.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LayoutError {
    /// No sample at all.
    #[error("there is no sample")]
    Empty,
    /// A sample with another number of values than the network takes.
    #[error("sample {sample} has {found} values; the network takes {expected} (shape {shape:?})")]
    Features {
        /// Which sample, from 0.
        sample: usize,
        /// What it has.
        found: usize,
        /// What the network takes.
        expected: usize,
        /// Shape of one sample.
        shape: Vec<u32>,
    },
    /// A value beyond what the program was planned for, or not a number.
    #[error(
        "sample {sample}, value {feature} is {value}; the program takes values within ±{bound}"
    )]
    Range {
        /// Which sample, from 0.
        sample: usize,
        /// Which of its values, row-major.
        feature: usize,
        /// The value.
        value: f64,
        /// Largest absolute value.
        bound: f64,
    },
}

/// Groups that `samples` samples fill, `lanes` to a group.
#[must_use]
pub fn groups(layout: &InputLayout, samples: usize) -> usize {
    samples.div_ceil(layout.lanes.max(1) as usize)
}

/// Checks every sample against the layout's shape and bound.
///
/// # Errors
/// [`LayoutError`] naming the first sample that does not fit.
pub(crate) fn check(layout: &InputLayout, samples: &[Vec<f64>]) -> Result<(), LayoutError> {
    let expected: usize = layout.shape.iter().map(|&d| d as usize).product();
    if samples.is_empty() {
        return Err(LayoutError::Empty);
    }
    for (sample, values) in samples.iter().enumerate() {
        if values.len() != expected {
            let (found, shape) = (values.len(), layout.shape.clone());
            return Err(LayoutError::Features { sample, found, expected, shape });
        }
        let outside = |v: &f64| v.is_nan() || v.abs() > layout.bound;
        if let Some(feature) = values.iter().position(outside) {
            let value = values.get(feature).copied().unwrap_or(f64::NAN);
            return Err(LayoutError::Range { sample, feature, value, bound: layout.bound });
        }
    }
    Ok(())
}

/// The slots of one input ciphertext for one group of up to `lanes` samples: slot `position · lanes + lane` holds the
/// sample's feature at that position; missing samples and empty positions are zero. A ciphertext that the layout does not
/// have is all zero.
#[must_use]
pub fn lay_out(layout: &InputLayout, ciphertext: usize, group: &[Vec<f64>]) -> Vec<f64> {
    let (lanes, positions) = (layout.lanes as usize, layout.positions as usize);
    let mut slots = vec![0.0; lanes * positions];
    let features = layout.ciphertexts.get(ciphertext).map(Vec::as_slice).unwrap_or_default();
    for (block, feature) in slots.chunks_exact_mut(lanes.max(1)).zip(features) {
        let Some(feature) = feature else { continue };
        for (slot, sample) in block.iter_mut().zip(group) {
            *slot = sample.get(*feature as usize).copied().unwrap_or(0.0);
        }
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::*;
    use adyton_ckks::Scale;

    fn layout() -> InputLayout {
        InputLayout {
            shape: vec![1, 3],
            lanes: 2,
            positions: 4,
            ciphertexts: vec![
                vec![Some(2), None, Some(0), Some(2)],
                vec![Some(1), None, None, None],
            ],
            scale: Scale::pow2(20),
            bound: 1.0,
        }
    }

    #[test]
    fn features_stand_where_the_layout_says_lane_by_lane() {
        let samples = vec![vec![0.1, 0.2, 0.3], vec![0.4, 0.5, 0.6]];
        assert_eq!(lay_out(&layout(), 0, &samples), [0.3, 0.6, 0.0, 0.0, 0.1, 0.4, 0.3, 0.6]);
        assert_eq!(lay_out(&layout(), 1, &samples), [0.2, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(lay_out(&layout(), 0, &samples[..1]), [0.3, 0.0, 0.0, 0.0, 0.1, 0.0, 0.3, 0.0]);
    }

    #[test]
    fn the_last_group_may_be_partly_filled() {
        let counts: Vec<usize> = (1..=5).map(|n| groups(&layout(), n)).collect();
        assert_eq!(counts, [1, 1, 2, 2, 3]);
    }

    #[test]
    fn samples_that_do_not_fit_are_named() {
        let good = vec![0.0; 3];
        assert_eq!(check(&layout(), &[]), Err(LayoutError::Empty));
        assert_eq!(check(&layout(), std::slice::from_ref(&good)), Ok(()));
        assert!(matches!(
            check(&layout(), &[good.clone(), vec![0.0; 4]]),
            Err(LayoutError::Features { sample: 1, found: 4, expected: 3, .. })
        ));
        for bad in [1.5, -1.5, f64::NAN, f64::INFINITY] {
            assert!(matches!(
                check(&layout(), &[good.clone(), vec![0.0, bad, 0.0]]),
                Err(LayoutError::Range { sample: 1, feature: 1, .. })
            ));
        }
    }
}
