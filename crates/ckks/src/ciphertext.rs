//! Plaintexts and ciphertexts. All polynomials are in the NTT domain over the primes of their level.

use std::marker::PhantomData;
use std::sync::Arc;

use adyton_ring::{Ntt, Poly, Seed, sampler};

use crate::{CkksError, KeyRole, OperandRole, Parameters, ResultKey, Scale};

/// An encoded vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Plaintext {
    poly: Poly<Ntt>,
    level: u8,
    scale: Scale,
}

/// A degree-1 ciphertext `b + a·s` under the key of role `K`.
#[derive(Clone, Debug, PartialEq)]
pub struct Ciphertext<K: KeyRole> {
    pub(crate) b: Poly<Ntt>,
    pub(crate) a: Poly<Ntt>,
    pub(crate) level: u8,
    pub(crate) scale: Scale,
    role: PhantomData<K>,
}

/// A degree-1 ciphertext whose uniform half is a seed: half the size, the form that is stored and sent.
/// Made by secret-key encryption; [`SeededCiphertext::expand`] makes it usable.
#[derive(Clone, Debug, PartialEq)]
pub struct SeededCiphertext<K: KeyRole> {
    pub(crate) b: Poly<Ntt>,
    pub(crate) seed: Seed,
    pub(crate) level: u8,
    pub(crate) scale: Scale,
    role: PhantomData<K>,
}

/// A sum of products of weights under a row's `s_M` (or plain) and operands under the key `s_K` of role `K`:
/// `one + model·s_M + operand·s_K + both·s_M·s_K`. With plain weights `model` and `both` are absent.
///
/// `model` and `both` are masks times operands, and so the same polynomials for all rows that share masks: they are computed, held and
/// decomposed once.
#[derive(Clone, Debug, PartialEq)]
pub struct ProductSum<K: OperandRole> {
    pub(crate) one: Poly<Ntt>,
    pub(crate) operand: Poly<Ntt>,
    pub(crate) masked: Option<Masked>,
    pub(crate) level: u8,
    pub(crate) scale: Scale,
    role: PhantomData<K>,
}

/// The components of a product sum that come from the weights' masks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Masked {
    /// Whose `s_M`.
    pub(crate) row: u8,
    /// Under `s_M`.
    pub(crate) model: Arc<Poly<Ntt>>,
    /// Under `s_M·s_K`.
    pub(crate) both: Arc<Poly<Ntt>>,
}

/// A square under the result key, before relinearization: `parts[0] + parts[1]·s + parts[2]·s²`.
#[derive(Clone, Debug, PartialEq)]
pub struct Degree2 {
    pub(crate) parts: [Poly<Ntt>; 3],
    pub(crate) level: u8,
    pub(crate) scale: Scale,
}

/// That a polynomial has the primes of its level.
pub(crate) fn check_basis(
    parameters: &Parameters,
    level: u8,
    polys: &[&Poly<Ntt>],
) -> Result<(), CkksError> {
    let basis = parameters.basis(level)?;
    if polys.iter().all(|poly| poly.basis() == basis) {
        Ok(())
    } else {
        Err(CkksError::ForeignOperand { level })
    }
}

macro_rules! level_and_scale {
    () => {
        /// The level: rescalings left.
        #[must_use]
        pub fn level(&self) -> u8 {
            self.level
        }

        /// The exact scale.
        #[must_use]
        pub fn scale(&self) -> &Scale {
            &self.scale
        }
    };
}

impl Plaintext {
    /// Puts a plaintext together from its polynomial.
    ///
    /// # Errors
    /// [`CkksError::ForeignOperand`] unless the polynomial has the primes of the level.
    pub fn from_parts(
        parameters: &Parameters,
        poly: Poly<Ntt>,
        level: u8,
        scale: Scale,
    ) -> Result<Self, CkksError> {
        check_basis(parameters, level, &[&poly])?;
        Ok(Self { poly, level, scale })
    }

    /// The polynomial.
    #[must_use]
    pub fn poly(&self) -> &Poly<Ntt> {
        &self.poly
    }

    level_and_scale!();
}

