//! How much memory a program needs, known before anything is loaded.

use adyton_ckks::{Parameters, ParametersError};
use adyton_program::{Form, ModelPrivacy, Step, ValueType, VerifiedProgram};

use crate::{Schedule, StepKind, encrypted::CACHED_OPERANDS, executor::window, weights::MaskSets};

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
    let keys = program.program().keys.iter().map(|key| sizes.key(key.level));

    let schedule = Schedule::new(program);
    let values = sizes.values(program, &schedule);
    let value = |value: u32| values.get(value as usize).copied().unwrap_or(0);
    let peak = schedule.peak(window(threads), value);
    let scratch = program.program().steps.iter().map(|step| sizes.scratch(program, step)).max();
    Ok(MemoryEstimate {
        weights: sizes.weights(program),
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

    /// Every step has its weights laid out for itself, and every set of masks is laid out once. An encrypted bias brings its mask.
    fn weights(&self, program: &VerifiedProgram) -> u64 {
        let specs = &program.program().weights;
        let poly = |weight: u32| specs.get(weight as usize).map_or(0, |spec| self.poly(spec.level));
        let steps = program.program().steps.iter();
        let read = steps.clone().flat_map(Step::weights).map(poly).fold(0, u64::saturating_add);
        let biases = steps.filter_map(|step| match (step, self.privacy) {
            (Step::Products { bias, .. }, ModelPrivacy::Encrypted) => bias.map(poly),
            _ => None,
        });
        let sets = MaskSets::new(program.program());
        let masks = sets.sets().iter().map(|&(len, step)| {
            let first = program.program().steps.get(step).and_then(|step| step.weights().next());
            first.map_or(0, poly).saturating_mul(len as u64)
        });
        biases.chain(masks).fold(read, u64::saturating_add)
    }

    /// Bytes of each value. What the rows of a stage share counts for the one that lives longest.
    fn values(&self, program: &VerifiedProgram, schedule: &Schedule) -> Vec<u64> {
        let mut values: Vec<u64> = program.types().iter().map(|value| self.value(value)).collect();
        if self.privacy == ModelPrivacy::Plain {
            return values;
        }
        let mut add = |value: u32, polys: u64| {
            let level = program.value_type(value).map_or(0, |value| value.level);
            if let Some(size) = values.get_mut(value as usize) {
                *size += polys * self.poly(level);
            }
        };
        for (step, &value) in program.program().steps.iter().zip(program.first_outputs()) {
            if matches!(step, Step::Products { bias: Some(_), .. }) {
                add(value, 1);
            }
        }
        for stage in 0..schedule.stages() {
            if schedule.kind(stage) == StepKind::Products {
                let outputs = schedule.outputs(stage).iter();
                let longest = outputs.max_by_key(|&&value| schedule.users(value).last());
                longest.into_iter().for_each(|&value| add(value, 2));
            }
        }
        values
    }

    /// What a value has to itself.
    fn value(&self, value: &ValueType) -> u64 {
        let polys = match value.form {
            Form::Fresh | Form::Result | Form::FreshProducts | Form::ResultProducts => 2,
            Form::Degree2 => 3,
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
            Step::Square { .. } | Step::Lower { .. } => 0,
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
