//! Tests that the work does not depend on secrets: by statistics over its time, and by memcheck on poisoned secrets.
//!
//! Not among them: opening what owners sealed (X-Wing's decapsulation, of the crates `ml-kem` and `x25519-dalek`), because ML-KEM
//! expands a public matrix from part of its key by rejection, which neither test can tell from a leak; and encoding, which owners do.

mod poison;
mod timing;
mod welch;

use std::hint::black_box;

use adyton_ckks::{
    Ciphertext, Encoder, InputKey, KeySource, KeySpec, ModelKey, Parameters, ResultKey,
};
use adyton_ckks_secret::{DecryptBuffer, Decryptor, KeyGenerator, Randomness, SecretKey};
use adyton_ring::sampler;
use adyton_wire::seal::{OpeningKey, SealingKey};
use adyton_wire::statement::{OutputForm, Policy};
use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use crate::defences::Defences;
use crate::plan::{Gate, Plan};
use crate::release::Rules;
use crate::service::tests::common;

const LOG_N: u8 = 9;
type Secret = [u8; 32];
/// The operation, made ready with a secret.
type Run<'a> = Box<dyn FnMut() + 'a>;

/// What of an operation's surroundings is public.
struct World {
    parameters: Parameters,
    plan: Plan,
    ciphertext: Ciphertext<ResultKey>,
    sealing: SealingKey,
}

impl World {
    fn new() -> Self {
        let program = common::program(LOG_N);
        let parameters = Parameters::new_insecure_for_tests(&program.parameters).unwrap();
        let plan = Plan::new(&program.encode(), Gate::InsecureForTests).unwrap();
        let slots = vec![0.5; parameters.slots()];
        let plain = Encoder::new(&parameters).encode(&slots, plan.level, &plan.scale).unwrap();
        let key = SecretKey::<ResultKey>::derive(&parameters, &[9; 32], b"").unwrap();
        let seeded = key.encrypt(&plain, &mut Randomness::from_seed(&[8; 32])).unwrap();
        let ciphertext = seeded.expand(&parameters).unwrap();
        let sealing = OpeningKey::from_seed(&[7; 32]).unwrap().public_key().clone();
        Self { parameters, plan, ciphertext, sealing }
    }
}

/// Numbers in [−1, 1) from a secret.
fn numbers(secret: &Secret, count: usize) -> Vec<f64> {
    let mut rng = ChaCha20Rng::from_seed(*secret);
    (0..count).map(|_| (rng.next_u64() as i64 >> 11) as f64 / (1u64 << 52) as f64).collect()
}

type Prepare = for<'a> fn(&'a World, Secret) -> Run<'a>;

const OPERATIONS: &[(&str, Prepare)] = &[
    ("derive a key", |world, secret| {
        Box::new(move || {
            let key = SecretKey::<ModelKey>::derive(&world.parameters, black_box(&secret), b"x");
            drop(black_box(key.unwrap()));
        })
    }),
    ("draw noise", |world, secret| {
        let ring = world.parameters.ring();
        let basis = ring.full_basis();
        Box::new(move || {
            drop(black_box(sampler::gaussian(ring, &basis, black_box(&secret), 0).unwrap()));
        })
    }),
    ("make an evaluation key", |world, secret| {
        let parameters = &world.parameters;
        let model = SecretKey::<ModelKey>::derive(parameters, &secret, b"m").unwrap();
        let input = SecretKey::<InputKey>::derive(parameters, &secret, b"i").unwrap();
        let result = SecretKey::<ResultKey>::derive(parameters, &secret, b"r").unwrap();
        let spec = KeySpec { source: KeySource::ModelTimesInput(0), rotation: 0, level: 1 };
        Box::new(move || {
            let generator = KeyGenerator::new(&model, &input, &result).unwrap();
            let mut randomness = Randomness::from_seed(&[1; 32]);
            let key = generator.evaluation_key(&spec, &mut randomness).unwrap();
            drop(black_box(key.encode(parameters).unwrap()));
        })
    }),
    ("encrypt", |world, secret| {
        let parameters = &world.parameters;
        let key = SecretKey::<InputKey>::derive(parameters, &secret, b"x").unwrap();
        let slots = vec![0.25; parameters.slots()];
        let scale = &world.plan.scale;
        let plain = Encoder::new(parameters).encode(&slots, world.plan.level, scale).unwrap();
        Box::new(move || {
            let mut randomness = Randomness::from_seed(&[1; 32]);
            drop(black_box(key.encrypt(&plain, &mut randomness).unwrap()));
        })
    }),
    ("decrypt", |world, secret| {
        let key = SecretKey::<ResultKey>::derive(&world.parameters, &secret, b"x").unwrap();
        let encoder = Encoder::new(&world.parameters);
        let mut buffer = DecryptBuffer::default();
        Box::new(move || {
            let decryptor = Decryptor::with_encoder(&key, &encoder).unwrap();
            black_box(decryptor.decrypt_slots_in(&world.ciphertext, &mut buffer).unwrap());
        })
    }),
    ("release logits", |world, secret| release(world, secret, OutputForm::Logits { bits: 16 })),
    ("release the largest", |world, secret| {
        release(world, secret, OutputForm::TopK { k: 2, bits: 8 })
    }),
    ("release a label", |world, secret| release(world, secret, OutputForm::Label)),
    ("seal a result", |world, secret| {
        let payload: Vec<u8> = numbers(&secret, 64).iter().flat_map(|x| x.to_le_bytes()).collect();
        Box::new(move || drop(black_box(world.sealing.seal(b"info", b"", &payload).unwrap())))
    }),
    ("seal a record of the state", |_, secret| {
        let record: Vec<u8> = numbers(&secret, 64).iter().flat_map(|x| x.to_le_bytes()).collect();
        Box::new(move || {
            let cipher = XChaCha20Poly1305::new(black_box(&secret).into());
            drop(black_box(cipher.encrypt(&XNonce::from([1; 24]), record.as_slice()).unwrap()));
        })
    }),
];

/// Checks, flooding, rounding, choosing the largest: the path of every released value.
fn release(world: &World, secret: Secret, form: OutputForm) -> Run<'_> {
    let slots = numbers(&secret, world.parameters.slots());
    let policy = Policy { output: form, ..common::policy([]) };
    Box::new(move || {
        let one_group = (common::LANES as u32, 1);
        let rules = Rules::new(&world.plan, &policy, one_group, Defences::default());
        let mut outputs = rules.outputs();
        rules.read(black_box(&slots), 0, &mut outputs);
        let mut rng = ChaCha20Rng::from_seed(secret);
        drop(black_box(rules.finish(outputs, &mut rng)));
    })
}

/// What both tests must find: functions that branch, or look up, by a secret.
const LEAKS: &[(&str, Prepare)] = &[
    ("stops at the first small number", |_, secret| {
        let numbers = numbers(&secret, 4096);
        Box::new(move || {
            black_box(black_box(&numbers).iter().position(|&x| x < -0.99));
        })
    }),
    ("compares until a byte differs", |_, secret| {
        Box::new(move || {
            for _ in 0..64 {
                let same = black_box(&secret).iter().take_while(|&&byte| byte == timing::FIXED[0]);
                black_box(same.count());
            }
        })
    }),
    ("sorts", |_, secret| {
        let numbers = numbers(&secret, 64);
        let fixed = secret == timing::FIXED;
        Box::new(move || {
            let mut sorted = numbers.clone();
            // Sorted already in one class of secrets.
            if fixed {
                sorted.fill(0.0);
            }
            sorted.sort_unstable_by(f64::total_cmp);
            black_box(sorted);
        })
    }),
];
