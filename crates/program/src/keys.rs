//! Which evaluation keys a step needs: computed, never guessed.

use adyton_ckks::{KeySource, KeySpec};

use crate::infer::has_model_components;
use crate::{Form, ModelPrivacy, Step, ValueType};

/// The evaluation keys that one step uses, in the order of its terms, repetitions included.
///
/// `types` are the types of all values that the step reads; a value that is not in `types` contributes no key (inference
/// has refused such a step before).
///
/// - `Rotations` of a fresh ciphertext: source `Input` for every rotation, 0 included; of a result ciphertext: `Result` unless 0.
/// - `SwitchSum`, rotation r: products with fresh ciphertexts need `Model`, `Input`, `ModelTimesInput`; products with result ciphertexts
///   `Model`, `ModelTimesResult` and, unless r = 0, `Result`; result ciphertexts `Result` unless r = 0. Plain weights have no
///   component under the model key. `Model` and its products are of the row of the weights.
/// - `Relinearize`: `ResultSquared`.
pub fn step_keys(step: &Step, types: &[ValueType], privacy: ModelPrivacy) -> Vec<KeySpec> {
    let typed = |value: u32| types.get(value as usize);
    let mut keys = Vec::new();
    match step {
        Step::Rotations { of, by } => {
            if let Some(value) = typed(*of) {
                by.iter().for_each(|&rotation| switch(&mut keys, value, rotation, privacy));
            }
        }
        Step::SwitchSum { terms, .. } => {
            for &(term, rotation) in terms {
                if let Some(value) = typed(term) {
                    switch(&mut keys, value, rotation, privacy);
                }
            }
        }
        Step::Relinearize { of, .. } => {
            if let Some(value) = typed(*of) {
                let source = KeySource::ResultSquared;
                keys.push(KeySpec { source, rotation: 0, level: value.level });
            }
        }
        Step::Products { .. } | Step::Square { .. } | Step::Lower { .. } => {}
    }
    keys
}

/// Keys that bring the components of `value`, rotated by `rotation`, under the result key.
fn switch(keys: &mut Vec<KeySpec>, value: &ValueType, rotation: u32, privacy: ModelPrivacy) {
    let (operand, times_model) = match value.form {
        Form::Fresh => (KeySource::Input, None),
        Form::FreshProducts => (KeySource::Input, Some(KeySource::ModelTimesInput(value.row))),
        Form::ResultProducts => (KeySource::Result, Some(KeySource::ModelTimesResult(value.row))),
        Form::Result => (KeySource::Result, None),
        Form::Degree2 => return,
    };
    let mut push = |source| keys.push(KeySpec { source, rotation, level: value.level });
    // What is under the result key already and does not move needs no key.
    if operand == KeySource::Input || rotation != 0 {
        push(operand);
    }
    if let (Some(times_model), true) = (times_model, has_model_components(privacy)) {
        push(KeySource::Model(value.row));
        push(times_model);
    }
}
