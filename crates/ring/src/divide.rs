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
    pub fn dropped(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.dropped.iter().map(|&(_, position)| position)
    }

    /// The limbs at [`Self::dropped`] of an argument's limbs, which stand one after the other.
    pub fn dropped_limbs<'a>(&self, argument: &'a mut [u64]) -> Vec<&'a mut [u64]> {
        let mut limbs: Vec<_> = argument.chunks_exact_mut(self.ring.degree()).map(Some).collect();
        self.dropped().filter_map(|position| limbs.get_mut(position)?.take()).collect()
    }

    /// The position in the argument's basis of the prime at `target` of the result's; `None` for a prime that is added.
    #[must_use]
    pub fn source(&self, target: usize) -> Option<usize> {
        match self.sources.get(target) {
            Some(&Source::Kept { position, .. }) => Some(position),
            _ => None,
        }
    }

    /// What [`Self::finish_limb`] takes off each limb of the result, written to `corrections` limb by limb, from the argument's limbs at
    /// [`Self::dropped`], which are spent: one inverse transform a prime.
    ///
    /// # Errors
    /// [`RingError::Length`].
    pub fn corrections(
        &self,
        dropped: &mut [&mut [u64]],
        corrections: &mut [u64],
    ) -> Result<(), RingError> {
        let (expected, found) = (self.dropped.len(), dropped.len());
        if expected != found {
            return Err(RingError::Length { expected, found });
        }
        check_length(self.to.len() * self.ring.degree(), corrections)?;
        for (&(prime, _), limb) in self.dropped.iter().zip(dropped.iter_mut()) {
            self.ring.residue(prime).inverse_in_place(limb)?;
        }
        let dropped: Vec<&[u64]> = dropped.iter().map(|limb| &**limb).collect();
        self.converter.convert_all::<true>(&self.ring, &dropped, corrections);
        Ok(())
    }

    /// One limb of the result in the NTT domain: one forward transform. `source` is the argument's limb at [`Self::source`] of `target`, or
    /// anything when there is none; the correction is spent.
    ///
    /// # Errors
    /// [`RingError::Length`], [`RingError::OutOfRange`].
    pub fn finish_limb(
        &self,
        target: usize,
        source: &[u64],
        correction: &mut [u64],
        out: &mut [u64],
    ) -> Result<(), RingError> {
        let count = self.sources.len();
        let (Some(kept), Some(prime)) = (self.sources.get(target), self.to.iter().nth(target))
        else {
            return Err(RingError::OutOfRange { what: "limb", index: target, count });
        };
        check_length(self.ring.degree(), out)?;
        let residue = self.ring.residue(prime);
        residue.forward_in_place(correction)?;
        match *kept {
            Source::Kept { factor, .. } => residue.sub_scale(source, correction, factor, out),
            Source::Added => {
                out.copy_from_slice(correction);
                Ok(())
            }
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
        let mut argument = AlignedBuffer::from_slice(x.as_slice());
        let mut corrections = AlignedBuffer::zeroed(self.to.len() * n);
        self.corrections(&mut self.dropped_limbs(&mut argument), &mut corrections)?;
        let mut out = Poly::zero(&self.ring, &self.to)?;
        let limbs = out.limbs_mut().zip(corrections.chunks_exact_mut(n));
        for (target, (limb, correction)) in limbs.enumerate() {
            let source = self.source(target).map_or(&[][..], |position| x.limb(position));
            self.finish_limb(target, source, correction, limb)?;
        }
        Ok(out)
    }

    /// Divides coefficients.
    ///
    /// # Errors
    /// [`RingError::BasisMismatch`], [`RingError::RingMismatch`].
    pub fn apply_coeff(&self, x: &Poly<Coeff>) -> Result<Poly<Coeff>, RingError> {
        self.from.check_same(x.basis())?;
        let dropped: Vec<&[u64]> = self.dropped().map(|position| x.limb(position)).collect();
        let mut out = Poly::zero(&self.ring, &self.to)?;
        self.converter.convert_all::<false>(&self.ring, &dropped, out.as_mut_slice());
        let mut correction = AlignedBuffer::zeroed(self.ring.degree());
        let limbs = self.sources.iter().zip(self.ring.residues(&self.to)?).zip(out.limbs_mut());
        for ((source, residue), limb) in limbs {
            if let Source::Kept { position, factor } = *source {
                correction.copy_from_slice(limb);
                residue.sub_scale(x.limb(position), &correction, factor, limb)?;
            }
        }
        Ok(out)
    }
}

fn check_length(expected: usize, limbs: &[u64]) -> Result<(), RingError> {
    match limbs.len() {
        found if found == expected => Ok(()),
        found => Err(RingError::Length { expected, found }),
    }
}
