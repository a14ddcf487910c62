//! Masks that weights of different rows share.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use adyton_ckks::{CkksError, ModelKey, Plaintext, Seed, SeededCiphertext};

use crate::{Randomness, SecretKey};

/// Domain of the masks' seeds.
const DERIVATION: &str = "adyton ckks-secret 2026-11 seed of a shared mask v1";

/// The uniform halves of one encrypted model, by number. Weights of different rows may have the same one, since each row has a secret of
/// its own (Peikert, Vaikuntanathan, Waters, CRYPTO 2008, section 7.3). Two weights of one row must not: their difference would lie
/// open. So each mask serves each row once, and encrypting a model again takes new [`Masks`].
#[derive(Debug)]
pub struct Masks {
    /// Random, and as public as the seeds that derive from it.
    root: Seed,
    used: Mutex<BTreeSet<(u32, u8)>>,
}

impl Masks {
    /// Fresh masks.
    #[must_use]
    pub fn new(randomness: &mut Randomness) -> Self {
        Self { root: *randomness.seed(), used: Mutex::default() }
    }

    /// Encrypts a weight under its row's key and the mask with this number.
    ///
    /// # Errors
    /// [`CkksError::MaskReused`] the second time for the same row, [`CkksError::ForeignOperand`] for a plaintext of other parameters.
    pub fn encrypt(
        &self,
        key: &SecretKey<ModelKey>,
        mask: u32,
        plaintext: &Plaintext,
        randomness: &mut Randomness,
    ) -> Result<SeededCiphertext<ModelKey>, CkksError> {
        let basis = key.basis_of(plaintext)?;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if !used.insert((mask, key.row())) {
            return Err(CkksError::MaskReused { mask, row: key.row() });
        }
        drop(used);
        let mut hasher = blake3::Hasher::new_derive_key(DERIVATION);
        let seed = *hasher.update(&self.root).update(&mask.to_le_bytes()).finalize().as_bytes();
        key.encrypt_under(plaintext, basis, seed, randomness)
    }
}
