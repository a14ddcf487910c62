//! The cleartext backend: values are slot vectors of `f64`, with noise on demand.
//!
//! It says what a program means. Run without noise it is the reference that CKKS is held to; with the noise that a model
//! predicts for every step it shows, on sample inputs and before anything is encrypted, what precision to expect.

mod noise;

use adyton_program::{InputLayout, OutputLayout, Program, WeightId};
use thiserror::Error;

pub use self::noise::Deviations;
use self::noise::{Origin, Source};
use crate::{Backend, Operands, Place, ProductRow, Rotatable, Switchable};

/// Why the cleartext backend could not carry out a step. A verified program with its own weights and inputs gives no such
/// error.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CleartextError {
    /// A weight with another number of values than a ciphertext has positions.
    #[error("weight {weight} has {given} values, a ciphertext has {expected} positions")]
    WeightLength {
        /// The weight.
        weight: usize,
        /// How many values it has.
        given: usize,
        /// Positions of a ciphertext.
        expected: usize,
    },
    /// Another number of weights than the program has.
    #[error("{given} weights, the program has {expected}")]
    WeightCount {
        /// How many there are.
        given: usize,
        /// How many there should be.
        expected: usize,
    },
    /// A step names a weight that does not exist.
    #[error("there is no weight {0}")]
    NoSuchWeight(WeightId),
    /// More samples than lanes, or a sample with another number of features than the program's input shape.
    #[error("{samples} samples for {lanes} lanes, or a sample without exactly {features} features")]
    Samples {
        /// Samples given.
        samples: usize,
        /// Samples of one batch.
        lanes: usize,
        /// Features of one sample.
        features: usize,
    },
    /// A slot vector of the wrong length.
    #[error("a vector has {given} slots instead of {expected}")]
    Slots {
        /// How many it has.
        given: usize,
        /// How many it should have.
        expected: usize,
    },
    /// A sum of no terms.
    #[error("a sum has no terms")]
    NoTerms,
    /// Noise is given for another number of steps than the program has.
    #[error("noise is given for {given} steps, the program has {expected}")]
    NoiseSteps {
        /// For how many it is given.
        given: usize,
        /// Steps of the program.
        expected: usize,
    },
}

/// Steps on slot vectors: `positions · lanes` values each, slot `position · lanes + lane`.
#[derive(Clone, Debug)]
pub struct Cleartext {
    program: [u8; 32],
    lanes: usize,
    slots: usize,
    /// By position, one value for all lanes; with noise by slot, since each slot of a ciphertext errs on its own.
    weights: Vec<Vec<f64>>,
    noise: Option<Source>,
}

impl Cleartext {
    /// A backend for a program and its packed weights: for each weight one value for every position.
    ///
    /// # Errors
    /// [`CleartextError::WeightCount`] or [`CleartextError::WeightLength`] if the weights do not fit the program.
    pub fn new(program: &Program, weights: Vec<Vec<f64>>) -> Result<Self, CleartextError> {
        let expected = program.weights.len();
        if weights.len() != expected {
            return Err(CleartextError::WeightCount { given: weights.len(), expected });
        }
        let positions = program.input.positions as usize;
        if let Some((weight, values)) =
            weights.iter().enumerate().find(|(_, values)| values.len() != positions)
        {
            let given = values.len();
            return Err(CleartextError::WeightLength { weight, given, expected: positions });
        }
        let lanes = program.input.lanes as usize;
        Ok(Self { program: program.id(), lanes, slots: lanes * positions, weights, noise: None })
    }

    /// Adds Gaussian noise to weights, inputs and the outputs of steps. The same seed gives the same noise, whatever the
    /// number of threads.
    ///
    /// # Errors
    /// [`CleartextError::NoiseSteps`] unless `deviations` has one entry for every step of the program.
    pub fn with_noise(
        mut self,
        program: &Program,
        deviations: Deviations,
        seed: u64,
    ) -> Result<Self, CleartextError> {
        let (given, expected) = (deviations.steps.len(), program.steps.len());
        if given != expected {
            return Err(CleartextError::NoiseSteps { given, expected });
        }
        let noise = Source::new(deviations, seed);
        for (index, weight) in self.weights.iter_mut().enumerate() {
            let mut slots: Vec<f64> =
                weight.iter().flat_map(|&value| std::iter::repeat_n(value, self.lanes)).collect();
            noise.disturb(Origin::Weight(index), &mut slots);
            *weight = slots;
        }
        self.noise = Some(noise);
        Ok(self)
    }

