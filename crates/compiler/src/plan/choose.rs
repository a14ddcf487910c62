//! Layouts by cost: positions of a ciphertext, and who lays the first layer's inputs out, are tried; the cheapest within the memory is taken.

use adyton_program::ModelPrivacy;

use super::layout::{Im2col, Layout};
use super::linear::{Linear, Operands, Sketch};
use super::parameters::Ring;
use super::pool::Pool;
use super::work::Work;
use super::{CompileError, CompileOptions, Objective};
use crate::cost::Shape;
use crate::network::{Affine, Network};

/// Fewest positions worth a layout: below it nearly all work is key switching.
const FEWEST_POSITIONS: usize = 16;
/// Seconds that a byte of inputs counts for: 10 Gbit/s, and as much for hashing and expansion.
const INPUT_BYTE: f64 = 1.6e-9;
/// Groups that a run for throughput has: so often a weight is used when it is read.
const GROUPS: f64 = 4.0;

/// Layout of one affine layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerPlan {
    /// Rows and columns of its matrix.
    pub shape: (usize, usize),
    /// Whether the data owner lays out the inputs for it (im2col), so that it needs no rotation.
    pub im2col: bool,
    /// Its level.
    pub level: usize,
    /// How many of its output blocks are squared.
    pub squared: usize,
    /// Blocks of its inputs and of its outputs.
    pub blocks: (usize, usize),
    /// Periods of its inputs and of its outputs, positions.
    pub periods: (usize, usize),
    /// Weight vectors, biases not counted.
    pub products: usize,
    /// Masks that these share when encrypted.
    pub masks: usize,
    /// Sums of each input block with rotations of itself before all else, positions.
    pub pooled: Vec<Vec<usize>>,
    /// Baby steps n1: rotations of the inputs.
    pub babies: usize,
    /// Giant steps n2: rotations of the sums.
    pub giants: usize,
    /// Rotate-and-sum strides, positions.
    pub strides: Vec<usize>,
}

/// Layout parameters of a program.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Seconds of processor time that choosing counted for one sample, or for one group with the objective of least memory.
    pub seconds: f64,
    /// Bytes of weights and of a session's keys, expanded, that choosing counted.
    pub memory: u64,
    /// Positions of a ciphertext, t.
    pub positions: usize,
    /// Lanes of a ciphertext, b.
    pub lanes: usize,
    /// The affine layers.
    pub layers: Vec<LayerPlan>,
}

/// One way to lay a network out.
pub(super) struct Candidate {
    positions: usize,
    sketches: Vec<Sketch>,
}

impl Plan {
    /// Chooses layouts for a ring: of all positions t from those that hold the logits up to all slots, and of im2col for each channel, for all
    /// rows together, or not at all, those which take the least time for what the objective counts, within `memory` bytes as
    /// [`Plan::memory`] counts them.
    ///
    /// # Errors
    /// [`CompileError::TooManyOutputs`], or [`CompileError::Memory`] when none keeps within the memory.
    pub(super) fn choose(
        patterns: &Patterns<'_>,
        ring: &Ring,
        options: &CompileOptions<'_>,
        memory: u64,
    ) -> Result<(Self, Candidate), CompileError> {
        let (network, slots) = (patterns.network, ring.slots());
        let outputs = network.output_len();
        if outputs > slots {
            return Err(CompileError::TooManyOutputs { outputs, slots });
        }
        let fewest = FEWEST_POSITIONS.max(outputs).next_power_of_two().min(slots);
        let sizes =
            std::iter::successors(Some(fewest), |t| Some(t * 2)).take_while(|&t| t <= slots);
        let mut needed = u64::MAX;
        let mut best: Option<(f64, Self, Candidate)> = None;
        for positions in sizes {
            for structure in &patterns.structures {
                let sketches = sketches(patterns, structure.as_ref(), positions, options);
                let candidate = Candidate { positions, sketches };
                let bytes = candidate.memory(ring);
                needed = needed.min(bytes);
                if bytes > memory {
                    continue;
                }
                let cost = candidate.cost(ring, options);
                if best.as_ref().is_none_or(|(least, _, _)| cost < *least) {
                    let plan = candidate.plan(network, slots, (cost, bytes));
                    best = Some((cost, plan, candidate));
                }
            }
        }
        let (_, plan, candidate) =
            best.ok_or(CompileError::Memory { needed, limit: options.memory })?;
        Ok((plan, candidate))
    }

