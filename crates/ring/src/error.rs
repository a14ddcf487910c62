//! What can go wrong in the ring layer.

use crate::kernels::Kernel;

/// Why a ring operation was refused.
///
/// Everything here is either a bad parameter, a misuse of the API (operands of different bases), or
/// a malformed encoding; arithmetic itself cannot fail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RingError {
    /// The ring degree is outside the supported range.
    #[error("log2 of the ring degree is {0}; supported are 4 to 16")]
    Degree(u8),
    /// A modulus is not a prime.
    #[error("modulus {0} is not an odd prime")]
    NotPrime(u64),
    /// A prime is too large for the lazily reduced kernels at this degree.
    #[error("prime {prime} is above {max}, the largest supported at this ring degree")]
    PrimeTooLarge {
        /// The prime refused.
        prime: u64,
        /// The largest value supported at the degree in question.
        max: u64,
    },
    /// The prime has no root of unity of the order the transform needs.
    #[error("prime {prime} is not 1 modulo {order}, so the transform does not exist")]
    NotNttFriendly {
        /// The prime refused.
        prime: u64,
        /// The order of the root of unity (2N or 4N).
        order: u64,
    },
    /// The same prime was given twice.
    #[error("prime {0} occurs twice")]
    DuplicatePrime(u64),
    /// A ring needs between 1 and 255 primes.
    #[error("{0} primes given; a ring has 1 to 255")]
    PrimeCount(usize),
    /// There are too few NTT-friendly primes of the wanted size.
    #[error("only {found} of {wanted} NTT-friendly primes of {bits} bits exist at this degree")]
    NotEnoughPrimes {
        /// Bit length asked for.
        bits: u32,
        /// How many were found.
        found: usize,
        /// How many were wanted.
        wanted: usize,
    },
    /// The processor lacks what the demanded kernel needs.
    #[error("kernel {0} is demanded, but this processor does not support it")]
    KernelUnavailable(Kernel),
    /// `ADYTON_KERNEL` names no kernel.
    #[error("ADYTON_KERNEL={0:?} is unknown; use \"portable\" or \"avx512\"")]
    UnknownKernel(String),
    /// A basis names a prime that the ring does not have.
    #[error("prime index {index} is outside the ring's {count} primes")]
    PrimeIndex {
        /// The index given.
        index: usize,
        /// Number of primes of the ring.
        count: usize,
    },
    /// A basis names a prime twice.
    #[error("prime index {0} occurs twice in a basis")]
    DuplicateIndex(usize),
    /// A polynomial or basis belongs to another ring.
    #[error("operand belongs to another ring")]
    RingMismatch,
    /// Two operands have different bases.
    #[error("operands have different bases: {left} and {right}")]
    BasisMismatch {
        /// Basis of the first operand or the one expected.
        left: String,
        /// Basis of the second operand or the one found.
        right: String,
    },
    /// A basis that must hold at least one prime is empty, or two bases that must be disjoint
    /// overlap.
    #[error("unsuitable basis: {0}")]
    UnsuitableBasis(&'static str),
    /// A slice has another length than the operation needs.
    #[error("slice of length {found} where {expected} is needed")]
    Length {
        /// Length needed.
        expected: usize,
        /// Length given.
        found: usize,
    },
    /// A Galois exponent is even, so it is no automorphism.
    #[error("Galois exponent {0} is even")]
    GaloisExponent(u64),
    /// A scalar list has a wrong number of entries, or a digit or limb number is out of range.
    #[error("{what} {index} is out of range, there are {count}")]
    OutOfRange {
        /// What is numbered.
        what: &'static str,
        /// The number given.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// An encoded residue is not below its prime.
    #[error("encoded coefficient {position} is not below the prime {prime}")]
    ResidueOutOfRange {
        /// Position within the limb.
        position: usize,
        /// The limb's prime.
        prime: u64,
    },
    /// Bits that pad an encoding to whole bytes are not zero.
    #[error("padding bits of an encoded limb are not zero")]
    Padding,
}
