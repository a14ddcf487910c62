//! Random verified programs over small insecure rings: linear layers with squares between them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;

use adyton_ckks::{Gadget, Parameters, ParametersLiteral, RingKind, Scale, Security};
use adyton_program::{
    InputLayout, ModelPrivacy, OutputLayout, Program, Step, ValueId, VerifiedProgram, WeightSpec,
    infer,
};
use adyton_ring::ntt_primes;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// Scale of inputs and of every linear layer's output.
const LOG_SCALE: i16 = 34;

/// What to draw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) kind: RingKind,
    pub(crate) log_n: u8,
    /// Linear layers; one less squares.
    pub(crate) layers: usize,
    pub(crate) lanes: u32,
    pub(crate) inputs: usize,
    pub(crate) privacy: ModelPrivacy,
    /// Primes of a digit, and special primes.
    pub(crate) alpha: u8,
}

impl Shape {
    pub(crate) fn small(privacy: ModelPrivacy) -> Self {
        let kind = RingKind::ConjugateInvariant;
        Self { kind, log_n: 6, layers: 2, lanes: 2, inputs: 2, privacy, alpha: 1 }
    }
}

/// A verified program, its packed weights, and inputs for some groups.
pub(crate) struct Case {
    pub(crate) program: VerifiedProgram,
    pub(crate) weights: Vec<Vec<f64>>,
}

impl Case {
    pub(crate) fn draw(shape: Shape, seed: u64) -> Self {
        let mut draft = Draft::new(shape, seed);
        let inputs: Vec<ValueId> = (0..).take(shape.inputs).collect();
        let mut values = inputs;
        for layer in 0..shape.layers {
            let last = layer + 1 == shape.layers;
            values = draft.linear(&values, last);
            if !last {
                values = draft.squares(&values);
            }
        }
        draft.finish(values[0])
    }

    /// One dense linear layer: `shifts` diagonals of every input, then one switched sum.
    pub(crate) fn layer(shape: Shape, shifts: u32) -> Self {
        let mut draft = Draft::new(shape, 1);
        let operands: Vec<ValueId> = (0..).take(shape.inputs).collect();
        let first = draft.masks(operands.len());
        let terms = (0..shifts)
            .map(|shift| {
                let row = u8::try_from(shift).unwrap();
                let weighted = |(mask, &operand): (u32, &ValueId)| {
                    let scale = draft.weight_scale(operand);
                    (draft.weight(&scale, 1e-2, mask, row), operand)
                };
                let terms = (first..).zip(&operands).map(weighted).collect();
                let sum = draft.push(Step::Products { terms, bias: None })[0];
                (sum, shift * shape.lanes)
            })
            .collect();
        let output = draft.push(Step::SwitchSum { terms, rescale: true })[0];
        draft.finish(output)
    }

    /// Slots of the input ciphertexts of `groups` groups, in [−1, 1].
    pub(crate) fn inputs(&self, groups: usize, seed: u64) -> Vec<Vec<Vec<f64>>> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let slots = self.program.parameters().slots();
        let count = self.program.program().input.ciphertexts.len();
        (0..groups).map(|_| (0..count).map(|_| vector(&mut rng, slots, 1.0)).collect()).collect()
    }
}

struct Draft {
    shape: Shape,
    rng: ChaCha8Rng,
    literal: ParametersLiteral,
    positions: u32,
    weights: Vec<WeightSpec>,
    next_mask: u32,
    vectors: Vec<Vec<f64>>,
    steps: Vec<Step>,
    values: u32,
    /// Level and scale of the values that the next layer takes.
    level: u8,
    scale: Scale,
    /// Values that were not squared: they have the common scale instead.
    passed: BTreeSet<ValueId>,
}