    /// One batch of samples as the input ciphertexts' slots; unused lanes are zero.
    ///
    /// `samples` has at most one entry for each lane, each with the features of one sample in row-major order. `group` is
    /// the batch's place in the run: it tells the noise of one batch from that of another.
    ///
    /// # Errors
    /// [`CleartextError::Samples`] on other shapes.
    pub fn inputs(
        &self,
        program: &Program,
        group: usize,
        samples: &[&[f64]],
    ) -> Result<Vec<Vec<f64>>, CleartextError> {
        let mut inputs = pack_inputs(&program.input, samples)?;
        if let Some(noise) = &self.noise {
            for (index, input) in inputs.iter_mut().enumerate() {
                noise.disturb(Origin::Input { group, index }, input);
            }
        }
        Ok(inputs)
    }

    /// The value of a weight by slot.
    fn weight(&self, weight: WeightId) -> Result<Weight<'_>, CleartextError> {
        let values =
            self.weights.get(weight as usize).ok_or(CleartextError::NoSuchWeight(weight))?;
        // Weights with noise are kept by slot.
        Ok(Weight { values, lanes: if self.noise.is_some() { 1 } else { self.lanes } })
    }

    fn check<'v>(&self, vector: &'v [f64]) -> Result<&'v [f64], CleartextError> {
        let (given, expected) = (vector.len(), self.slots);
        if given == expected { Ok(vector) } else { Err(CleartextError::Slots { given, expected }) }
    }

    fn disturb(&self, at: Place, output: usize, mut slots: Vec<f64>) -> Vec<f64> {
        if let Some(noise) = &self.noise {
            noise.disturb(Origin::Step { at, output }, &mut slots);
        }
        slots
    }

    fn sum_of_products(
        &self,
        row: &ProductRow<'_>,
        operands: &[&Vec<f64>],
    ) -> Result<Vec<f64>, CleartextError> {
        let mut sum = vec![0.0; self.slots];
        for (&(weight, _), operand) in row.terms.iter().zip(operands) {
            self.weight(weight)?.multiply_add(&mut sum, Some(self.check(operand)?));
        }
        if let Some(bias) = row.bias {
            self.weight(bias)?.multiply_add(&mut sum, None);
        }
        Ok(sum)
    }
}

/// A weight's values, each repeated `lanes` times.
struct Weight<'a> {
    values: &'a [f64],
    lanes: usize,
}

impl Weight<'_> {
    /// Adds weight · operand, slot by slot; a missing operand is one everywhere.
    fn multiply_add(&self, sum: &mut [f64], operand: Option<&[f64]>) {
        for (position, &value) in self.values.iter().enumerate() {
            let slots = position * self.lanes..(position + 1) * self.lanes;
            match operand {
                Some(operand) => {
                    for (sum, slot) in sum[slots.clone()].iter_mut().zip(&operand[slots]) {
                        *sum += value * slot;
                    }
                }
                None => sum[slots].iter_mut().for_each(|sum| *sum += value),
            }
        }
    }
}

impl Backend for Cleartext {
    type Fresh = Vec<f64>;
    type Result = Vec<f64>;
    type Sum = Vec<f64>;
    type Degree2 = Vec<f64>;
    type Error = CleartextError;

    fn program(&self) -> [u8; 32] {
        self.program
    }

    fn rotations(
        &self,
        at: Place,
        of: Rotatable<'_, Self>,
        by: &[u32],
    ) -> Result<Vec<Vec<f64>>, CleartextError> {
        let (Rotatable::Fresh(of) | Rotatable::Result(of)) = of;
        let of = self.check(of)?;
        let rotate = |(output, &rotation): (usize, &u32)| {
            let mut slots = of.to_vec();
            slots.rotate_left(rotation as usize % self.slots);
            self.disturb(at, output, slots)
        };
        Ok(by.iter().enumerate().map(rotate).collect())
    }

