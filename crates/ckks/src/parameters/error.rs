//! Which rule a set of parameters, or a level or key asked of it, breaks.

use adyton_ring::RingError;
use thiserror::Error;

use crate::KeySpec;

/// A named reason for refusing parameters, a level or an evaluation key.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum ParametersError {
    /// The number of primes or of levels is outside what is supported (1 to 128 each).
    #[error("{primes} primes and {levels} levels: both must be between 1 and 128")]
    BadCount {
        /// Ciphertext and special primes together.
        primes: usize,
        /// Levels.
        levels: usize,
    },
    /// There must be a level, and one gadget entry for each.
    #[error("{gadgets} gadget entries for {levels} levels")]
    GadgetCount {
        /// Levels.
        levels: usize,
        /// Gadget entries.
        gadgets: usize,
    },
    /// A level is empty, unsorted, has a prime twice, or names a prime that does not exist.
    #[error("level {level} is not an ascending list of existing primes")]
    BadLevel {
        /// The level.
        level: usize,
    },
    /// A level's modulus is not larger than that of the level below.
    #[error("the modulus of level {level} is not larger than that of the level below")]
    LevelsNotAscending {
        /// The level.
        level: usize,
    },
    /// Only a level whose primes are all among those of the level above is reached without a rescale.
    #[error("the level below has a prime that level {level} lacks")]
    NotWithin {
        /// The level that was to be left.
        level: u8,
    },
    /// A gadget has no digit or no special primes, or more special primes than there are.
    #[error("the gadget of level {level} has no primes, or more special primes than exist")]
    BadGadget {
        /// The level.
        level: usize,
    },
    /// A digit is so much larger than the special modulus that key switching would drown in noise.
    #[error(
        "a digit of level {level} has {log2_digit:.1} bits, the special primes only {log2_special:.1}"
    )]
    DigitTooLarge {
        /// The level.
        level: usize,
        /// log2 of the largest digit.
        log2_digit: f64,
        /// log2 of the product of the special primes in use.
        log2_special: f64,
    },
    /// A modulus exceeds the security bound.
    #[error(
        "level {level} needs a modulus of {log2_modulus:.1} bits, the security bound is {bound}"
    )]
    TooLarge {
        /// The level.
        level: usize,
        /// log2 of Q_ℓ, times P where the level has keys.
        log2_modulus: f64,
        /// The bound.
        bound: f64,
    },
    /// The security table has no row for this ring degree.
    #[error("no security bound is known for ring degree 2^{log_n}")]
    NoSecurityBound {
        /// log2 of the ring degree.
        log_n: u8,
    },
    /// Parameters marked insecure, where only secure ones are taken.
    #[error("parameters marked insecure are refused here")]
    InsecureRefused,
    /// The parameters have no such level.
    #[error("there is no level {level}, the top level is {top}")]
    NoSuchLevel {
        /// The level asked for.
        level: u8,
        /// The highest level.
        top: u8,
    },
    /// No evaluation key may exist at this level.
    #[error("the parameters admit no evaluation key at level {level}")]
    NoKeysAtLevel {
        /// The level asked for.
        level: u8,
    },
    /// Level 0 cannot be rescaled.
    #[error("level 0 is the lowest: there is nothing to rescale to")]
    LowestLevel,
    /// A key that cannot exist: rotation out of range, a rotating relinearization key, or a key from `s_R` to itself.
    #[error("there is no evaluation key with {spec}")]
    BadKey {
        /// The key asked for.
        spec: KeySpec,
    },
    /// Two objects that must share parameters do not.
    #[error("the operands have different parameters")]
    OtherParameters,
    /// Degree or primes are unsuitable for the ring.
    #[error(transparent)]
    Ring(#[from] RingError),
}
