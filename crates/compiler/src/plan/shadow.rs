//! A program run in the clear beside the variance of its errors: precision predicted before anything is encrypted.
//!
//! Every position carries its value and, for each [`Source`], the variance of the error that this source has left there, in
//! units of the value (not of the ring). Errors of different sources and slots are taken as independent; formulas: [`NoiseModel`].

use adyton_ckks::noise::NoiseModel;
use adyton_ckks::{Parameters, ParametersError};
use adyton_program::{Form, Inference, ModelPrivacy, Program, Step, ValueId, ValueType, step_keys};

use super::steps::{Part, Skeleton, Source};

/// One value of the program: what stands at each position, and the variance of its error by source.
#[derive(Clone, Debug)]
struct Shadow {
    values: Vec<f64>,
    /// `variances[source][position]`; empty where a source has left nothing.
    variances: Vec<Vec<f64>>,
}

/// What running one sample showed.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    /// The results by position, in the clear.
    pub values: Vec<f64>,
    /// For each source, the largest variance that it leaves at any position of the result.
    pub variances: Vec<f64>,
    /// The largest variance, all sources together, at any position of the result.
    pub worst: f64,
    /// The mean of the variances where outputs first stand.
    pub released: f64,
    /// The least headroom of the result and of what is rescaled: log2 of modulus over twice the scaled magnitude. Negative: it wraps
    /// around.
    pub headroom: f64,
}

/// Runs programs of one network under one set of parameters.
#[derive(Debug)]
pub(super) struct Runner<'a> {
    /// The program.
    pub program: &'a Program,
    /// Types of its values.
    pub inference: &'a Inference,
    /// Its steps' sources and weight vectors.
    pub skeleton: &'a Skeleton,
    /// Noise formulas of its parameters.
    pub noise: NoiseModel,
    /// Its parameters.
    pub parameters: &'a Parameters,
    /// Affine layers.
    pub layers: usize,
    /// Largest degree of the result as a polynomial in the input, as log2.
    pub squares: usize,
    /// log2 of the modulus of each level.
    pub level_bits: Vec<f64>,
}