    /// Levels at which inputs are rotated: what key switching adds there, it adds at the scale of the inputs.
    pub(super) fn rotating_levels(&self) -> Vec<usize> {
        let rotates = |layer: &&LayerPlan| layer.babies > 1 || !layer.pooled.is_empty();
        self.layers.iter().filter(rotates).map(|layer| layer.level).collect()
    }
}

/// A network with what its matrices show, found once for all layouts.
pub(super) struct Patterns<'a> {
    network: &'a Network,
    /// For each affine layer but the first, whose inputs are not the host's to sum, its pool.
    pools: Vec<Option<Pool>>,
    /// Whether the data owner lays out the first layer's inputs, and how.
    structures: Vec<Option<Im2col>>,
}

impl<'a> Patterns<'a> {
    #[must_use]
    pub(super) fn of(network: &'a Network) -> Self {
        let found = network.affines().enumerate();
        let pools = found.map(|(index, affine)| if index > 0 { Pool::find(affine) } else { None });
        let pools: Vec<Option<Pool>> = pools.collect();
        let structures = structures(network, pools.get(1).and_then(Option::as_ref));
        Self { network, pools, structures }
    }

    /// The affine layers, each with its pool.
    fn layers(&self) -> impl Iterator<Item = (&'a Affine, Option<&Pool>)> {
        self.network.affines().zip(self.pools.iter().map(Option::as_ref))
    }
}

/// Whether the data owner lays out the first layer's inputs, and how; `next` is the pool of its outputs.
fn structures(network: &Network, next: Option<&Pool>) -> Vec<Option<Im2col>> {
    let squared = network.squared().next().unwrap_or(0);
    let mut structures = vec![None];
    if let Some(first) = network.affines().next() {
        // The results stand in one block: a network of one layer cannot have a block for each channel.
        let ways: &[bool] = if network.affines().count() == 1 { &[true] } else { &[false, true] };
        for &whole in ways {
            let found = Im2col::find(&first.matrix, whole)
                .filter(|im2col| squared.is_multiple_of(im2col.spatial));
            let phases = found.as_ref().zip(next).and_then(|(found, pool)| found.in_phases(pool));
            for found in [found, phases].into_iter().flatten().map(Some) {
                if !structures.contains(&found) {
                    structures.push(found);
                }
            }
        }
    }
    structures
}

impl Candidate {
    /// The layers with their weights.
    #[must_use]
    pub(super) fn build(self, patterns: &Patterns<'_>) -> Vec<Linear> {
        let layers = patterns.layers().zip(self.sketches);
        layers.map(|((affine, pool), sketch)| Linear::new(affine, pool, sketch)).collect()
    }

    /// Its layers' work at their shapes.
    fn work<'a>(&'a self, ring: &'a Ring) -> impl Iterator<Item = (Work, Shape)> + 'a {
        self.sketches.iter().zip(levels(&self.sketches)).map(|(sketch, level)| {
            let limbs = level + usize::from(ring.base);
            let (special, digit) = ring.usual_gadget(limbs);
            (Work::of(sketch), Shape { log_n: ring.log_n, limbs, special, digit })
        })
    }

    /// Bytes of the expanded weights (one polynomial each and, when encrypted, one a mask) and of one session's keys.
    fn memory(&self, ring: &Ring) -> u64 {
        self.work(ring).map(|(work, shape)| work.bytes(shape)).sum::<f64>() as u64
    }

    /// Bytes of the input ciphertexts, of which half are drawn from a seed.
    fn input_bytes(&self, ring: &Ring) -> f64 {
        let blocks = self.sketches.first().map_or(0, |sketch| sketch.input.blocks.len());
        let limbs = levels(&self.sketches).first().map_or(0, |top| top + usize::from(ring.base));
        (blocks * limbs * size_of::<u64>()) as f64 * f64::from(ring.log_n).exp2()
    }

