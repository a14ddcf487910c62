//! Secret keys and encryption under them.

use std::marker::PhantomData;

use adyton_ckks::{
    CkksError, KeyRole, ModelKey, Parameters, ParametersError, Plaintext, Seed, SeededCiphertext,
};
use adyton_ring::{Basis, Ntt, Poly, RingError, sampler};
use zeroize::{Zeroize, Zeroizing};

use crate::Randomness;
use crate::small::small;

/// Domain of key derivation.
const DERIVATION: &str = "adyton ckks-secret 2026-11 secret key by role, row and epoch v2";

/// A uniform ternary secret key of role `K`, over all primes of its parameters or those that a use needs. Wiped when dropped; not
/// cloneable, not printable.
pub struct SecretKey<K: KeyRole> {
    parameters: Parameters,
    poly: Poly<Ntt>,
    /// Number of a model key; 0 for other roles.
    row: u8,
    role: PhantomData<K>,
}

impl<K: KeyRole> SecretKey<K> {
    /// Derives the key from a seed with at least 256 bits of entropy. Role, parameters and `epoch` (any label: deployment, session,
    /// epoch number) are part of the derivation: keys that differ in one of them are independent.
    ///
    /// The ternary coefficients come from `BLAKE3-derive-key(context, seed ‖ role ‖ row ‖ parameter digest ‖ epoch)`. Of model keys this is the
    /// one of row 0: see [`SecretKey::derive_row`].
    ///
    /// # Errors
    /// None in practice; ring errors are passed on.
    pub fn derive(parameters: &Parameters, seed: &Seed, epoch: &[u8]) -> Result<Self, CkksError> {
        Self::derive_over(parameters, &parameters.ring().full_basis(), seed, epoch)
    }

    /// As [`SecretKey::derive`], but only modulo the primes of `basis`: the same key, in less time and memory, for operations that
    /// need no other prime. Operations that do fail with [`CkksError::Ring`].
    ///
    /// # Errors
    /// [`CkksError::Ring`] for a basis of another ring.
    pub fn derive_over(
        parameters: &Parameters,
        basis: &Basis,
        seed: &Seed,
        epoch: &[u8],
    ) -> Result<Self, CkksError> {
        Self::derive_numbered(parameters, basis, seed, 0, epoch)
    }

    fn derive_numbered(
        parameters: &Parameters,
        basis: &Basis,
        seed: &Seed,
        row: u8,
        epoch: &[u8],
    ) -> Result<Self, CkksError> {
        let mut hasher = blake3::Hasher::new_derive_key(DERIVATION);
        // All before the epoch has a fixed length, so the encoding is injective.
        hasher.update(seed).update(&[K::ROLE as u8, row]);
        hasher.update(parameters.digest()).update(epoch);
        let mut derived: Zeroizing<Seed> = Zeroizing::new([0; 32]);
        let mut output = hasher.finalize_xof();
        output.fill(derived.as_mut());
        output.zeroize();
        hasher.zeroize();
        let ring = parameters.ring();
        // `forward` works in place on the polynomial it is given, so no second copy is left behind.
        let ternary = |basis: &Basis| sampler::ternary(ring, basis, &derived, 0);
        let poly = ring.forward(small(ring, basis, ternary)?)?;
        Ok(Self { parameters: parameters.clone(), poly, row, role: PhantomData })
    }

    /// The primes of a plaintext, which must be those of its level.
    pub(crate) fn basis_of(&self, plaintext: &Plaintext) -> Result<&Basis, CkksError> {
        let basis = self.parameters.basis(plaintext.level())?;
        if plaintext.poly().basis() == basis {
            Ok(basis)
        } else {
            Err(CkksError::ForeignOperand { level: plaintext.level() })
        }
    }

    /// The number of a model key; 0 for other roles.
    pub(crate) fn row(&self) -> u8 {
        self.row
    }

    /// The parameters that the key belongs to.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The secret over the primes that this key has.
    pub(crate) fn poly(&self) -> &Poly<Ntt> {
        &self.poly
    }

    /// The secret's residues modulo the prime with index `prime`, in the NTT domain.
    pub(crate) fn limb(&self, prime: usize) -> Result<&[u64], CkksError> {
        limb(&self.poly, prime)
    }

