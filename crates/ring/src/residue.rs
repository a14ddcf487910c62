//! The ring modulo one prime: operations on slices.

use std::ops::Range;

use crate::{
    Modulus, PairTerm, RingError, RingKind, ShoupFactor, SingleTerm, TILE_LANES, Tile,
    kernels::{Backend, Checked, NttTables},
};

/// The ring modulo one prime, with its transform tables and the kernel chosen for them.
///
/// Transforms take whole limbs of N residues; everything else works on slices of any common length, so
/// that callers can go through memory in blocks.
#[derive(Debug)]
pub struct ResidueRing {
    pub(crate) backend: Backend,
    tables: NttTables,
}

/// Fails unless a slice has the wanted length.
fn check(expected: usize, slice: &[u64]) -> Result<(), RingError> {
    check_length(expected, slice.len())
}

fn check_length(expected: usize, found: usize) -> Result<(), RingError> {
    if found == expected { Ok(()) } else { Err(RingError::Length { expected, found }) }
}

impl ResidueRing {
    pub(crate) fn new(
        kind: RingKind,
        log_n: u8,
        modulus: Modulus,
        backend: Backend,
    ) -> Result<Self, RingError> {
        Ok(Self { backend, tables: NttTables::new(kind, log_n, modulus, backend)? })
    }

    /// The prime.
    #[inline]
    #[must_use]
    pub fn modulus(&self) -> &Modulus {
        &self.tables.modulus
    }

    /// N, the length of a limb.
    #[must_use]
    pub fn degree(&self) -> usize {
        1 << self.tables.log_n
    }

    /// Transforms N coefficients to N slots. Inputs may be any representatives below 2^47, so a limb
    /// of another prime is a valid input as it stands.
    ///
    /// # Errors
    /// [`RingError::Length`].
    pub fn forward_in_place(&self, x: &mut [u64]) -> Result<(), RingError> {
        check(self.degree(), x)?;
        self.backend.forward(&self.tables, x);
        Ok(())
    }

    /// Transforms N slots to N coefficients.
    ///
    /// # Errors
    /// [`RingError::Length`].
    pub fn inverse_in_place(&self, x: &mut [u64]) -> Result<(), RingError> {
        check(self.degree(), x)?;
        self.backend.inverse(&self.tables, x);
        Ok(())
    }

    /// `x += y`.
    ///
    /// # Errors
    /// [`RingError::Length`], as in all that follow.
    pub fn add_assign(&self, x: &mut [u64], y: &[u64]) -> Result<(), RingError> {
        check(x.len(), y)?;
        self.backend.add_assign(self.modulus(), x, y);
        Ok(())
    }

    /// `x −= y`.
    ///
    /// # Errors
    /// [`RingError::Length`].
    pub fn sub_assign(&self, x: &mut [u64], y: &[u64]) -> Result<(), RingError> {
        check(x.len(), y)?;
        self.backend.sub_assign(self.modulus(), x, y);
        Ok(())
    }

    /// `x = −x`.
    pub fn neg_assign(&self, x: &mut [u64]) {
        self.backend.neg_assign(self.modulus(), x);
    }

    /// `x *= y`, entry by entry.
    ///
    /// # Errors
    /// [`RingError::Length`].
    pub fn mul_assign(&self, x: &mut [u64], y: &[u64]) -> Result<(), RingError> {
        check(x.len(), y)?;
        self.backend.mul_assign(self.modulus(), x, y);
        Ok(())
    }

    /// `sum += x·y`, entry by entry.
    ///
    /// # Errors
    /// [`RingError::Length`].
    pub fn mul_add_assign(&self, sum: &mut [u64], x: &[u64], y: &[u64]) -> Result<(), RingError> {
        check(sum.len(), x)?;
        check(sum.len(), y)?;
        self.backend.mul_add_assign(self.modulus(), sum, x, y);
        Ok(())
    }

    /// `x *= w` for a constant made by [`Modulus::shoup`] of this prime.
    pub fn scale_assign(&self, x: &mut [u64], w: ShoupFactor) {
        self.backend.scale_assign(self.modulus(), x, w);
    }

