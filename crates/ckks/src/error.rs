//! Errors of encoding, evaluation and key handling.

use adyton_ring::RingError;
use thiserror::Error;

use crate::codec::DecodeError;
use crate::parameters::ParametersError;
use crate::{KeySpec, Scale};

/// Why an operation on ciphertexts, plaintexts or keys was refused. Nothing was changed.
#[derive(Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum CkksError {
    /// The level, key or parameters do not exist.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// An operand has other primes than these parameters give its level.
    #[error("operand at level {level} does not belong to these parameters")]
    ForeignOperand {
        /// The level that the operand claims.
        level: u8,
    },
    /// Operands of one operation are at different levels.
    #[error("operands are at levels {left} and {right}")]
    LevelMismatch {
        /// Level of the first operand.
        left: u8,
        /// Level of the one that differs.
        right: u8,
    },
    /// Operands of one operation have different scales.
    #[error("operands have scales {left} and {right}")]
    ScaleMismatch {
        /// Scale of the first operand, or the scale that is needed.
        left: Scale,
        /// The scale that differs.
        right: Scale,
    },
    /// An evaluation key that is needed is not in the set.
    #[error("there is no evaluation key for {0}")]
    MissingKey(KeySpec),
    /// A sum of no terms.
    #[error("a sum needs at least one term")]
    Empty,
    /// A crew came back without having done all parts of an operation.
    #[error("the crew left parts of the operation undone")]
    Unfinished,
    /// Encrypted and plain weights in one sum.
    #[error("encrypted and plain weights cannot be mixed in one sum")]
    MixedWeights,
    /// Rows that are multiplied together with weights of different scales for one operand.
    #[error("rows that share operands have weights of different scales")]
    MixedScales,
    /// Groups of operands must be as long as the list of weights.
    #[error("{weights} weights, but a group of {operands} operands")]
    GroupLength {
        /// Number of weights.
        weights: usize,
        /// Number of operands in the group.
        operands: usize,
    },
    /// Two weights of one row under one mask: their difference would lie open.
    #[error("mask {mask} already served row {row}: a mask serves each row once")]
    MaskReused {
        /// Number of the mask.
        mask: u32,
        /// The row.
        row: u8,
    },
    /// The model key of another row than is needed.
    #[error("the model key is that of row {found}, row {expected} is needed")]
    OtherRow {
        /// The row that is needed.
        expected: u8,
        /// The row of the key.
        found: u8,
    },
    /// More values than slots.
    #[error("{values} values for {slots} slots")]
    TooManyValues {
        /// Values given.
        values: usize,
        /// Slots available.
        slots: usize,
    },
    /// A value is not finite, or too large for the modulus at this scale.
    #[error("a value does not fit the modulus of level {level} at scale {scale}")]
    ValueTooLarge {
        /// Level of the encoding.
        level: u8,
        /// Scale of the encoding.
        scale: Scale,
    },
    /// The parts of a key do not fit together.
    #[error("the parts of an evaluation key for {0} do not fit the parameters")]
    MalformedKey(KeySpec),
    /// Bytes that are no valid object.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A ring operation refused its operands.
    #[error(transparent)]
    Ring(#[from] RingError),
}
