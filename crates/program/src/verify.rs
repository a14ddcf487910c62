//! The verifier: only it makes a [`VerifiedProgram`], and runtime, enclave and client accept nothing else.

mod error;

use std::collections::{BTreeMap, BTreeSet};

use adyton_ckks::{KeySpec, Parameters, Scale};

pub use error::{StepError, VerifyError};

use crate::infer::level_bits;
use crate::{
    Form, Inference, ModelPrivacy, OutputLayout, Program, ValueId, ValueType, WeightSpec, bounds,
    infer, limits,
};

/// A program that has been checked, with what the check found out: types, keys, life spans, validated parameters.
#[derive(Clone, Debug)]
pub struct VerifiedProgram {
    program: Program,
    parameters: Parameters,
    id: [u8; 32],
    inference: Inference,
    /// For each step, the values that nothing reads after it.
    released: Vec<Vec<ValueId>>,
}

impl VerifiedProgram {
    /// Checks a program.
    ///
    /// # Errors
    /// [`VerifyError`] naming the first thing that is wrong.
    pub fn new(program: Program) -> Result<Self, VerifyError> {
        let parameters = Parameters::new(&program.parameters)?;
        Self::with_parameters(program, parameters)
    }

    /// Checks a program whose parameters need not be secure: for tests on small rings alone.
    ///
    /// # Errors
    /// As [`VerifiedProgram::new`].
    pub fn new_insecure_for_tests(program: Program) -> Result<Self, VerifyError> {
        let parameters = Parameters::new_insecure_for_tests(&program.parameters)?;
        Self::with_parameters(program, parameters)
    }

    fn with_parameters(program: Program, parameters: Parameters) -> Result<Self, VerifyError> {
        check_limits(&program)?;
        check_input(&program, &parameters)?;
        let bits = level_bits(&program);
        for (index, weight) in program.weights.iter().enumerate() {
            check_weight(weight, &program, &bits)
                .map_err(|reason| VerifyError::Weight { weight: index, reason })?;
        }
        check_masks(&program)?;
        let inference = infer(&program, &parameters)?;
        check_output(&program, &inference, &bits)?;
        check_keys(&program.keys, &inference.keys)?;
        check_weights_read(&program)?;
        let released = life_spans(&program, &inference)?;
        let id = program.id();
        Ok(Self { program, parameters, id, inference, released })
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Its validated parameters.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The program id, [`Program::id`].
    #[must_use]
    pub fn id(&self) -> [u8; 32] {
        self.id
    }

    /// Type of each value: inputs first, then the outputs of the steps in order.
    #[must_use]
    pub fn types(&self) -> &[ValueType] {
        &self.inference.types
    }

    /// Type of one value, if it exists.
    #[must_use]
    pub fn value_type(&self, value: ValueId) -> Option<&ValueType> {
        self.inference.types.get(value as usize)
    }

    /// For each step, the value that its first output is; further outputs follow.
    #[must_use]
    pub fn first_outputs(&self) -> &[ValueId] {
        &self.inference.first_outputs
    }

    /// For each step, the values that it is the last one to read, ascending: a runtime may drop them after it. The output of
    /// the program is in none of these lists.
    #[must_use]
    pub fn released_after(&self) -> &[Vec<ValueId>] {
        &self.released
    }
}

fn check_limits(program: &Program) -> Result<(), VerifyError> {
    let places = program.input.ciphertexts.iter().map(Vec::len).sum();
    let terms = program
        .steps
        .iter()
        .map(|step| match step {
            crate::Step::Rotations { by, .. } => by.len(),
            crate::Step::Products { terms, .. } => terms.len(),
            crate::Step::SwitchSum { terms, .. } => terms.len(),
            crate::Step::Square { .. }
            | crate::Step::Relinearize { .. }
            | crate::Step::Lower { .. } => 1,
        })
        .sum();
    for (what, found, limit) in [
        ("bytes of name", program.name.len(), limits::MAX_NAME_BYTES),
        ("axes of input shape", program.input.shape.len(), limits::MAX_SHAPE_AXES),
        ("input ciphertexts", program.input.ciphertexts.len(), limits::MAX_INPUTS),
        ("input places", places, limits::MAX_INPUT_PLACES),
        ("weights", program.weights.len(), limits::MAX_WEIGHTS),
        ("steps", program.steps.len(), limits::MAX_STEPS),
        ("terms", terms, limits::MAX_TERMS),
        ("evaluation keys", program.keys.len(), limits::MAX_KEYS),
        ("outputs", program.output.outputs as usize, limits::MAX_FEATURES as usize),
    ] {
        limits::check(what, found, limit)?;
    }
    Ok(())
}

fn check_input(program: &Program, parameters: &Parameters) -> Result<(), VerifyError> {
    let input = &program.input;
    let features = program.features().ok_or(VerifyError::Input("the shape is too large"))?;
    let error = if features == 0 || features > limits::MAX_FEATURES {
        "the shape has no feature or too many"
    } else if u64::from(input.lanes) * u64::from(input.positions) != parameters.slots() as u64 {
        "lanes times positions is not the number of slots"
    } else if input.ciphertexts.is_empty() {
        "there is no input ciphertext"
    } else if input.ciphertexts.iter().any(|places| places.len() != input.positions as usize) {
        "a ciphertext does not have one place for each position"
    } else if input.ciphertexts.iter().flatten().flatten().any(|&feature| feature >= features) {
        "a feature is outside of the shape"
    } else if !is_positive(input.bound) {
        "the bound is not a positive number"
    } else {
        let top = program.parameters.levels.len().saturating_sub(1);
        let bits = level_bits(program).get(top).copied().unwrap_or(0.0);
        return check_scale(&input.scale, program, bits).map_err(VerifyError::Input);
    };
    Err(VerifyError::Input(error))
}

fn check_weight(weight: &WeightSpec, program: &Program, bits: &[f64]) -> Result<(), &'static str> {
    let bits = bits.get(usize::from(weight.level)).ok_or("the level does not exist")?;
    check_scale(&weight.scale, program, *bits)
}

