//! Times of the CKKS operations, one thread: `cargo bench -p adyton-ckks-secret`.
//!
//! Each figure is a mean in microseconds of processor time. `ADYTON_KERNEL=portable` measures the portable kernel.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark reports and may stop")]

use std::hint::black_box;
use std::time::Instant;

use adyton_ckks::{
    Encoder, EvaluationKeys, Evaluator, Gadget, KeySource, KeySpec, Parameters, ParametersLiteral,
    RingKind, Scale, Security, SwitchTerm, Weight,
};
use adyton_ckks_secret::{Decryptor, KeyGenerator, Masks, Randomness, SecretKey};
use adyton_ring::ntt_primes;

/// Terms of a sum of products, groups of operands, rotations of a switch.
const TERMS: usize = 49;
const GROUPS: usize = 8;
const ROTATIONS: u32 = 8;

fn parameters(log_n: u8, bits: u32, depth: usize, alpha: u8) -> Parameters {
    let kind = RingKind::ConjugateInvariant;
    let large = ntt_primes(kind, log_n, 46, 1 + usize::from(alpha), &[]).unwrap();
    let primes = [&large[..1], &ntt_primes(kind, log_n, bits, depth, &[]).unwrap()].concat();
    let gadget = Gadget { digit_primes: alpha, special_primes: alpha };
    Parameters::new(&ParametersLiteral {
        kind,
        log_n,
        levels: (0..=depth).map(|level| (0..=level as u8).collect()).collect(),
        gadgets: vec![Some(gadget); depth + 1],
        primes,
        special_primes: large[1..].to_vec(),
        security: Security::Classical128,
    })
    .unwrap()
}

/// Nanoseconds that this thread has run: on Linux from the scheduler, which leaves out what other processes took; elsewhere wall time.
fn thread_time(start: Instant) -> f64 {
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or_else(|| start.elapsed().as_nanos() as f64)
}

/// Mean time in microseconds over about half a second, after one run to warm up.
fn time<T>(name: &str, mut work: impl FnMut() -> T) -> f64 {
    black_box(work());
    let start = Instant::now();
    let before = thread_time(start);
    let mut runs = 0.0;
    while runs < 5.0 || thread_time(start) - before < 4e8 {
        black_box(work());
        runs += 1.0;
    }
    let mean = (thread_time(start) - before) / runs / 1e3;
    println!("{name:<58} {mean:>11.1} µs");
    mean
}