    /// What the objective counts: seconds for a sample, or bytes.
    fn cost(&self, ring: &Ring, options: &CompileOptions<'_>) -> f64 {
        let lanes = (ring.slots() / self.positions) as f64;
        let seconds = |groups: f64| -> f64 {
            let layers = self.work(ring);
            let layers = layers.map(|(work, shape)| work.seconds(shape, &options.units, groups));
            layers.sum::<f64>() + self.input_bytes(ring) * INPUT_BYTE
        };
        match (options.objective, options.batch) {
            (Objective::Memory, _) => self.memory(ring) as f64,
            (_, Some(batch)) => {
                let groups = (batch.max(1) as f64 / lanes).ceil();
                groups * seconds(groups) / batch.max(1) as f64
            }
            (Objective::Latency, None) => seconds(1.0),
            (Objective::Throughput, None) => seconds(GROUPS) / lanes,
        }
    }

    fn plan(&self, network: &Network, slots: usize, (seconds, memory): (f64, u64)) -> Plan {
        let layers = network.affines().zip(&self.sketches).zip(levels(&self.sketches));
        let layer = |((affine, sketch), level): ((&Affine, &Sketch), usize)| {
            let work = Work::of(sketch);
            LayerPlan {
                shape: (affine.matrix.rows(), affine.matrix.cols()),
                im2col: sketch.is_im2col(),
                level,
                squared: sketch.squared,
                blocks: (sketch.input.blocks.len(), sketch.output.blocks.len()),
                periods: (sketch.input.period, sketch.output.period),
                products: sketch.keys.len(),
                masks: work.products - sketch.keys.len(),
                pooled: sketch.pooled.clone(),
                babies: sketch.babies,
                giants: sketch.giants(),
                strides: sketch.strides(),
            }
        };
        let layers = layers.map(layer).collect();
        let (positions, lanes) = (self.positions, slots / self.positions);
        Plan { seconds, memory, positions, lanes, layers }
    }
}

/// The level of each layer: the last is at level 0, each layer before takes a level for its own rescale and one for its squares, if any.
fn levels(sketches: &[Sketch]) -> Vec<usize> {
    let before = sketches.iter().rev().skip(1);
    let mut levels: Vec<usize> = std::iter::once(0)
        .chain(before.scan(0, |level, sketch| {
            *level += if sketch.squared > 0 { 2 } else { 1 };
            Some(*level)
        }))
        .collect();
    levels.reverse();
    levels
}

/// The affine layers in diagonals, the first by im2col where that is asked for.
fn sketches(
    patterns: &Patterns<'_>,
    im2col: Option<&Im2col>,
    positions: usize,
    options: &CompileOptions<'_>,
) -> Vec<Sketch> {
    let encrypted = options.privacy == ModelPrivacy::Encrypted;
    let mut sketches: Vec<Sketch> = Vec::new();
    let network = patterns.network;
    for ((affine, pool), squared) in patterns.layers().zip(network.squared()) {
        let sketch = match (sketches.last(), im2col) {
            (Some(before), _) => {
                let operands = Operands { fresh: false, encrypted };
                Sketch::diagonal(affine, pool, squared, &before.output, operands)
            }
            (None, Some(im2col)) => Sketch::aligned(affine, squared, im2col, positions, encrypted),
            (None, None) => {
                let operands = Operands { fresh: true, encrypted };
                first(network, affine, squared, positions, operands)
            }
        };
        sketches.push(sketch);
    }
    sketches
}

/// A first layer whose inputs stand in order: skewed copies where there is room for them, else a grid, where the shape is one.
fn first(
    network: &Network,
    affine: &Affine,
    squared: usize,
    positions: usize,
    operands: Operands,
) -> Sketch {
    let (rows, columns) = (affine.matrix.rows(), affine.matrix.cols());
    let (output, _) = Layout::split(rows, squared, positions);
    let skewed = Layout::skewed(columns, positions, output.period);
    if skewed.reach < skewed.period {
        return Sketch::diagonal(affine, None, squared, &skewed, operands);
    }
    let slot = network.input_shape.iter().rev().take(2).product();
    let slot = if columns <= positions || positions.is_multiple_of(slot) { slot } else { 0 };
    let input = Layout { slot, ..Layout::sequential(columns, positions) };
    Sketch::diagonal(affine, None, squared, &input, operands)
}
