//! How many bits each scale and each prime gets.
//!
//! For n affine layers with squares between them let a_l be the scale of layer l's inputs, w_l of its weights, s_l of its
//! outputs. Rescaling divides by primes q_l ≈ a_l·w_l/s_l after an affine layer and q'_l ≈ s_l²/a_{l+1} after a square; the last layer is not
//! rescaled, its products must fit Q_0 with their range R. Multiplying up, every a_l but the first cancels:
//!
//! ```text
//! log Q = a_0 + Σ w_l + Σ s_l + R            (logarithms)
//! ```
//!
//! The error of the result is a sum Σ c_i·4^(−bits_i) over all scales, whose factors c_i a shadow run measures. Bits are given out, and
//! moved from one scale to another, as long as that makes the sum smaller and all primes stay within their bounds. The
//! scales a_l after squares are free: the largest that the primes allow are taken.

/// Bits of a scale to begin with: below this nothing is precise enough to be worth trying.
const FEWEST_SCALE_BITS: u32 = 24;
/// Prime numbers p ≡ 1 mod 4N are too rare this close to 4N.
const PRIME_MARGIN_BITS: u32 = 8;

/// Bits of every scale and prime; see the module's documentation for the names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bits {
    /// a_0.
    pub input: u32,
    /// w_l for each affine layer.
    pub weights: Vec<u32>,
    /// s_l for each affine layer but the last.
    pub sums: Vec<u32>,
    /// a_{l+1} for each square.
    pub squares: Vec<u32>,
}

/// Bounds that the primes must keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Bits of the smallest prime.
    pub smallest: u32,
    /// Bits of the largest prime.
    pub largest: u32,
    /// Bits of all primes of the top level together.
    pub total: u32,
    /// Primes of level 0.
    pub base: u32,
    /// Bits of the result's range and its headroom.
    pub range: u32,
}

/// For each scale, indexed as sources of errors are, the variance that it leaves in the result at scale 1.
pub(super) type Contributions = [f64];

impl Bounds {
    /// Bits of the smallest prime for rings of degree `2^log_n`.
    pub(super) fn smallest(log_n: u8) -> u32 {
        u32::from(log_n) + 2 + PRIME_MARGIN_BITS
    }
}

impl Bits {
    /// Gives out the bits so that the error is least; `None` when not even the fewest bits fit.
    pub(super) fn allocate(
        layers: usize,
        bounds: Bounds,
        contributions: &Contributions,
    ) -> Option<Self> {
        let mut bits = Self {
            input: FEWEST_SCALE_BITS,
            weights: vec![FEWEST_SCALE_BITS; layers],
            sums: vec![FEWEST_SCALE_BITS; layers.checked_sub(1)?],
            squares: vec![FEWEST_SCALE_BITS; layers - 1],
        };
        // The fewest bits may make primes too small, or too large after squares: grow evenly until everything fits or cannot.
        let mut settled = bits.settled(bounds);
        while settled.is_none() && bits.needed(bounds.range) <= bounds.total {
            let smallest =
                (0..bits.knobs()).min_by_key(|&knob| bits.knob(knob).map(|bits| *bits))?;
            *bits.knob(smallest)? += 1;
            settled = bits.settled(bounds);
        }
        let mut best = settled?;
        let mut least = best.error(contributions);
        while let Some((error, better)) = best
            .neighbours(bounds)
            .map(|bits| (bits.error(contributions), bits))
            .min_by(|left, right| left.0.total_cmp(&right.0))
        {
            if error >= least {
                break;
            }
            (least, best) = (error, better);
        }
        Some(best)
    }

    /// The predicted variance of the result.
    pub(super) fn error(&self, contributions: &Contributions) -> f64 {
        contributions
            .iter()
            .enumerate()
            .map(|(index, variance)| variance / 4.0f64.powi(self.of_source(index) as i32))
            .sum()
    }

    /// Bits of the scale at which a source (by index) leaves its error.
    pub(super) fn of_source(&self, index: usize) -> u32 {
        let layer = index / 3;
        let operand =
            layer.checked_sub(1).map_or(Some(&self.input), |before| self.squares.get(before));
        let operand = operand.copied().unwrap_or(0);
        let weight = self.weights.get(layer).copied().unwrap_or(0);
        match index % 3 {
            0 => operand,
            1 => weight,
            // The last layer's sums keep the scale of its products.
            _ => self.sums.get(layer).copied().unwrap_or(operand + weight),
        }
    }

    /// Bits of the top level's modulus.
    fn needed(&self, range: u32) -> u32 {
        self.input + self.weights.iter().sum::<u32>() + self.sums.iter().sum::<u32>() + range
    }

