//! Inner loops, once portable and once for AVX-512 IFMA, bit-exact with each other.
//!
//! A [`Kernel`] is chosen once, when a ring is built, and kept beside the tables made for it. Every
//! function here takes slices of one common length (the callers check it) and moduli below 2^46;
//! unless said otherwise residues come and go fully reduced.

use std::ops::Range;

#[cfg(target_arch = "x86_64")]
mod avx512;
pub(crate) mod permutation;
mod portable;
pub(crate) mod tables;

use crate::{
    RingError,
    modulus::{Modulus, ShoupFactor},
};
pub(crate) use tables::NttTables;

/// An implementation of the inner loops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kernel {
    /// 64-bit integer arithmetic; runs everywhere.
    Portable,
    /// 52-bit multiply-accumulate on 512-bit vectors (AVX-512 F, DQ, VL, IFMA).
    Avx512Ifma,
}

impl std::fmt::Display for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Portable => "portable",
            Self::Avx512Ifma => "avx512",
        })
    }
}

impl Kernel {
    /// Whether this processor can run the kernel.
    #[must_use]
    pub fn is_supported(self) -> bool {
        Backend::new(self).is_ok()
    }

    /// The fastest kernel this processor supports, or the one that the environment variable
    /// `ADYTON_KERNEL` (`portable` or `avx512`) demands.
    ///
    /// # Errors
    /// [`RingError::UnknownKernel`] or [`RingError::KernelUnavailable`] for a demand that cannot be
    /// met: a demanded kernel is never silently replaced.
    pub fn detect() -> Result<Self, RingError> {
        let kernel = match std::env::var("ADYTON_KERNEL") {
            Err(std::env::VarError::NotPresent) => {
                return Ok(if Self::Avx512Ifma.is_supported() {
                    Self::Avx512Ifma
                } else {
                    Self::Portable
                });
            }
            Err(std::env::VarError::NotUnicode(name)) => {
                return Err(RingError::UnknownKernel(name.to_string_lossy().into_owned()));
            }
            Ok(name) => match name.as_str() {
                "portable" => Self::Portable,
                "avx512" => Self::Avx512Ifma,
                _ => return Err(RingError::UnknownKernel(name)),
            },
        };
        Backend::new(kernel).map(|_| kernel)
    }
}

/// A kernel that was found to run on this processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Avx512),
}

/// One term of a sum of products of two-component operands: `(b, a)` times `(b2, a2)`.
#[derive(Debug, Clone, Copy)]
pub struct PairTerm<'a> {
    /// Left operand's component that stands with 1.
    pub b: &'a [u64],
    /// Left operand's component that stands with its key.
    pub a: &'a [u64],
    /// Right operand's component that stands with 1.
    pub b2: &'a [u64],
    /// Right operand's component that stands with its key.
    pub a2: &'a [u64],
}

/// One term of a sum of products of one polynomial and a two-component operand: `w` times `(b, a)`.
#[derive(Debug, Clone, Copy)]
pub struct SingleTerm<'a> {
    /// The polynomial: a plaintext or a digit.
    pub w: &'a [u64],
    /// The operand's component that stands with 1.
    pub b: &'a [u64],
    /// The operand's component that stands with its key.
    pub a: &'a [u64],
}

/// Coefficients that a [`Tile`] keeps together.
pub const TILE_LANES: usize = 8;

/// Rows of weights and groups of operands on one block of coefficients: what [`ResidueRing::tile`](crate::ResidueRing::tile) multiplies, a
/// small matrix product for each coefficient.
///
/// A weight is one polynomial `w`, an operand two, `(b, a)`. Everything is laid out vector by vector of [`TILE_LANES`] coefficients: for each
/// vector (for operands: and each group), for each term, that many words of each polynomial. So all is read in order.
#[derive(Debug)]
pub struct Tile<'a, 'o> {
    /// For each row, its weights from the block on; what follows the block may be read ahead.
    pub rows: &'a [&'a [u64]],
    /// The operands `(b, a)` of all groups.
    pub operands: &'a [u64],
    /// Terms of a sum.
    pub terms: usize,
    /// The sums `(w·b, w·a)`, group by group of each row, each as long as the block.
    pub outs: &'a mut [[&'o mut [u64]; 2]],
}

