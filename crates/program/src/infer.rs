//! What every value of a program is: form, level and exact scale, found by going through the steps once.

use std::collections::BTreeSet;
use std::fmt;

use adyton_ckks::{KeySpec, Parameters, Scale};

use crate::verify::{StepError, VerifyError};
use crate::{ModelPrivacy, Program, Step, ValueId, WeightId, WeightSpec, limits, step_keys};

/// Bits between a value's scale and its modulus that must stay free: the sign. How large values are, a program does not say, except
/// for its results, whose range is checked with the output layout.
const HEADROOM_BITS: f64 = 1.0;

/// What a value is encrypted under, and in how many parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// An input ciphertext, under the input key.
    Fresh,
    /// A ciphertext of degree 1 under the result key.
    Result,
    /// A sum of weights times fresh ciphertexts: components for 1, s_M, s_I, s_M·s_I (1 and s_I when weights are plain).
    FreshProducts,
    /// A sum of weights times result ciphertexts: components for 1, s_M, s_R, s_M·s_R (1 and s_R when weights are plain).
    ResultProducts,
    /// A square under the result key: components for 1, s_R, s_R².
    Degree2,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fresh => "fresh",
            Self::Result => "result",
            Self::FreshProducts => "sum of products with fresh ciphertexts",
            Self::ResultProducts => "sum of products with result ciphertexts",
            Self::Degree2 => "degree 2",
        })
    }
}

/// Form, level, exact scale and row of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueType {
    /// What it is encrypted under.
    pub form: Form,
    /// Its level.
    pub level: u8,
    /// Its exact scale.
    pub scale: Scale,
    /// The row of the weights in a sum of products; 0 for other forms.
    pub row: u8,
}

/// Everything that going through the steps tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inference {
    /// Type of each value.
    pub types: Vec<ValueType>,
    /// For each step, the value that its first output is.
    pub first_outputs: Vec<ValueId>,
    /// Every evaluation key that the steps need, sorted, without duplicates.
    pub keys: Vec<KeySpec>,
}

/// Infers the type of every value and the evaluation keys that the steps need.
///
/// The compiler uses this to write the key manifest; [`VerifiedProgram`](crate::VerifiedProgram) to check it.
///
/// # Errors
/// [`VerifyError::Step`] naming the first step that is not well-formed, [`VerifyError::TooMany`] when a bound is exceeded.
pub fn infer(program: &Program, parameters: &Parameters) -> Result<Inference, VerifyError> {
    let moduli = level_bits(program);
    let mut values = Values { program, parameters, moduli, types: Vec::new() };
    let input = ValueType {
        form: Form::Fresh,
        level: parameters.top_level(),
        scale: program.input.scale.clone(),
        row: 0,
    };
    values.types.resize(program.input.ciphertexts.len(), input);

    let mut keys = BTreeSet::new();
    let mut first_outputs = Vec::with_capacity(program.steps.len());
    for (index, step) in program.steps.iter().enumerate() {
        let at = |error| VerifyError::Step { step: index, error };
        let output = values.output_of(step).map_err(at)?;
        for key in step_keys(step, &values.types, program.privacy) {
            parameters.check_key(&key).map_err(|error| at(StepError::Key { key, error }))?;
            keys.insert(key);
        }
        let first = values.types.len();
        limits::check("values", first + step.outputs(), limits::MAX_VALUES)?;
        limits::check("evaluation keys", keys.len(), limits::MAX_KEYS)?;
        // Below MAX_VALUES, so the conversion cannot fail.
        first_outputs.push(ValueId::try_from(first).unwrap_or(ValueId::MAX));
        values.types.resize(first + step.outputs(), output);
    }
    Ok(Inference { types: values.types, first_outputs, keys: keys.into_iter().collect() })
}

/// log2 of the modulus of each level.
pub(crate) fn level_bits(program: &Program) -> Vec<f64> {
    let literal = &program.parameters;
    let prime_bits = |index: &u8| {
        literal.primes.get(usize::from(*index)).map_or(0.0, |&prime| (prime as f64).log2())
    };
    literal.levels.iter().map(|level| level.iter().map(prime_bits).sum()).collect()
}

