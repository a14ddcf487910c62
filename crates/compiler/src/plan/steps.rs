//! Layers as program steps: everything of a program that does not depend on primes and scales.

use std::collections::BTreeMap;

use adyton_program::{Step, ValueId, WeightId};

use super::linear::{Linear, RotatedSum, Term};

/// Where the errors of a value come from: which layer, and which of its three scales.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// Affine layer, counted from 0.
    pub layer: usize,
    /// What of the layer.
    pub part: Part,
}

/// The parts of an affine layer that add errors, each at a scale of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The layer's inputs: encryption or the square before, and their rotations.
    Operand,
    /// The weights' encryption.
    Weights,
    /// Key switching of the layer's sums, the rescale, rotate-and-sum.
    Sums,
    /// The encryption of weights that meet values which were passed, not squared, while others were: these have a scale of their own.
    Passed,
}

/// Parts of a layer.
const PARTS: usize = 4;

impl Source {
    /// A dense index for tables over `layers` layers, below [`Source::count`].
    #[must_use]
    pub fn index(self) -> usize {
        PARTS * self.layer + self.part as usize
    }

    /// Number of indices.
    #[must_use]
    pub fn count(layers: usize) -> usize {
        PARTS * layers
    }

    /// The source with this index.
    #[must_use]
    pub fn from_index(index: usize) -> Self {
        let part = match index % PARTS {
            0 => Part::Operand,
            1 => Part::Weights,
            2 => Part::Sums,
            _ => Part::Passed,
        };
        Self { layer: index / PARTS, part }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let part = match self.part {
            Part::Operand => "inputs",
            Part::Weights => "weights",
            Part::Sums => "sums",
            Part::Passed => "weights of passed values",
        };
        write!(f, "{part} of affine layer {}", self.layer)
    }
}

/// One weight vector and where it is used.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Vector {
    /// Affine layer.
    pub layer: usize,
    /// Added to a sum (at the product's scale) rather than multiplied.
    pub bias: bool,
    /// Whether it meets a value that was passed while others were squared.
    pub passed: bool,
    /// One value for each position.
    pub values: Vec<f64>,
    /// Number of its mask.
    pub mask: u32,
    /// Its row.
    pub row: u8,
}

/// The steps of a network, without levels and scales.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Skeleton {
    /// Steps in execution order.
    pub steps: Vec<Step>,
    /// For each step, the source of the errors that it adds.
    pub sources: Vec<Source>,
    /// Weight vectors in order of their ids.
    pub vectors: Vec<Vector>,
    /// The value that holds the results.
    pub output: ValueId,
}

impl Skeleton {
    /// Writes the steps of `layers` with squares and passed values between them, for `lanes` samples in a ciphertext.
    ///
    /// The last layer does not rescale: level 0 keeps the scale of its products, so that no rounding is added after the last
    /// product, and one level less is needed.
    #[must_use]
    pub(super) fn new(layers: &[Linear], lanes: usize) -> Self {
        let inputs = layers.first().map_or(0, |layer| layer.input.blocks.len());
        let mut writer = Writer {
            lanes,
            next_value: inputs,
            next_mask: 0,
            skeleton: Self {
                steps: Vec::new(),
                sources: Vec::new(),
                vectors: Vec::new(),
                output: 0,
            },
        };
        let alike = |value| Input { value, passed: false };
        let mut values: Vec<Input> = (0..inputs).map(|input| alike(id(input))).collect();
        for (index, layer) in layers.iter().enumerate() {
            let last = index + 1 == layers.len();
            let outputs = writer.linear(index, layer, &values, !last).into_iter().enumerate();
            let next = outputs.map(|(block, value)| match layer.squared {
                0 => alike(value),
                squared if block < squared => alike(writer.square(index, value)),
                _ => Input { value: writer.lower(index, value), passed: true },
            });
            values = next.collect();
        }
        writer.skeleton.output = values.first().map_or(0, |input| input.value);
        writer.skeleton
    }
}

