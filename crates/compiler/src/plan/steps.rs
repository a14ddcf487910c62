//! Layers as program steps: everything of a program that does not depend on primes and scales.

use adyton_program::{Step, ValueId, WeightId};

use super::linear::Linear;

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
}

impl Source {
    /// A dense index for tables over `layers` layers, below [`Source::count`].
    #[must_use]
    pub fn index(self) -> usize {
        3 * self.layer + self.part as usize
    }

    /// Number of indices.
    #[must_use]
    pub fn count(layers: usize) -> usize {
        3 * layers
    }

    /// The source with this index.
    #[must_use]
    pub fn from_index(index: usize) -> Self {
        let part = match index % 3 {
            0 => Part::Operand,
            1 => Part::Weights,
            _ => Part::Sums,
        };
        Self { layer: index / 3, part }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let part = match self.part {
            Part::Operand => "inputs",
            Part::Weights => "weights",
            Part::Sums => "sums",
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
    /// One value for each position.
    pub values: Vec<f64>,
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
    /// Writes the steps of `layers` with squares between them, for `lanes` samples in a ciphertext.
    ///
    /// The last layer does not rescale: level 0 keeps the scale of its products, so that no rounding is added after the last
    /// product, and one level less is needed.
    #[must_use]
    pub(super) fn new(layers: &[Linear], lanes: usize) -> Self {
        let inputs = layers.first().map_or(0, |layer| layer.input.blocks.len());
        let mut writer = Writer {
            lanes,
            next_value: inputs,
            skeleton: Self {
                steps: Vec::new(),
                sources: Vec::new(),
                vectors: Vec::new(),
                output: 0,
            },
        };
        let mut values: Vec<ValueId> = (0..inputs).map(id).collect();
        for (index, layer) in layers.iter().enumerate() {
            let last = index + 1 == layers.len();
            values = writer.linear(index, layer, &values, !last);
            if !last {
                values = values.iter().map(|&value| writer.square(index, value)).collect();
            }
        }
        writer.skeleton.output = values.first().copied().unwrap_or(0);
        writer.skeleton
    }
}

/// Layouts are held against the program's limits when it is verified; ids stay far below 2^32.
fn id(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

struct Writer {
    lanes: usize,
    next_value: usize,
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

    fn vector(&mut self, layer: usize, bias: bool, values: &[f64]) -> WeightId {
        let weight = id(self.skeleton.vectors.len());
        self.skeleton.vectors.push(Vector { layer, bias, values: values.to_vec() });
        weight
    }

    fn linear(
        &mut self,
        index: usize,
        layer: &Linear,
        inputs: &[ValueId],
        rescale: bool,
    ) -> Vec<ValueId> {
        // For each input block, its rotations as (positions, value).
        let mut rotated: Vec<Vec<(usize, ValueId)>> = Vec::with_capacity(inputs.len());
        for (block, &input) in inputs.iter().enumerate() {
            let babies = layer.rotations_of(block);
            if !layer.hoisted {
                rotated.push(vec![(0, input)]);
                continue;
            }
            let by = babies.iter().map(|&baby| self.slots(baby)).collect();
            let first = self.push(Step::Rotations { of: input, by }, index, Part::Operand);
            rotated.push(babies.into_iter().zip(first..).collect());
        }

        let mut outputs = Vec::with_capacity(layer.outputs.len());
        for sums in &layer.outputs {
            let mut switched = Vec::with_capacity(sums.len());
            for sum in sums {
                let mut terms = Vec::with_capacity(sum.terms.len());
                for term in &sum.terms {
                    let values = rotated.get(term.block).into_iter().flatten();
                    let value =
                        values.filter(|(baby, _)| *baby == term.baby).map(|&(_, value)| value);
                    let weight = self.vector(index, false, &term.weights);
                    terms.extend(value.map(|value| (weight, value)));
                }
                let bias = sum.bias.as_ref().map(|bias| self.vector(index, true, bias));
                // Products add no error of their own: that of the weights and operands is theirs.
                let value = self.push(Step::Products { terms, bias }, index, Part::Weights);
                switched.push((value, self.slots(sum.giant)));
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
}
