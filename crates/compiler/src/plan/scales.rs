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
//! The error of the result is a sum Σ c_i·4^(−bits_i) over those scales, whose factors c_i a shadow run measures. It is least when all
//! summands are equal; bits are therefore given out one by one to the largest summand, as long as all primes stay within
//! their bounds. The scales a_l after squares are free: the largest that the primes allow are taken.

/// Bits of a scale to begin with: below this nothing is precise enough to be worth trying.
const FEWEST_SCALE_BITS: u32 = 24;
/// Prime numbers p ≡ 1 mod 4N are too rare this close to 4N.
const PRIME_MARGIN_BITS: u32 = 8;
/// Primes of level 0.
pub(super) const BASE_PRIMES: u32 = 2;

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
    /// Bits of the result's range and its headroom.
    pub range: u32,
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
}

impl Bounds {
    /// Bounds for rings of degree `2^log_n`.
    #[must_use]
    pub(super) fn new(log_n: u8, largest: u32, total: u32) -> Self {
        Self { smallest: u32::from(log_n) + 2 + PRIME_MARGIN_BITS, largest, total }
    }
}

impl Bits {
    /// Gives out `bounds.total` bits so that the error is least.
    ///
    /// `variance(l, part)` is the variance that the input (part 0, layer 0 only), weights (1) or sums (2) of layer l would leave in
    /// the result at scale 1. `None` when not even the fewest bits fit.
    #[must_use]
    pub(super) fn allocate(
        layers: usize,
        range: u32,
        bounds: Bounds,
        variance: &dyn Fn(usize, usize) -> f64,
    ) -> Option<Self> {
        let mut bits = Self {
            input: FEWEST_SCALE_BITS,
            weights: vec![FEWEST_SCALE_BITS; layers],
            sums: vec![FEWEST_SCALE_BITS; layers.checked_sub(1)?],
            squares: vec![FEWEST_SCALE_BITS; layers - 1],
            range,
        };
        // The fewest bits may break the lower bound of the primes, never for long: grow until everything fits or cannot.
        let mut best = bits.settled(bounds);
        loop {
            let mut candidates: Vec<(f64, Self)> = Vec::new();
            let error =
                |scale: u32, layer, part| variance(layer, part) * 0.25f64.powi(scale as i32);
            candidates
                .push((error(bits.input, 0, 0), Self { input: bits.input + 1, ..bits.clone() }));
            for layer in 0..layers {
                let mut grown = bits.clone();
                if let Some(weight) = grown.weights.get_mut(layer) {
                    candidates.push((error(*weight, layer, 1), {
                        *weight += 1;
                        grown
                    }));
                }
                let mut grown = bits.clone();
                if let Some(sum) = grown.sums.get_mut(layer) {
                    candidates.push((error(*sum, layer, 2), {
                        *sum += 1;
                        grown
                    }));
                }
            }
            candidates.sort_by(|left, right| right.0.total_cmp(&left.0));
            // While nothing has settled yet, take the largest summand; afterwards the largest that settles.
            let next = candidates.into_iter().find_map(|(_, grown)| {
                let settled = grown.settled(bounds);
                (settled.is_some() || (best.is_none() && grown.needed() <= bounds.total))
                    .then_some((grown, settled))
            });
            let Some((grown, settled)) = next else { return best };
            bits = grown;
            best = settled;
        }
    }

    /// Bits of the top level's modulus.
    #[must_use]
    pub(super) fn needed(&self) -> u32 {
        self.input + self.weights.iter().sum::<u32>() + self.sums.iter().sum::<u32>() + self.range
    }

    /// Bits of the primes, lowest first: those of level 0, then for each level above it the one that a rescale from there
    /// drops.
    #[must_use]
    pub(super) fn primes(&self) -> Option<Vec<u32>> {
        let base = self.base_bits();
        let mut primes: Vec<u32> =
            (0..BASE_PRIMES).map(|index| (base + index) / BASE_PRIMES).collect();
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

    fn base_bits(&self) -> u32 {
        let operand = self.squares.last().copied().unwrap_or(self.input);
        operand + self.weights.last().copied().unwrap_or(0) + self.range
    }

    /// The same bits with the largest scales after squares for which all primes keep their bounds; `None` when there are none.
    fn settled(&self, bounds: Bounds) -> Option<Self> {
        if self.needed() > bounds.total {
            return None;
        }
        let mut settled = self.clone();
        for index in 0..self.squares.len() {
            let sum = *self.sums.get(index)?;
            let weight = *self.weights.get(index + 1)?;
            // What the next rescale (or level 0) can take, and what the square's own rescale leaves.
            let above = match self.sums.get(index + 1) {
                Some(next) => (bounds.largest + next).checked_sub(weight)?,
                None => (BASE_PRIMES * bounds.largest).checked_sub(weight + self.range)?,
            };
            *settled.squares.get_mut(index)? = above.min((2 * sum).checked_sub(bounds.smallest)?);
        }
        let within = |bits: &u32| (bounds.smallest..=bounds.largest).contains(bits);
        settled.primes()?.iter().all(within).then_some(settled)
    }
}
