//! One affine layer as generalized diagonals (Halevi, Shoup, CRYPTO 2014) in baby steps and giant steps, with the hybrid
//! method for few outputs (Juvekar et al., GAZELLE, USENIX Security 2018, §5).
//!
//! Let t be the positions of a block, k' the period of the inputs, T that of the outputs, D = min(T, k'). Weight vector W[o, j, r], 0 ≤ r < D,
//! holds at position f the matrix entry of output block o's row at position f − r and input block j's column at f, so
//!
//! ```text
//! Z[o] = Σ_r rotate(Σ_j W[o, j, r] ∘ X[j], r)
//! ```
//!
//! has at position p every column that stands at p … p + D − 1. When T ≥ k' those are all columns. When T < k' the rest stands at
//! p + T, p + 2T, …, and adding rotations of Z by T, 2T, 4T, … k'/2 collects it in every place at once: each copy is computed in
//! the same way and no mask is needed.
//!
//! A first layer's inputs may be laid out so that fewer shifts reach them ([`Layout::skewed`]): then D is their reach.
//!
//! Splitting r = r1 + n1·r2, the inputs are rotated by r1 (hoisted: one decomposition for all r1), the weights stand r1 further left, and
//! sums rotate by n1·r2 on their way to the result key. Diagonals that are zero are not made.

use std::collections::{BTreeMap, BTreeSet};

use super::layout::{Im2col, Layout};
use super::steps::MOST_ROWS;
use crate::network::Affine;

/// Key-switch costs in units of one decomposition into two digits (its forward transforms dominate): the inner product with a
/// key.
const INNER_PRODUCT: f64 = 0.25;
/// The same unit: the mod-down of one hoisted rotation, as many transforms as the decomposition.
const MOD_DOWN: f64 = 1.0;

/// One product: weight vector, input block, and how far (in positions) that block is rotated before.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Term {
    /// Input block.
    pub block: usize,
    /// Rotation of the input in positions.
    pub baby: usize,
    /// One weight for each position.
    pub weights: Vec<f64>,
}

/// Products that are summed and rotated together.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RotatedSum {
    /// Rotation of the sum in positions.
    pub giant: usize,
    /// What is summed; never empty.
    pub terms: Vec<Term>,
    /// Added to the sum, one value for each position.
    pub bias: Option<Vec<f64>>,
}

/// An affine layer, ready to be written as steps.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Linear {
    /// Whether the inputs are rotated (and so brought under the result key) before the products.
    pub hoisted: bool,
    /// Number of baby steps n1.
    pub babies: usize,
    /// For each output block, the sums that make it up; never empty.
    pub outputs: Vec<Vec<RotatedSum>>,
    /// Rotate-and-sum strides in positions.
    pub strides: Vec<usize>,
    /// Layout of the inputs.
    pub input: Layout,
    /// Layout of the outputs.
    pub output: Layout,
    /// How many of the output blocks, the first ones, are squared; the rest are passed through.
    pub squared: usize,
}

/// What the layer's inputs are encrypted under, which decides what rotating them costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operands {
    /// Fresh ciphertexts under the input key, not result ciphertexts.
    pub fresh: bool,
    /// The weights are encrypted: sums carry components under the model key.
    pub encrypted: bool,
}

/// Diagonals by output block, shift, input block.
type Diagonals = BTreeMap<(usize, usize, usize), Vec<f64>>;

impl Linear {
    /// A first layer by im2col: no shift at all. The first `squared` outputs are squared, which must be whole channels.
    #[must_use]
    pub(super) fn aligned(
        affine: &Affine,
        squared: usize,
        im2col: &Im2col,
        positions: usize,
    ) -> Self {
        let (input, output) = (im2col.inputs(positions), im2col.outputs(positions));
        let mut diagonals = Diagonals::new();
        for block in 0..output.blocks.len() {
            for index in 0..im2col.depth(positions) {
                let (from, weights) = im2col.weights(affine, positions, block, index);
                if weights.iter().any(|&weight| weight != 0.0) {
                    diagonals.insert((block, 0, from), weights);
                }
            }
        }
        let squared = im2col.blocks_of(squared, positions);
        Self { squared, ..Self::assemble(affine, input, output, diagonals, 1, false) }
    }

