//! How many bits each scale and each prime gets.
//!
//! For n affine layers let a_l be the scale of layer l's inputs, w_l of its weights, s_l of its outputs. Rescaling divides by primes
//! q_l ≈ a_l·w_l/s_l after an affine layer and q'_l ≈ s_l²/a_{l+1} after a square; the last layer is not rescaled, its products must fit Q_0
//! with their range R. Where nothing is squared there is no q'_l, and a_{l+1} = s_l. Multiplying up, every a_l but the first cancels:
//!
//! ```text
//! log Q = a_0 + Σ w_l + Σ s_l + R            (logarithms; the second sum over layers that square)
//! ```
//!
//! The error of the result is a sum Σ c_i·4^(−bits_i) over all scales, whose factors c_i a shadow run measures. Bits are given out, and
//! moved from one scale to another, as long as that makes the sum smaller and all primes stay within their bounds. The
//! scales a_l that cancel are free: the largest that the primes allow are taken.
//!
//! Values that a square passes keep the scale s_l. The weights that they meet get the scale w_l·a_{l+1}/s_l, so that all products of that
//! layer have one scale.

use std::rc::Rc;

use super::steps::{Part, Source};

/// Bits of a scale to begin with: below this nothing is precise enough to be worth trying.
const FEWEST_SCALE_BITS: u32 = 24;
/// Prime numbers p ≡ 1 mod 4N are too rare this close to 4N.
const PRIME_MARGIN_BITS: u32 = 8;

/// Fewest bits of weights that meet passed values.
const FEWEST_PASSED_BITS: i64 = 8;

/// What becomes of a layer's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// All are squared.
    Squares,
    /// Some are squared, others passed.
    Mixed,
    /// All are passed.
    Passes,
}

impl Turn {
    /// Of each layer but the last, by how many of its output blocks are squared.
    pub(super) fn of(blocks: impl Iterator<Item = (usize, usize)>) -> Rc<[Self]> {
        blocks
            .map(|(squared, all)| match squared {
                0 => Self::Passes,
                squared if squared < all => Self::Mixed,
                _ => Self::Squares,
            })
            .collect()
    }

    /// Primes that are dropped from a layer's products to the next layer's inputs.
    pub(super) fn primes(self) -> u32 {
        match self {
            Self::Squares | Self::Mixed => 2,
            Self::Passes => 1,
        }
    }
}

