//! What inputs may be: ranges from the calibration samples, and inputs at the edge of what a data owner may send.

use super::CompileError;
use crate::network::{Network, ShapeError};

/// Most calibration samples that are run beside their errors; ranges come from all samples.
const MOST_SAMPLES: usize = 16;
/// Headroom between the largest result and the modulus at level 0, bits: sign, and primes a little below their power of two.
const HEADROOM_BITS: u32 = 2;
/// Steps of the search for an edge; it mostly stands still after three.
const ASCENT_STEPS: usize = 8;
/// An edge whose result is beyond the range is made this much smaller until it is not.
const SHRINK: f64 = 0.8;
/// How often.
pub(super) const SHRINK_STEPS: usize = 32;

/// An input and its result, in the clear.
pub(super) type Sample = (Vec<f64>, Vec<f64>);

/// What the calibration samples show.
pub(super) struct Ranges {
    /// Largest absolute input, up to the next power of two.
    pub(super) input: f64,
    /// Twice the largest absolute result, up to the next power of two.
    pub(super) output: f64,
    /// Largest less smallest result.
    pub(super) span: f64,
    /// Evenly spaced samples for the shadow runs.
    pub(super) samples: Vec<Sample>,
    /// Inputs at the edge: see [`edges`].
    pub(super) edges: Vec<Vec<f64>>,
}

impl Ranges {
    pub(super) fn measure(
        network: &Network,
        calibration: &[Vec<f64>],
    ) -> Result<Self, CompileError> {
        if calibration.is_empty() {
            return Err(CompileError::NoCalibration);
        }
        let (mut input, mut low, mut high) = (0.0f64, f64::INFINITY, f64::NEG_INFINITY);
        let mut samples = Vec::new();
        let step = calibration.len().div_ceil(MOST_SAMPLES);
        for (index, sample) in calibration.iter().enumerate() {
            let results = network.run(sample)?;
            if !sample.iter().chain(&results).all(|x| x.is_finite()) {
                return Err(CompileError::NotFinite("a calibration sample or its result"));
            }
            input = sample.iter().fold(input, |max, x| max.max(x.abs()));
            low = results.iter().copied().fold(low, f64::min);
            high = results.iter().copied().fold(high, f64::max);
            if index % step == 0 {
                samples.push((sample.clone(), results));
            }
        }
        let up = |x: f64| x.max(f64::from(f32::MIN_POSITIVE)).log2().ceil().exp2();
        let (input, output) = (up(input), up(2.0 * low.abs().max(high.abs())));
        let edges = edges(network, &samples, input, output)?;
        // One sample with one output has no span; its size stands in.
        let span = if high > low { high - low } else { high.abs().max(f64::MIN_POSITIVE) };
        Ok(Self { input, output, span, samples, edges })
    }

    /// Bits of the result's range with headroom; a range below 1 leaves them at the headroom.
    pub(super) fn bits(&self) -> u32 {
        self.output.log2().ceil().max(0.0) as u32 + HEADROOM_BITS
    }
}

/// Inputs within ±`bound` that a data owner might choose to make errors large, with results within ±`range`: beyond it the enclave
/// withholds the values, so that nothing of their errors shows.
///
/// An error grows with the values that it meets, so these are vertices of the input's box that make the first layer's outputs large: all
/// features at the bound, and from there and from samples the ascent x ← bound·sign(Wᵀ(W·x + b)), which raises ‖W·x + b‖ in
/// every step. A search, not a proof: the largest error of a polynomial over a box is hard to find.
fn edges(
    network: &Network,
    samples: &[Sample],
    bound: f64,
    range: f64,
) -> Result<Vec<Vec<f64>>, ShapeError> {
    let Some(first) = network.affines().next() else { return Ok(Vec::new()) };
    let transposed = first.matrix.transpose();
    let inputs = network.input_len();
    let all = [bound, -bound].map(|value| vec![value; inputs]);
    let mut starts: Vec<Vec<f64>> = all.to_vec();
    starts.extend(samples.iter().take(2).map(|(sample, _)| sample.clone()));
    let mut edges: Vec<Vec<f64>> = all.to_vec();
    for mut edge in starts {
        for _ in 0..ASCENT_STEPS {
            let gradient = transposed.apply(&first.apply(&edge)?)?;
            edge = gradient.iter().map(|g| bound.copysign(*g)).collect();
        }
        if !edges.contains(&edge) {
            edges.push(edge);
        }
    }
    let mut found = Vec::with_capacity(edges.len());
    for mut edge in edges {
        for _ in 0..SHRINK_STEPS {
            if network.run(&edge)?.iter().all(|x| x.abs() <= range) {
                found.push(edge);
                break;
            }
            edge.iter_mut().for_each(|x| *x *= SHRINK);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Affine, Layer, SparseMatrix};

    fn dense(rows: &[&[f64]]) -> Layer {
        let entries = rows.iter().map(|row| row.iter().copied().enumerate().collect());
        let matrix = SparseMatrix::from_rows(rows[0].len(), entries).unwrap();
        Layer::Affine(Affine::new(matrix, vec![0.0; rows.len()]).unwrap())
    }

    /// (x − y)² + (x − y)²/4: all features at the bound give 0; the ascent finds x = −y, and shrinks it until the result is in range.
    #[test]
    fn edges_are_worse_than_samples_and_within_bound_and_range() {
        let first = dense(&[&[1.0, -1.0], &[0.5, -0.5]]);
        let layers = vec![first, Layer::Square { squared: 2 }, dense(&[&[1.0, 1.0]])];
        let network = Network::new("difference", vec![2], layers).unwrap();
        let ranges = Ranges::measure(&network, &[vec![1.0, 0.5], vec![0.3, 0.4]]).unwrap();
        assert_eq!((ranges.input, ranges.output), (1.0, 1.0));
        let widest = ranges.edges.iter().map(|x| (x[0] - x[1]).abs()).fold(0.0, f64::max);
        assert!(widest > 0.7 * (1.0f64 / 1.25).sqrt(), "{widest}");
        for edge in &ranges.edges {
            assert!(edge.iter().all(|x| x.abs() <= ranges.input));
            let results = network.run(edge).unwrap();
            assert!(results.iter().all(|x| x.abs() <= ranges.output));
        }
    }
}
