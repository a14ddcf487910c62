//! Validated parameters: moduli by level, evaluation-key moduli, security bounds, and the ring itself.

mod error;
mod literal;
mod security;

use std::sync::Arc;

use adyton_ring::{Basis, Divider, Kernel, ModUp, Ring, RingKind};

pub use error::ParametersError;
pub use literal::{Gadget, ParametersLiteral};
pub use security::Security;

use crate::{KeySource, KeySpec, Scale};

/// Domain of the parameter digest.
const DIGEST_CONTEXT: &str = "adyton ckks parameters v1";

/// A digit may exceed the special modulus by this many bits: each costs a bit of key-switching noise.
const MAX_DIGIT_EXCESS_BITS: f64 = 2.0;

/// Most ciphertext and special primes together, most levels.
const MAX_PRIMES: usize = 128;

/// Validated parameters, cheap to clone. Two are equal when their literals are.
#[derive(Clone)]
pub struct Parameters {
    inner: Arc<Inner>,
}

struct Inner {
    literal: ParametersLiteral,
    digest: [u8; 32],
    ring: Arc<Ring>,
    levels: Vec<Level>,
}

/// What is precomputed for each level.
struct Level {
    basis: Basis,
    /// From this level to the one below; `None` at level 0.
    rescale: Option<Divider>,
    key: Option<KeyLevel>,
}

/// The moduli of the evaluation keys at one level.
struct KeyLevel {
    /// From Q_ℓ to digits over Q_ℓ·P.
    mod_up: ModUp,
    /// From Q_ℓ·P to Q_ℓ.
    mod_down: Divider,
    /// From Q_ℓ·P to the level below at once; `None` at level 0.
    mod_down_rescale: Option<Divider>,
}

impl Parameters {
    /// Checks a literal and builds the ring with the best kernel of this machine.
    ///
    /// # Errors
    /// [`ParametersError`] names the first rule that the literal breaks; [`Security::InsecureForTests`] is refused.
    pub fn new(literal: &ParametersLiteral) -> Result<Self, ParametersError> {
        Self::with_kernel(literal, detect()?)
    }

    /// As [`Parameters::new`], with a kernel that the caller chose.
    ///
    /// # Errors
    /// As [`Parameters::new`].
    pub fn with_kernel(
        literal: &ParametersLiteral,
        kernel: Kernel,
    ) -> Result<Self, ParametersError> {
        if literal.security == Security::InsecureForTests {
            return Err(ParametersError::InsecureRefused);
        }
        Self::build(literal, kernel)
    }

    /// As [`Parameters::new`], but takes [`Security::InsecureForTests`] too. What such parameters encrypt is **not secret**.
    ///
    /// # Errors
    /// As [`Parameters::new`], the refusal of insecure parameters aside.
    pub fn new_insecure_for_tests(literal: &ParametersLiteral) -> Result<Self, ParametersError> {
        Self::build(literal, detect()?)
    }

    /// As [`Parameters::new_insecure_for_tests`], with a kernel that the caller chose.
    ///
    /// # Errors
    /// As [`Parameters::new_insecure_for_tests`].
    pub fn new_insecure_for_tests_with_kernel(
        literal: &ParametersLiteral,
        kernel: Kernel,
    ) -> Result<Self, ParametersError> {
        Self::build(literal, kernel)
    }

    fn build(literal: &ParametersLiteral, kernel: Kernel) -> Result<Self, ParametersError> {
        check_shape(literal)?;
        check_moduli(literal)?;
        let primes: Vec<u64> =
            literal.primes.iter().chain(&literal.special_primes).copied().collect();
        let ring = Ring::with_kernel(literal.kind, literal.log_n, &primes, kernel)?;
        let bases = literal
            .levels
            .iter()
            .map(|indices| ring.basis(indices.iter().map(|&index| usize::from(index))))
            .collect::<Result<Vec<_>, _>>()?;
        let levels = bases
            .iter()
            .zip(&literal.gadgets)
            .enumerate()
            .map(|(level, (basis, gadget))| {
                let below = level.checked_sub(1).map(|below| &bases[below]);
                Level::new(&ring, literal.primes.len(), basis, below, *gadget)
            })
            .collect::<Result<_, _>>()?;
        let digest = blake3::derive_key(DIGEST_CONTEXT, &literal.to_bytes());
        Ok(Self { inner: Arc::new(Inner { literal: literal.clone(), digest, ring, levels }) })
    }