    /// Bits of the primes, lowest first: those of level 0, then for each level above it the one that a rescale from there
    /// drops. `None` when a scale is too large for the rescale after it.
    pub(super) fn primes(&self, bounds: Bounds) -> Option<Vec<u32>> {
        let operand = self.squares.last().copied().unwrap_or(self.input);
        let base = operand + self.weights.last().copied().unwrap_or(0) + bounds.range;
        let mut primes: Vec<u32> =
            (0..bounds.base).map(|index| (base + index) / bounds.base).collect();
        let mut dropped = Vec::new();
        let mut operand = self.input;
        for ((&weight, &sum), &square) in self.weights.iter().zip(&self.sums).zip(&self.squares) {
            dropped.push((operand + weight).checked_sub(sum)?);
            dropped.push((2 * sum).checked_sub(square)?);
            operand = square;
        }
        dropped.reverse();
        primes.extend(dropped);
        Some(primes)
    }

    /// Scales that can be chosen freely: input, weights, sums.
    fn knobs(&self) -> usize {
        1 + self.weights.len() + self.sums.len()
    }

    fn knob(&mut self, index: usize) -> Option<&mut u32> {
        let weights = self.weights.len();
        match index.checked_sub(1) {
            None => Some(&mut self.input),
            Some(index) if index < weights => self.weights.get_mut(index),
            Some(index) => self.sums.get_mut(index - weights),
        }
    }

    /// What fits the bounds and differs by one bit more for a scale, or one or two bits moved to it from another.
    fn neighbours(&self, bounds: Bounds) -> impl Iterator<Item = Self> + '_ {
        let knobs = self.knobs();
        let moves = (0..knobs).flat_map(move |to| (0..=knobs).map(move |from| (to, from)));
        moves.flat_map(|(to, from)| [(to, from, 1), (to, from, 2)]).filter_map(
            move |(to, from, by)| {
                let mut moved = self.clone();
                *moved.knob(to)? += by;
                // The index past the last scale stands for bits that nobody has yet.
                if from < knobs {
                    let source = moved.knob(from)?;
                    *source = source.checked_sub(by)?;
                }
                moved.settled(bounds)
            },
        )
    }

    /// The same bits with the largest scales after squares for which all primes keep their bounds; `None` when there are none.
    fn settled(&self, bounds: Bounds) -> Option<Self> {
        if self.needed(bounds.range) > bounds.total {
            return None;
        }
        let mut settled = self.clone();
        for index in 0..self.squares.len() {
            let sum = *self.sums.get(index)?;
            let weight = *self.weights.get(index + 1)?;
            // What the next rescale (or level 0) can take, and what the square's own rescale leaves.
            let above = match self.sums.get(index + 1) {
                Some(next) => (bounds.largest + next).checked_sub(weight)?,
                None => (bounds.base * bounds.largest).checked_sub(weight + bounds.range)?,
            };
            *settled.squares.get_mut(index)? = above.min((2 * sum).checked_sub(bounds.smallest)?);
        }
        let within = |bits: &u32| (bounds.smallest..=bounds.largest).contains(bits);
        settled.primes(bounds)?.iter().all(within).then_some(settled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { smallest: 23, largest: 44, total: 170, base: 2, range: 7 };

    fn check(bits: &Bits, bounds: Bounds) {
        let primes = bits.primes(bounds).unwrap();
        assert!(primes.iter().all(|bits| (bounds.smallest..=bounds.largest).contains(bits)));
        assert_eq!(primes.iter().sum::<u32>(), bits.needed(bounds.range));
        assert!(bits.needed(bounds.range) <= bounds.total);
    }

    #[test]
    fn all_bits_are_given_out() {
        let bits = Bits::allocate(2, BOUNDS, &[1.0; 6]).unwrap();
        check(&bits, BOUNDS);
        assert_eq!(bits.needed(BOUNDS.range), BOUNDS.total);
    }

    #[test]
    fn what_contributes_more_gets_more() {
        let mut contributions = [1.0; 6];
        contributions[1] = 4.0f64.powi(6);
        let bits = Bits::allocate(2, BOUNDS, &contributions).unwrap();
        check(&bits, BOUNDS);
        assert!(bits.weights[0] > bits.weights[1] + 3, "{bits:?}");
    }

    #[test]
    fn deep_networks_settle_too() {
        let bounds = Bounds { largest: 46, total: 400, base: 3, ..BOUNDS };
        check(&Bits::allocate(3, bounds, &[1.0; 9]).unwrap(), bounds);
        check(&Bits::allocate(1, BOUNDS, &[1.0; 3]).unwrap(), BOUNDS);
        assert_eq!(Bits::allocate(4, BOUNDS, &[1.0; 12]), None);
    }
}