    /// Encrypts: `b = m + e − a·s` with `a` from a fresh public seed and Gaussian `e`, σ = 3.19.
    ///
    /// # Errors
    /// [`CkksError::ForeignOperand`] for a plaintext of other parameters.
    pub fn encrypt(
        &self,
        plaintext: &Plaintext,
        randomness: &mut Randomness,
    ) -> Result<SeededCiphertext<K>, CkksError> {
        let basis = self.basis_of(plaintext)?;
        let seed = *randomness.seed();
        self.encrypt_under(plaintext, basis, seed, randomness)
    }

    /// Encrypts with stream 0 of `seed` as the uniform half.
    pub(crate) fn encrypt_under(
        &self,
        plaintext: &Plaintext,
        basis: &Basis,
        seed: Seed,
        randomness: &mut Randomness,
    ) -> Result<SeededCiphertext<K>, CkksError> {
        let mut b = self.encrypt_zero(basis, &seed, 0, &self.poly, randomness)?;
        self.parameters.ring().add_assign(&mut b, plaintext.poly())?;
        SeededCiphertext::from_parts(
            &self.parameters,
            b,
            seed,
            plaintext.level(),
            plaintext.scale().clone(),
        )
    }

    /// `e − a·s` over `basis`, where `a` is stream `number` of `seed` and s is this key or an image of it.
    pub(crate) fn encrypt_zero(
        &self,
        basis: &Basis,
        seed: &Seed,
        number: u64,
        secret: &Poly<Ntt>,
        randomness: &mut Randomness,
    ) -> Result<Poly<Ntt>, CkksError> {
        let ring = self.parameters.ring();
        let noise = randomness.seed();
        let gaussian = |basis: &Basis| sampler::gaussian(ring, basis, &noise, 0);
        let mut out = Zeroizing::new(ring.forward(small(ring, basis, gaussian)?)?);
        let mut uniform: Poly<Ntt> = sampler::uniform(ring, basis, seed, number)?;
        let limbs = out.limbs_mut().zip(uniform.limbs_mut());
        for (prime, (out, product)) in basis.iter().zip(limbs) {
            let residue = ring.residue(prime);
            residue.mul_assign(product, limb(secret, prime)?)?;
            residue.sub_assign(out, product)?;
        }
        // a·s reveals s, since a is public.
        uniform.zeroize();
        // Now e is masked, so the polynomial may live on.
        Ok(std::mem::replace(&mut *out, Poly::zero(ring, &ring.basis([])?)?))
    }

    /// Fails unless `other` has the same parameters.
    pub(crate) fn check_same<L: KeyRole>(&self, other: &SecretKey<L>) -> Result<(), CkksError> {
        if self.parameters == other.parameters {
            Ok(())
        } else {
            Err(CkksError::Parameters(ParametersError::OtherParameters))
        }
    }
}

/// The residues of a secret modulo the prime with index `prime`.
pub(crate) fn limb(secret: &Poly<Ntt>, prime: usize) -> Result<&[u64], CkksError> {
    let count = secret.basis().len();
    let missing = RingError::OutOfRange { what: "prime of a secret key", index: prime, count };
    Ok(secret.try_limb(secret.basis().position(prime).ok_or(missing)?)?)
}

impl SecretKey<ModelKey> {
    /// As [`SecretKey::derive_over`], for the model key of a row: keys of different rows are independent, so that their weights may share
    /// masks ([`Masks`](crate::Masks)).
    ///
    /// # Errors
    /// [`CkksError::Ring`] for a basis of another ring.
    pub fn derive_row(
        parameters: &Parameters,
        basis: &Basis,
        seed: &Seed,
        row: u8,
        epoch: &[u8],
    ) -> Result<Self, CkksError> {
        Self::derive_numbered(parameters, basis, seed, row, epoch)
    }
}

impl<K: KeyRole> Drop for SecretKey<K> {
    fn drop(&mut self) {
        self.poly.zeroize();
    }
}

impl<K: KeyRole> std::fmt::Debug for SecretKey<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretKey({:?})", K::ROLE)
    }
}
