//! What an enclave without its defences would do; part of no shipped build.

use std::sync::Arc;

use adyton_attest::Platform;
use adyton_ckks::{Ciphertext, ModelKey};
use adyton_ckks_secret::{Decryptor, SecretKey};
use adyton_wire::statement::MODEL_KEY_LABEL;
use zeroize::Zeroizing;

use crate::Clock;
use crate::defences::Defences;
use crate::plan::{Gate, Plan};
use crate::restart::Restart;
use crate::service::{Enclave, StartError};
use crate::store::StateFile;
use crate::vault::Seed;

impl Enclave {
    /// An enclave that lacks some defences, takes parameters that protect nothing, and goes on after a restart whether or not its
    /// platform counts.
    ///
    /// # Errors
    /// As [`Enclave::open`].
    pub fn open_weakened(
        file: StateFile,
        platform: Arc<dyn Platform>,
        clock: Box<dyn Clock>,
        defences: Defences,
    ) -> Result<Self, StartError> {
        let gate = (Gate::InsecureForTests, defences);
        Self::open_gated(file, platform, clock, Restart::Continue, gate)
    }
}

/// The slots of a ciphertext under the model key, for an enclave that decrypts whatever it is handed.
pub(crate) fn model_slots(plan: &Plan, seed: &Seed, bytes: &[u8]) -> Option<Zeroizing<Vec<f64>>> {
    let ciphertext = Ciphertext::<ModelKey>::decode(bytes, &plan.parameters).ok()?;
    let key = SecretKey::<ModelKey>::derive(&plan.parameters, seed, MODEL_KEY_LABEL).ok()?;
    Decryptor::new(&key).decrypt_slots(&ciphertext).ok()
}