/// Bits of every scale and prime; see the module's documentation for the names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bits {
    /// What becomes of the outputs of each affine layer but the last.
    turns: Rc<[Turn]>,
    /// a_0.
    pub input: u32,
    /// w_l for each affine layer.
    pub weights: Vec<u32>,
    /// s_l for each affine layer but the last.
    pub sums: Vec<u32>,
    /// a_{l+1} for each affine layer but the last.
    pub operands: Vec<u32>,
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
        turns: &Rc<[Turn]>,
        bounds: Bounds,
        contributions: &Contributions,
    ) -> Option<Self> {
        let fewest = Self::fewest(turns, bounds)?;
        let filled = fewest.filled(bounds, contributions).unwrap_or_else(|| fewest.clone());
        let mut best =
            if filled.error(contributions) < fewest.error(contributions) { filled } else { fewest };
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

    /// All bits given out as if no prime had bounds: then each scale's share of the error is alike. `None` when that breaks a bound.
    fn filled(&self, bounds: Bounds, contributions: &Contributions) -> Option<Self> {
        let weights = self.weights.len();
        let wanted = |knob: usize| {
            let (layer, part) = match knob.checked_sub(1) {
                None => (0, Part::Operand),
                Some(layer) if layer < weights => (layer, Part::Weights),
                Some(layer) => (layer - weights, Part::Sums),
            };
            let variance = contributions.get(Source { layer, part }.index()).copied();
            variance.unwrap_or(0.0).max(f64::MIN_POSITIVE).log2() / 2.0
        };
        let mut bits = self.clone();
        let mut left = bounds.total.checked_sub(bounds.range)?;
        // The k-th of n scales gets its part of what is left.
        let wants: Vec<(usize, f64)> = self.knobs().map(|knob| (knob, wanted(knob))).collect();
        for (index, &(knob, want)) in wants.iter().enumerate() {
            let rest = wants.get(index..)?;
            let mean = rest.iter().map(|(_, want)| want).sum::<f64>() / rest.len() as f64;
            let given = f64::from(left) / rest.len() as f64 + want - mean;
            let given = (given.round().max(1.0) as u32).min(left);
            *bits.knob(knob)? = given;
            left -= given;
        }
        bits.settled(bounds)
    }

    /// About the fewest bits that fit; `None` when none do.
    pub(super) fn fewest(turns: &Rc<[Turn]>, bounds: Bounds) -> Option<Self> {
        let mut bits = Self {
            turns: Rc::clone(turns),
            input: FEWEST_SCALE_BITS,
            weights: vec![FEWEST_SCALE_BITS; turns.len() + 1],
            sums: vec![FEWEST_SCALE_BITS; turns.len()],
            operands: vec![FEWEST_SCALE_BITS; turns.len()],
        };
        // The fewest bits may make primes too small, or too large after squares: grow evenly until everything fits or cannot.
        let mut settled = bits.settled(bounds);
        while settled.is_none() && bits.needed(bounds.range) <= bounds.total {
            let knobs = bits.knobs();
            let smallest = knobs.min_by_key(|&knob| bits.knob(knob).map(|bits| *bits))?;
            *bits.knob(smallest)? += 1;
            settled = bits.settled(bounds);
        }
        settled
    }

    /// What becomes of the outputs of each affine layer but the last.
    pub(super) fn turns(&self) -> &[Turn] {
        &self.turns
    }

    /// Bits of the top level's modulus with the fewest bits for every scale.
    pub(super) fn least(turns: &Rc<[Turn]>, range: u32) -> u32 {
        let squared = turns.iter().filter(|turn| **turn != Turn::Passes).count();
        let scales = u32::try_from(turns.len() + 2 + squared).unwrap_or(u32::MAX);
        scales.saturating_mul(FEWEST_SCALE_BITS).saturating_add(range)
    }

    /// The predicted variance of the result.
    pub(super) fn error(&self, contributions: &Contributions) -> f64 {
        contributions
            .iter()
            .enumerate()
            .filter(|(_, variance)| **variance > 0.0)
            .map(|(index, variance)| variance / 4.0f64.powi(self.of_source(index) as i32))
            .sum()
    }

    /// Bits of the scale at which a source (by index) leaves its error.
    pub(super) fn of_source(&self, index: usize) -> u32 {
        let Source { layer, part } = Source::from_index(index);
        let operand =
            layer.checked_sub(1).map_or(Some(&self.input), |before| self.operands.get(before));
        let operand = operand.copied().unwrap_or(0);
        let weight = self.weights.get(layer).copied().unwrap_or(0);
        match part {
            Part::Operand => operand,
            Part::Weights => weight,
            // The last layer's sums keep the scale of its products.
            Part::Sums => self.sums.get(layer).copied().unwrap_or(operand + weight),
            Part::Passed => {
                let passed = layer.checked_sub(1).and_then(|before| self.sums.get(before));
                (operand + weight).saturating_sub(passed.copied().unwrap_or(operand))
            }
        }
    }

    /// Bits of the top level's modulus.
    fn needed(&self, range: u32) -> u32 {
        let squared = self.turns.iter().zip(&self.sums).filter(|(turn, _)| **turn != Turn::Passes);
        let sums: u32 = squared.map(|(_, sum)| sum).sum();
        self.input + self.weights.iter().sum::<u32>() + sums + range
    }

    /// Bits of the primes, lowest first: those of level 0, then for each level above it the one that a rescale from there
    /// drops. `None` when a scale is too large for the rescale after it.
    pub(super) fn primes(&self, bounds: Bounds) -> Option<Vec<u32>> {
        let operand = self.operands.last().copied().unwrap_or(self.input);
        let base = operand + self.weights.last().copied().unwrap_or(0) + bounds.range;
        let mut primes: Vec<u32> =
            (0..bounds.base).map(|index| (base + index) / bounds.base).collect();
        let mut dropped = Vec::new();
        let mut operand = self.input;
        let layers = self.turns.iter().zip(&self.weights).zip(self.sums.iter().zip(&self.operands));
        for ((turn, &weight), (&sum, &next)) in layers {
            dropped.push((operand + weight).checked_sub(sum)?);
            if *turn != Turn::Passes {
                dropped.push((2 * sum).checked_sub(next)?);
            }
            operand = next;
        }
        dropped.reverse();
        primes.extend(dropped);
        Some(primes)
    }

    /// Scales that can be chosen freely: input, weights, sums that are squared. The index of each, for [`Self::knob`].
    fn knobs(&self) -> impl Iterator<Item = usize> + Clone + use<> {
        let (turns, fixed) = (Rc::clone(&self.turns), 1 + self.weights.len());
        let count = fixed + turns.len();
        (0..count).filter(move |&knob| {
            let turn = knob.checked_sub(fixed).and_then(|sum| turns.get(sum));
            turn != Some(&Turn::Passes)
        })
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
        // `None` stands for bits that nobody has yet.
        let sources = knobs.clone().map(Some).chain(std::iter::once(None));
        let moves = knobs.flat_map(move |to| sources.clone().map(move |from| (to, from)));
        moves.flat_map(|(to, from)| [(to, from, 1), (to, from, 2)]).filter_map(
            move |(to, from, by)| {
                let mut moved = self.clone();
                *moved.knob(to)? += by;
                if let Some(from) = from {
                    let source = moved.knob(from)?;
                    *source = source.checked_sub(by)?;
                }
                moved.settled(bounds)
            },
        )
    }

    /// The same bits with the largest free scales for which all primes keep their bounds; `None` when there are none.
    fn settled(&self, bounds: Bounds) -> Option<Self> {
        if self.needed(bounds.range) > bounds.total {
            return None;
        }
        let mut settled = self.clone();
        // Every bound on a free scale is by a scale that is fixed or by the free scale next to it. So going down from the last and then up
        // from the first finds the largest that keep all.
        for index in (0..self.turns.len()).rev() {
            let turn = *self.turns.get(index)?;
            let weight = *self.weights.get(index + 1)?;
            // What the next rescale (or level 0) can take, and what the square's own rescale leaves.
            let above = match settled.sums.get(index + 1) {
                Some(next) => (bounds.largest + next).checked_sub(weight)?,
                None => (bounds.base * bounds.largest).checked_sub(weight + bounds.range)?,
            };
            if turn == Turn::Passes {
                *settled.sums.get_mut(index)? = above;
                *settled.operands.get_mut(index)? = above;
            } else {
                let most = (2 * settled.sums.get(index)?).checked_sub(bounds.smallest)?;
                *settled.operands.get_mut(index)? = above.min(most);
            }
        }
        let mut operand = self.input;
        for index in 0..self.turns.len() {
            if self.turns.get(index) == Some(&Turn::Passes) {
                let product = operand + self.weights.get(index)?;
                let most = product.checked_sub(bounds.smallest)?.min(*settled.sums.get(index)?);
                *settled.sums.get_mut(index)? = most;
                *settled.operands.get_mut(index)? = most;
            }
            operand = *settled.operands.get(index)?;
        }
        let within = |bits: &u32| (bounds.smallest..=bounds.largest).contains(bits);
        let weights = settled.passed().all(|bits| bits >= FEWEST_PASSED_BITS);
        (weights && settled.primes(bounds)?.iter().all(within)).then_some(settled)
    }

    /// Bits of the weights that meet passed values, where there are such.
    fn passed(&self) -> impl Iterator<Item = i64> + '_ {
        let mixed = self.turns.iter().enumerate().filter(|(_, turn)| **turn == Turn::Mixed);
        mixed.filter_map(|(index, _)| {
            let (operand, weight) = (*self.operands.get(index)?, *self.weights.get(index + 1)?);
            Some(i64::from(operand + weight) - i64::from(*self.sums.get(index)?))
        })
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

    fn squares(layers: usize) -> Rc<[Turn]> {
        vec![Turn::Squares; layers - 1].into()
    }

    #[test]
    fn all_bits_are_given_out() {
        let bits = Bits::allocate(&squares(2), BOUNDS, &[1.0; 8]).unwrap();
        check(&bits, BOUNDS);
        assert_eq!(bits.needed(BOUNDS.range), BOUNDS.total);
    }

    #[test]
    fn what_contributes_more_gets_more() {
        let mut contributions = [1.0; 8];
        contributions[1] = 4.0f64.powi(6);
        let bits = Bits::allocate(&squares(2), BOUNDS, &contributions).unwrap();
        check(&bits, BOUNDS);
        assert!(bits.weights[0] > bits.weights[1] + 3, "{bits:?}");
    }

    #[test]
    fn deep_networks_settle_too() {
        let bounds = Bounds { largest: 46, total: 400, base: 3, ..BOUNDS };
        check(&Bits::allocate(&squares(3), bounds, &[1.0; 12]).unwrap(), bounds);
        check(&Bits::allocate(&squares(1), BOUNDS, &[1.0; 4]).unwrap(), BOUNDS);
        assert_eq!(Bits::allocate(&squares(4), BOUNDS, &[1.0; 16]), None);
    }

    /// A layer that squares nothing costs one prime and no bits of its own; what a square passes leaves its weights enough bits.
    #[test]
    fn passed_values_cost_no_bits() {
        let bounds = Bounds { largest: 46, total: 300, base: 3, ..BOUNDS };
        let turns: Rc<[Turn]> = vec![Turn::Passes, Turn::Mixed, Turn::Passes].into();
        let bits = Bits::allocate(&turns, bounds, &[1.0; 16]).unwrap();
        check(&bits, bounds);
        assert_eq!(bits.primes(bounds).unwrap().len(), 3 + 4);
        for index in [0, 2] {
            assert_eq!(bits.sums[index], bits.operands[index]);
        }
        let passed = bits.of_source(Source { layer: 2, part: Part::Passed }.index());
        assert_eq!(passed + bits.sums[1], bits.operands[1] + bits.weights[2]);
        assert!(passed > 16, "{bits:?}");
    }
}
