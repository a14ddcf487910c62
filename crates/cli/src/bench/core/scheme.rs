//! The scheme's operations, with real keys.

use super::timing::failed;
use super::{Bench, Shape};
use crate::error::CliError;
use adyton_ckks::{
    Ciphertext, Encoder, EvaluationKeys, Evaluator, InputKey, KeySource, KeySpec, ModelKey,
    Parameters, ResultKey, Scale,
};
use adyton_ckks_secret::{Decryptor, KeyGenerator, Randomness, SecretKey};

/// Rotations of one ciphertext that are hoisted.
const HOISTED: u32 = 8;

/// Fixed seeds: nothing here protects anything, and the same work is timed every time.
struct Keys {
    model: SecretKey<ModelKey>,
    input: SecretKey<InputKey>,
    result: SecretKey<ResultKey>,
    randomness: Randomness,
}

impl Keys {
    fn new(parameters: &Parameters) -> Result<Self, CliError> {
        Ok(Self {
            model: SecretKey::derive(parameters, &[1; 32], b"bench").map_err(failed)?,
            input: SecretKey::derive(parameters, &[2; 32], b"bench").map_err(failed)?,
            result: SecretKey::derive(parameters, &[3; 32], b"bench").map_err(failed)?,
            randomness: Randomness::from_seed(&[4; 32]),
        })
    }

    /// The evaluation keys from the result key to itself for these rotations; `None` is the square's key.
    fn evaluation(
        &mut self,
        parameters: &Parameters,
        rotations: impl Iterator<Item = Option<u32>>,
    ) -> Result<EvaluationKeys, CliError> {
        let generator =
            KeyGenerator::new(&self.model, &self.input, &self.result).map_err(failed)?;
        let level = parameters.top_level();
        let mut keys = EvaluationKeys::new();
        for rotation in rotations {
            let spec = match rotation {
                None => KeySpec { source: KeySource::ResultSquared, rotation: 0, level },
                Some(rotation) => KeySpec { source: KeySource::Result, rotation, level },
            };
            let key = generator.evaluation_key(&spec, &mut self.randomness).map_err(failed)?;
            keys.insert(key.into_expanded(parameters).map_err(failed)?);
        }
        Ok(keys)
    }
}

/// Everything that is done with keys and slots.
pub(super) fn operations(bench: &mut Bench<'_>, parameters: &Parameters) -> Result<(), CliError> {
    let mut keys = Keys::new(parameters)?;
    let encoder = Encoder::new(parameters);
    let level = parameters.top_level();
    let scale = Scale::pow2(bench.setting.prime_bits as i16 - 6);
    let values: Vec<f64> = (0..parameters.slots()).map(|i| (i as f64 * 0.37).sin()).collect();
    let once = Shape::default;

    bench.run("encode", once(), || encoder.encode(&values, level, &scale))?;
    let plaintext = encoder.encode(&values, level, &scale).map_err(failed)?;
    let (key, randomness) = (&keys.result, &mut keys.randomness);
    bench.run("encrypt_secret", once(), || key.encrypt(&plaintext, randomness))?;
    let public = key.public_key(level, randomness).map_err(failed)?;
    bench.run("encrypt_public", once(), || public.encrypt(parameters, &plaintext, randomness))?;
    let x = public.encrypt(parameters, &plaintext, randomness).map_err(failed)?;
    let decryptor = Decryptor::with_encoder(key, &encoder).map_err(failed)?;
    bench.run("decrypt_decode", once(), || decryptor.decrypt_slots(&x))?;
    if parameters.basis(0).is_ok_and(|basis| basis.len() == 2) && level > 0 {
        let plaintext = encoder.encode(&values, 0, &scale).map_err(failed)?;
        let low = key.encrypt(&plaintext, randomness).map_err(failed)?;
        let low = low.into_expanded(parameters).map_err(failed)?;
        bench.run("decrypt_decode_2_primes", once(), || decryptor.decrypt_slots(&low))?;
    }
    switches(bench, parameters, &mut keys, &x)
}

/// What needs evaluation keys, and the rescale that goes with it.
fn switches(
    bench: &mut Bench<'_>,
    parameters: &Parameters,
    keys: &mut Keys,
    x: &Ciphertext<ResultKey>,
) -> Result<(), CliError> {
    let evaluator = Evaluator::new(parameters);
    let falls = parameters.top_level() > 0;
    if falls {
        bench.run("rescale", Shape::default(), || evaluator.rescale(x))?;
    }
    bench.run("square", Shape::default(), || evaluator.square(x))?;
    if bench.wants("relinearize") {
        let key = keys.evaluation(parameters, [None].into_iter())?;
        let square = evaluator.square(x).map_err(failed)?;
        bench
            .run("relinearize", Shape::default(), || evaluator.relinearize(&square, false, &key))?;
        if falls {
            bench.run("square_relinearize_rescale", Shape::default(), || {
                evaluator.square(x).and_then(|square| evaluator.relinearize(&square, true, &key))
            })?;
        }
    }
    if bench.wants("rotate") {
        let all: Vec<u32> = (1..=HOISTED).collect();
        let rotations = keys.evaluation(parameters, all.iter().copied().map(Some))?;
        bench.run("rotate", Shape::default(), || evaluator.rotate(x, 1, &rotations))?;
        bench.run("rotate_8_hoisted", Shape::default(), || {
            evaluator.rotations_hoisted(x, &all, &rotations)
        })?;
    }
    Ok(())
}
