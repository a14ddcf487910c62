//! How much memory a program needs, known before anything is loaded.

use adyton_ckks::{Parameters, ParametersError};
use adyton_program::{Form, ModelPrivacy, Step, ValueType, VerifiedProgram};

use crate::{Schedule, encrypted::CACHED_OPERANDS, executor::window};

/// Bytes of a residue.
const RESIDUE: u64 = size_of::<u64>() as u64;

/// Bytes of an operand that a thread keeps beside others while it multiplies.
const GATHERED: u64 = 512;

/// Memory in bytes, by what it is for. Figures count residues, which is nearly everything that is asked of the allocator; allocators
/// round up and keep some of what is freed, so leave them a quarter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryEstimate {
    /// Expanded weights: once for each deployment.
    pub weights: u64,
    /// Expanded evaluation keys: once for each session.
    pub keys: u64,
    /// Inputs and values of one run, at the moment when there are most. An upper bound.
    pub values: u64,
    /// Buffers of the worker threads while they switch keys.
    pub scratch: u64,
}

impl MemoryEstimate {
    /// What one run needs beside weights and keys.
    #[must_use]
    pub const fn run(&self) -> u64 {
        self.values.saturating_add(self.scratch)
    }

    /// Everything.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.run().saturating_add(self.weights).saturating_add(self.keys)
    }
}

/// Estimates the memory of a run with `groups` groups of inputs on `threads` threads.
///
/// # Errors
/// [`ParametersError`] if the program names a level that its parameters do not have, which a verified program does not.
pub fn estimate_memory(
    program: &VerifiedProgram,
    groups: usize,
    threads: usize,
) -> Result<MemoryEstimate, ParametersError> {
    let sizes = Sizes::new(program)?;
    // Every step has its weights laid out for itself.
    let read = program.program().steps.iter().flat_map(Step::weights);
    let weights = read.filter_map(|weight| program.program().weights.get(weight as usize));
    let weights = weights.map(|weight| match program.program().privacy {
        ModelPrivacy::Encrypted => 2 * sizes.poly(weight.level),
        ModelPrivacy::Plain => sizes.poly(weight.level),
    });
    let keys = program.program().keys.iter().map(|key| sizes.key(key.level));

    let types: Vec<u64> = program.types().iter().map(|value| sizes.value(value)).collect();
    let value = |value: u32| types.get(value as usize).copied().unwrap_or(0);
    let peak = Schedule::new(program).peak(window(threads), value);
    let scratch = program.program().steps.iter().map(|step| sizes.scratch(program, step)).max();
    Ok(MemoryEstimate {
        weights: weights.fold(0, u64::saturating_add),
        keys: keys.fold(0, u64::saturating_add),
        values: peak.saturating_mul(groups as u64),
        scratch: scratch.unwrap_or(0).saturating_mul(threads as u64),
    })
}

/// Sizes in bytes, by level.
struct Sizes {
    privacy: ModelPrivacy,
    levels: Vec<LevelSizes>,
}

#[derive(Clone, Copy, Default)]
struct LevelSizes {
    /// A polynomial over the level's primes.
    poly: u64,
    /// A polynomial over the primes of the level's evaluation keys; 0 without keys.
    extended: u64,
    /// Digits of a key switch; 0 without keys.
    digits: u64,
}

impl Sizes {
    fn new(program: &VerifiedProgram) -> Result<Self, ParametersError> {
        let parameters = program.parameters();
        let levels = (0..=parameters.top_level())
            .map(|level| LevelSizes::new(parameters, level))
            .collect::<Result<_, _>>()?;
        Ok(Self { privacy: program.program().privacy, levels })
    }

    fn level(&self, level: u8) -> LevelSizes {
        self.levels.get(usize::from(level)).copied().unwrap_or_default()
    }

    fn poly(&self, level: u8) -> u64 {
        self.level(level).poly
    }

    fn key(&self, level: u8) -> u64 {
        let level = self.level(level);
        2 * level.digits * level.extended
    }

    fn value(&self, value: &ValueType) -> u64 {
        let polys = match (value.form, self.privacy) {
            (Form::Fresh | Form::Result, _) => 2,
            (Form::FreshProducts | Form::ResultProducts, ModelPrivacy::Encrypted) => 4,
            (Form::FreshProducts | Form::ResultProducts, ModelPrivacy::Plain) => 2,
            (Form::Degree2, _) => 3,
        };
        polys * self.poly(value.level)
    }

    /// Buffers of one task beside its operands and outputs.
    fn scratch(&self, program: &VerifiedProgram, step: &Step) -> u64 {
        let operand = step.operands().next().and_then(|value| program.value_type(value));
        let level = operand.map(|value| self.level(value.level)).unwrap_or_default();
        match step {
            // Of rotations: all digits of one component over the extended basis, and for one rotation the part of both polynomials that is
            // divided away and what that leaves. Of sums: two accumulators, the digits of some components, and the same for both.
            Step::Rotations { .. } | Step::SwitchSum { .. } | Step::Relinearize { .. } => {
                (level.digits + 4) * level.extended + 14 * level.poly
            }
            // A few coefficients of all operands.
            Step::Products { terms, .. } => GATHERED * terms.len().max(CACHED_OPERANDS) as u64,
            Step::Square { .. } => 0,
        }
    }
}

impl LevelSizes {
    fn new(parameters: &Parameters, level: u8) -> Result<Self, ParametersError> {
        let limb = parameters.degree() as u64 * RESIDUE;
        let poly = parameters.basis(level)?.len() as u64 * limb;
        Ok(match parameters.key_basis(level) {
            Ok(basis) => Self {
                poly,
                extended: basis.len() as u64 * limb,
                digits: parameters.digit_moduli(level)?.len() as u64,
            },
            Err(ParametersError::NoKeysAtLevel { .. }) => Self { poly, ..Self::default() },
            Err(other) => return Err(other),
        })
    }
}