    /// Any layer, outputs in order, the first `squared` of them in blocks of their own.
    #[must_use]
    pub(super) fn diagonal(
        affine: &Affine,
        squared: usize,
        input: &Layout,
        operands: Operands,
    ) -> Self {
        let (output, squared) = Layout::split(affine.matrix.rows(), squared, input.positions);
        let diagonals = diagonals(affine, input, &output);
        let babies = cheapest_split(&diagonals, operands);
        let linear = Self::assemble(affine, input.clone(), output, diagonals, babies, babies > 1);
        Self { squared, ..linear }
    }

    /// Rotations of one input block that the products read, ascending.
    #[must_use]
    pub(super) fn rotations_of(&self, block: usize) -> Vec<usize> {
        let terms = self.outputs.iter().flatten().flat_map(|sum| &sum.terms);
        let babies: BTreeSet<usize> =
            terms.filter(|term| term.block == block).map(|term| term.baby).collect();
        babies.into_iter().collect()
    }

    /// Weight vectors of the products, biases not counted.
    #[must_use]
    pub(super) fn products(&self) -> usize {
        self.outputs.iter().flatten().map(|sum| sum.terms.len()).sum()
    }

    /// Masks of the weight vectors, when encrypted: the rows of a block share them, and so do blocks of one row (see
    /// [`super::steps`]).
    #[must_use]
    pub(super) fn masks(&self) -> usize {
        let longest = |sums: &Vec<RotatedSum>| {
            sums.iter().map(|sum| sum.terms.len()).max().unwrap_or_default()
        };
        if self.outputs.iter().any(|sums| sums.len() > 1) {
            self.outputs.iter().map(longest).sum()
        } else {
            let rows = self.outputs.len().div_ceil(usize::from(MOST_ROWS));
            rows * self.outputs.iter().map(longest).max().unwrap_or_default()
        }
    }

    /// Distinct rotations of the sums.
    #[must_use]
    pub(super) fn giants(&self) -> usize {
        let giants: BTreeSet<usize> = self.outputs.iter().flatten().map(|sum| sum.giant).collect();
        giants.len()
    }

    fn assemble(
        affine: &Affine,
        input: Layout,
        output: Layout,
        mut diagonals: Diagonals,
        babies: usize,
        hoisted: bool,
    ) -> Self {
        let positions = input.positions;
        complete(&mut diagonals, &input, &output);
        let mut grouped: BTreeMap<(usize, usize), Vec<Term>> = BTreeMap::new();
        for ((to, shift, block), mut weights) in diagonals {
            let baby = shift % babies;
            weights.rotate_left(baby);
            grouped.entry((to, shift - baby)).or_default().push(Term { block, baby, weights });
        }
        let mut outputs = vec![Vec::new(); output.blocks.len()];
        for ((to, giant), terms) in grouped {
            if let Some(sums) = outputs.get_mut(to) {
                sums.push(RotatedSum { giant, terms, bias: None });
            }
        }
        for (sums, rows) in outputs.iter_mut().zip(&output.blocks) {
            let bias = bias_vector(affine, rows, input.period, output.period);
            if let (Some(mut bias), Some(sum)) = (bias, sums.first_mut()) {
                // The sum moves left by `giant`; so its bias stands that much further right.
                bias.rotate_right(sum.giant % positions);
                sum.bias = Some(bias);
            }
        }
        let strides = std::iter::successors(Some(output.period), |stride| Some(stride * 2))
            .take_while(|&stride| stride < input.period)
            .collect();
        Self { hoisted, babies, outputs, strides, input, output, squared: 0 }
    }
}