impl Tile<'_, '_> {
    /// Holds all lengths against each other.
    pub(crate) fn check(&self) -> Result<(), RingError> {
        let fit = |expected: usize, found: usize| match expected == found {
            true => Ok(()),
            false => Err(RingError::Length { expected, found }),
        };
        let len = self.outs.first().map_or(0, |out| out[0].len());
        fit(len.next_multiple_of(TILE_LANES), len)?;
        self.outs.iter().flatten().try_for_each(|out| fit(len, out.len()))?;
        let groups = self.outs.len() / self.rows.len().max(1);
        fit(groups * self.rows.len(), self.outs.len())?;
        fit(2 * len * self.terms * groups, self.operands.len())?;
        let wanted = len * self.terms;
        self.rows.iter().try_for_each(|row| fit(row.len().max(wanted), row.len()))
    }
}

/// A term of several slices.
pub(crate) trait Operands {
    /// A slice whose length is not `len`, if there is one.
    fn misfit(&self, len: usize) -> Option<&[u64]>;
}

impl Operands for PairTerm<'_> {
    #[inline]
    fn misfit(&self, len: usize) -> Option<&[u64]> {
        [self.b, self.a, self.b2, self.a2].into_iter().find(|slice| slice.len() != len)
    }
}

impl Operands for SingleTerm<'_> {
    #[inline]
    fn misfit(&self, len: usize) -> Option<&[u64]> {
        [self.w, self.b, self.a].into_iter().find(|slice| slice.len() != len)
    }
}

/// Terms whose slices were all found to have the length `len`, so that no inner loop asks again.
#[derive(Clone, Copy)]
pub(crate) struct Checked<'a, T> {
    terms: &'a [T],
    len: usize,
}

impl<'a, T: Operands> Checked<'a, T> {
    pub(crate) fn new(terms: &'a [T], len: usize) -> Result<Self, RingError> {
        match terms.iter().find_map(|term| term.misfit(len)) {
            None => Ok(Self { terms, len }),
            Some(slice) => Err(RingError::Length { expected: len, found: slice.len() }),
        }
    }
}

/// Most products a lazy sum may take before it is reduced: each adds less than 2^52 to the low and
/// less than 2^40 to the high accumulator, of which the latter must stay a 52-bit multiplicand after
/// it took the carry of the former.
pub(crate) const MAX_LAZY_TERMS: usize = 1 << 10;

/// Most polynomials one linear combination with constants may take: their products reach 2^98, so that
/// this many stay below 2^104.
pub(crate) const MAX_COMBINED: usize = 60;

macro_rules! dispatch {
    ($backend:expr, $name:ident $(::<$parameter:tt>)? ($($argument:expr),*)) => {
        match $backend {
            Backend::Portable => portable::$name$(::<$parameter>)?($($argument),*),
            #[cfg(target_arch = "x86_64")]
            Backend::Avx512(proof) => avx512::$name$(::<$parameter>)?(proof, $($argument),*),
        }
    };
}

impl Backend {
    pub(crate) fn new(kernel: Kernel) -> Result<Self, RingError> {
        match kernel {
            Kernel::Portable => Ok(Self::Portable),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512Ifma => avx512::Avx512::detect()
                .map(Self::Avx512)
                .ok_or(RingError::KernelUnavailable(kernel)),
            #[cfg(not(target_arch = "x86_64"))]
            Kernel::Avx512Ifma => Err(RingError::KernelUnavailable(kernel)),
        }
    }

    pub(crate) fn kernel(self) -> Kernel {
        match self {
            Self::Portable => Kernel::Portable,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => Kernel::Avx512Ifma,
        }
    }

    /// `x += y`.
    pub(crate) fn add_assign(self, m: &Modulus, x: &mut [u64], y: &[u64]) {
        dispatch!(self, add_assign(m, x, y));
    }

    /// `x −= y`.
    pub(crate) fn sub_assign(self, m: &Modulus, x: &mut [u64], y: &[u64]) {
        dispatch!(self, sub_assign(m, x, y));
    }

    /// `x = −x`.
    pub(crate) fn neg_assign(self, m: &Modulus, x: &mut [u64]) {
        dispatch!(self, neg_assign(m, x));
    }