/// Weights of one row never share a mask, and all that share one have its level. Plain weights have none.
fn check_masks(program: &Program) -> Result<(), VerifyError> {
    let mut used = BTreeSet::new();
    let mut levels = BTreeMap::new();
    for (index, &WeightSpec { level, mask, row, .. }) in program.weights.iter().enumerate() {
        let reason = match program.privacy {
            ModelPrivacy::Plain if (mask, row) != (0, 0) => "a plain weight has no mask and no row",
            ModelPrivacy::Plain => continue,
            ModelPrivacy::Encrypted if !used.insert((mask, row)) => {
                "its mask serves another weight of the same row"
            }
            ModelPrivacy::Encrypted if *levels.entry(mask).or_insert(level) != level => {
                "its mask serves a weight at another level"
            }
            ModelPrivacy::Encrypted => continue,
        };
        return Err(VerifyError::Weight { weight: index, reason });
    }
    Ok(())
}

/// A declared scale lies in [1, modulus) and is made of two and the ciphertext primes, with exponents that keep arithmetic on
/// scales exact.
fn check_scale(scale: &Scale, program: &Program, bits: f64) -> Result<(), &'static str> {
    let factors = scale.factors();
    if factors.iter().any(|(prime, _)| !program.parameters.primes.contains(prime)) {
        return Err("the scale has a factor that is no prime of the parameters");
    }
    let small = |exponent: i16| exponent.unsigned_abs() <= limits::MAX_SCALE_EXPONENT;
    if !factors.iter().all(|&(_, exponent)| small(exponent)) || !small(scale.exponent_of_two() / 64)
    {
        return Err("an exponent of the scale is too large");
    }
    if scale.log2() < 0.0 || scale.log2() >= bits {
        return Err("the scale is below one or above the modulus");
    }
    Ok(())
}

