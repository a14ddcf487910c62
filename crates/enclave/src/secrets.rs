//! Key generation and decryption: where seeds become keys for the moment of use.

use adyton_ckks::{
    Ciphertext, CkksError, InputKey, KeySpec, ModelKey, Parameters, ResultCiphertext, ResultKey,
};
use adyton_ckks_secret::{KeyGenerator, Randomness, SecretKey};
use adyton_wire::SessionId;
use adyton_wire::statement::{INPUT_KEY_LABEL, MODEL_KEY_LABEL};
use zeroize::Zeroizing;

use crate::plan::Plan;
use crate::vault::Seed;

/// Domain of the seeds of a session's evaluation keys.
const KEY_RANDOMNESS: &str = "adyton/v1/evaluation-key-randomness";

/// The seeds behind one session.
pub(crate) struct Seeds {
    pub(crate) model: Seed,
    pub(crate) input: Seed,
    pub(crate) session: Seed,
}

/// Label of the result key: it is another for every session and epoch.
fn result_label(session: &SessionId, epoch: u32) -> Vec<u8> {
    [session.as_bytes(), &epoch.to_le_bytes()].concat()
}

/// The session's result key, as far as a plan's results need it.
pub(crate) fn result_key(
    plan: &Plan,
    secret: &Seed,
    session: &SessionId,
    epoch: u32,
) -> Result<SecretKey<ResultKey>, CkksError> {
    let parameters = &plan.parameters;
    let basis = parameters.basis(plan.level)?;
    SecretKey::derive_over(parameters, basis, secret, &result_label(session, epoch))
}

/// The evaluation key of a manifest's entry, encoded. The same for the same arguments: its randomness derives from the session's secret,
/// the epoch and the entry, so that asking again shows nothing new.
pub(crate) fn evaluation_key(
    parameters: &Parameters,
    seeds: &Seeds,
    session: &SessionId,
    epoch: u32,
    (index, spec): (u32, &KeySpec),
) -> Result<Vec<u8>, CkksError> {
    let [over_model, over_input, over_result] = KeyGenerator::primes(parameters, spec)?;
    let row = spec.source.row().unwrap_or_default();
    let model = SecretKey::<ModelKey>::derive_row(
        parameters,
        &over_model,
        &seeds.model,
        row,
        MODEL_KEY_LABEL,
    )?;
    let input =
        SecretKey::<InputKey>::derive_over(parameters, &over_input, &seeds.input, INPUT_KEY_LABEL)?;
    let label = result_label(session, epoch);
    let result =
        SecretKey::<ResultKey>::derive_over(parameters, &over_result, &seeds.session, &label)?;
    let mut name = Vec::new();
    spec.encode_into(&mut name);
    let seed = Zeroizing::new(adyton_wire::digest::tagged(
        KEY_RANDOMNESS,
        &[seeds.session.as_slice(), &label, parameters.digest(), &index.to_le_bytes(), &name],
    ));
    let mut randomness = Randomness::from_seed(&seed);
    KeyGenerator::new(&model, &input, &result)?
        .evaluation_key(spec, &mut randomness)?
        .encode(parameters)
}

/// Reads a result ciphertext of the form that the plan promises, and of no other.
pub(crate) fn result_ciphertext(plan: &Plan, bytes: &[u8]) -> Option<ResultCiphertext> {
    let ciphertext = Ciphertext::<ResultKey>::decode(bytes, &plan.parameters).ok()?;
    let fits = ciphertext.level() == plan.level && *ciphertext.scale() == plan.scale;
    fits.then_some(ciphertext)
}
