//! What an enclave without its defences would do; part of no shipped build.

use std::sync::Arc;

use adyton_attest::Platform;
use adyton_ckks::{Ciphertext, ModelKey, ResultCiphertext, ResultKey};
use adyton_ckks_secret::{Decryptor, SecretKey};
use adyton_wire::statement::MODEL_KEY_LABEL;
use zeroize::Zeroizing;

use crate::Clock;
use crate::defences::{Defence, Defences};
use crate::event::Event;
use crate::plan::{Gate, Plan};
use crate::restart::Restart;
use crate::service::{Enclave, StartError};
use crate::state::State;
use crate::store::StateFile;
use crate::vault::Seed;

impl Enclave {
    /// An enclave that lacks some defences and takes parameters that protect nothing.
    ///
    /// # Errors
    /// As [`Enclave::open`].
    pub fn open_weakened(
        file: StateFile,
        platform: Arc<dyn Platform>,
        clock: Box<dyn Clock>,
        restart: Restart,
        defences: Defences,
    ) -> Result<Self, StartError> {
        let gate = (Gate::InsecureForTests, defences);
        Self::open_gated(file, platform, clock, restart, gate)
    }
}

/// What a new epoch begins with: the identity of the last one, where nothing of an epoch ends with it.
pub(crate) fn begun(state: &State, event: Event) -> Event {
    match (event, &state.identity) {
        (Event::Begun { epoch, .. }, Some(last)) if !state.defences.stands(Defence::Epoch) => {
            let (signing, sealing) = (state.vault.get(last.signing), state.vault.get(last.sealing));
            Event::Begun { instance: last.instance, epoch, signing, sealing }
        }
        (event, _) => event,
    }
}

/// A result ciphertext of whatever length, level and scale: what is missing is taken for zero, what is over is left out.
pub(crate) fn lax_ciphertext(plan: &Plan, bytes: &[u8]) -> Option<ResultCiphertext> {
    let parameters = &plan.parameters;
    let whole = Ciphertext::<ResultKey>::decode(bytes, parameters).or_else(|_| {
        let mut fitted = bytes.to_vec();
        fitted.resize(plan.ciphertext_len, 0);
        Ciphertext::decode(&fitted, parameters)
    });
    let whole = whole.ok()?;
    let basis = parameters.basis(plan.level).ok()?;
    let (b, a) = (whole.b().restrict(basis).ok()?, whole.a().restrict(basis).ok()?);
    Ciphertext::from_parts(parameters, b, a, plan.level, whole.scale().clone()).ok()
}

/// The slots of a ciphertext under the model key, for an enclave that decrypts whatever it is handed.
pub(crate) fn model_slots(plan: &Plan, seed: &Seed, bytes: &[u8]) -> Option<Zeroizing<Vec<f64>>> {
    let ciphertext = Ciphertext::<ModelKey>::decode(bytes, &plan.parameters).ok()?;
    let key = SecretKey::<ModelKey>::derive(&plan.parameters, seed, MODEL_KEY_LABEL).ok()?;
    Decryptor::new(&key).decrypt_slots(&ciphertext).ok()
}
