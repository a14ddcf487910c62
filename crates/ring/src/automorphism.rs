//! Automorphisms X → X^g, as permutations of slots.

use crate::{
    Ntt, Poly, Ring, RingError, RingKind,
    kernels::permutation::{Affine, Permutation},
};

/// The automorphism X → X^g of one ring kind and degree, as a table; the same for every prime.
#[derive(Debug, Clone)]
pub struct Automorphism {
    exponent: u64,
    degree: usize,
    permutation: Permutation,
}

impl Automorphism {
    /// X → X^`exponent`, which is taken modulo 2N in the standard and 4N in the conjugate-invariant
    /// ring. There X^g and X^−g are the same map.
    ///
    /// # Errors
    /// [`RingError::GaloisExponent`] if the exponent is even.
    pub fn new(ring: &Ring, exponent: u64) -> Result<Self, RingError> {
        let (log_n, n) = (ring.log_n(), ring.degree() as u64);
        let order = ring.kind().root_order(log_n);
        if exponent.is_multiple_of(2) {
            return Err(RingError::GaloisExponent(exponent));
        }
        let mut exponent = exponent % order;
        // Here the points are ψ to the powers 1 modulo 4; exponents 3 modulo 4 reach them through the
        // equal map X^−g.
        if ring.kind() == RingKind::ConjugateInvariant && exponent % 4 == 3 {
            exponent = order - exponent;
        }
        // Points are ψ^(1 + step·t), and (1 + step·t)·g = 1 + step·(g·t + (g−1)/step).
        let step = order / n;
        let affine = Affine {
            log_n,
            multiplier: exponent as usize,
            addend: ((exponent - 1) / step) as usize,
        };
        let permutation = Permutation::new(ring.backend(), affine);
        Ok(Self { exponent, degree: ring.degree(), permutation })
    }

    /// The automorphism that moves slot i + `steps` to slot i, cyclically: X → X^(5^steps).
    ///
    /// # Errors
    /// None in practice; 5^steps is odd.
    pub fn rotation(ring: &Ring, steps: u32) -> Result<Self, RingError> {
        Self::new(ring, Self::rotation_exponent(ring, steps))
    }

    /// X → X⁻¹: conjugates the slots of the standard ring; the identity of the other.
    ///
    /// # Errors
    /// None in practice; the exponent is odd.
    pub fn conjugation(ring: &Ring) -> Result<Self, RingError> {
        Self::new(ring, ring.kind().root_order(ring.log_n()) - 1)
    }

    /// 5^`steps` modulo the order of the ring's roots.
    #[must_use]
    pub fn rotation_exponent(ring: &Ring, steps: u32) -> u64 {
        let order = ring.kind().root_order(ring.log_n());
        let (mut result, mut base, mut e) = (1, 5 % order, steps);
        while e > 0 {
            if e & 1 == 1 {
                result = result * base % order;
            }
            base = base * base % order;
            e >>= 1;
        }
        result
    }

    /// The Galois exponent g, normalized: below 2N or 4N, and 1 modulo 4 in the conjugate-invariant
    /// ring.
    #[must_use]
    pub fn exponent(&self) -> u64 {
        self.exponent
    }

    /// Applies the automorphism to one limb in the NTT domain.
    ///
    /// # Errors
    /// [`RingError::Length`] unless both slices have N entries.
    pub fn apply_limb(&self, x: &[u64], out: &mut [u64]) -> Result<(), RingError> {
        for found in [x.len(), out.len()] {
            if found != self.degree {
                return Err(RingError::Length { expected: self.degree, found });
            }
        }
        self.permutation.apply(x, out);
        Ok(())
    }

    /// Writes the image of `x` to `out`.
    ///
    /// # Errors
    /// [`RingError::BasisMismatch`], [`RingError::Length`] for another degree.
    pub fn apply_into(&self, x: &Poly<Ntt>, out: &mut Poly<Ntt>) -> Result<(), RingError> {
        x.basis().check_same(out.basis())?;
        x.limbs().zip(out.limbs_mut()).try_for_each(|(x, out)| self.apply_limb(x, out))
    }

    /// The image of `x`.
    ///
    /// # Errors
    /// [`RingError::Length`] for another degree.
    pub fn apply(&self, x: &Poly<Ntt>) -> Result<Poly<Ntt>, RingError> {
        let mut out = x.clone();
        self.apply_into(x, &mut out)?;
        Ok(out)
    }
}
