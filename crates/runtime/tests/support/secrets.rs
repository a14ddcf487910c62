//! All three secret keys of a toy session, to encrypt inputs and weights and to look into any value.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::Arc,
};

use adyton_ckks::{
    Ciphertext, Encoder, EvaluationKeys, InputKey, KeySpec, ModelKey, Parameters, ResultKey, Scale,
    SeededCiphertext, SeededEvaluationKey,
};
use adyton_ckks_secret::{Decryptor, KeyGenerator, Masks, Randomness, SecretKey};
use adyton_program::{ModelPrivacy, VerifiedProgram};
use adyton_runtime::{Encrypted, EncryptedSum, Value, Weights, load_inputs, load_keys};

pub(crate) struct Secrets {
    parameters: Parameters,
    encoder: Encoder,
    /// By row.
    model: BTreeMap<u8, SecretKey<ModelKey>>,
    input: SecretKey<InputKey>,
    result: SecretKey<ResultKey>,
    randomness: Randomness,
}

impl Secrets {
    pub(crate) fn new(program: &VerifiedProgram, seed: u8) -> Self {
        let parameters = program.parameters().clone();
        let rows: BTreeSet<u8> = program.program().weights.iter().map(|spec| spec.row).collect();
        Self {
            encoder: Encoder::new(&parameters),
            model: rows
                .into_iter()
                .map(|row| {
                    let basis = parameters.ring().full_basis();
                    let seed = [seed; 32];
                    (row, SecretKey::derive_row(&parameters, &basis, &seed, row, b"test").unwrap())
                })
                .collect(),
            input: SecretKey::derive(&parameters, &[seed ^ 1; 32], b"test").unwrap(),
            result: SecretKey::derive(&parameters, &[seed ^ 2; 32], b"test").unwrap(),
            randomness: Randomness::from_seed(&[seed ^ 3; 32]),
            parameters,
        }
    }

    /// Weights and keys, loaded as the host does it.
    pub(crate) fn backend(
        &mut self,
        program: &VerifiedProgram,
        weights: &[Vec<f64>],
        threads: usize,
    ) -> Encrypted {
        let weights = self.weights(program, weights, threads);
        let keys = self.keys(program, threads);
        let crew = adyton_runtime::crew(threads).unwrap();
        Encrypted::new(program, Arc::new(weights), Arc::new(keys), crew).unwrap()
    }

    pub(crate) fn weights(
        &mut self,
        program: &VerifiedProgram,
        weights: &[Vec<f64>],
        threads: usize,
    ) -> Weights {
        match program.program().privacy {
            ModelPrivacy::Plain => {
                let items = weights.iter().cloned();
                Weights::plain(program, items, Ok::<_, Infallible>, threads).unwrap()
            }
            ModelPrivacy::Encrypted => {
                let items = self.encrypted_weights(program, weights);
                Weights::encrypted(program, items, Ok::<_, Infallible>, threads).unwrap()
            }
        }
    }

    pub(crate) fn encrypted_weights(
        &mut self,
        program: &VerifiedProgram,
        weights: &[Vec<f64>],
    ) -> Vec<SeededCiphertext<ModelKey>> {
        let lanes = program.program().input.lanes as usize;
        let specs = &program.program().weights;
        let masks = Masks::new(&mut self.randomness);
        let encrypt = |(values, spec): (&Vec<f64>, &adyton_program::WeightSpec)| {
            let slots: Vec<f64> =
                values.iter().flat_map(|&value| std::iter::repeat_n(value, lanes)).collect();
            let plaintext = self.encoder.encode(&slots, spec.level, &spec.scale).unwrap();
            let key = &self.model[&spec.row];
            masks.encrypt(key, spec.mask, &plaintext, &mut self.randomness).unwrap()
        };
        weights.iter().zip(specs).map(encrypt).collect()
    }

    pub(crate) fn keys(&mut self, program: &VerifiedProgram, threads: usize) -> EvaluationKeys {
        load_keys(program, self.seeded_keys(program), Ok::<_, Infallible>, threads).unwrap()
    }

    pub(crate) fn seeded_keys(&mut self, program: &VerifiedProgram) -> Vec<SeededEvaluationKey> {
        let make = |spec: &KeySpec| {
            let model = &self.model[&spec.source.row().unwrap_or_default()];
            let generator = KeyGenerator::new(model, &self.input, &self.result).unwrap();
            generator.evaluation_key(spec, &mut self.randomness).unwrap()
        };
        program.program().keys.iter().map(make).collect()
    }

    pub(crate) fn inputs(
        &mut self,
        program: &VerifiedProgram,
        groups: &[Vec<Vec<f64>>],
    ) -> Vec<Vec<Ciphertext<InputKey>>> {
        let items = self.seeded_inputs(program, groups);
        load_inputs(program, groups.len(), items, Ok::<_, Infallible>, 2).unwrap()
    }

    pub(crate) fn seeded_inputs(
        &mut self,
        program: &VerifiedProgram,
        groups: &[Vec<Vec<f64>>],
    ) -> Vec<SeededCiphertext<InputKey>> {
        let scale: &Scale = &program.program().input.scale;
        let level = self.parameters.top_level();
        let encrypt = |slots: &Vec<f64>| {
            let plaintext = self.encoder.encode(slots, level, scale).unwrap();
            self.input.encrypt(&plaintext, &mut self.randomness).unwrap()
        };
        groups.iter().flatten().map(encrypt).collect()
    }

    /// The slots of any value.
    pub(crate) fn open(&self, value: &Value<Encrypted>) -> Vec<f64> {
        let input = Decryptor::new(&self.input);
        let result = Decryptor::new(&self.result);
        let slots = match value {
            Value::Fresh(fresh) => input.decrypt_slots(fresh),
            Value::Result(of) => result.decrypt_slots(of),
            Value::Sum(EncryptedSum::Input(sum)) => {
                input.decrypt_products(sum, &self.model[&sum.row().unwrap_or_default()])
            }
            Value::Sum(EncryptedSum::Result(sum)) => {
                result.decrypt_products(sum, &self.model[&sum.row().unwrap_or_default()])
            }
            Value::Degree2(square) => result.decrypt_degree2(square),
        };
        slots.unwrap().to_vec()
    }
}
