//! Division with rounding from one basis to another: rescaling and mod-down.

use std::sync::Arc;

use crate::{
    AlignedBuffer, Basis, Coeff, Modulus, Ntt, Poly, Ring, RingError, ShoupFactor,
    convert::{BaseConverter, product_mod},
};

/// Where a limb of the result comes from.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// (x − r)·w with the limb x at this position of the argument; r is what the conversion gives.
    Kept { position: usize, factor: ShoupFactor },
    /// The conversion alone.
    Added,
}

/// Division from a basis A to a basis B: x in [0, ΠA) goes to round(x·K/D) modulo ΠB, where
/// D is the product of the primes dropped (A∖B) and K that of the primes added (B∖A).
///
/// * Rescaling between levels that are sets of primes: any A and B (BitPacker, ASPLOS 2024).
/// * Mod-down after a key switch: B is A without the special primes.
/// * Both fused: B is the next level's set, so that special primes and rescaled primes go at once.
///
/// The result is exact: the remainder modulo D is computed exactly, centred (in [−D/2, D/2]), so the
/// rounding error of a coefficient is at most 1/2. The modulus changes from ΠA to ΠA·K/D = ΠB.
#[derive(Debug, Clone)]
pub struct Divider {
    ring: Arc<Ring>,
    from: Basis,
    to: Basis,
    /// Positions in `from` of the primes dropped.
    dropped: Vec<(usize, usize)>,
    converter: BaseConverter,
    sources: Vec<Source>,
}

impl Divider {
    /// Precomputes the division from `from` to `to`.
    ///
    /// # Errors
    /// [`RingError::RingMismatch`]; [`RingError::UnsuitableBasis`] if more than 60 primes are dropped.
    pub fn new(ring: &Arc<Ring>, from: &Basis, to: &Basis) -> Result<Self, RingError> {
        ring.check_basis(from)?;
        let (dropped, added) = (from.difference(to)?, to.difference(from)?);
        // With x' = x·K known modulo ΠA·K, and r its centred remainder modulo D, the result is
        // (x' − r)/D. Modulo a prime that is kept: (x − r/K)·(K/D); modulo one that is added, where
        // x' is 0: −r/D.
        let added_product = |m: &Modulus| product_mod(ring, &added, m);
        let inverse_dropped = |m: &Modulus| m.inv(product_mod(ring, &dropped, m));
        let sources = to
            .iter()
            .map(|prime| match from.position(prime) {
                Some(position) => {
                    let m = ring.modulus(prime);
                    let factor = m.shoup(m.mul(added_product(m), inverse_dropped(m)));
                    Source::Kept { position, factor }
                }
                None => Source::Added,
            })
            .collect();
        let converter = BaseConverter::new(ring, &dropped, added_product, to, |m| {
            let is_added = added.iter().any(|prime| ring.modulus(prime) == m);
            if is_added { m.neg(inverse_dropped(m)) } else { m.inv(added_product(m)) }
        })?;
        let dropped = dropped
            .iter()
            .filter_map(|prime| from.position(prime).map(|position| (prime, position)))
            .collect();
        Ok(Self {
            ring: Arc::clone(ring),
            from: from.clone(),
            to: to.clone(),
            dropped,
            converter,
            sources,
        })
    }

    /// The basis of arguments.
    #[must_use]
    pub fn from(&self) -> &Basis {
        &self.from
    }

    /// The basis of results.
    #[must_use]
    pub fn to(&self) -> &Basis {
        &self.to
    }

    /// Positions in the argument's basis of the primes that are dropped.
    pub fn dropped(&self) -> impl ExactSizeIterator<Item = usize> {
        self.dropped.iter().map(|&(_, position)| position)
    }

    /// The position in the argument's basis of the prime at `target` of the result's; `None` for a prime that is added.
    #[must_use]
    pub fn source(&self, target: usize) -> Option<usize> {
        match self.sources.get(target) {
            Some(&Source::Kept { position, .. }) => Some(position),
            _ => None,
        }
    }

    /// Turns the argument's limbs at [`Self::dropped`], one after the other, into the remainder that [`Self::finish_limb`]
    /// takes: one inverse transform a prime.
    ///
    /// # Errors
    /// [`RingError::Length`].
    pub fn remainder_in_place(&self, limbs: &mut [u64]) -> Result<(), RingError> {
        let n = self.ring.degree();
        self.check_remainder(limbs)?;
        for (&(prime, _), limb) in self.dropped.iter().zip(limbs.chunks_exact_mut(n)) {
            self.ring.residue(prime).inverse_in_place(limb)?;
        }
        self.converter.to_digits(&self.ring, limbs);
        Ok(())
    }