    /// `out = (x − y)·w` for a constant made by [`Modulus::shoup`] of this prime.
    ///
    /// # Errors
    /// [`RingError::Length`].
    pub fn sub_scale(
        &self,
        x: &[u64],
        y: &[u64],
        w: ShoupFactor,
        out: &mut [u64],
    ) -> Result<(), RingError> {
        check(out.len(), x)?;
        check(out.len(), y)?;
        self.backend.sub_scale(self.modulus(), x, y, w, out);
        Ok(())
    }

    /// `sum += w·x` for a constant `w` below the prime.
    ///
    /// # Errors
    /// [`RingError::Length`].
    pub fn add_scaled_assign(&self, sum: &mut [u64], x: &[u64], w: u64) -> Result<(), RingError> {
        check(sum.len(), x)?;
        self.backend.combine_assign(self.modulus(), 0, 1, &[self.modulus().reduce(w)], &[x], sum);
        Ok(())
    }

    /// Words `block` of all limbs in the order in which [`Self::tile`] reads them: for each [`TILE_LANES`] of them those of every limb.
    ///
    /// # Errors
    /// [`RingError::Length`] unless the block is whole vectors of every limb and `out` as long as all of it.
    pub fn interleave(
        &self,
        limbs: &[&[u64]],
        block: Range<usize>,
        out: &mut [u64],
    ) -> Result<(), RingError> {
        let len = block.len();
        check_length(len.next_multiple_of(TILE_LANES), len)?;
        check(len * limbs.len(), out)?;
        for limb in limbs {
            check_length(limb.len().max(block.end), limb.len())?;
        }
        self.backend.interleave(limbs, block, out);
        Ok(())
    }

    /// [`Self::dot2`] of rows of weights with groups of operands: each weight is loaded once for several groups, and operands stay in the first-level cache while the rows pass over them.
    ///
    /// # Errors
    /// [`RingError::Length`] unless all lengths are as [`Tile`] says.
    pub fn tile(&self, tile: Tile<'_, '_>) -> Result<(), RingError> {
        tile.check()?;
        if tile.operands.is_empty() {
            tile.outs.iter_mut().flatten().for_each(|out| out.fill(0));
        } else {
            self.backend.tile(self.modulus(), tile);
        }
        Ok(())
    }

    /// Products under one key: `outs = Σ (b·b2, a·b2 + b·a2, a·a2)`, entry by entry, reduced once. A
    /// square is the product with itself.
    ///
    /// # Errors
    /// [`RingError::Length`].
    pub fn dot3(&self, terms: &[PairTerm<'_>], outs: [&mut [u64]; 3]) -> Result<(), RingError> {
        let len = outs[0].len();
        outs.iter().try_for_each(|out| check(len, out))?;
        self.backend.dot3::<false>(self.modulus(), Checked::new(terms, len)?, outs);
        Ok(())
    }

    /// Products of one polynomial with two: `outs = Σ (w·b, w·a)`, entry by entry, reduced once: a
    /// plaintext with a ciphertext, or a digit with a switching key.
    ///
    /// # Errors
    /// [`RingError::Length`].
    pub fn dot2(&self, terms: &[SingleTerm<'_>], outs: [&mut [u64]; 2]) -> Result<(), RingError> {
        let len = outs[0].len();
        check(len, outs[1])?;
        self.backend.dot2::<false>(self.modulus(), Checked::new(terms, len)?, outs);
        Ok(())
    }

    /// [`Self::dot2`] added to what the outputs hold.
    ///
    /// # Errors
    /// [`RingError::Length`].
    pub fn dot2_add(
        &self,
        terms: &[SingleTerm<'_>],
        outs: [&mut [u64]; 2],
    ) -> Result<(), RingError> {
        let len = outs[0].len();
        check(len, outs[1])?;
        self.backend.dot2::<true>(self.modulus(), Checked::new(terms, len)?, outs);
        Ok(())
    }
}