/// Layouts are held against the program's limits when it is verified; ids stay far below 2^32.
fn id(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// Most rows that share masks. More would save little, and each takes evaluation keys of its own.
pub(super) const MOST_ROWS: u8 = 32;

/// Rows that share masks as long as they have the same operands.
#[derive(Default)]
struct Sharing {
    /// By operands, the first mask and the rows so far.
    open: BTreeMap<Vec<ValueId>, (u32, u8)>,
}

/// A block of a layer's inputs.
#[derive(Clone, Copy)]
struct Input {
    value: ValueId,
    /// Whether it was passed while others were squared.
    passed: bool,
}

impl Input {
    /// What key switching adds to it: what was passed has the scale of the sums that it comes from.
    fn source(self, layer: usize) -> Source {
        match self.passed {
            true => Source { layer: layer.saturating_sub(1), part: Part::Sums },
            false => Source { layer, part: Part::Operand },
        }
    }
}

struct Writer {
    lanes: usize,
    next_value: usize,
    next_mask: u32,
    skeleton: Skeleton,
}

impl Writer {
    fn slots(&self, positions: usize) -> u32 {
        id(positions * self.lanes)
    }

    /// Appends a step and returns its first output.
    fn push(&mut self, step: Step, layer: usize, part: Part) -> ValueId {
        let first = id(self.next_value);
        self.next_value += step.outputs();
        self.skeleton.steps.push(step);
        self.skeleton.sources.push(Source { layer, part });
        first
    }

    fn vector(&mut self, vector: Vector) -> WeightId {
        let weight = id(self.skeleton.vectors.len());
        self.skeleton.vectors.push(vector);
        weight
    }

    /// So many new masks; the first of them.
    fn masks(&mut self, count: usize) -> u32 {
        let first = self.next_mask;
        self.next_mask = first.saturating_add(id(count));
        first
    }

    /// The first mask and the row of a sum over these operands.
    fn row(&mut self, sharing: &mut Sharing, operands: &[ValueId]) -> (u32, u8) {
        match sharing.open.get_mut(operands) {
            Some((mask, rows)) if *rows < MOST_ROWS => {
                *rows += 1;
                (*mask, *rows - 1)
            }
            _ => {
                let mask = self.masks(operands.len());
                sharing.open.insert(operands.to_vec(), (mask, 1));
                (mask, 0)
            }
        }
    }

    /// One sum of products: its weights, its bias, and the step. A bias has a mask of its own.
    fn products(
        &mut self,
        layer: usize,
        sum: &RotatedSum,
        rotated: &[Vec<(usize, Input)>],
        sharing: &mut Sharing,
    ) -> ValueId {
        let operand = |term: &Term| {
            let mut values = rotated.get(term.block).into_iter().flatten();
            values.find(|(baby, _)| *baby == term.baby).map(|&(_, value)| value)
        };
        let (weights, operands): (Vec<_>, Vec<Input>) = sum
            .terms
            .iter()
            .filter_map(|term| operand(term).map(|value| (&term.weights, value)))
            .unzip();
        let values: Vec<ValueId> = operands.iter().map(|operand| operand.value).collect();
        let (first, row) = self.row(sharing, &values);
        let terms = (first..)
            .zip(weights.into_iter().zip(operands))
            .map(|(mask, (values, Input { value, passed }))| {
                let values = values.clone();
                (self.vector(Vector { layer, bias: false, passed, values, mask, row }), value)
            })
            .collect();
        let bias = sum.bias.as_ref().map(|values| {
            let (mask, values) = (self.masks(1), values.clone());
            self.vector(Vector { layer, bias: true, passed: false, values, mask, row })
        });
        // Products add no error of their own: that of the weights and operands is theirs.
        self.push(Step::Products { terms, bias }, layer, Part::Weights)
    }

    /// An input block summed as the layer wants it.
    fn pooled(&mut self, index: usize, layer: &Linear, mut input: Input) -> Input {
        let Source { layer: of, part } = input.source(index);
        for rotations in &layer.pooled {
            let terms = rotations.iter().map(|&by| (input.value, self.slots(by))).collect();
            input.value = self.push(Step::SwitchSum { terms, rescale: false }, of, part);
        }
        input
    }

    fn linear(
        &mut self,
        index: usize,
        layer: &Linear,
        inputs: &[Input],
        rescale: bool,
    ) -> Vec<ValueId> {
        // For each input block, its rotations by so many positions.
        let mut rotated: Vec<Vec<(usize, Input)>> = Vec::with_capacity(inputs.len());
        for (block, &input) in inputs.iter().enumerate() {
            let input = self.pooled(index, layer, input);
            let babies = layer.rotations_of(block);
            if !layer.hoisted {
                rotated.push(vec![(0, input)]);
                continue;
            }
            let Input { value: of, passed } = input;
            let by = babies.iter().map(|&baby| self.slots(baby)).collect();
            let Source { layer, part } = input.source(index);
            let first = self.push(Step::Rotations { of, by }, layer, part);
            let values = (first..).map(|value| Input { value, passed });
            rotated.push(babies.into_iter().zip(values).collect());
        }

        let mut outputs = Vec::with_capacity(layer.outputs.len());
        let mut sharing = Sharing::default();
        for sums in &layer.outputs {
            let mut switched = Vec::with_capacity(sums.len());
            for sum in sums {
                let value = self.products(index, sum, &rotated, &mut sharing);
                switched.push((value, self.slots(sum.giant)));
            }
            if sums.len() > 1 {
                // Blocks of several rows have the same rotations. With masks of its own, each can use the same rows and so the same
                // evaluation keys.
                sharing = Sharing::default();
            }
            // Rotate-and-sum comes before the rescale: at the product's scale key switching adds next to nothing, and rounding
            // is added once, not once for every place that is summed.
            let mut strides = layer.strides.iter().peekable();
            let mut terms = switched;
            let value = loop {
                let rescale = rescale && strides.peek().is_none();
                let value = self.push(Step::SwitchSum { terms, rescale }, index, Part::Sums);
                match strides.next() {
                    Some(&stride) => terms = vec![(value, 0), (value, self.slots(stride))],
                    None => break value,
                }
            };
            outputs.push(value);
        }
        outputs
    }

    /// A square; its errors stand at the scale of the next layer's inputs.
    fn square(&mut self, layer: usize, of: ValueId) -> ValueId {
        let square = self.push(Step::Square { of }, layer + 1, Part::Operand);
        self.push(Step::Relinearize { of: square, rescale: true }, layer + 1, Part::Operand)
    }

    /// A value that is not squared, brought to where squares are. That adds no error.
    fn lower(&mut self, layer: usize, of: ValueId) -> ValueId {
        self.push(Step::Lower { of }, layer, Part::Sums)
    }
}