impl Draft {
    fn new(shape: Shape, seed: u64) -> Self {
        let depth = 2 * shape.layers - 1;
        let literal = literal(shape, depth);
        let log_slots = match shape.kind {
            RingKind::ConjugateInvariant => shape.log_n,
            RingKind::Standard => shape.log_n - 1,
        };
        Self {
            shape,
            rng: ChaCha8Rng::seed_from_u64(seed),
            literal,
            positions: (1 << log_slots) / shape.lanes,
            weights: Vec::new(),
            next_mask: 0,
            vectors: Vec::new(),
            steps: Vec::new(),
            values: u32::try_from(shape.inputs).unwrap(),
            level: u8::try_from(depth).unwrap(),
            scale: Scale::pow2(LOG_SCALE),
            passed: BTreeSet::new(),
        }
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.rng.next_u32() % bound
    }

    /// Distinct rotations by whole positions, ascending; 0 is among them when `zero`.
    fn rotations(&mut self, count: u32, zero: bool) -> Vec<u32> {
        let mut by: Vec<u32> =
            (0..count).map(|_| self.below(self.positions) * self.shape.lanes).collect();
        if zero {
            by.push(0);
        }
        by.sort_unstable();
        by.dedup();
        by
    }

    fn push(&mut self, step: Step) -> Vec<ValueId> {
        let first = self.values;
        self.values += u32::try_from(step.outputs()).unwrap();
        self.steps.push(step);
        (first..self.values).collect()
    }

    /// So many new masks; the first of them.
    fn masks(&mut self, count: usize) -> u32 {
        let first = self.next_mask;
        self.next_mask += u32::try_from(count).unwrap();
        first
    }

    fn weight(&mut self, scale: &Scale, bound: f64, mask: u32, row: u8) -> u32 {
        let (mask, row) = match self.shape.privacy {
            ModelPrivacy::Encrypted => (mask, row),
            ModelPrivacy::Plain => (0, 0),
        };
        self.weights.push(WeightSpec { level: self.level, scale: scale.clone(), mask, row });
        self.vectors.push(vector(&mut self.rng, self.positions as usize, bound));
        u32::try_from(self.weights.len() - 1).unwrap()
    }

    /// The scale of products, such that a rescaled one lands on the common scale.
    fn product_scale(&self) -> Scale {
        let factor = Scale::prime(self.literal.primes[usize::from(self.level)]);
        Scale::pow2(LOG_SCALE).mul(&factor)
    }

    /// The scale of a weight that meets this value.
    fn weight_scale(&self, operand: ValueId) -> Scale {
        let passed = self.passed.contains(&operand);
        let scale = if passed { Scale::pow2(LOG_SCALE) } else { self.scale.clone() };
        self.product_scale().div(&scale)
    }

    /// One linear layer in one of the shapes that planners use: rotations on the input side, products by block and shift,
    /// and the switch in one step or staged.
    fn linear(&mut self, values: &[ValueId], last: bool) -> Vec<ValueId> {
        let rotate = self.below(2) == 0;
        let operands: Vec<ValueId> = match rotate {
            true => {
                let step = |draft: &mut Self, of| {
                    let count = 1 + draft.below(3);
                    let by = draft.rotations(count, true);
                    let rotated = draft.push(Step::Rotations { of, by });
                    if draft.passed.contains(&of) {
                        draft.passed.extend(&rotated);
                    }
                    rotated
                };
                values.iter().flat_map(|&of| step(self, of)).collect()
            }
            false => values.to_vec(),
        };
        let product_scale = self.product_scale();
        let shifts = 1 + self.below(3);
        let bound = 1.0 / (f64::from(shifts) * operands.len() as f64);
        let blocks = if last { 1 } else { 1 + self.below(2) };
        // Rows share masks, or each has its own.
        let share = self.below(2) == 0;
        let mut first = self.masks(operands.len());
        let mut outputs = Vec::new();
        for block in 0..blocks {
            let mut terms = Vec::new();
            for shift in 0..shifts {
                let row = if share { u8::try_from(block * shifts + shift).unwrap() } else { 0 };
                let products = (first..)
                    .zip(&operands)
                    .map(|(mask, &operand)| {
                        let scale = self.weight_scale(operand);
                        (self.weight(&scale, bound, mask, row), operand)
                    })
                    .collect();
                let own = self.masks(1);
                let bias = (shift == 0).then(|| self.weight(&product_scale, 0.5, own, row));
                if !share {
                    first = self.masks(operands.len());
                }
                let sum = self.push(Step::Products { terms: products, bias })[0];
                let rotation = self.below(self.positions) * self.shape.lanes;
                terms.push((sum, rotation));
            }
            let staged = self.below(2) == 0;
            if staged {
                for (value, _) in &mut terms {
                    let switched = Step::SwitchSum { terms: vec![(*value, 0)], rescale: false };
                    *value = self.push(switched)[0];
                }
            }
            outputs.extend(self.push(Step::SwitchSum { terms, rescale: true }));
        }
        self.level -= 1;
        self.scale = Scale::pow2(LOG_SCALE);
        outputs
    }