struct Values<'a> {
    program: &'a Program,
    parameters: &'a Parameters,
    moduli: Vec<f64>,
    types: Vec<ValueType>,
}

impl Values<'_> {
    /// The type that all outputs of `step` have.
    fn output_of(&self, step: &Step) -> Result<ValueType, StepError> {
        let output = match step {
            Step::Rotations { of, by } => self.rotations(*of, by)?,
            Step::Products { terms, bias } => self.products(terms, *bias)?,
            Step::SwitchSum { terms, rescale } => self.switch_sum(terms, *rescale)?,
            Step::Square { of } => self.square(*of)?,
            Step::Relinearize { of, rescale } => {
                let value = self.typed(*of, &[Form::Degree2])?;
                self.switched(value, *rescale)?
            }
            Step::Lower { of } => {
                let value = self.typed(*of, &[Form::Result])?;
                let level = value.level;
                let below = self.parameters.level_within(level);
                let (level, _) = below.map_err(|error| StepError::Lower { level, error })?;
                ValueType { level, ..value.clone() }
            }
        };
        self.check_scale(&output)?;
        Ok(output)
    }

    fn rotations(&self, of: ValueId, by: &[u32]) -> Result<ValueType, StepError> {
        let value = self.typed(of, &[Form::Fresh, Form::Result])?;
        if by.is_empty() {
            return Err(StepError::Empty);
        }
        if !by.is_sorted_by(|left, right| left < right) {
            return Err(StepError::UnsortedRotations);
        }
        by.iter().try_for_each(|&rotation| self.check_rotation(rotation))?;
        Ok(ValueType { form: Form::Result, ..value.clone() })
    }

    fn products(
        &self,
        terms: &[(WeightId, ValueId)],
        bias: Option<WeightId>,
    ) -> Result<ValueType, StepError> {
        let &(first_weight, first_value) = terms.first().ok_or(StepError::Empty)?;
        let value = self.typed(first_value, &[Form::Fresh, Form::Result])?;
        let weight = self.weight(first_weight)?;
        let scale = value.scale.mul(&weight.scale);
        // Nearly always all terms have the first one's scales; a division for each of 10^5 would cost.
        for &(weight_id, value_id) in terms {
            let found = self.like(value_id, value, &[value.form])?;
            let spec = self.weight(weight_id)?;
            if found.scale == value.scale {
                check_weight(weight_id, spec, value.level, &weight.scale, weight.row)?;
            } else {
                let needed = scale.div(&found.scale);
                check_weight(weight_id, spec, value.level, &needed, weight.row)?;
            }
        }
        if let Some(bias) = bias {
            check_weight(bias, self.weight(bias)?, value.level, &scale, weight.row)?;
        }
        let form =
            if value.form == Form::Fresh { Form::FreshProducts } else { Form::ResultProducts };
        Ok(ValueType { form, level: value.level, scale, row: weight.row })
    }

    fn switch_sum(&self, terms: &[(ValueId, u32)], rescale: bool) -> Result<ValueType, StepError> {
        const FORMS: [Form; 3] = [Form::FreshProducts, Form::ResultProducts, Form::Result];
        let &(first, _) = terms.first().ok_or(StepError::Empty)?;
        let value = self.typed(first, &FORMS)?;
        for &(term, rotation) in terms {
            self.check_alike(term, value, &FORMS)?;
            self.check_rotation(rotation)?;
        }
        self.switched(value, rescale)
    }

    fn square(&self, of: ValueId) -> Result<ValueType, StepError> {
        let value = self.typed(of, &[Form::Result])?;
        let scale = value.scale.square();
        Ok(ValueType { form: Form::Degree2, level: value.level, scale, row: 0 })
    }

    /// The result ciphertext that a mod-down, with or without rescale, makes of `value`.
    fn switched(&self, value: &ValueType, rescale: bool) -> Result<ValueType, StepError> {
        let switched = ValueType { form: Form::Result, row: 0, ..value.clone() };
        if !rescale {
            return Ok(switched);
        }
        let level = value.level.checked_sub(1).ok_or(StepError::NothingBelow)?;
        let factor = self
            .parameters
            .rescale_factor(value.level)
            .map_err(|error| StepError::Rescale { level: value.level, error })?;
        Ok(ValueType { level, scale: value.scale.div(&factor), ..switched })
    }

    fn typed(&self, value: ValueId, expected: &'static [Form]) -> Result<&ValueType, StepError> {
        let found = self.value(value)?;
        if expected.contains(&found.form) {
            Ok(found)
        } else {
            Err(StepError::Form { value, expected, found: found.form })
        }
    }

    fn value(&self, value: ValueId) -> Result<&ValueType, StepError> {
        self.types
            .get(value as usize)
            .ok_or(StepError::UnknownValue { value, defined: self.types.len() })
    }

    fn weight(&self, weight: WeightId) -> Result<&WeightSpec, StepError> {
        let weights = &self.program.weights;
        weights
            .get(weight as usize)
            .ok_or(StepError::UnknownWeight { weight, declared: weights.len() })
    }

    /// Checks that `value` has one of `forms` and the level and scale of `like`.
    fn check_alike(
        &self,
        value: ValueId,
        like: &ValueType,
        forms: &[Form],
    ) -> Result<(), StepError> {
        let found = self.like(value, like, forms)?;
        if found.scale != like.scale {
            let (expected, found) = (like.scale.clone(), found.scale.clone());
            return Err(StepError::Scale { value, expected, found });
        }
        Ok(())
    }

    /// The type of `value`, which must have one of `forms` and the level of `like`.
    fn like(
        &self,
        value: ValueId,
        like: &ValueType,
        forms: &[Form],
    ) -> Result<&ValueType, StepError> {
        let found = self.value(value)?;
        if !forms.contains(&found.form) {
            return Err(StepError::MixedForms { value, expected: like.form, found: found.form });
        }
        if found.level != like.level {
            return Err(StepError::Level { value, expected: like.level, found: found.level });
        }
        Ok(found)
    }

    /// Rotations stay below the number of slots and move whole positions: no lane ever meets another.
    fn check_rotation(&self, rotation: u32) -> Result<(), StepError> {
        let slots = self.parameters.slots();
        if rotation as usize >= slots {
            return Err(StepError::RotationTooFar { rotation, slots });
        }
        let lanes = self.program.input.lanes;
        if !rotation.is_multiple_of(lanes) {
            return Err(StepError::RotationMixesLanes { rotation, lanes });
        }
        Ok(())
    }

    fn check_scale(&self, value: &ValueType) -> Result<(), StepError> {
        let modulus_bits = self.moduli.get(usize::from(value.level)).copied().unwrap_or(0.0);
        let fits = value.scale.log2() >= 0.0 && value.scale.log2() + HEADROOM_BITS <= modulus_bits;
        if fits {
            Ok(())
        } else {
            Err(StepError::ScaleOutOfRange { scale: value.scale.clone(), modulus_bits })
        }
    }
}

fn check_weight(
    weight: WeightId,
    found: &WeightSpec,
    level: u8,
    scale: &Scale,
    row: u8,
) -> Result<(), StepError> {
    if found.level != level {
        return Err(StepError::WeightLevel { weight, expected: level, found: found.level });
    }
    if found.scale != *scale {
        let (expected, found) = (scale.clone(), found.scale.clone());
        return Err(StepError::WeightScale { weight, expected, found });
    }
    if found.row != row {
        return Err(StepError::WeightRow { weight, expected: row, found: found.row });
    }
    Ok(())
}

/// Whether products with these weights carry components under the model key.
pub(crate) fn has_model_components(privacy: ModelPrivacy) -> bool {
    privacy == ModelPrivacy::Encrypted
}
