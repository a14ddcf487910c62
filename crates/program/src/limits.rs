//! Bounds on what a program may ask for. They stand far above what any network of this version needs and keep a hostile
//! program from costing its reader more than a few hundred MiB.

/// Longest canonical encoding, bytes.
pub const MAX_PROGRAM_BYTES: usize = 16 << 20;
/// Longest name, bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 128;
/// Axes of the input shape.
pub const MAX_SHAPE_AXES: usize = 8;
/// Features of one sample, and outputs of one sample.
pub const MAX_FEATURES: u32 = 1 << 24;
/// Input ciphertexts of one batch.
pub const MAX_INPUTS: usize = 1 << 12;
/// Places in the input layout, all ciphertexts together.
pub const MAX_INPUT_PLACES: usize = 1 << 21;
/// Weight vectors.
pub const MAX_WEIGHTS: usize = 1 << 17;
/// Steps.
pub const MAX_STEPS: usize = 1 << 16;
/// Terms and rotations of all steps together.
pub const MAX_TERMS: usize = 1 << 19;
/// Values: input ciphertexts and outputs of steps.
pub const MAX_VALUES: usize = 1 << 18;
/// Evaluation keys.
pub const MAX_KEYS: usize = 1 << 12;
/// Positions of a ciphertext: the largest ring has 2^16 slots.
pub const MAX_POSITIONS: usize = 1 << 16;
/// Largest absolute exponent of a prime, or of two divided by 64, in a scale that a program declares.
pub const MAX_SCALE_EXPONENT: u16 = 256;

/// `Ok` while `found` is within `limit`.
pub(crate) fn check(
    what: &'static str,
    found: usize,
    limit: usize,
) -> Result<(), crate::VerifyError> {
    if found <= limit { Ok(()) } else { Err(crate::VerifyError::TooMany { what, found, limit }) }
}