    fn products(
        &self,
        rows: &[ProductRow<'_>],
        operands: Operands<'_, Self>,
    ) -> Result<Vec<Vec<Vec<f64>>>, CleartextError> {
        let (Operands::Fresh(groups) | Operands::Result(groups)) = operands;
        let sum = |row: &ProductRow<'_>, group, operands: &[&Vec<f64>]| {
            let sum = self.sum_of_products(row, operands)?;
            Ok(self.disturb(Place { step: row.step, group }, 0, sum))
        };
        let groups = groups.iter().enumerate();
        groups
            .map(|(group, operands)| rows.iter().map(|row| sum(row, group, operands)).collect())
            .collect()
    }

    fn switch_sum(
        &self,
        at: Place,
        terms: &[(Switchable<'_, Self>, u32)],
        _rescale: bool,
    ) -> Result<Vec<f64>, CleartextError> {
        if terms.is_empty() {
            return Err(CleartextError::NoTerms);
        }
        let mut sum = vec![0.0; self.slots];
        for &(Switchable::Sum(term) | Switchable::Result(term), rotation) in terms {
            let (wrapped, moved) = self.check(term)?.split_at(rotation as usize % self.slots);
            for (sum, slot) in sum.iter_mut().zip(moved.iter().chain(wrapped)) {
                *sum += slot;
            }
        }
        Ok(self.disturb(at, 0, sum))
    }

    fn square(&self, at: Place, of: &Vec<f64>) -> Result<Vec<f64>, CleartextError> {
        let squares = self.check(of)?.iter().map(|slot| slot * slot).collect();
        Ok(self.disturb(at, 0, squares))
    }

    fn relinearize(
        &self,
        at: Place,
        of: &Vec<f64>,
        _rescale: bool,
    ) -> Result<Vec<f64>, CleartextError> {
        Ok(self.disturb(at, 0, self.check(of)?.to_vec()))
    }

    fn lower(&self, _at: Place, of: &Vec<f64>) -> Result<Vec<f64>, CleartextError> {
        Ok(self.check(of)?.to_vec())
    }
}

/// Lays one batch of samples into the slots of the input ciphertexts; unused lanes are zero.
///
/// # Errors
/// [`CleartextError::Samples`] for more samples than lanes, or a sample without exactly the program's features.
pub fn pack_inputs(
    layout: &InputLayout,
    samples: &[&[f64]],
) -> Result<Vec<Vec<f64>>, CleartextError> {
    let lanes = layout.lanes as usize;
    let features = layout.shape.iter().map(|&axis| axis as usize).product();
    let misfit = CleartextError::Samples { samples: samples.len(), lanes, features };
    if samples.len() > lanes || samples.iter().any(|sample| sample.len() != features) {
        return Err(misfit);
    }
    let pack = |positions: &Vec<Option<u32>>| {
        let mut slots = vec![0.0; layout.positions as usize * lanes];
        for (lane, sample) in samples.iter().enumerate() {
            for (position, feature) in positions.iter().enumerate() {
                let value = feature.and_then(|feature| sample.get(feature as usize));
                slots[position * lanes + lane] = value.copied().unwrap_or(0.0);
            }
        }
        slots
    };
    Ok(layout.ciphertexts.iter().map(pack).collect())
}

/// Reads the outputs of every lane from a result's slots; where an output stands at several positions, the first counts.
///
/// # Errors
/// [`CleartextError::Slots`] if there are not as many slots as positions and lanes.
pub fn read_outputs(
    layout: &OutputLayout,
    lanes: usize,
    slots: &[f64],
) -> Result<Vec<Vec<f64>>, CleartextError> {
    let (given, expected) = (slots.len(), layout.positions.len() * lanes);
    if given != expected {
        return Err(CleartextError::Slots { given, expected });
    }
    let mut outputs = vec![vec![0.0; layout.outputs as usize]; lanes];
    for (position, output) in layout.positions.iter().enumerate().rev() {
        let Some(output) = output else { continue };
        for (lane, outputs) in outputs.iter_mut().enumerate() {
            if let Some(value) = outputs.get_mut(*output as usize) {
                *value = slots[position * lanes + lane];
            }
        }
    }
    Ok(outputs)
}