    /// `x *= y`.
    pub(crate) fn mul_assign(self, m: &Modulus, x: &mut [u64], y: &[u64]) {
        dispatch!(self, mul_assign(m, x, y));
    }

    /// `sum += x·y`.
    pub(crate) fn mul_add_assign(self, m: &Modulus, sum: &mut [u64], x: &[u64], y: &[u64]) {
        dispatch!(self, mul_add_assign(m, sum, x, y));
    }

    /// `x *= w` for a constant `w`.
    pub(crate) fn scale_assign(self, m: &Modulus, x: &mut [u64], w: ShoupFactor) {
        dispatch!(self, scale_assign(m, x, w));
    }

    /// `out = (x − y)·w` for a constant `w`.
    pub(crate) fn sub_scale(
        self,
        m: &Modulus,
        x: &[u64],
        y: &[u64],
        w: ShoupFactor,
        out: &mut [u64],
    ) {
        dispatch!(self, sub_scale(m, x, y, w, out));
    }

    /// `out = x + c` over the integers, for `x, c < 2^46`: valid input of a forward transform.
    pub(crate) fn offset(self, x: &[u64], c: u64, out: &mut [u64]) {
        dispatch!(self, offset(x, c, out));
    }

    /// `out = c + Σ f_k·x_k mod p` for constants `f_k, c < p` and any `x_k < 2^52`, at most
    /// [`MAX_COMBINED`] of them.
    pub(crate) fn combine(self, m: &Modulus, c: u64, f: &[u64], x: &[&[u64]], out: &mut [u64]) {
        dispatch!(self, combine::<false>(m, c, 0, f, x, out));
    }

    /// `own = c + f_own·own + Σ f_k·x_k mod p`, limits as in [`Self::combine`].
    pub(crate) fn combine_assign(
        self,
        m: &Modulus,
        c: u64,
        f_own: u64,
        f: &[u64],
        x: &[&[u64]],
        own: &mut [u64],
    ) {
        dispatch!(self, combine::<true>(m, c, f_own, f, x, own));
    }

    /// The sums of a tile that is not empty and has lengths as [`Tile::check`] wants them.
    pub(crate) fn tile(self, m: &Modulus, tile: Tile<'_, '_>) {
        dispatch!(self, tile(m, tile));
    }

    /// Words `block` of all limbs in the order of a [`Tile`]: vector by vector, limb by limb. The block is whole vectors and lies within
    /// every limb; `out` has room for it.
    pub(crate) fn interleave(self, limbs: &[&[u64]], block: Range<usize>, out: &mut [u64]) {
        dispatch!(self, interleave(limbs, block, out));
    }

    /// `outs = Σ (b·b2, a·b2 + b·a2, a·a2)`, plus what `outs` held if `ADD`.
    pub(crate) fn dot3<const ADD: bool>(
        self,
        m: &Modulus,
        terms: Checked<'_, PairTerm<'_>>,
        outs: [&mut [u64]; 3],
    ) {
        dispatch!(self, dot3::<ADD>(m, terms, outs));
    }

    /// `outs = Σ (w·b, w·a)`, plus what `outs` held if `ADD`.
    pub(crate) fn dot2<const ADD: bool>(
        self,
        m: &Modulus,
        terms: Checked<'_, SingleTerm<'_>>,
        outs: [&mut [u64]; 2],
    ) {
        dispatch!(self, dot2::<ADD>(m, terms, outs));
    }

    /// Forward transform in place; inputs below 2^47, outputs reduced.
    pub(crate) fn forward(self, tables: &NttTables, x: &mut [u64]) {
        dispatch!(self, forward(tables, x));
    }

    /// Inverse transform in place.
    pub(crate) fn inverse(self, tables: &NttTables, x: &mut [u64]) {
        dispatch!(self, inverse(tables, x));
    }

    /// As [`crate::roofline::multiply_accumulate`].
    pub(crate) fn multiply_accumulate(self, rounds: u64, mix: &mut u64) {
        dispatch!(self, multiply_accumulate(rounds, mix));
    }

    /// As [`crate::roofline::read`].
    pub(crate) fn read(self, words: &[u64], mix: &mut u64) {
        dispatch!(self, read(words, mix));
    }
}
