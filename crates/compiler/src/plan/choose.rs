//! The layout rule of this version: positions by objective and network, baby steps by key-switch cost.

use adyton_program::ModelPrivacy;

use super::layout::{Im2col, Layout};
use super::linear::{Linear, Operands};
use super::parameters::Ring;
use super::{CompileError, CompileOptions, Objective};
use crate::network::Network;

/// Fewest positions worth a layout: below it nearly all work is key switching.
const FEWEST_POSITIONS: usize = 16;

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
    /// Positions of a ciphertext, t.
    pub positions: usize,
    /// Lanes of a ciphertext, b.
    pub lanes: usize,
    /// The affine layers.
    pub layers: Vec<LayerPlan>,
}

impl Plan {
    /// Chooses layouts for a ring.
    ///
    /// Positions t, for throughput: with im2col a power of two that covers the rows of a channel; without, the smallest (key switching per
    /// sample goes with t) whose expanded weights, about m·k/t vectors, fit the memory. For latency as many as shorten the work of one
    /// sample: with im2col all rows times all taps, without, the first layer's inputs times its outputs (see
    /// [`Layout::skewed`]), or all slots. At least the logits fit one ciphertext.
    ///
    /// # Errors
    /// [`CompileError::TooManyOutputs`], or [`CompileError::Memory`] when no t keeps within the memory.
    pub(super) fn choose(
        network: &Network,
        ring: &Ring,
        options: &CompileOptions<'_>,
    ) -> Result<(Self, Vec<Linear>), CompileError> {
        let slots = ring.slots();
        let outputs = network.output_len();
        if outputs > slots {
            return Err(CompileError::TooManyOutputs { outputs, slots });
        }
        for affine in network.affines() {
            let mut values = affine
                .bias
                .iter()
                .copied()
                .chain(affine.matrix.iter_rows().flatten().map(|(_, value)| value));
            if !values.all(f64::is_finite) {
                return Err(CompileError::NotFinite("a weight"));
            }
        }
        let latency = options.objective == Objective::Latency;
        let first = network.affines().next().ok_or(CompileError::TooDeep)?;
        let squared = network.squared().next().unwrap_or(0);
        // The results stand in one block: a network of one layer cannot have a block for each channel.
        let whole = latency || network.affines().count() == 1;
        let im2col = Im2col::find(&first.matrix, whole)
            .filter(|im2col| squared.is_multiple_of(im2col.spatial));
        let wanted = match (&im2col, latency) {
            (Some(im2col), false) => im2col.spatial,
            (Some(im2col), true) => im2col.extent(),
            (None, false) => FEWEST_POSITIONS,
            (None, true) => {
                first.matrix.cols().next_power_of_two() * first.matrix.rows().next_power_of_two()
            }
        };
        let fewest = wanted.max(outputs).next_power_of_two().min(slots);
        let mut needed = u64::MAX;
        let sizes =
            std::iter::successors(Some(fewest), |t| Some(t * 2)).take_while(|&t| t <= slots);
        for positions in sizes {
            let linears = linears(network, im2col.as_ref(), positions, options);
            let plan = Self::of(network, &linears, im2col.is_some(), slots / positions);
            let memory = plan.memory(ring, options.privacy);
            if memory <= options.memory {
                return Ok((plan, linears));
            }
            // More positions mean fewer weights only as long as diagonals become fuller.
            if memory >= needed {
                break;
            }
            needed = memory;
        }
        Err(CompileError::Memory { needed, limit: options.memory })
    }

    fn of(network: &Network, linears: &[Linear], im2col: bool, lanes: usize) -> Self {
        let positions = linears.first().map_or(1, |linear| linear.input.positions);
        let layers = network
            .affines()
            .zip(linears)
            .zip(levels(linears))
            .enumerate()
            .map(|(index, ((affine, linear), level))| LayerPlan {
                shape: (affine.matrix.rows(), affine.matrix.cols()),
                im2col: im2col && index == 0,
                level,
                squared: linear.squared,
                blocks: (linear.input.blocks.len(), linear.output.blocks.len()),
                periods: (linear.input.period, linear.output.period),
                products: linear.products(),
                masks: linear.masks(),
                babies: linear.babies,
                giants: linear.giants(),
                strides: linear.strides.clone(),
            })
            .collect();
        Self { positions, lanes, layers }
    }

    /// Levels at which inputs are rotated: what key switching adds there, it adds at the scale of the inputs.
    pub(super) fn rotating_levels(&self) -> Vec<usize> {
        self.layers.iter().filter(|layer| layer.babies > 1).map(|layer| layer.level).collect()
    }

    /// Bytes of the expanded weights: one polynomial each and, when encrypted, one a mask; eight bytes a residue.
    #[must_use]
    pub(super) fn memory(&self, ring: &Ring, privacy: ModelPrivacy) -> u64 {
        let polynomials = |layer: &LayerPlan| match privacy {
            ModelPrivacy::Encrypted => layer.products + layer.masks,
            ModelPrivacy::Plain => layer.products,
        };
        let limbs: usize = self
            .layers
            .iter()
            .map(|layer| polynomials(layer) * (layer.level + usize::from(ring.base)))
            .sum();
        ((limbs * size_of::<u64>()) as u64) << ring.log_n
    }
}

/// The level of each layer: the last is at level 0, each layer before takes a level for its own rescale and one for its squares, if any.
fn levels(linears: &[Linear]) -> Vec<usize> {
    let before = linears.iter().rev().skip(1);
    let mut levels: Vec<usize> = std::iter::once(0)
        .chain(before.scan(0, |level, linear| {
            *level += if linear.squared > 0 { 2 } else { 1 };
            Some(*level)
        }))
        .collect();
    levels.reverse();
    levels
}

/// The affine layers in diagonals, the first by im2col where the network has that structure.
fn linears(
    network: &Network,
    im2col: Option<&Im2col>,
    positions: usize,
    options: &CompileOptions<'_>,
) -> Vec<Linear> {
    let encrypted = options.privacy == ModelPrivacy::Encrypted;
    let mut linears: Vec<Linear> = Vec::new();
    for (affine, squared) in network.affines().zip(network.squared()) {
        let linear = match (linears.last(), im2col) {
            (Some(before), _) => {
                let operands = Operands { fresh: false, encrypted };
                Linear::diagonal(affine, squared, &before.output, operands)
            }
            (None, Some(im2col)) => Linear::aligned(affine, squared, im2col, positions),
            (None, None) => {
                let (rows, columns) = (affine.matrix.rows(), affine.matrix.cols());
                let (output, _) = Layout::split(rows, squared, positions);
                let input = match options.objective {
                    Objective::Latency => Layout::skewed(columns, positions, output.period),
                    Objective::Throughput => Layout::sequential(columns, positions),
                };
                Linear::diagonal(affine, squared, &input, Operands { fresh: true, encrypted })
            }
        };
        linears.push(linear);
    }
    linears
}