    /// The literal that these parameters were made from.
    #[must_use]
    pub fn literal(&self) -> &ParametersLiteral {
        &self.inner.literal
    }

    /// Digest of the canonical encoding of the literal; every encoded object names it.
    #[must_use]
    pub fn digest(&self) -> &[u8; 32] {
        &self.inner.digest
    }

    /// The ring, with ciphertext primes first and special primes after them.
    #[must_use]
    pub fn ring(&self) -> &Arc<Ring> {
        &self.inner.ring
    }

    /// The kind of ring.
    #[must_use]
    pub fn kind(&self) -> RingKind {
        self.inner.literal.kind
    }

    /// log2 of the ring degree.
    #[must_use]
    pub fn log_n(&self) -> u8 {
        self.inner.literal.log_n
    }

    /// The ring degree N.
    #[must_use]
    pub fn degree(&self) -> usize {
        1 << self.inner.literal.log_n
    }

    /// Slots of a ciphertext: N in the conjugate-invariant ring, N/2 in the standard ring.
    #[must_use]
    pub fn slots(&self) -> usize {
        match self.kind() {
            RingKind::ConjugateInvariant => self.degree(),
            RingKind::Standard => self.degree() / 2,
        }
    }

    /// The highest level, at which inputs are encrypted.
    #[must_use]
    pub fn top_level(&self) -> u8 {
        // Validation admits at most 128 levels.
        u8::try_from(self.inner.levels.len() - 1).unwrap_or(u8::MAX)
    }

    /// The primes of a level as a basis of the ring.
    ///
    /// # Errors
    /// [`ParametersError::NoSuchLevel`].
    pub fn basis(&self, level: u8) -> Result<&Basis, ParametersError> {
        Ok(&self.level(level)?.basis)
    }

    /// The primes of the evaluation keys of a level: the level's own, then the special primes in use.
    ///
    /// # Errors
    /// [`ParametersError::NoSuchLevel`] or [`ParametersError::NoKeysAtLevel`].
    pub fn key_basis(&self, level: u8) -> Result<&Basis, ParametersError> {
        Ok(self.key_level(level)?.mod_up.extended_basis())
    }

    /// Decomposition into key-switching digits at a level; it knows the gadget's factors too.
    ///
    /// # Errors
    /// [`ParametersError::NoSuchLevel`] or [`ParametersError::NoKeysAtLevel`].
    pub fn mod_up(&self, level: u8) -> Result<&ModUp, ParametersError> {
        Ok(&self.key_level(level)?.mod_up)
    }

    /// Division that ends a key switch at a level: by P, or by P and the rescaled primes at once.
    ///
    /// # Errors
    /// [`ParametersError::NoSuchLevel`], [`ParametersError::NoKeysAtLevel`], or [`ParametersError::LowestLevel`].
    pub fn mod_down(&self, level: u8, rescale: bool) -> Result<&Divider, ParametersError> {
        let key = self.key_level(level)?;
        if rescale {
            key.mod_down_rescale.as_ref().ok_or(ParametersError::LowestLevel)
        } else {
            Ok(&key.mod_down)
        }
    }

    /// Division that rescales from a level to the one below.
    ///
    /// # Errors
    /// [`ParametersError::NoSuchLevel`] or [`ParametersError::LowestLevel`].
    pub fn rescale_divider(&self, level: u8) -> Result<&Divider, ParametersError> {
        self.level(level)?.rescale.as_ref().ok_or(ParametersError::LowestLevel)
    }

    /// The primes of a level, ascending by index.
    ///
    /// # Errors
    /// [`ParametersError::NoSuchLevel`].
    pub fn moduli(&self, level: u8) -> Result<Vec<u64>, ParametersError> {
        let indices = self.indices(level)?;
        Ok(indices.iter().map(|&index| self.inner.literal.primes[usize::from(index)]).collect())
    }

    /// The special primes in use at a level.
    ///
    /// # Errors
    /// [`ParametersError::NoSuchLevel`] or [`ParametersError::NoKeysAtLevel`].
    pub fn special_moduli(&self, level: u8) -> Result<&[u64], ParametersError> {
        let gadget = self.gadget(level)?;
        Ok(&self.inner.literal.special_primes[..usize::from(gadget.special_primes)])
    }

