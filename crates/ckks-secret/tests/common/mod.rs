//! Parameters, keys and vectors that the tests share.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]

use adyton_ckks::{
    Encoder, EvaluationKeys, Evaluator, Gadget, InputKey, Kernel, KeyRole, KeySource, KeySpec,
    ModelKey, Parameters, ParametersLiteral, ResultKey, RingKind, Scale, Security,
};
use adyton_ckks_secret::{Decryptor, KeyGenerator, Randomness, SecretKey};
use adyton_ring::ntt_primes;

/// One prime a level on top of a base prime, α = 1, one special prime: levels are prefixes.
pub fn chain(kind: RingKind, log_n: u8, depth: usize) -> ParametersLiteral {
    let base = ntt_primes(kind, log_n, 46, 2, &[]).unwrap();
    let rest = ntt_primes(kind, log_n, 40, depth, &[]).unwrap();
    ParametersLiteral {
        kind,
        log_n,
        primes: [&base[..1], &rest].concat(),
        special_primes: base[1..].to_vec(),
        levels: (0..=depth).map(|level| (0..=level as u8).collect()).collect(),
        gadgets: vec![Some(Gadget { digit_primes: 1, special_primes: 1 }); depth + 1],
        security: Security::InsecureForTests,
    }
}

/// Levels that are no prefixes of one another: {0}, {1, 2}, {1, 3, 4}, {2, 3, 4, 5}; α = 2 with two special primes, so that the last
/// digit may be smaller than the others, and no keys at level 3.
pub fn sets(kind: RingKind, log_n: u8) -> ParametersLiteral {
    let large = ntt_primes(kind, log_n, 45, 6, &[]).unwrap();
    let small = ntt_primes(kind, log_n, 30, 2, &[]).unwrap();
    ParametersLiteral {
        kind,
        log_n,
        primes: vec![large[0], large[1], large[2], large[3], small[0], large[4]],
        special_primes: ntt_primes(kind, log_n, 46, 2, &[]).unwrap(),
        levels: vec![vec![0], vec![1, 2], vec![1, 3, 4], vec![2, 3, 4, 5]],
        gadgets: vec![
            Some(Gadget { digit_primes: 2, special_primes: 2 }),
            Some(Gadget { digit_primes: 1, special_primes: 1 }),
            Some(Gadget { digit_primes: 2, special_primes: 2 }),
            None,
        ],
        security: Security::InsecureForTests,
    }
}

/// Every pair of ring kind and layout that the end-to-end tests run on.
pub fn all_parameters() -> Vec<Parameters> {
    let mut all = Vec::new();
    for kind in [RingKind::ConjugateInvariant, RingKind::Standard] {
        all.push(Parameters::new_insecure_for_tests(&chain(kind, 10, 3)).unwrap());
        all.push(Parameters::new_insecure_for_tests(&sets(kind, 10)).unwrap());
    }
    all
}

/// The three secrets of a session.
pub struct Secrets {
    pub model: SecretKey<ModelKey>,
    pub input: SecretKey<InputKey>,
    pub result: SecretKey<ResultKey>,
}

impl Secrets {
    pub fn new(parameters: &Parameters) -> Self {
        Self {
            model: SecretKey::derive(parameters, &[1; 32], b"deployment 1").unwrap(),
            input: SecretKey::derive(parameters, &[2; 32], b"session 1").unwrap(),
            result: SecretKey::derive(parameters, &[3; 32], b"session 1 epoch 1").unwrap(),
        }
    }

    /// The model key of a row; that of row 0 is `model`.
    pub fn model_of(&self, row: u8) -> SecretKey<ModelKey> {
        let parameters = self.model.parameters();
        let basis = parameters.ring().full_basis();
        SecretKey::derive_row(parameters, &basis, &[1; 32], row, b"deployment 1").unwrap()
    }

    pub fn keys(&self, specs: &[(KeySource, u32, u8)]) -> EvaluationKeys {
        let mut randomness = Randomness::from_seed(&[4; 32]);
        specs
            .iter()
            .map(|&(source, rotation, level)| {
                let model = self.model_of(source.row().unwrap_or_default());
                let generator = KeyGenerator::new(&model, &self.input, &self.result).unwrap();
                let spec = KeySpec { source, rotation, level };
                let key = generator.evaluation_key(&spec, &mut randomness).unwrap();
                key.into_expanded(self.result.parameters()).unwrap()
            })
            .collect()
    }
}

/// Encoder, evaluator and secrets together.
pub struct World {
    pub parameters: Parameters,
    pub encoder: Encoder,
    pub evaluator: Evaluator,
    pub secrets: Secrets,
    pub randomness: Randomness,
}

impl World {
    pub fn new(parameters: &Parameters) -> Self {
        Self {
            parameters: parameters.clone(),
            encoder: Encoder::new(parameters),
            evaluator: Evaluator::new(parameters),
            secrets: Secrets::new(parameters),
            randomness: Randomness::from_seed(&[5; 32]),
        }
    }

    pub fn with_kernel(literal: &ParametersLiteral, kernel: Kernel) -> Self {
        Self::new(&Parameters::new_insecure_for_tests_with_kernel(literal, kernel).unwrap())
    }

    pub fn encrypt<K: KeyRole>(
        &mut self,
        key: impl Fn(&Secrets) -> &SecretKey<K>,
        values: &[f64],
        level: u8,
        scale: &Scale,
    ) -> adyton_ckks::Ciphertext<K> {
        let plaintext = self.encoder.encode(values, level, scale).unwrap();
        let key = key(&self.secrets);
        let seeded = key.encrypt(&plaintext, &mut self.randomness).unwrap();
        seeded.into_expanded(&self.parameters).unwrap()
    }

    pub fn decrypt(&self, x: &adyton_ckks::Ciphertext<ResultKey>) -> Vec<f64> {
        Decryptor::new(&self.secrets.result).decrypt_slots(x).unwrap().to_vec()
    }

    /// Reproducible values in [−1, 1).
    pub fn values(&self, seed: u64) -> Vec<f64> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        };
        std::iter::repeat_with(next).take(self.parameters.slots()).collect()
    }
}

pub fn rotate(values: &[f64], by: usize) -> Vec<f64> {
    (0..values.len()).map(|i| values[(i + by) % values.len()]).collect()
}

pub fn multiply(x: &[f64], y: &[f64]) -> Vec<f64> {
    x.iter().zip(y).map(|(x, y)| x * y).collect()
}

pub fn sum(vectors: &[Vec<f64>]) -> Vec<f64> {
    (0..vectors[0].len()).map(|i| vectors.iter().map(|v| v[i]).sum()).collect()
}

#[track_caller]
pub fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (slot, (x, y)) in found.iter().zip(expected).enumerate() {
        assert!((x - y).abs() < tolerance, "slot {slot}: {x} is not {y} within {tolerance}");
    }
}
