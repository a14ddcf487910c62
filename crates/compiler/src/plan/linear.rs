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
use super::pool::{Pool, Stages};
use super::spread::spread;
use crate::network::Affine;

/// Key-switch costs in units of one decomposition into two digits (its forward transforms dominate): the inner product with a
/// key.
const INNER_PRODUCT: f64 = 0.25;
/// The same unit: the mod-down of one hoisted rotation, as many transforms as the decomposition.
const MOD_DOWN: f64 = 1.0;
/// The same unit: a product with an encrypted weight.
const PRODUCT: f64 = 0.15;

/// So many shifts are few enough for each to be tried as the number of baby steps.
const FEW_SHIFTS: usize = 128;

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
    /// Rotations of each input block that are summed before all else.
    pub pooled: Stages,
    /// Whether the inputs are rotated (and so brought under the result key) before the products.
    pub hoisted: bool,
    /// Number of baby steps n1.
    pub babies: usize,
    /// For each output block, the sums that make it up; never empty.
    pub outputs: Vec<Vec<RotatedSum>>,
    /// Rotate-and-sum strides in positions.
    pub strides: Vec<usize>,
    /// Layout of the inputs, as they come.
    pub input: Layout,
    /// Layout of the outputs.
    pub output: Layout,
    /// How many of the output blocks, the first ones, are squared; the rest are passed through.
    pub squared: usize,
}

/// A layer as it will be laid out, without its weights: enough to tell what it costs.
#[derive(Clone, Debug)]
pub(super) struct Sketch {
    /// Rotations of each input block that are summed before all else.
    pub pooled: Stages,
    /// Layout of the inputs, once they are summed.
    pub input: Layout,
    /// Layout of the outputs.
    pub output: Layout,
    /// How many of the output blocks, the first ones, are squared.
    pub squared: usize,
    /// Diagonals that are not zero.
    pub keys: Keys,
    /// What the inputs are encrypted under.
    pub operands: Operands,
    /// Number of baby steps n1.
    pub babies: usize,
    /// Whether the inputs are rotated before the products.
    pub hoisted: bool,
    im2col: Option<Im2col>,
}

impl Sketch {
    /// A first layer by im2col: no shift at all. The first `squared` outputs are squared, which must be whole channels.
    #[must_use]
    pub(super) fn aligned(
        affine: &Affine,
        squared: usize,
        im2col: &Im2col,
        positions: usize,
        encrypted: bool,
    ) -> Self {
        let (input, output) = (im2col.inputs(positions), im2col.outputs(positions));
        let keys = aligned(affine, im2col, &output).into_keys().collect();
        let mut sketch = Self {
            pooled: Stages::new(),
            squared: im2col.blocks_of(squared, positions),
            input,
            output,
            keys,
            operands: Operands { fresh: true, encrypted },
            babies: 1,
            hoisted: false,
            im2col: Some(im2col.clone()),
        };
        complete(&mut sketch.keys, &sketch.input, &sketch.output);
        sketch
    }

    /// Any layer, its inputs summed by its pool or not, its outputs in order or on the grid of its inputs, the first `squared` of them in
    /// blocks of their own.
    #[must_use]
    pub(super) fn diagonal(
        affine: &Affine,
        pool: Option<&Pool>,
        squared: usize,
        input: &Layout,
        operands: Operands,
    ) -> Self {
        let plain = Self::unpooled(affine, squared, input, operands);
        let pooled = pool.and_then(|pool| {
            let (sums, stages) = pool.layout(input)?;
            let (cost, sketch) = Self::unpooled(&pool.affine, squared, &sums, operands);
            let cost = cost
                + input.blocks.len() as f64
                    * stages.iter().map(|stage| stage_cost(stage)).sum::<f64>();
            Some((cost, Self { pooled: stages, ..sketch }))
        });
        match pooled {
            Some((cost, sketch)) if cost < plain.0 => sketch,
            _ => plain.1,
        }
    }