    /// The modulus of each key-switching digit of a level, as `f64` for noise estimates.
    ///
    /// # Errors
    /// [`ParametersError::NoSuchLevel`] or [`ParametersError::NoKeysAtLevel`].
    pub fn digit_moduli(&self, level: u8) -> Result<Vec<f64>, ParametersError> {
        let gadget = self.gadget(level)?;
        Ok(self
            .moduli(level)?
            .chunks(usize::from(gadget.digit_primes))
            .map(|digit| digit.iter().map(|&p| p as f64).product())
            .collect())
    }

    /// The gadget of a level's evaluation keys.
    ///
    /// # Errors
    /// [`ParametersError::NoSuchLevel`] or [`ParametersError::NoKeysAtLevel`].
    pub fn gadget(&self, level: u8) -> Result<Gadget, ParametersError> {
        self.indices(level)?;
        self.inner.literal.gadgets[usize::from(level)]
            .ok_or(ParametersError::NoKeysAtLevel { level })
    }

    /// What a rescale from `level` to `level − 1` divides the scale by: the quotient of the two moduli.
    ///
    /// # Errors
    /// [`ParametersError::NoSuchLevel`], or [`ParametersError::LowestLevel`] at level 0.
    pub fn rescale_factor(&self, level: u8) -> Result<Scale, ParametersError> {
        let from = Scale::product(self.moduli(level)?);
        let below = level.checked_sub(1).ok_or(ParametersError::LowestLevel)?;
        Ok(from.div(&Scale::product(self.moduli(below)?)))
    }

    /// The level below `level` and its primes, all of which `level` has: what a ciphertext reaches by leaving primes out.
    ///
    /// # Errors
    /// [`ParametersError::NoSuchLevel`], [`ParametersError::LowestLevel`] at level 0, [`ParametersError::NotWithin`].
    pub fn level_within(&self, level: u8) -> Result<(u8, &Basis), ParametersError> {
        let basis = self.basis(level)?;
        let to = level.checked_sub(1).ok_or(ParametersError::LowestLevel)?;
        let below = self.basis(to)?;
        if below.iter().all(|prime| basis.contains(prime)) {
            Ok((to, below))
        } else {
            Err(ParametersError::NotWithin { level })
        }
    }

    /// Whether an evaluation key of this name may exist: its level has keys, its rotation is below the number of slots, and a
    /// relinearization key does not rotate.
    ///
    /// # Errors
    /// [`ParametersError`] naming what is wrong.
    pub fn check_key(&self, spec: &KeySpec) -> Result<(), ParametersError> {
        self.gadget(spec.level)?;
        let rotates = spec.rotation != 0;
        let identity = spec.source == KeySource::Result && !rotates;
        if spec.rotation as usize >= self.slots()
            || (spec.source == KeySource::ResultSquared && rotates)
            || identity
        {
            return Err(ParametersError::BadKey { spec: *spec });
        }
        Ok(())
    }

    /// log2 of the modulus of a level.
    ///
    /// # Errors
    /// [`ParametersError::NoSuchLevel`].
    pub fn log2_modulus(&self, level: u8) -> Result<f64, ParametersError> {
        Ok(log2_product(&self.moduli(level)?))
    }

    /// The largest log2 of a modulus under which anything is encrypted: Q_ℓ for ciphertexts, Q_ℓ·P for evaluation keys.
    #[must_use]
    pub fn max_log_qp(&self) -> f64 {
        let literal = &self.inner.literal;
        (0..literal.levels.len()).map(|level| log2_of_level(literal, level)).fold(0.0, f64::max)
    }

    fn level(&self, level: u8) -> Result<&Level, ParametersError> {
        self.inner
            .levels
            .get(usize::from(level))
            .ok_or(ParametersError::NoSuchLevel { level, top: self.top_level() })
    }

    fn key_level(&self, level: u8) -> Result<&KeyLevel, ParametersError> {
        self.level(level)?.key.as_ref().ok_or(ParametersError::NoKeysAtLevel { level })
    }

    fn indices(&self, level: u8) -> Result<&[u8], ParametersError> {
        self.level(level)?;
        Ok(&self.inner.literal.levels[usize::from(level)])
    }
}

impl PartialEq for Parameters {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner) || self.inner.digest == other.inner.digest
    }
}

impl Eq for Parameters {}

impl std::fmt::Debug for Parameters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Parameters").field(&self.inner.literal).finish()
    }
}

fn detect() -> Result<Kernel, ParametersError> {
    Ok(Kernel::detect()?)
}

