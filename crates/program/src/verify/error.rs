//! Why a program is refused.

use adyton_ckks::{KeySpec, ParametersError, Scale};
use thiserror::Error;

use crate::{Form, ValueId, WeightId};

/// Why a step is not well-formed.
#[derive(Debug, Error)]
pub enum StepError {
    /// A value that no earlier step defines.
    #[error("value {value} is not defined yet ({defined} values are)")]
    UnknownValue {
        /// The value that was named.
        value: ValueId,
        /// How many are defined before this step.
        defined: usize,
    },
    /// A weight that the program does not declare.
    #[error("weight {weight} is not declared ({declared} are)")]
    UnknownWeight {
        /// The weight that was named.
        weight: WeightId,
        /// How many are declared.
        declared: usize,
    },
    /// A sum or a set of rotations with nothing in it.
    #[error("a step needs at least one term")]
    Empty,
    /// An operand of a form that the operation does not take.
    #[error("value {value} is {found}, expected one of {expected:?}")]
    Form {
        /// The operand.
        value: ValueId,
        /// Forms that the operation takes.
        expected: &'static [Form],
        /// The operand's form.
        found: Form,
    },
    /// A term of another form than the first one.
    #[error("value {value} is {found}, the first term is {expected}")]
    MixedForms {
        /// The term.
        value: ValueId,
        /// Form of the first term.
        expected: Form,
        /// Form of this term.
        found: Form,
    },
    /// A term at another level than the first one.
    #[error("value {value} is at level {found}, expected level {expected}")]
    Level {
        /// The term.
        value: ValueId,
        /// Level of the first term.
        expected: u8,
        /// Level of this term.
        found: u8,
    },
    /// A term at another scale than the first one.
    #[error("value {value} has scale {found}, expected exactly {expected}")]
    Scale {
        /// The term.
        value: ValueId,
        /// Scale of the first term.
        expected: Scale,
        /// Scale of this term.
        found: Scale,
    },
    /// A weight at another level than what it meets.
    #[error("weight {weight} is at level {found}, expected level {expected}")]
    WeightLevel {
        /// The weight.
        weight: WeightId,
        /// Level of the operand.
        expected: u8,
        /// Level of the weight.
        found: u8,
    },
    /// A weight whose product with its value has another scale than the step's first product, or a bias at another scale than the products.
    #[error("weight {weight} has scale {found}, expected exactly {expected}")]
    WeightScale {
        /// The weight.
        weight: WeightId,
        /// The scale it should have.
        expected: Scale,
        /// The scale it has.
        found: Scale,
    },
    /// A level that cannot be left without a rescale.
    #[error("cannot leave primes of level {level} out")]
    Lower {
        /// The level that was to be left.
        level: u8,
        /// Why.
        #[source]
        error: ParametersError,
    },
    /// A weight or bias of another row than the step's first weight.
    #[error("weight {weight} is of row {found}, expected row {expected}")]
    WeightRow {
        /// The weight.
        weight: WeightId,
        /// The row it should have.
        expected: u8,
        /// The row it has.
        found: u8,
    },
    /// A rotation of as many slots as there are, or more.
    #[error("rotation by {rotation} in a ciphertext of {slots} slots")]
    RotationTooFar {
        /// The rotation in slots.
        rotation: u32,
        /// Number of slots.
        slots: usize,
    },
    /// A rotation that is not a whole number of positions.
    #[error("rotation by {rotation} is not a multiple of the {lanes} lanes")]
    RotationMixesLanes {
        /// The rotation in slots.
        rotation: u32,
        /// Lanes of the layout.
        lanes: u32,
    },
    /// Rotations of one ciphertext are listed in ascending order, each once.
    #[error("rotations are not in strictly ascending order")]
    UnsortedRotations,
    /// A rescale at level 0.
    #[error("cannot rescale below level 0")]
    NothingBelow,
    /// A rescale that the parameters refuse.
    #[error("cannot rescale from level {level}")]
    Rescale {
        /// The level that was to be left.
        level: u8,
        /// Why.
        #[source]
        error: ParametersError,
    },
    /// An evaluation key that the parameters do not admit.
    #[error("needs the evaluation key ({key})")]
    Key {
        /// The key.
        key: KeySpec,
        /// Why it may not exist.
        #[source]
        error: ParametersError,
    },
    /// A scale that is below 1 or leaves no room for the value under its modulus.
    #[error("scale {scale} does not fit a modulus of {modulus_bits:.1} bits")]
    ScaleOutOfRange {
        /// The output's scale.
        scale: Scale,
        /// log2 of the modulus at its level.
        modulus_bits: f64,
    },
}

/// Why a program is refused.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// The parameters are not valid or not secure.
    #[error("parameters")]
    Parameters(#[from] ParametersError),
    /// A bound of [`limits`](crate::limits) is exceeded.
    #[error("{found} {what}, at most {limit} are accepted")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How much.
        found: usize,
        /// The bound.
        limit: usize,
    },
    /// The layout of the inputs is not well-formed.
    #[error("input layout: {0}")]
    Input(&'static str),
    /// The layout of the results is not well-formed.
    #[error("output layout: {0}")]
    Output(&'static str),
    /// The output is not a result ciphertext at level 0.
    #[error("the output is {found} at level {level}, expected result at level 0")]
    OutputForm {
        /// Its form.
        found: Form,
        /// Its level.
        level: u8,
    },
    /// A weight at a level that does not exist, or at a scale that is out of range or not made of the parameters' primes.
    #[error("weight {weight}: {reason}")]
    Weight {
        /// The weight.
        weight: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// A step that is not well-formed.
    #[error("step {step}")]
    Step {
        /// Its index.
        step: usize,
        /// What is wrong.
        #[source]
        error: StepError,
    },
    /// A value that is computed or sent and never read.
    #[error("value {0} is never read")]
    UnusedValue(usize),
    /// A weight that no step reads.
    #[error("weight {0} is never read")]
    UnusedWeight(usize),
    /// The manifest lacks a key that the steps need.
    #[error("the key manifest lacks ({0})")]
    MissingKey(KeySpec),
    /// The manifest names a key that no step needs, names one twice, or is not sorted.
    #[error("the key manifest names ({0}), which is not needed there")]
    SurplusKey(KeySpec),
}
