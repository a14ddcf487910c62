//! Polynomials by residues.

use std::marker::PhantomData;
use std::sync::Arc;

use zeroize::Zeroize;

use crate::{AlignedBuffer, Basis, BufferPool, Ring, RingError};

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Coeff {}
    impl Sealed for super::Ntt {}
}

/// The domain of a polynomial: [`Coeff`] or [`Ntt`].
pub trait Domain: sealed::Sealed + Send + Sync + 'static {}

/// Coefficients, in the order of the basis named in the crate documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coeff {}

/// Values at the ring's evaluation points, in the ring's own fixed order; products are slot by slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ntt {}

impl Domain for Coeff {}
impl Domain for Ntt {}

/// An element of the ring modulo the primes of a basis: one limb of N residues a prime, in one
/// contiguous buffer aligned to cache lines.
///
/// Arithmetic is in [`Ring`] and [`ResidueRing`](crate::ResidueRing). Whoever writes limbs must write
/// residues in `[0, p)`; others make results meaningless, though nothing worse.
#[derive(Clone, PartialEq, Eq)]
pub struct Poly<D: Domain> {
    basis: Basis,
    degree: usize,
    data: AlignedBuffer,
    domain: PhantomData<D>,
}

impl<D: Domain> std::fmt::Debug for Poly<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Contents may be secret key material.
        write!(f, "Poly({:?}, degree {})", self.basis, self.degree)
    }
}

impl<D: Domain> Zeroize for Poly<D> {
    fn zeroize(&mut self) {
        self.data.zeroize();
    }
}

impl<D: Domain> Poly<D> {
    /// The zero polynomial.
    ///
    /// # Errors
    /// [`RingError::RingMismatch`] for a basis of another ring.
    pub fn zero(ring: &Ring, basis: &Basis) -> Result<Self, RingError> {
        ring.check_basis(basis)?;
        let degree = ring.degree();
        Ok(Self {
            basis: basis.clone(),
            degree,
            data: AlignedBuffer::zeroed(basis.len() * degree),
            domain: PhantomData,
        })
    }

    /// A polynomial in memory of a pool, whose limbs hold anything until they are written.
    ///
    /// # Errors
    /// [`RingError::RingMismatch`] for a basis of another ring.
    pub fn lent(ring: &Ring, basis: &Basis, pool: &Arc<BufferPool>) -> Result<Self, RingError> {
        ring.check_basis(basis)?;
        let degree = ring.degree();
        let data = pool.lend(basis.len() * degree);
        Ok(Self { basis: basis.clone(), degree, data, domain: PhantomData })
    }

    /// The polynomial's basis.
    #[must_use]
    pub fn basis(&self) -> &Basis {
        &self.basis
    }

    /// N, the length of a limb.
    #[must_use]
    pub fn degree(&self) -> usize {
        self.degree
    }

    /// The residues of the limb at `position` in the basis.
    ///
    /// # Errors
    /// [`RingError::OutOfRange`].
    pub fn try_limb(&self, position: usize) -> Result<&[u64], RingError> {
        let count = self.basis.len();
        self.data
            .get(position * self.degree..(position + 1) * self.degree)
            .ok_or(RingError::OutOfRange { what: "limb", index: position, count })
    }

    /// The residues of the limb at `position` in the basis, which must be below the basis's length.
    #[must_use]
    pub fn limb(&self, position: usize) -> &[u64] {
        &self.data[position * self.degree..(position + 1) * self.degree]
    }

    /// The residues of the limb at `position` in the basis, which must be below the basis's length.
    pub fn limb_mut(&mut self, position: usize) -> &mut [u64] {
        &mut self.data[position * self.degree..(position + 1) * self.degree]
    }

    /// The limbs in the basis's order.
    pub fn limbs(&self) -> impl ExactSizeIterator<Item = &[u64]> {
        self.data.chunks_exact(self.degree)
    }

    /// The limbs in the basis's order.
    pub fn limbs_mut(&mut self) -> impl ExactSizeIterator<Item = &mut [u64]> {
        self.data.chunks_exact_mut(self.degree)
    }

    /// All residues, limb after limb.
    #[must_use]
    pub fn as_slice(&self) -> &[u64] {
        &self.data
    }

    /// All residues, limb after limb.
    pub fn as_mut_slice(&mut self) -> &mut [u64] {
        &mut self.data
    }

    /// The limbs of the primes in `basis`, each of which this polynomial must have.
    ///
    /// # Errors
    /// [`RingError::BasisMismatch`] if one is missing, [`RingError::RingMismatch`].
    pub fn restrict(&self, basis: &Basis) -> Result<Self, RingError> {
        self.basis.check_ring(basis)?;
        let mut data = AlignedBuffer::zeroed(basis.len() * self.degree);
        for (limb, prime) in data.chunks_exact_mut(self.degree).zip(basis.iter()) {
            let position = self.basis.position(prime).ok_or_else(|| RingError::BasisMismatch {
                left: format!("{:?}", self.basis),
                right: format!("{basis:?}"),
            })?;
            limb.copy_from_slice(self.limb(position));
        }
        Ok(Self { basis: basis.clone(), degree: self.degree, data, domain: PhantomData })
    }

    /// The same limbs under another domain, for transforms that worked in place.
    pub(crate) fn into_domain<E: Domain>(self) -> Poly<E> {
        Poly { basis: self.basis, degree: self.degree, data: self.data, domain: PhantomData }
    }
}
