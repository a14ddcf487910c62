//! Ring arithmetic: NTT-friendly primes, residue polynomials, number-theoretic transforms and samplers, portable and AVX-512 IFMA.
//!
//! # What is where
//!
//! * [`ntt_primes`] finds moduli; [`Modulus`] is arithmetic modulo one of them.
//! * [`Ring`] is the product ring over a list of primes, immutable and shared by [`Arc`](std::sync::Arc).
//!   A [`Basis`] selects some of its primes; a [`Poly`] has one limb per prime of its basis and carries its
//!   domain, [`Coeff`] or [`Ntt`], in its type.
//! * [`ResidueRing`] is the ring modulo one prime: the same operations on slices, and the sums of products
//!   ([`ResidueRing::dot2`] and others) whose callers choose the blocking.
//! * [`Automorphism`], [`Divider`] and [`ModUp`] own the tables of the operations they name.
//! * [`roofline`] measures nothing itself, but has the loops by which a machine's limits are measured.
//! * [`sampler`] draws uniform, ternary and Gaussian polynomials from seeds; [`codec`] packs residues into bits.
//!
//! # Two ring kinds
//!
//! [`RingKind::Standard`] is Z\[X\]/(X^N + 1). [`RingKind::ConjugateInvariant`] is the subring of
//! Z\[X\]/(X^2N + 1) that X → X⁻¹ leaves fixed (Kim, Song, ePrint 2018/952), with the basis
//! 1, X + X⁻¹, …, X^(N−1) + X^(−(N−1)): N integer coefficients and N real slots.
//!
//! # Ranges
//!
//! Residues are fully reduced, in `[0, p)`, on both sides of every public function unless it says
//! otherwise. Results do not depend on the [`Kernel`]: they are equal bit for bit.
//!
//! # Example
//!
//! ```
//! use adyton_ring::{Ring, RingKind, ntt_primes};
//!
//! # fn main() -> Result<(), adyton_ring::RingError> {
//! let primes = ntt_primes(RingKind::ConjugateInvariant, 4, 30, 2, &[])?;
//! let ring = Ring::new(RingKind::ConjugateInvariant, 4, &primes)?;
//! // (X + X⁻¹)² = 2 + (X² + X⁻²)
//! let mut coefficients = vec![0; ring.degree()];
//! coefficients[1] = 1;
//! let x = ring.forward(ring.from_signed(&ring.full_basis(), &coefficients)?)?;
//! let mut square = x.clone();
//! ring.mul_assign(&mut square, &x)?;
//! assert_eq!(ring.to_centred_f64(&ring.inverse(square)?)?[..3], [2.0, 0.0, 1.0]);
//! # Ok(())
//! # }
//! ```

mod automorphism;
mod basis;
mod buffer;
pub mod codec;
mod convert;
mod divide;
mod error;
mod kernels;
mod lift;
mod modulus;
mod poly;
mod primes;
mod residue;
mod ring;
pub mod roofline;
pub mod sampler;
mod switch;

pub use automorphism::Automorphism;
pub use basis::Basis;
pub use buffer::{AlignedBuffer, BufferPool};
pub use divide::Divider;
pub use error::RingError;
pub use kernels::{Kernel, PairTerm, SingleTerm, TILE_LANES, Tile};
pub use modulus::{Modulus, ShoupFactor};
pub use poly::{Coeff, Domain, Ntt, Poly};
pub use primes::{is_prime, max_prime, ntt_primes};
pub use residue::ResidueRing;
pub use ring::{Ring, RingKind};
pub use switch::{Digits, ModUp};

/// Every prime is below 2^46, so that sums in a transform stay below 2^52 unreduced.
pub const MAX_PRIME_BITS: u32 = 46;

/// Smallest log2 of a ring degree: meant for tests, far from secure.
pub const MIN_LOG_DEGREE: u8 = 4;

/// Largest log2 of a ring degree.
pub const MAX_LOG_DEGREE: u8 = 16;

/// Bytes of a seed.
pub const SEED_BYTES: usize = 32;

/// A seed from which polynomials are drawn.
pub type Seed = [u8; SEED_BYTES];
