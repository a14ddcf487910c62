//! What a layer costs, counted before its weights are laid out.

use std::collections::{BTreeMap, BTreeSet};

use super::linear::Sketch;
use super::steps::MOST_ROWS;
use crate::cost::{Shape, UnitCosts};

/// A block of inputs and its rotation before the products, the rotation first.
type Operand = (usize, usize);
/// By output block and rotation of the sum, its operands.
type Sums = BTreeMap<(usize, usize), Vec<Operand>>;

/// What one group of samples takes in a layer: numbers of operations on whole polynomials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Work {
    /// Products of a weight's polynomial with both of a value; masks included.
    pub products: usize,
    /// Polynomials of weights and masks in memory.
    pub weights: usize,
    /// Decompositions into key-switching digits.
    pub decompositions: usize,
    /// Inner products of digits with a key.
    pub inner: usize,
    /// Divisions by the special primes, of both polynomials.
    pub mod_downs: usize,
    /// Squares, relinearized one level down.
    pub squares: usize,
    /// Evaluation keys.
    pub keys: usize,
}

impl Work {
    /// The work of a layer.
    #[must_use]
    pub(super) fn of(sketch: &Sketch) -> Self {
        let Sketch { keys, operands, babies, .. } = sketch;
        let (fresh, encrypted) = (operands.fresh, operands.encrypted);
        let mut rotated: BTreeSet<(usize, usize)> = BTreeSet::new();
        let mut sums = Sums::new();
        for &(to, shift, block) in keys {
            let baby = shift % babies;
            // Rotation 0 of a result ciphertext is a copy; of a fresh one it is a key switch.
            if sketch.hoisted && (baby > 0 || fresh) {
                rotated.insert((block, baby));
            }
            sums.entry((to, shift - baby)).or_default().push((baby, block));
        }
        let blocks: BTreeSet<usize> = rotated.iter().map(|&(block, _)| block).collect();
        let made: BTreeSet<usize> = sums.keys().map(|&(to, _)| to).collect();
        let masks = if encrypted { masks(&sums, made.len() == sums.len()) } else { 0 };
        let direct = |giant: usize| giant == 0 && (!fresh || sketch.hoisted);
        let own = sums.keys().filter(|&&(_, giant)| !direct(giant)).count();
        let (masked, shared) = if encrypted { (2 * sums.len(), 2 * made.len()) } else { (0, 0) };
        let strides = sketch.strides().len() * made.len();
        let stages = sketch.pooled.len() * sketch.input.blocks.len();
        let rotations: usize =
            sketch.pooled.iter().map(|stage| stage.len().saturating_sub(1)).sum();
        let pooled = rotations * sketch.input.blocks.len();
        let giants: BTreeSet<usize> = sums.keys().map(|&(_, giant)| giant).collect();
        let babies: BTreeSet<usize> = rotated.iter().map(|&(_, baby)| baby).collect();
        Self {
            products: keys.len() + masks,
            weights: keys.len() + masks,
            decompositions: blocks.len() + own + shared + strides + pooled,
            inner: rotated.len() + own + masked + strides + pooled,
            mod_downs: rotated.len() + made.len() + strides + stages,
            squares: sketch.squared,
            keys: babies.len()
                + giants.len() * if encrypted { 3 } else { 1 }
                + sketch.strides().len()
                + rotations,
        }
    }

    /// Seconds that one of `groups` groups takes on one thread, with polynomials of this shape.
    #[must_use]
    pub(super) fn seconds(&self, shape: Shape, units: &UnitCosts, groups: f64) -> f64 {
        let switching = self.decompositions as f64 * units.decomposition(shape)
            + self.inner as f64 * units.inner_product(shape)
            + self.mod_downs as f64 * units.mod_down(shape);
        let below = Shape { limbs: shape.limbs.saturating_sub(1).max(1), ..shape };
        let squares = units.square(below) + units.decomposition(below) + units.inner_product(below);
        let squares = squares + units.mod_down(below);
        switching
            + self.products as f64 * units.product(shape)
            + self.weights as f64 * units.read(shape.polynomial_bytes()) / groups
            + self.squares as f64 * squares
    }

    /// Bytes of weights and keys.
    #[must_use]
    pub(super) fn bytes(&self, shape: Shape) -> f64 {
        self.weights as f64 * shape.polynomial_bytes() + self.keys as f64 * shape.key_bytes()
    }
}

/// Masks of a layer's weights: rows with the same operands share them, within an output block, or over all blocks where each is a `single` row.
fn masks(sums: &Sums, single: bool) -> usize {
    let mut rows: BTreeMap<(usize, &Vec<Operand>), usize> = BTreeMap::new();
    for (&(to, _), operands) in sums {
        *rows.entry((if single { 0 } else { to }, operands)).or_default() += 1;
    }
    let most = usize::from(MOST_ROWS);
    rows.iter().map(|((_, operands), count)| operands.len() * count.div_ceil(most)).sum()
}