/// Counts, indices and gadgets; the ring checks degree and primes themselves.
fn check_shape(literal: &ParametersLiteral) -> Result<(), ParametersError> {
    let ParametersLiteral { primes, special_primes, levels, gadgets, .. } = literal;
    let total = primes.len() + special_primes.len();
    if primes.is_empty() || total > MAX_PRIMES || levels.len() > MAX_PRIMES {
        return Err(ParametersError::BadCount { primes: total, levels: levels.len() });
    }
    if levels.is_empty() || gadgets.len() != levels.len() {
        return Err(ParametersError::GadgetCount { levels: levels.len(), gadgets: gadgets.len() });
    }
    for (level, indices) in levels.iter().enumerate() {
        let ascending = indices.windows(2).all(|pair| pair[0] < pair[1]);
        let known = indices.iter().all(|&index| usize::from(index) < primes.len());
        if indices.is_empty() || !ascending || !known {
            return Err(ParametersError::BadLevel { level });
        }
    }
    for (level, gadget) in gadgets.iter().enumerate() {
        if let Some(gadget) = gadget
            && (gadget.digit_primes == 0
                || gadget.special_primes == 0
                || usize::from(gadget.special_primes) > special_primes.len())
        {
            return Err(ParametersError::BadGadget { level });
        }
    }
    Ok(())
}

/// Sizes: each level smaller than the next, digits that the special primes can absorb, and the security bound.
fn check_moduli(literal: &ParametersLiteral) -> Result<(), ParametersError> {
    let bound = literal
        .security
        .max_log2_modulus(literal.log_n)
        .ok_or(ParametersError::NoSecurityBound { log_n: literal.log_n })?;
    let mut below = 0.0;
    for (level, gadget) in literal.gadgets.iter().enumerate() {
        let primes = primes_of(literal, level);
        let log2_modulus = log2_product(&primes);
        if log2_modulus <= below {
            return Err(ParametersError::LevelsNotAscending { level });
        }
        below = log2_modulus;
        if let Some(gadget) = gadget {
            let special = &literal.special_primes[..usize::from(gadget.special_primes)];
            let digits = primes.chunks(usize::from(gadget.digit_primes));
            let log2_digit = digits.map(log2_product).fold(0.0, f64::max);
            let log2_special = log2_product(special);
            if log2_digit > log2_special + MAX_DIGIT_EXCESS_BITS {
                return Err(ParametersError::DigitTooLarge { level, log2_digit, log2_special });
            }
        }
        let log2_modulus = log2_of_level(literal, level);
        if log2_modulus > bound {
            return Err(ParametersError::TooLarge { level, log2_modulus, bound });
        }
    }
    Ok(())
}

fn primes_of(literal: &ParametersLiteral, level: usize) -> Vec<u64> {
    literal.levels[level].iter().map(|&index| literal.primes[usize::from(index)]).collect()
}

/// log2 of Q_ℓ, times the special primes in use where the level has keys.
fn log2_of_level(literal: &ParametersLiteral, level: usize) -> f64 {
    let special = literal.gadgets[level].map_or(0, |gadget| usize::from(gadget.special_primes));
    log2_product(&primes_of(literal, level)) + log2_product(&literal.special_primes[..special])
}

fn log2_product(primes: &[u64]) -> f64 {
    primes.iter().map(|&p| (p as f64).log2()).sum()
}

impl Level {
    fn new(
        ring: &Arc<Ring>,
        prime_count: usize,
        basis: &Basis,
        below: Option<&Basis>,
        gadget: Option<Gadget>,
    ) -> Result<Self, ParametersError> {
        let rescale = below.map(|below| Divider::new(ring, basis, below)).transpose()?;
        let key = match gadget {
            None => None,
            Some(gadget) => {
                let end = prime_count + usize::from(gadget.special_primes);
                let special = ring.basis(prime_count..end)?;
                let mod_up = ModUp::new(ring, basis, &special, usize::from(gadget.digit_primes))?;
                let extended = mod_up.extended_basis();
                let mod_down = Divider::new(ring, extended, basis)?;
                let mod_down_rescale =
                    below.map(|below| Divider::new(ring, extended, below)).transpose()?;
                Some(KeyLevel { mod_up, mod_down, mod_down_rescale })
            }
        };
        Ok(Self { basis: basis.clone(), rescale, key })
    }
}

#[cfg(test)]
mod tests;
