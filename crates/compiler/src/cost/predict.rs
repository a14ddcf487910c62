//! The time of a program, step by step.

use std::collections::BTreeSet;

use adyton_ckks::{KeySource, KeySpec, ParametersError};
use adyton_program::{ModelPrivacy, Step, VerifiedProgram, step_keys};

use super::{Shape, UnitCosts};

/// Seconds of processor time for a run, by kind of step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prediction {
    /// Hoisted rotations.
    pub rotations: f64,
    /// Products.
    pub products: f64,
    /// Switched sums.
    pub sums: f64,
    /// Squares and their relinearization, and what is passed beside them.
    pub squares: f64,
    /// By step.
    pub steps: Vec<f64>,
}

impl Prediction {
    /// Processor time of the whole run.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.rotations + self.products + self.sums + self.squares
    }

    /// Time on so many threads, among which every step's parts are shared out.
    #[must_use]
    pub fn wall(&self, threads: usize) -> f64 {
        self.total() / threads.max(1) as f64
    }
}

/// Predicts the processor time of a run of `groups` groups.
///
/// # Errors
/// [`ParametersError`] if the program names a level that its parameters do not have, which a verified program does not.
pub fn predict(
    program: &VerifiedProgram,
    units: &UnitCosts,
    groups: usize,
) -> Result<Prediction, ParametersError> {
    let shapes = shapes(program)?;
    let count = groups as f64;
    let mut prediction = Prediction::default();
    // Rows with the same operands and masks share the masks' products.
    let mut multiplied: BTreeSet<(Vec<u32>, Vec<u32>)> = BTreeSet::new();
    for step in &program.program().steps {
        let operand = step.operands().next().and_then(|value| program.value_type(value));
        let level = operand.map_or(0, |value| usize::from(value.level));
        let Some(&shape) = shapes.get(level) else { continue };
        let keys = step_keys(step, program.types(), program.program().privacy);
        let inner = keys.len() as f64 * units.inner_product(shape);
        let mod_down = units.mod_down(shape);
        let (kind, seconds) = match step {
            Step::Rotations { .. } => {
                let rotations = inner + keys.len() as f64 * mod_down;
                (&mut prediction.rotations, count * (units.decomposition(shape) + rotations))
            }
            Step::Products { terms, .. } => {
                let masks = program.program().masks(step);
                let place = (step.operands().collect(), masks.clone());
                let shared = if multiplied.insert(place) { masks.len() } else { 0 };
                let polys = (terms.len() + shared) as f64;
                let read = units.read(shape.polynomial_bytes());
                (&mut prediction.products, polys * (count * units.product(shape) + read))
            }
            Step::SwitchSum { terms, .. } => {
                let decompositions = decompositions(program, terms) as f64;
                let switching = decompositions * units.decomposition(shape) + inner;
                (&mut prediction.sums, count * (switching + mod_down))
            }
            Step::Square { .. } => (&mut prediction.squares, count * units.square(shape)),
            Step::Relinearize { .. } => {
                let switching = units.decomposition(shape) + inner;
                (&mut prediction.squares, count * (switching + mod_down))
            }
            Step::Lower { .. } => {
                (&mut prediction.squares, count * units.read(4.0 * shape.polynomial_bytes()))
            }
        };
        let seconds = seconds + count * units.step;
        *kind += seconds;
        prediction.steps.push(seconds);
    }
    Ok(prediction)
}

/// Bytes of a program's weights and of one session's keys, expanded in memory: a polynomial for each weight and, when these are encrypted,
/// for each mask.
///
/// # Errors
/// As [`predict`].
pub fn resident_bytes(program: &VerifiedProgram) -> Result<u64, ParametersError> {
    let shapes = shapes(program)?;
    let at = |level: u8| shapes.get(usize::from(level));
    let weights = &program.program().weights;
    let masks: BTreeSet<(u32, u8)> = match program.program().privacy {
        ModelPrivacy::Encrypted => {
            weights.iter().map(|weight| (weight.mask, weight.level)).collect()
        }
        ModelPrivacy::Plain => BTreeSet::new(),
    };
    let levels = weights.iter().map(|weight| weight.level);
    let levels = levels.chain(masks.into_iter().map(|(_, level)| level));
    let polynomials = levels.filter_map(at).map(|shape| shape.polynomial_bytes());
    let keys = program.program().keys.iter().filter_map(|key| at(key.level));
    Ok(polynomials.chain(keys.map(|shape| shape.key_bytes())).sum::<f64>() as u64)
}

/// The shape of polynomials at each level.
fn shapes(program: &VerifiedProgram) -> Result<Vec<Shape>, ParametersError> {
    let parameters = program.parameters();
    let gadgets = &program.program().parameters.gadgets;
    (0..=parameters.top_level())
        .zip(gadgets)
        .map(|(level, gadget)| {
            let (special, digit) =
                gadget.map_or((0, 1), |gadget| (gadget.special_primes, gadget.digit_primes));
            Ok(Shape {
                log_n: parameters.log_n(),
                limbs: parameters.basis(level)?.len(),
                special: usize::from(special),
                digit: usize::from(digit),
            })
        })
        .collect()
}

/// Polynomials of a sum that are decomposed: one for each component with a key, but what rows have of the same masks once. (A bias
/// brings a mask of its own to the component under the model key.)
fn decompositions(program: &VerifiedProgram, terms: &[(u32, u32)]) -> usize {
    let mut own = 0;
    let mut shared = BTreeSet::new();
    for &(value, rotation) in terms {
        let sum = Step::SwitchSum { terms: vec![(value, rotation)], rescale: false };
        let keys = step_keys(&sum, program.types(), program.program().privacy);
        own += keys.iter().filter(|key| !is_masked(key)).count();
        let Some(step) = producer(program, value) else { continue };
        if keys.iter().any(is_masked) {
            let masks = program.program().masks(step);
            let bias = matches!(step, Step::Products { bias: Some(_), .. });
            shared.insert((masks.clone(), bias.then_some(value)));
            shared.insert((masks, Some(u32::MAX)));
        }
    }
    own + shared.len()
}

fn is_masked(key: &KeySpec) -> bool {
    !matches!(key.source, KeySource::Input | KeySource::Result | KeySource::ResultSquared)
}

/// The step that makes a value.
fn producer(program: &VerifiedProgram, value: u32) -> Option<&Step> {
    let index = program.first_outputs().partition_point(|&first| first <= value).checked_sub(1)?;
    program.program().steps.get(index)
}