    /// Squares, or values that are merely brought to the squares' level; the first one is a square.
    fn squares(&mut self, values: &[ValueId]) -> Vec<ValueId> {
        let square = |(index, &of): (usize, &ValueId)| {
            if index > 0 && self.below(2) == 0 {
                let lowered = self.push(Step::Lower { of })[0];
                self.passed.insert(lowered);
                return lowered;
            }
            let of = self.push(Step::Square { of })[0];
            self.push(Step::Relinearize { of, rescale: true })[0]
        };
        let squares = values.iter().enumerate().map(square).collect();
        let factor = Scale::prime(self.literal.primes[usize::from(self.level)]);
        self.scale = self.scale.square().div(&factor);
        self.level -= 1;
        squares
    }

    fn finish(self, output: ValueId) -> Case {
        let positions = self.positions;
        let layout = |offset: u32| (0..positions).map(|at| Some(at + offset)).collect();
        let mut program = Program {
            name: "drawn".into(),
            parameters: self.literal,
            privacy: self.shape.privacy,
            input: InputLayout {
                shape: vec![positions * u32::try_from(self.shape.inputs).unwrap()],
                lanes: self.shape.lanes,
                positions,
                ciphertexts: (0..).take(self.shape.inputs).map(|i| layout(i * positions)).collect(),
                scale: Scale::pow2(LOG_SCALE),
                bound: 1.0,
            },
            weights: self.weights,
            steps: self.steps,
            output: OutputLayout {
                value: output,
                outputs: positions,
                positions: layout(0),
                range: 8.0,
                deviation: 1e-3,
                released_deviation: 1e-3,
            },
            keys: Vec::new(),
        };
        let parameters = Parameters::new_insecure_for_tests(&program.parameters).unwrap();
        program.keys = infer(&program, &parameters).unwrap().keys;
        let program = VerifiedProgram::new_insecure_for_tests(program).unwrap();
        Case { program, weights: self.vectors }
    }
}

fn literal(shape: Shape, depth: usize) -> ParametersLiteral {
    let bottom = ntt_primes(shape.kind, shape.log_n, 45, 1, &[]).unwrap();
    let special = ntt_primes(shape.kind, shape.log_n, 46, usize::from(shape.alpha), &[]).unwrap();
    let rest = ntt_primes(shape.kind, shape.log_n, 38, depth, &[]).unwrap();
    let primes: Vec<u64> = bottom.into_iter().chain(rest).collect();
    let gadget = Gadget { digit_primes: shape.alpha, special_primes: shape.alpha };
    ParametersLiteral {
        kind: shape.kind,
        log_n: shape.log_n,
        levels: (0..=depth).map(|top| (0..).take(top + 1).collect()).collect(),
        gadgets: vec![Some(gadget); depth + 1],
        primes,
        special_primes: special,
        security: Security::InsecureForTests,
    }
}

fn vector(rng: &mut ChaCha8Rng, length: usize, bound: f64) -> Vec<f64> {
    let unit = |word: u32| f64::from(word) / f64::from(u32::MAX);
    (0..length).map(|_| bound * (2.0 * unit(rng.next_u32()) - 1.0)).collect()
}
