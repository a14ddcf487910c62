//! The product ring.

use std::sync::Arc;

use crate::{
    Basis, Coeff, Domain, Kernel, MAX_LOG_DEGREE, MIN_LOG_DEGREE, Modulus, Ntt, Poly, ResidueRing,
    RingError, ShoupFactor, basis::RingId, kernels::Backend, max_prime,
};

/// Which ring: see the crate documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RingKind {
    /// Z\[X\]/(X^N + 1): N/2 complex slots.
    Standard,
    /// The part of Z\[X\]/(X^2N + 1) fixed under X → X⁻¹: N real slots.
    ConjugateInvariant,
}

impl RingKind {
    /// The order of the root of unity that the transform at degree 2^`log_n` needs: 2N or 4N. Every
    /// prime is 1 modulo this.
    #[must_use]
    pub fn root_order(self, log_n: u8) -> u64 {
        match self {
            Self::Standard => 2 << log_n,
            Self::ConjugateInvariant => 4 << log_n,
        }
    }

    /// Number of slots at degree 2^`log_n`.
    #[must_use]
    pub fn slots(self, log_n: u8) -> usize {
        match self {
            Self::Standard => 1 << (log_n - 1),
            Self::ConjugateInvariant => 1 << log_n,
        }
    }
}

/// A ring of degree N = 2^log_n over a list of primes, with all tables. Immutable.
pub struct Ring {
    kind: RingKind,
    log_n: u8,
    id: RingId,
    residues: Vec<ResidueRing>,
    backend: Backend,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let primes: Vec<_> = self.residues.iter().map(|r| r.modulus().value()).collect();
        write!(f, "Ring({:?}, 2^{}, {primes:?}, {})", self.kind, self.log_n, self.kernel())
    }
}

impl Ring {
    /// A ring over `primes`, in this order, with the kernel that [`Kernel::detect`] chooses.
    ///
    /// # Errors
    /// [`RingError::Degree`], [`RingError::PrimeCount`], [`RingError::NotPrime`],
    /// [`RingError::PrimeTooLarge`], [`RingError::NotNttFriendly`], [`RingError::DuplicatePrime`], and
    /// those of [`Kernel::detect`].
    pub fn new(kind: RingKind, log_n: u8, primes: &[u64]) -> Result<Arc<Self>, RingError> {
        Self::with_kernel(kind, log_n, primes, Kernel::detect()?)
    }

    /// [`Ring::new`] with a given kernel.
    ///
    /// # Errors
    /// As [`Ring::new`], and [`RingError::KernelUnavailable`].
    pub fn with_kernel(
        kind: RingKind,
        log_n: u8,
        primes: &[u64],
        kernel: Kernel,
    ) -> Result<Arc<Self>, RingError> {
        let backend = Backend::new(kernel)?;
        if !(MIN_LOG_DEGREE..=MAX_LOG_DEGREE).contains(&log_n) {
            return Err(RingError::Degree(log_n));
        }
        if !(1..=255).contains(&primes.len()) {
            return Err(RingError::PrimeCount(primes.len()));
        }
        let mut digest = blake3::Hasher::new_derive_key("adyton ring identity v1");
        digest.update(&[kind as u8, log_n]);
        let mut residues = Vec::with_capacity(primes.len());
        for (i, &prime) in primes.iter().enumerate() {
            if primes[..i].contains(&prime) {
                return Err(RingError::DuplicatePrime(prime));
            }
            let max = max_prime(log_n);
            if prime > max {
                return Err(RingError::PrimeTooLarge { prime, max });
            }
            digest.update(&prime.to_le_bytes());
            residues.push(ResidueRing::new(kind, log_n, Modulus::new(prime)?, backend)?);
        }
        let mut id = RingId::default();
        digest.finalize_xof().fill(&mut id);
        Ok(Arc::new(Self { kind, log_n, id, residues, backend }))
    }

    /// The ring's kind.
    #[must_use]
    pub fn kind(&self) -> RingKind {
        self.kind
    }

    /// log2 N.
    #[must_use]
    pub fn log_n(&self) -> u8 {
        self.log_n
    }

    /// N, the number of coefficients.
    #[must_use]
    pub fn degree(&self) -> usize {
        1 << self.log_n
    }