impl Runner<'_> {
    /// Runs one sample, given as a flat row-major vector; missing features are zero.
    ///
    /// # Errors
    /// [`ParametersError`] when the parameters lack a level or gadget that the program uses.
    pub(super) fn run(&self, sample: &[f64]) -> Result<Outcome, ParametersError> {
        let mut values: Vec<Option<Shadow>> = self
            .program
            .input
            .ciphertexts
            .iter()
            .map(|places| Some(self.input(places, sample)))
            .collect();
        let mut headroom = f64::INFINITY;
        let last_reads = last_reads(self.program);
        for (index, step) in self.program.steps.iter().enumerate() {
            let outputs = self.step(index, step, &values)?;
            let rescaled = matches!(
                step,
                Step::SwitchSum { rescale: true, .. }
                    | Step::Relinearize { rescale: true, .. }
                    | Step::Lower { .. }
            );
            for output in outputs {
                // Partial sums may wrap around: what counts is the sum that a rescale rounds, what is left with fewer primes, or the
                // result. (Both modulus and scale shrink by the same factor, so after the rescale shows as much as before.)
                let counts = rescaled || values.len() == self.program.output.value as usize;
                if let (true, Some(value)) = (counts, self.inference.types.get(values.len())) {
                    headroom = headroom.min(self.headroom(value, &output));
                }
                values.push(Some(output));
            }
            // Thousands of rotated inputs: keep only what is still read.
            for value in step.operands() {
                if last_reads.get(value as usize) == Some(&index)
                    && let Some(slot) = values.get_mut(value as usize)
                {
                    *slot = None;
                }
            }
        }
        let output = values.get(self.program.output.value as usize).cloned().flatten();
        let output = output.unwrap_or_else(|| self.zero());
        let largest = |variances: &Vec<f64>| variances.iter().copied().fold(0.0, f64::max);
        let worst = (0..output.values.len())
            .map(|position| total(&output.variances, position))
            .fold(0.0, f64::max);
        let variances = output.variances.iter().map(largest).collect();
        let first = first_places(&self.program.output.positions);
        let released =
            first.iter().map(|&position| total(&output.variances, position)).sum::<f64>()
                / first.len().max(1) as f64;
        Ok(Outcome { values: output.values, variances, worst, released, headroom })
    }

    fn positions(&self) -> usize {
        self.program.input.positions as usize
    }

    fn zero(&self) -> Shadow {
        let positions = self.positions();
        Shadow {
            values: vec![0.0; positions],
            variances: vec![Vec::new(); Source::count(self.layers)],
        }
    }

    fn input(&self, places: &[Option<u32>], sample: &[f64]) -> Shadow {
        let mut shadow = self.zero();
        for (value, feature) in shadow.values.iter_mut().zip(places) {
            *value = feature.and_then(|f| sample.get(f as usize)).copied().unwrap_or(0.0);
        }
        let std = self.noise.fresh().hypot(self.noise.encoding());
        shadow.add_noise(Source { layer: 0, part: Part::Operand }, std, &self.program.input.scale);
        shadow
    }

    fn step(
        &self,
        index: usize,
        step: &Step,
        values: &[Option<Shadow>],
    ) -> Result<Vec<Shadow>, ParametersError> {
        let zero = self.zero();
        let value = |id: ValueId| values.get(id as usize).and_then(Option::as_ref).unwrap_or(&zero);
        let typed = |id: ValueId| self.inference.types.get(id as usize);
        let source = self.skeleton.sources.get(index).copied();
        let source = source.unwrap_or(Source { layer: 0, part: Part::Operand });
        let lanes = self.program.input.lanes.max(1);
        let keys = step_keys(step, &self.inference.types, self.program.privacy).len();
        let keys = u32::try_from(keys).unwrap_or(u32::MAX);
        let outputs = match step {
            Step::Rotations { of, by } => {
                let Some(of_type) = typed(*of) else { return Ok(vec![zero]) };
                let mut outputs = Vec::with_capacity(by.len());
                for &rotation in by {
                    let mut output = value(*of).rotated((rotation / lanes) as usize);
                    if rotation > 0 || of_type.form == Form::Fresh {
                        let std = self.noise.switch_sum(of_type.level, 1, false)?;
                        output.add_noise(source, std, &of_type.scale);
                    }
                    outputs.push(output);
                }
                outputs
            }
            Step::Products { terms, bias } => {
                let mut output = self.zero();
                let weights = Source { part: Part::Weights, ..source };
                let passed = Source { part: Part::Passed, ..source };
                for &(weight, operand) in terms {
                    if let Some(vector) = self.skeleton.vectors.get(weight as usize) {
                        let variance = self.weight_variance(weight);
                        let source = if vector.passed { passed } else { weights };
                        output.add_product(value(operand), &vector.values, source, variance);
                    }
                }
                if let Some(bias) = bias
                    && let Some(vector) = self.skeleton.vectors.get(*bias as usize)
                {
                    output.values.iter_mut().zip(&vector.values).for_each(|(x, b)| *x += b);
                    output.add_variance(weights, self.weight_variance(*bias));
                }
                vec![output]
            }
            Step::SwitchSum { terms, rescale } => {
                let Some(first) = terms.first().and_then(|&(id, _)| typed(id)) else {
                    return Ok(vec![zero]);
                };
                let mut output = self.zero();
                for &(term, rotation) in terms {
                    output.add(&value(term).rotated((rotation / lanes) as usize));
                }
                // Twice the same ciphertext in a rotate-and-sum: its errors are independent, being of different slots.
                let std = self.noise.switch_sum(first.level, keys, *rescale)?;
                let factor = if *rescale {
                    self.parameters.rescale_factor(first.level)?.to_f64()
                } else {
                    1.0
                };
                output.add_variance(source, (std * factor / first.scale.to_f64()).powi(2));
                vec![output]
            }
            Step::Square { of } => vec![value(*of).squared(source)],
            Step::Relinearize { of, rescale } => {
                let Some(of_type) = typed(*of) else { return Ok(vec![zero]) };
                let mut output = value(*of).clone();
                let std = self.noise.relinearize(of_type.level, *rescale)?;
                let factor = if *rescale {
                    self.parameters.rescale_factor(of_type.level)?.to_f64()
                } else {
                    1.0
                };
                output.add_variance(source, (std * factor / of_type.scale.to_f64()).powi(2));
                vec![output]
            }
            // Primes left out change nothing, as long as the value fits those that stay.
            Step::Lower { of } => vec![value(*of).clone()],
        };
        Ok(outputs)
    }

    /// Variance of a weight vector's error in units of the weight.
    fn weight_variance(&self, weight: u32) -> f64 {
        let Some(spec) = self.program.weights.get(weight as usize) else { return 0.0 };
        let std = match self.program.privacy {
            ModelPrivacy::Encrypted => self.noise.fresh().hypot(self.noise.encoding()),
            ModelPrivacy::Plain => self.noise.encoding(),
        };
        (std / spec.scale.to_f64()).powi(2)
    }

    fn headroom(&self, value: &ValueType, shadow: &Shadow) -> f64 {
        let bits = self.level_bits.get(usize::from(value.level)).copied().unwrap_or(0.0);
        let largest = shadow.values.iter().fold(f64::MIN_POSITIVE, |max, x| max.max(x.abs()));
        bits - 1.0 - value.scale.log2() - largest.log2()
    }
}