    /// A layer whose inputs stand as its matrix reads them, and its cost.
    fn unpooled(
        affine: &Affine,
        squared: usize,
        input: &Layout,
        operands: Operands,
    ) -> (f64, Self) {
        let weigh = |(output, squared): (Layout, usize)| {
            let mut keys = keys(affine, input, &output);
            complete(&mut keys, input, &output);
            let (cost, babies) = cheapest_split(&keys, operands);
            // Beside products and key switching, every block is squared, and read by the next layer.
            let cost = cost + keys.len() as f64 * PRODUCT + output.blocks.len() as f64;
            let (input, hoisted, pooled) = (input.clone(), babies > 1, Stages::new());
            let sketch = Self {
                pooled,
                input,
                output,
                squared,
                keys,
                operands,
                babies,
                hoisted,
                im2col: None,
            };
            (cost, sketch)
        };
        let ordered = weigh(Layout::split(affine.matrix.rows(), squared, input.positions));
        match spread(&affine.matrix, input, squared).map(weigh) {
            Some(spread) if spread.0 < ordered.0 => spread,
            _ => ordered,
        }
    }

    /// Whether the data owner lays out the inputs.
    #[must_use]
    pub(super) fn is_im2col(&self) -> bool {
        self.im2col.is_some()
    }

    /// Rotate-and-sum strides in positions.
    #[must_use]
    pub(super) fn strides(&self) -> Vec<usize> {
        strides(&self.input, &self.output)
    }

    /// Distinct rotations of the sums.
    #[must_use]
    pub(super) fn giants(&self) -> usize {
        let giants: BTreeSet<usize> =
            self.keys.iter().map(|&(_, shift, _)| shift - shift % self.babies).collect();
        giants.len()
    }
}

/// What the layer's inputs are encrypted under, which decides what rotating them costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operands {
    /// Fresh ciphertexts under the input key, not result ciphertexts.
    pub fresh: bool,
    /// The weights are encrypted: sums carry components under the model key.
    pub encrypted: bool,
}

/// Output block, shift, input block of a diagonal.
type Key = (usize, usize, usize);
type Keys = BTreeSet<Key>;
type Diagonals = BTreeMap<Key, Vec<f64>>;

impl Linear {
    /// Lays the weights out: those of the layer, or of its pool where the sketch has the inputs summed.
    #[must_use]
    pub(super) fn new(affine: &Affine, pool: Option<&Pool>, sketch: Sketch) -> Self {
        let Sketch { pooled, input, output, squared, babies, hoisted, im2col, .. } = sketch;
        let affine = match pool {
            Some(pool) if !pooled.is_empty() => &pool.affine,
            _ => affine,
        };
        let diagonals = match &im2col {
            Some(im2col) => aligned(affine, im2col, &output),
            None => diagonals(affine, &input, &output),
        };
        let linear = Self::assemble(affine, input, output, diagonals, babies, hoisted);
        Self { pooled, squared, ..linear }
    }

    /// Rotations of one input block that the products read, ascending.
    #[must_use]
    pub(super) fn rotations_of(&self, block: usize) -> Vec<usize> {
        let terms = self.outputs.iter().flatten().flat_map(|sum| &sum.terms);
        let babies: BTreeSet<usize> =
            terms.filter(|term| term.block == block).map(|term| term.baby).collect();
        babies.into_iter().collect()
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
        let mut keys = diagonals.keys().copied().collect();
        complete(&mut keys, &input, &output);
        for key in keys {
            diagonals.entry(key).or_insert_with(|| vec![0.0; positions]);
        }
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
        let strides = strides(&input, &output);
        let pooled = Stages::new();
        Self { pooled, hoisted, babies, outputs, strides, input, output, squared: 0 }
    }
}

/// Rotate-and-sum strides from the inputs' period to the outputs'.
fn strides(input: &Layout, output: &Layout) -> Vec<usize> {
    std::iter::successors(Some(output.period), |stride| Some(stride * 2))
        .take_while(|&stride| stride < input.period)
        .collect()
}