/// Every diagonal of the layer that is not zero.
fn diagonals(affine: &Affine, input: &Layout, output: &Layout) -> Diagonals {
    let positions = input.positions;
    let reach = input.reach.min(output.period);
    let sources = input.places(affine.matrix.cols());
    let targets = output.places(affine.matrix.rows());
    let mut diagonals = Diagonals::new();
    for (row, targets) in targets.iter().enumerate() {
        for (column, value) in affine.matrix.row(row) {
            for &(block, from) in sources.get(column).into_iter().flatten() {
                for &(to_block, to) in targets {
                    let shift = (from + positions - to) % positions;
                    if shift < reach {
                        let diagonal = diagonals
                            .entry((to_block, shift, block))
                            .or_insert_with(|| vec![0.0; positions]);
                        if let Some(weight) = diagonal.get_mut(from) {
                            *weight = value;
                        }
                    }
                }
            }
        }
    }
    diagonals
}

/// Adds zero diagonals where a block of outputs would have no product, or a block of inputs no reader: every value has both.
fn complete(diagonals: &mut Diagonals, input: &Layout, output: &Layout) {
    let zero = vec![0.0; input.positions];
    for block in 0..input.blocks.len() {
        if !diagonals.keys().any(|&(_, _, from)| from == block) {
            diagonals.insert((0, 0, block), zero.clone());
        }
    }
    for block in 0..output.blocks.len() {
        if !diagonals.keys().any(|&(to, _, _)| to == block) {
            diagonals.insert((block, 0, 0), zero.clone());
        }
    }
}

/// The bias of one output block, at positions where each sum of the rotate-and-sum tree meets it exactly once.
fn bias_vector(
    affine: &Affine,
    rows: &[Option<u32>],
    input_period: usize,
    output_period: usize,
) -> Option<Vec<f64>> {
    let bias: Vec<f64> = rows
        .iter()
        .enumerate()
        .map(|(position, row)| match row {
            Some(row) if position % input_period.max(output_period) < output_period => {
                affine.bias.get(*row as usize).copied().unwrap_or(0.0)
            }
            _ => 0.0,
        })
        .collect();
    bias.iter().any(|&value| value != 0.0).then_some(bias)
}

/// The number of baby steps, a power of two, with the least key switching: for each input block that is rotated one decomposition,
/// and an inner product and a mod-down for each rotation; for each sum an inner product for every component that needs a key, and a
/// decomposition for those that no other sum shares.
fn cheapest_split(diagonals: &Diagonals, operands: Operands) -> usize {
    let reach = diagonals.keys().map(|&(_, shift, _)| shift + 1).max().unwrap_or(1);
    let mut best = (f64::INFINITY, 1);
    for babies in
        std::iter::successors(Some(1usize), |n| Some(n * 2)).take_while(|&n| n < 2 * reach)
    {
        let cost = split_cost(diagonals, operands, babies);
        if cost < best.0 {
            best = (cost, babies);
        }
    }
    best.1
}

fn split_cost(diagonals: &Diagonals, operands: Operands, babies: usize) -> f64 {
    let mut rotated: BTreeSet<(usize, usize)> = BTreeSet::new();
    let mut sums: BTreeSet<(usize, usize)> = BTreeSet::new();
    let hoisted = babies > 1;
    for &(to, shift, block) in diagonals.keys() {
        let baby = shift % babies;
        // Rotation 0 of a result ciphertext is a copy; of a fresh one it is a key switch.
        if hoisted && (baby > 0 || operands.fresh) {
            rotated.insert((block, baby));
        }
        sums.insert((to, shift - baby));
    }
    let blocks: BTreeSet<usize> = rotated.iter().map(|&(block, _)| block).collect();
    // Every sum has a component under its operands' key, which needs a key unless it is the result key and stays in place. Those under the
    // model key are decomposed once for all rows of a block.
    let own = sums.iter().filter(|&&(_, giant)| giant > 0 || (operands.fresh && !hoisted)).count();
    let (masked, shared) = match operands.encrypted {
        true => (2 * sums.len(), 2 * sums.iter().map(|&(to, _)| to).collect::<BTreeSet<_>>().len()),
        false => (0, 0),
    };
    (blocks.len() + own + shared) as f64
        + (rotated.len() + own + masked) as f64 * INNER_PRODUCT
        + rotated.len() as f64 * MOD_DOWN
}