impl<K: KeyRole> Ciphertext<K> {
    /// Puts a ciphertext together from its polynomials `b + a·s`.
    ///
    /// # Errors
    /// [`CkksError::ForeignOperand`] unless both polynomials have the primes of the level.
    pub fn from_parts(
        parameters: &Parameters,
        b: Poly<Ntt>,
        a: Poly<Ntt>,
        level: u8,
        scale: Scale,
    ) -> Result<Self, CkksError> {
        check_basis(parameters, level, &[&b, &a])?;
        Ok(Self::new(b, a, level, scale))
    }

    pub(crate) fn new(b: Poly<Ntt>, a: Poly<Ntt>, level: u8, scale: Scale) -> Self {
        Self { b, a, level, scale, role: PhantomData }
    }

    /// The polynomial that stands with 1.
    #[must_use]
    pub fn b(&self) -> &Poly<Ntt> {
        &self.b
    }

    /// The polynomial that stands with the secret.
    #[must_use]
    pub fn a(&self) -> &Poly<Ntt> {
        &self.a
    }

    level_and_scale!();
}

impl<K: KeyRole> SeededCiphertext<K> {
    /// Puts a seeded ciphertext together.
    ///
    /// # Errors
    /// [`CkksError::ForeignOperand`] unless the polynomial has the primes of the level.
    pub fn from_parts(
        parameters: &Parameters,
        b: Poly<Ntt>,
        seed: Seed,
        level: u8,
        scale: Scale,
    ) -> Result<Self, CkksError> {
        check_basis(parameters, level, &[&b])?;
        Ok(Self { b, seed, level, scale, role: PhantomData })
    }

    /// The full ciphertext: `a` is drawn from the seed.
    ///
    /// # Errors
    /// [`CkksError::ForeignOperand`] for other parameters.
    pub fn expand(&self, parameters: &Parameters) -> Result<Ciphertext<K>, CkksError> {
        self.clone().into_expanded(parameters)
    }

    /// As [`SeededCiphertext::expand`], without copying `b`.
    ///
    /// # Errors
    /// [`CkksError::ForeignOperand`] for other parameters.
    pub fn into_expanded(self, parameters: &Parameters) -> Result<Ciphertext<K>, CkksError> {
        check_basis(parameters, self.level, &[&self.b])?;
        let a = sampler::uniform(parameters.ring(), self.b.basis(), &self.seed, 0)?;
        Ok(Ciphertext::new(self.b, a, self.level, self.scale))
    }

    /// The polynomial that stands with 1.
    #[must_use]
    pub fn b(&self) -> &Poly<Ntt> {
        &self.b
    }

    /// The public seed of the uniform half.
    #[must_use]
    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    level_and_scale!();
}

impl<K: OperandRole> ProductSum<K> {
    pub(crate) fn new(
        one: Poly<Ntt>,
        operand: Poly<Ntt>,
        masked: Option<Masked>,
        level: u8,
        scale: Scale,
    ) -> Self {
        Self { one, operand, masked, level, scale, role: PhantomData }
    }

    /// The component that stands with 1.
    #[must_use]
    pub fn one(&self) -> &Poly<Ntt> {
        &self.one
    }

    /// The component that stands with the operand's key.
    #[must_use]
    pub fn operand(&self) -> &Poly<Ntt> {
        &self.operand
    }

    /// The component that stands with the model key; absent when the weights were plain.
    #[must_use]
    pub fn model(&self) -> Option<&Poly<Ntt>> {
        self.masked.as_ref().map(|masked| &*masked.model)
    }

    /// The component that stands with the product of both keys; absent when the weights were plain.
    #[must_use]
    pub fn both(&self) -> Option<&Poly<Ntt>> {
        self.masked.as_ref().map(|masked| &*masked.both)
    }

    /// The row of the weights; absent when they were plain.
    #[must_use]
    pub fn row(&self) -> Option<u8> {
        self.masked.as_ref().map(|masked| masked.row)
    }

    level_and_scale!();
}

impl Degree2 {
    /// The components that stand with 1, s and s².
    #[must_use]
    pub fn parts(&self) -> &[Poly<Ntt>; 3] {
        &self.parts
    }

    level_and_scale!();
}

/// A ciphertext that the enclave can decrypt.
pub type ResultCiphertext = Ciphertext<ResultKey>;