/// The diagonals of a first layer by im2col: no shift at all.
fn aligned(affine: &Affine, im2col: &Im2col, output: &Layout) -> Diagonals {
    let mut diagonals = Diagonals::new();
    for block in 0..output.blocks.len() {
        for index in 0..im2col.depth(output.positions) {
            let (from, weights) = im2col.weights(affine, output.positions, block, index);
            if weights.iter().any(|&weight| weight != 0.0) {
                diagonals.insert((block, 0, from), weights);
            }
        }
    }
    diagonals
}

/// Which diagonals of the layer are not zero, without their weights.
fn keys(affine: &Affine, input: &Layout, output: &Layout) -> Keys {
    if input.reach != input.period {
        let mut keys = Keys::new();
        by_place(affine, input, output, |key, _, _| {
            keys.insert(key);
        });
        return keys;
    }
    let reach = input.reach.min(output.period);
    // Everything repeats after a period, so a feature's first place in a block stands for all.
    let sources = input.homes(affine.matrix.cols());
    let targets = output.homes(affine.matrix.rows());
    // As many bits as there could be diagonals: rows times columns over positions.
    let (rows, columns) = (output.blocks.len(), input.blocks.len());
    let mut found = vec![false; rows * reach * columns];
    for (row, targets) in targets.iter().enumerate() {
        for (column, _) in affine.matrix.row(row) {
            for &(block, from) in sources.get(column).into_iter().flatten() {
                for &(to_block, to) in targets {
                    let shift = (from + input.positions - to) % reach;
                    let bit = found.get_mut((to_block * reach + shift) * columns + block);
                    bit.into_iter().for_each(|bit| *bit = true);
                }
            }
        }
    }
    let set = found.iter().enumerate().filter(|(_, set)| **set).map(|(index, _)| index);
    let key = |index| (index / columns / reach, index / columns % reach, index % columns);
    set.map(key).collect()
}

/// Every diagonal of the layer that is not zero.
fn diagonals(affine: &Affine, input: &Layout, output: &Layout) -> Diagonals {
    let positions = input.positions;
    let mut diagonals = Diagonals::new();
    let mut put = |key: Key, from: usize, value: f64| {
        let diagonal = diagonals.entry(key).or_insert_with(|| vec![0.0; positions]);
        if let Some(weight) = diagonal.get_mut(from) {
            *weight = value;
        }
    };
    if input.reach != input.period {
        by_place(affine, input, output, put);
        return diagonals;
    }
    // All copies are alike: a feature's first place tells how far to the right each place of an output finds it, if there.
    let reach = input.reach.min(output.period);
    let sources = input.homes(affine.matrix.cols());
    let targets = output.places(affine.matrix.rows());
    for (row, targets) in targets.iter().enumerate() {
        for (column, value) in affine.matrix.row(row) {
            for &(block, home) in sources.get(column).into_iter().flatten() {
                for &(to_block, to) in targets {
                    let shift = (home + positions - to) % reach;
                    let from = (to + shift) % positions;
                    if input.holds(block, from, column) {
                        put((to_block, shift, block), from, value);
                    }
                }
            }
        }
    }
    diagonals
}

/// Goes through all places of outputs and what they find within reach: for skewed inputs, whose reach is short.
fn by_place(
    affine: &Affine,
    input: &Layout,
    output: &Layout,
    mut put: impl FnMut(Key, usize, f64),
) {
    let positions = input.positions;
    let reach = input.reach.min(output.period);
    for (to_block, rows) in output.blocks.iter().enumerate() {
        for (to, row) in rows.iter().enumerate() {
            let Some(row) = *row else { continue };
            for (block, features) in input.blocks.iter().enumerate() {
                for shift in 0..reach {
                    let from = (to + shift) % positions;
                    let column = features.get(from).copied().flatten();
                    let value =
                        column.map(|column| affine.matrix.get(row as usize, column as usize));
                    if let Some(value) = value.filter(|&value| value != 0.0) {
                        put((to_block, shift, block), from, value);
                    }
                }
            }
        }
    }
}