fn bench(parameters: &Parameters) {
    let level = parameters.top_level();
    println!(
        "\nN = 2^{}, {} primes, {:?}, log QP {:.1}, kernel {}",
        parameters.log_n(),
        parameters.moduli(level).unwrap().len(),
        parameters.gadget(level).unwrap(),
        parameters.max_log_qp(),
        parameters.ring().kernel(),
    );
    let mut randomness = Randomness::from_seed(&[9; 32]);
    let model = SecretKey::derive(parameters, &[1; 32], b"").unwrap();
    let input = SecretKey::derive(parameters, &[2; 32], b"").unwrap();
    let result = SecretKey::derive(parameters, &[3; 32], b"").unwrap();
    let generator = KeyGenerator::new(&model, &input, &result).unwrap();
    let encoder = Encoder::new(parameters);
    let evaluator = Evaluator::new(parameters);
    let scale = Scale::pow2(36);
    let values: Vec<f64> = (0..parameters.slots()).map(|i| (i as f64 * 0.37).sin()).collect();

    time("encode", || encoder.encode(&values, level, &scale).unwrap());
    let plaintext = encoder.encode(&values, level, &scale).unwrap();
    time("encrypt (seeded)", || input.encrypt(&plaintext, &mut randomness).unwrap());
    let seeded = input.encrypt(&plaintext, &mut randomness).unwrap();
    time("expand seeded ciphertext", || seeded.expand(parameters).unwrap());
    time("encode seeded ciphertext to bytes", || seeded.encode(parameters).unwrap());
    let bytes = seeded.encode(parameters).unwrap();
    time("decode seeded ciphertext from bytes", || {
        adyton_ckks::SeededCiphertext::<adyton_ckks::InputKey>::decode(&bytes, parameters).unwrap()
    });
    println!("{:<58} {:>11} bytes", "seeded ciphertext", bytes.len());

    let spec = KeySpec { source: KeySource::Model(0), rotation: 1, level };
    time("generate an evaluation key", || {
        generator.evaluation_key(&spec, &mut randomness).unwrap()
    });
    let key = generator.evaluation_key(&spec, &mut randomness).unwrap();
    println!("{:<58} {:>11} bytes", "evaluation key", key.encode(parameters).unwrap().len());
    time("expand an evaluation key", || key.clone().into_expanded(parameters).unwrap());

    let weights: Vec<_> = (0..TERMS)
        .map(|_| {
            let seeded = model.encrypt(&plaintext, &mut randomness).unwrap();
            seeded.into_expanded(parameters).unwrap()
        })
        .collect();
    let operands: Vec<_> = (0..TERMS * GROUPS)
        .map(|_| {
            let seeded = input.encrypt(&plaintext, &mut randomness).unwrap();
            seeded.into_expanded(parameters).unwrap()
        })
        .collect();
    let basis = parameters.ring().full_basis();
    let terms: Vec<_> = weights.iter().map(Weight::Encrypted).zip(&operands).collect();
    let total =
        time(&format!("products, {TERMS} terms"), || evaluator.products(&terms, None).unwrap());
    println!("{:<58} {:>11.2} µs", "  one product", total / TERMS as f64);
    let groups: Vec<Vec<_>> = operands.chunks(TERMS).map(|group| group.iter().collect()).collect();
    let groups: Vec<_> = groups.iter().map(Vec::as_slice).collect();
    // Rows of different weights, so that they come from memory as in a real layer.
    let masks = Masks::new(&mut randomness);
    let seeded: Vec<Vec<_>> = (0..GROUPS)
        .map(|row| {
            let key =
                SecretKey::derive_row(parameters, &basis, &[1; 32], row as u8, b"bench").unwrap();
            (0..TERMS)
                .map(|mask| masks.encrypt(&key, mask as u32, &plaintext, &mut randomness).unwrap())
                .collect()
        })
        .collect();
    let seeded: Vec<Vec<_>> = seeded.iter().map(|row| row.iter().collect()).collect();
    let rows: Vec<_> = (0..)
        .zip(&seeded)
        .map(|(row, weights)| evaluator.prepare_encrypted(row, weights, None).unwrap())
        .collect();
    let rows: Vec<_> = rows.iter().collect();
    let shared = evaluator.prepare_masks(&seeded[0]).unwrap();
    for count in [1, 2, 4] {
        let name = format!("products_prepared, {TERMS} terms, {GROUPS} rows, {count} groups");
        let total = time(&name, || {
            evaluator.products_prepared(&rows, Some(&shared), &groups[..count]).unwrap()
        });
        println!("{:<58} {:>11.2} µs", "  one product", total / (TERMS * GROUPS * count) as f64);
    }

    let mut keys = EvaluationKeys::new();
    for rotation in 0..ROTATIONS {
        for source in [
            KeySource::Model(0),
            KeySource::Input,
            KeySource::ModelTimesInput(0),
            KeySource::Result,
            KeySource::ResultSquared,
        ] {
            let spec = KeySpec { source, rotation, level };
            if parameters.check_key(&spec).is_ok() {
                let key = generator.evaluation_key(&spec, &mut randomness).unwrap();
                keys.insert(key.into_expanded(parameters).unwrap());
            }
        }
    }
    let product = evaluator.products(&terms, None).unwrap();
    let one = [(SwitchTerm::InputProducts(&product), 1)];
    time("switch_sum, one product sum rotated, rescaled", || {
        evaluator.switch_sum(&one, true, &keys).unwrap()
    });
    let all: Vec<_> =
        (0..ROTATIONS).map(|rotation| (SwitchTerm::InputProducts(&product), rotation)).collect();
    let total = time(&format!("switch_sum, {ROTATIONS} product sums, rescaled"), || {
        evaluator.switch_sum(&all, true, &keys).unwrap()
    });
    println!("{:<58} {:>11.2} µs", "  one product sum", total / f64::from(ROTATIONS));

    let x = result.encrypt(&plaintext, &mut randomness).unwrap().into_expanded(parameters).unwrap();
    let rotations: Vec<u32> = (1..ROTATIONS).collect();
    time("rotate", || evaluator.rotate(&x, 1, &keys).unwrap());
    let total = time(&format!("rotations_hoisted, {} rotations", rotations.len()), || {
        evaluator.rotations_hoisted(&x, &rotations, &keys).unwrap()
    });
    println!("{:<58} {:>11.2} µs", "  one rotation", total / rotations.len() as f64);
    time("square", || evaluator.square(&x).unwrap());
    let square = evaluator.square(&x).unwrap();
    time("relinearize, rescaled", || evaluator.relinearize(&square, true, &keys).unwrap());
    time("rescale", || evaluator.rescale(&x).unwrap());
    let decryptor = Decryptor::new(&result);
    time("decrypt to slots", || decryptor.decrypt_slots(&x).unwrap());
}

fn main() {
    bench(&parameters(13, 40, 3, 1));
    bench(&parameters(14, 45, 5, 3));
}