fn check_output(program: &Program, inference: &Inference, bits: &[f64]) -> Result<(), VerifyError> {
    let OutputLayout { value, outputs, positions, range, deviation, released_deviation } =
        &program.output;
    let found = inference
        .types
        .get(*value as usize)
        .ok_or(VerifyError::Output("the value is not defined"))?;
    if found.form != Form::Result || found.level != 0 {
        return Err(VerifyError::OutputForm { found: found.form, level: found.level });
    }
    if positions.len() != program.input.positions as usize {
        return Err(VerifyError::Output("there is not one place for each position"));
    }
    if !is_positive(*range) || !is_positive(*deviation) {
        return Err(VerifyError::Output("range or deviation is not a positive number"));
    }
    if !is_positive(*released_deviation) || released_deviation > deviation {
        return Err(VerifyError::Output(
            "the released deviation is not positive or beyond the worst slot's",
        ));
    }
    let bits = bits.first().copied().unwrap_or(0.0);
    // An honest slot of the largest batch errs by no more.
    let error = deviation * bounds::largest_error(1 << 24, bounds::FALSE_REFUSAL_BITS);
    if found.scale.log2() + (range + error).log2() + 1.0 >= bits {
        return Err(VerifyError::Output("the range does not fit the modulus at level 0"));
    }
    // The number of outputs is bounded by the positions before anything is allocated for it.
    if *outputs == 0 || *outputs as usize > positions.len() {
        return Err(VerifyError::Output("there is no output, or more outputs than positions"));
    }
    let mut seen = vec![false; *outputs as usize];
    for &output in positions.iter().flatten() {
        *seen
            .get_mut(output as usize)
            .ok_or(VerifyError::Output("a position names an output that does not exist"))? = true;
    }
    if seen.contains(&false) {
        return Err(VerifyError::Output("an output stands nowhere"));
    }
    Ok(())
}

fn check_keys(declared: &[KeySpec], needed: &[KeySpec]) -> Result<(), VerifyError> {
    if let Some(missing) = needed.iter().find(|key| !declared.contains(key)) {
        return Err(VerifyError::MissingKey(*missing));
    }
    // All needed keys are there; the first difference is therefore a surplus, repeated or misplaced one.
    let surplus = declared
        .iter()
        .enumerate()
        .find(|&(index, key)| needed.get(index) != Some(key))
        .map(|(_, key)| *key);
    surplus.map_or(Ok(()), |key| Err(VerifyError::SurplusKey(key)))
}

fn check_weights_read(program: &Program) -> Result<(), VerifyError> {
    let mut read = vec![false; program.weights.len()];
    for weight in program.steps.iter().flat_map(crate::Step::weights) {
        // Inference has refused weights that do not exist.
        if let Some(slot) = read.get_mut(weight as usize) {
            *slot = true;
        }
    }
    read.iter()
        .position(|read| !read)
        .map_or(Ok(()), |weight| Err(VerifyError::UnusedWeight(weight)))
}

/// For each step, the values that nothing reads after it.
fn life_spans(program: &Program, inference: &Inference) -> Result<Vec<Vec<ValueId>>, VerifyError> {
    let mut last_read: Vec<Option<usize>> = vec![None; inference.types.len()];
    for (index, step) in program.steps.iter().enumerate() {
        for value in step.operands() {
            if let Some(last) = last_read.get_mut(value as usize) {
                *last = Some(index);
            }
        }
    }
    let mut released = vec![Vec::new(); program.steps.len()];
    for (value, last) in last_read.into_iter().enumerate() {
        if value == program.output.value as usize {
            continue;
        }
        let step = last.ok_or(VerifyError::UnusedValue(value))?;
        if let (Some(list), Ok(value)) = (released.get_mut(step), ValueId::try_from(value)) {
            list.push(value);
        }
    }
    Ok(released)
}

fn is_positive(x: f64) -> bool {
    x.is_finite() && x > 0.0
}

#[cfg(test)]
mod tests;