    /// Number of slots: N/2 or N.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.kind.slots(self.log_n)
    }

    /// The kernel chosen when the ring was made.
    #[must_use]
    pub fn kernel(&self) -> Kernel {
        self.backend.kernel()
    }

    pub(crate) fn backend(&self) -> Backend {
        self.backend
    }

    /// Number of primes.
    #[must_use]
    pub fn prime_count(&self) -> usize {
        self.residues.len()
    }

    /// The primes, in order.
    pub fn primes(&self) -> impl ExactSizeIterator<Item = u64> + '_ {
        self.residues.iter().map(|residue| residue.modulus().value())
    }

    /// The ring modulo the prime with index `prime`, which must be below [`Ring::prime_count`]; any
    /// index out of a [`Basis`] of this ring is.
    #[must_use]
    pub fn residue(&self, prime: usize) -> &ResidueRing {
        &self.residues[prime]
    }

    /// The modulus with index `prime`, which must be below [`Ring::prime_count`].
    #[must_use]
    pub fn modulus(&self, prime: usize) -> &Modulus {
        self.residues[prime].modulus()
    }

    /// The rings modulo the primes of a basis, in its order: beside [`Poly::limbs`].
    ///
    /// # Errors
    /// [`RingError::RingMismatch`].
    pub fn residues(
        &self,
        basis: &Basis,
    ) -> Result<impl ExactSizeIterator<Item = &ResidueRing>, RingError> {
        self.check_basis(basis)?;
        Ok(basis.indices().iter().map(|&prime| &self.residues[usize::from(prime)]))
    }

    /// The basis of the primes with these indices, in this order.
    ///
    /// # Errors
    /// [`RingError::PrimeIndex`] and [`RingError::DuplicateIndex`].
    pub fn basis(&self, indices: impl IntoIterator<Item = usize>) -> Result<Basis, RingError> {
        let mut checked: Vec<u8> = Vec::new();
        let count = self.residues.len();
        for index in indices {
            let outside = RingError::PrimeIndex { index, count };
            let byte = u8::try_from(index).map_err(|_| outside.clone())?;
            if index >= count {
                return Err(outside);
            }
            if checked.contains(&byte) {
                return Err(RingError::DuplicateIndex(index));
            }
            checked.push(byte);
        }
        Ok(Basis::new(self.id, checked))
    }

    /// The basis of all primes.
    #[must_use]
    pub fn full_basis(&self) -> Basis {
        // At most 255 primes, so every index is a byte.
        Basis::new(self.id, (0..self.residues.len()).map(|index| index as u8).collect::<Vec<_>>())
    }

    /// log2 of the product of a basis's primes.
    ///
    /// # Errors
    /// [`RingError::RingMismatch`].
    pub fn log2_modulus(&self, basis: &Basis) -> Result<f64, RingError> {
        Ok(self.residues(basis)?.map(|r| (r.modulus().value() as f64).log2()).sum())
    }

    /// Fails unless the basis belongs to this ring.
    pub(crate) fn check_basis(&self, basis: &Basis) -> Result<(), RingError> {
        if basis.ring == self.id { Ok(()) } else { Err(RingError::RingMismatch) }
    }

    /// A polynomial from N signed coefficients; the work does not depend on their values.
    ///
    /// # Errors
    /// [`RingError::Length`], [`RingError::RingMismatch`].
    pub fn from_signed(&self, basis: &Basis, values: &[i64]) -> Result<Poly<Coeff>, RingError> {
        self.reduce_integers(basis, values, Modulus::reduce_i64)
    }

    /// A polynomial from N signed coefficients; the work does not depend on their values.
    ///
    /// # Errors
    /// [`RingError::Length`], [`RingError::RingMismatch`].
    pub fn from_i128(&self, basis: &Basis, values: &[i128]) -> Result<Poly<Coeff>, RingError> {
        self.reduce_integers(basis, values, Modulus::reduce_i128)
    }

    fn reduce_integers<T: Copy>(
        &self,
        basis: &Basis,
        values: &[T],
        reduce: impl Fn(&Modulus, T) -> u64,
    ) -> Result<Poly<Coeff>, RingError> {
        if values.len() != self.degree() {
            return Err(RingError::Length { expected: self.degree(), found: values.len() });
        }
        let mut poly = Poly::zero(self, basis)?;
        for (residue, limb) in self.residues(basis)?.zip(poly.limbs_mut()) {
            for (out, &value) in limb.iter_mut().zip(values) {
                *out = reduce(residue.modulus(), value);
            }
        }
        Ok(poly)
    }

    /// Transforms every limb to slots, in place.
    ///
    /// # Errors
    /// [`RingError::RingMismatch`].
    pub fn forward(&self, mut poly: Poly<Coeff>) -> Result<Poly<Ntt>, RingError> {
        let basis = poly.basis().clone();
        for (residue, limb) in self.residues(&basis)?.zip(poly.limbs_mut()) {
            residue.forward_in_place(limb)?;
        }
        Ok(poly.into_domain())
    }

    /// Transforms every limb to coefficients, in place.
    ///
    /// # Errors
    /// [`RingError::RingMismatch`].
    pub fn inverse(&self, mut poly: Poly<Ntt>) -> Result<Poly<Coeff>, RingError> {
        let basis = poly.basis().clone();
        for (residue, limb) in self.residues(&basis)?.zip(poly.limbs_mut()) {
            residue.inverse_in_place(limb)?;
        }
        Ok(poly.into_domain())
    }

    /// Applies `operation` to the limbs of two polynomials of one basis.
    fn zip_limbs<D: Domain>(
        &self,
        x: &mut Poly<D>,
        y: &Poly<D>,
        operation: impl Fn(&ResidueRing, &mut [u64], &[u64]) -> Result<(), RingError>,
    ) -> Result<(), RingError> {
        x.basis().check_same(y.basis())?;
        let residues = self.residues(y.basis())?;
        for ((residue, x), y) in residues.zip(x.limbs_mut()).zip(y.limbs()) {
            operation(residue, x, y)?;
        }
        Ok(())
    }

    /// `x += y`.
    ///
    /// # Errors
    /// [`RingError::BasisMismatch`], [`RingError::RingMismatch`].
    pub fn add_assign<D: Domain>(&self, x: &mut Poly<D>, y: &Poly<D>) -> Result<(), RingError> {
        self.zip_limbs(x, y, ResidueRing::add_assign)
    }

    /// `x −= y`.
    ///
    /// # Errors
    /// [`RingError::BasisMismatch`], [`RingError::RingMismatch`].
    pub fn sub_assign<D: Domain>(&self, x: &mut Poly<D>, y: &Poly<D>) -> Result<(), RingError> {
        self.zip_limbs(x, y, ResidueRing::sub_assign)
    }

    /// `x = −x`.
    ///
    /// # Errors
    /// [`RingError::RingMismatch`].
    pub fn neg_assign<D: Domain>(&self, x: &mut Poly<D>) -> Result<(), RingError> {
        let basis = x.basis().clone();
        for (residue, x) in self.residues(&basis)?.zip(x.limbs_mut()) {
            residue.neg_assign(x);
        }
        Ok(())
    }

    /// `x *= y`.
    ///
    /// # Errors
    /// [`RingError::BasisMismatch`], [`RingError::RingMismatch`].
    pub fn mul_assign(&self, x: &mut Poly<Ntt>, y: &Poly<Ntt>) -> Result<(), RingError> {
        self.zip_limbs(x, y, ResidueRing::mul_assign)
    }

    /// `sum += x·y`.
    ///
    /// # Errors
    /// [`RingError::BasisMismatch`], [`RingError::RingMismatch`].
    pub fn mul_add_assign(
        &self,
        sum: &mut Poly<Ntt>,
        x: &Poly<Ntt>,
        y: &Poly<Ntt>,
    ) -> Result<(), RingError> {
        sum.basis().check_same(y.basis())?;
        let residues = self.residues(y.basis())?;
        x.basis().check_same(y.basis())?;
        for (((residue, sum), x), y) in residues.zip(sum.limbs_mut()).zip(x.limbs()).zip(y.limbs())
        {
            residue.mul_add_assign(sum, x, y)?;
        }
        Ok(())
    }

    /// Multiplies each limb by its own scalar, given in the basis's order and reduced here.
    ///
    /// # Errors
    /// [`RingError::Length`] unless there is one scalar a limb, [`RingError::RingMismatch`].
    pub fn scale_assign<D: Domain>(
        &self,
        x: &mut Poly<D>,
        scalars: &[u64],
    ) -> Result<(), RingError> {
        let basis = x.basis().clone();
        if scalars.len() != basis.len() {
            return Err(RingError::Length { expected: basis.len(), found: scalars.len() });
        }
        for ((residue, x), &scalar) in self.residues(&basis)?.zip(x.limbs_mut()).zip(scalars) {
            residue.scale_assign(x, residue.modulus().shoup(scalar));
        }
        Ok(())
    }

    /// Multiplies by one integer.
    ///
    /// # Errors
    /// [`RingError::RingMismatch`].
    pub fn scale_integer_assign<D: Domain>(
        &self,
        x: &mut Poly<D>,
        scalar: i128,
    ) -> Result<(), RingError> {
        let basis = x.basis().clone();
        for (residue, x) in self.residues(&basis)?.zip(x.limbs_mut()) {
            let factor: ShoupFactor =
                residue.modulus().shoup(residue.modulus().reduce_i128(scalar));
            residue.scale_assign(x, factor);
        }
        Ok(())
    }
}