impl Shadow {
    fn add_noise(&mut self, source: Source, std: f64, scale: &adyton_ckks::Scale) {
        self.add_variance(source, (std / scale.to_f64()).powi(2));
    }

    fn add_variance(&mut self, source: Source, variance: f64) {
        self.channel(source).iter_mut().for_each(|v| *v += variance);
    }

    /// A source's variances, to be added to.
    fn channel(&mut self, source: Source) -> &mut [f64] {
        let positions = self.values.len();
        match self.variances.get_mut(source.index()) {
            Some(channel) => {
                channel.resize(positions, 0.0);
                channel
            }
            None => &mut [],
        }
    }

    fn add(&mut self, other: &Self) {
        add_to(&mut self.values, &other.values);
        for (channel, other) in self.variances.iter_mut().zip(&other.variances) {
            if !other.is_empty() {
                channel.resize(other.len(), 0.0);
                add_to(channel, other);
            }
        }
    }

    /// `weights ∘ operand`, with the weights' own error meeting the operand's values.
    fn add_product(&mut self, operand: &Self, weights: &[f64], source: Source, variance: f64) {
        for ((sum, &x), &w) in self.values.iter_mut().zip(&operand.values).zip(weights) {
            *sum += w * x;
        }
        for (channel, operand) in self.variances.iter_mut().zip(&operand.variances) {
            if !operand.is_empty() {
                channel.resize(operand.len(), 0.0);
            }
            for ((sum, &v), &w) in channel.iter_mut().zip(operand).zip(weights) {
                *sum += v * (w * w + variance);
            }
        }
        for (sum, &x) in self.channel(source).iter_mut().zip(&operand.values) {
            *sum += x * x * variance;
        }
    }

    fn rotated(&self, by: usize) -> Self {
        let mut rotated = self.clone();
        let by = by % self.values.len().max(1);
        rotated.values.rotate_left(by);
        let channels = rotated.variances.iter_mut().filter(|channel| !channel.is_empty());
        channels.for_each(|channel| channel.rotate_left(by));
        rotated
    }

    /// The square: every channel's error times 2x; the square of the error itself falls to `source`.
    fn squared(&self, source: Source) -> Self {
        let mut squared = self.clone();
        let totals: Vec<f64> =
            (0..self.values.len()).map(|position| total(&self.variances, position)).collect();
        squared.values.iter_mut().for_each(|x| *x *= *x);
        for channel in &mut squared.variances {
            for (v, &x) in channel.iter_mut().zip(&self.values) {
                *v *= 4.0 * x * x;
            }
        }
        for (v, total) in squared.channel(source).iter_mut().zip(totals) {
            *v += 2.0 * total * total;
        }
        squared
    }
}

fn add_to(sum: &mut [f64], other: &[f64]) {
    sum.iter_mut().zip(other).for_each(|(sum, x)| *sum += x);
}

fn total(variances: &[Vec<f64>], position: usize) -> f64 {
    variances.iter().filter_map(|channel| channel.get(position)).sum()
}

/// The positions where outputs first stand.
fn first_places(positions: &[Option<u32>]) -> Vec<usize> {
    let mut seen = std::collections::BTreeSet::new();
    let placed = positions.iter().enumerate();
    placed.filter(|(_, output)| output.is_some_and(|o| seen.insert(o))).map(|(p, _)| p).collect()
}

/// For each value, the last step that reads it (`usize::MAX` when none does).
fn last_reads(program: &Program) -> Vec<usize> {
    let values =
        program.input.ciphertexts.len() + program.steps.iter().map(Step::outputs).sum::<usize>();
    let mut last = vec![usize::MAX; values];
    for (index, step) in program.steps.iter().enumerate() {
        for value in step.operands() {
            if let Some(slot) = last.get_mut(value as usize) {
                *slot = index;
            }
        }
    }
    last
}