    /// One limb of the result in the NTT domain: one forward transform. `limb` holds the argument's limb at
    /// [`Self::source`] of `target`, or anything when there is none.
    ///
    /// # Errors
    /// [`RingError::Length`], [`RingError::OutOfRange`].
    pub fn finish_limb(
        &self,
        remainder: &[u64],
        target: usize,
        limb: &mut [u64],
        scratch: &mut [u64],
    ) -> Result<(), RingError> {
        self.check_remainder(remainder)?;
        let count = self.sources.len();
        let (Some(source), Some(prime)) = (self.sources.get(target), self.to.iter().nth(target))
        else {
            return Err(RingError::OutOfRange { what: "limb", index: target, count });
        };
        let residue = self.ring.residue(prime);
        for found in [limb.len(), scratch.len()] {
            let expected = self.ring.degree();
            if found != expected {
                return Err(RingError::Length { expected, found });
            }
        }
        match *source {
            Source::Kept { factor, .. } => {
                self.converter.convert::<true>(&self.ring, remainder, target, scratch);
                residue.forward_in_place(scratch)?;
                residue.sub_scale_assign(limb, scratch, factor)
            }
            Source::Added => {
                self.converter.convert::<true>(&self.ring, remainder, target, limb);
                residue.forward_in_place(limb)
            }
        }
    }

    fn check_remainder(&self, limbs: &[u64]) -> Result<(), RingError> {
        let expected = self.dropped.len() * self.ring.degree();
        match limbs.len() {
            found if found == expected => Ok(()),
            found => Err(RingError::Length { expected, found }),
        }
    }

    /// Divides in the NTT domain: one inverse transform a dropped prime, one forward transform a prime
    /// of the result.
    ///
    /// # Errors
    /// [`RingError::BasisMismatch`], [`RingError::RingMismatch`].
    pub fn apply(&self, x: &Poly<Ntt>) -> Result<Poly<Ntt>, RingError> {
        self.from.check_same(x.basis())?;
        let n = self.ring.degree();
        let mut remainder = AlignedBuffer::zeroed(self.dropped.len() * n);
        for (position, limb) in self.dropped().zip(remainder.chunks_exact_mut(n)) {
            limb.copy_from_slice(x.limb(position));
        }
        self.remainder_in_place(&mut remainder)?;
        let mut scratch = AlignedBuffer::zeroed(n);
        let mut out = Poly::zero(&self.ring, &self.to)?;
        for (target, limb) in out.limbs_mut().enumerate() {
            if let Some(position) = self.source(target) {
                limb.copy_from_slice(x.limb(position));
            }
            self.finish_limb(&remainder, target, limb, &mut scratch)?;
        }
        Ok(out)
    }

    /// Divides coefficients.
    ///
    /// # Errors
    /// [`RingError::BasisMismatch`], [`RingError::RingMismatch`].
    pub fn apply_coeff(&self, x: &Poly<Coeff>) -> Result<Poly<Coeff>, RingError> {
        self.from.check_same(x.basis())?;
        let n = self.ring.degree();
        let mut remainder = AlignedBuffer::zeroed(self.dropped.len() * n);
        for (&(_, position), limb) in self.dropped.iter().zip(remainder.chunks_exact_mut(n)) {
            limb.copy_from_slice(x.limb(position));
        }
        self.converter.to_digits(&self.ring, &mut remainder);
        let mut out = Poly::zero(&self.ring, &self.to)?;
        let mut scratch = AlignedBuffer::zeroed(n);
        let limbs = self.sources.iter().zip(self.ring.residues(&self.to)?).zip(out.limbs_mut());
        for (target, ((source, residue), limb)) in limbs.enumerate() {
            self.converter.convert::<false>(&self.ring, &remainder, target, &mut scratch);
            match *source {
                Source::Kept { position, factor } => {
                    limb.copy_from_slice(x.limb(position));
                    residue.sub_scale_assign(limb, &scratch, factor)?;
                }
                Source::Added => limb.copy_from_slice(&scratch),
            }
        }
        Ok(out)
    }
}
