//! Why a network is not compiled.

use adyton_ckks::ParametersError;
use adyton_program::VerifyError;
use adyton_program::bundle::BundleError;
use adyton_ring::RingError;
use thiserror::Error;

use super::steps::Source;
use crate::network::ShapeError;

/// Why a network is not compiled.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CompileError {
    /// Ranges and errors are predicted from samples; there were none.
    #[error("at least one calibration sample is needed")]
    NoCalibration,
    /// A weight, or what a calibration sample gives, is not a finite number.
    #[error("{0} is not finite")]
    NotFinite(&'static str),
    /// A calibration sample has another length than the network's input, or layers do not fit.
    #[error("network")]
    Shape(#[from] ShapeError),
    /// The logits of one sample do not fit one ciphertext.
    #[error("{outputs} outputs in a ciphertext of {slots} slots")]
    TooManyOutputs {
        /// Outputs of the network.
        outputs: usize,
        /// Slots of the largest ring that was tried.
        slots: usize,
    },
    /// The expanded weights and keys need more memory than allowed, whatever the layout.
    #[error("expanded weights and keys of {needed} bytes exceed the {limit} allowed")]
    Memory {
        /// Least memory of any layout.
        needed: u64,
        /// The bound.
        limit: u64,
    },
    /// More layers than any ring holds levels for.
    #[error("the network has more layers than parameters can have levels")]
    TooDeep,
    /// A count exceeds 32 bits.
    #[error("the network is too large")]
    TooLarge,
    /// No ring up to the largest one has room for the levels that the network needs.
    #[error(
        "{layers} affine layers with squares between them, {depth} products one after another, need at least {needed} bits of modulus beside \
         the special primes; N = 2^{log_n} allows {bound}. What helps: fewer layers that square, linear layers folded together, a smaller range of the results"
    )]
    NoRoom {
        /// Affine layers of the network.
        layers: usize,
        /// Products one after another: one for each affine layer, one for each layer of squares.
        depth: usize,
        /// log2 of the largest degree that was tried.
        log_n: u8,
        /// Bits of modulus that the fewest useful bits for every scale need.
        needed: u32,
        /// Bits that security allows at that degree, special primes included.
        bound: f64,
    },
    /// The result would not be precise enough after flooding.
    #[error(
        "the largest error after flooding would be {:.3} % of the logits' range, {:.3} % are allowed (N = 2^{log_n}); most of it: {binding}",
        100.0 * predicted,
        100.0 * allowed
    )]
    Precision {
        /// log2 of the largest degree that was tried.
        log_n: u8,
        /// Predicted largest error over the logits' range.
        predicted: f64,
        /// What is allowed.
        allowed: f64,
        /// The source of the largest part of the error.
        binding: Source,
    },
    /// The program, run in the clear on a calibration sample, differs from the network: a fault of the compiler.
    #[error("the program differs from the network by {difference:e} on a calibration sample")]
    Simulation {
        /// Largest difference of a result.
        difference: f64,
    },
    /// There are no primes of a needed size.
    #[error("no prime of {bits} bits is left")]
    NoPrimes {
        /// Bits of the prime.
        bits: u32,
    },
    /// The primes or their ring.
    #[error("ring")]
    Ring(#[from] RingError),
    /// The parameters that were chosen are not valid.
    #[error("parameters")]
    Parameters(#[from] ParametersError),
    /// The program that was made is not valid.
    #[error("program")]
    Verify(#[from] VerifyError),
    /// The size of an object cannot be told.
    #[error("sizes")]
    Sizes(#[from] BundleError),
}