/// Adds diagonals, of zeros, where a block of outputs would have no product, or a block of inputs no reader: every value has both.
fn complete(keys: &mut Keys, input: &Layout, output: &Layout) {
    let read: BTreeSet<usize> = keys.iter().map(|&(_, _, from)| from).collect();
    keys.extend(
        (0..input.blocks.len()).filter(|block| !read.contains(block)).map(|block| (0, 0, block)),
    );
    let made: BTreeSet<usize> = keys.iter().map(|&(to, _, _)| to).collect();
    keys.extend(
        (0..output.blocks.len()).filter(|block| !made.contains(block)).map(|block| (block, 0, 0)),
    );
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

/// Key switches of one stage of sums: a decomposition and an inner product for each rotation, and one mod-down.
fn stage_cost(rotations: &[usize]) -> f64 {
    rotations.len().saturating_sub(1) as f64 * (1.0 + INNER_PRODUCT) + MOD_DOWN
}

/// The least key switching and the number of baby steps that needs it, a power of two or one of few shifts (on a grid, its width): for each input block that is rotated one decomposition,
/// and an inner product and a mod-down for each rotation; for each sum an inner product for every component that needs a key, and a
/// decomposition for those that no other sum shares.
fn cheapest_split(keys: &Keys, operands: Operands) -> (f64, usize) {
    let reach = keys.iter().map(|&(_, shift, _)| shift + 1).max().unwrap_or(1);
    let shifts: BTreeSet<usize> = keys.iter().map(|&(_, shift, _)| shift).collect();
    // Where nearly all shifts occur, a power of two is as good as its neighbours, and its last giant step is a full one.
    let sparse = shifts.len() <= FEW_SHIFTS && 2 * shifts.len() <= reach;
    let few = if sparse { shifts } else { BTreeSet::new() };
    let powers =
        std::iter::successors(Some(1usize), |n| Some(n * 2)).take_while(|&n| n < 2 * reach);
    let mut best = (f64::INFINITY, 1);
    for babies in powers.chain(few.into_iter().filter(|&n| n > 2 && !n.is_power_of_two())) {
        let cost = split_cost(keys, operands, babies);
        if cost < best.0 {
            best = (cost, babies);
        }
    }
    best
}

fn split_cost(keys: &Keys, operands: Operands, babies: usize) -> f64 {
    let hoisted = babies > 1;
    let ends = |of: fn(&Key) -> usize| keys.iter().map(of).max().map_or(0, |last| last + 1);
    let (outputs, reach, inputs) = (ends(|key| key.0), ends(|key| key.1), ends(|key| key.2));
    let mut rotated = Seen::new(inputs * babies.min(reach));
    let mut sums = Seen::new(outputs * reach);
    let mut own = 0;
    let mut blocks = Seen::new(inputs);
    let mut made = Seen::new(outputs);
    for &(to, shift, block) in keys {
        let baby = shift % babies;
        // Rotation 0 of a result ciphertext is a copy; of a fresh one it is a key switch.
        if hoisted && (baby > 0 || operands.fresh) {
            rotated.insert(baby * inputs + block);
            blocks.insert(block);
        }
        made.insert(to);
        // Every sum has a component under its operands' key, which needs a key unless it is the result key and stays in place.
        let giant = shift - baby;
        if sums.insert(to * reach + giant) && (giant > 0 || (operands.fresh && !hoisted)) {
            own += 1;
        }
    }
    // Those under the model key are decomposed once for all rows of a block.
    let (masked, shared) =
        if operands.encrypted { (2 * sums.count, 2 * made.count) } else { (0, 0) };
    (blocks.count + own + shared) as f64
        + (rotated.count + own + masked) as f64 * INNER_PRODUCT
        + rotated.count as f64 * MOD_DOWN
}

/// A set of small numbers.
struct Seen {
    marks: Vec<bool>,
    count: usize,
}

impl Seen {
    fn new(end: usize) -> Self {
        Self { marks: vec![false; end], count: 0 }
    }

    /// Whether it was not there before.
    fn insert(&mut self, number: usize) -> bool {
        let new = self.marks.get_mut(number).is_some_and(|mark| !std::mem::replace(mark, true));
        self.count += usize::from(new);
        new
    }
}
