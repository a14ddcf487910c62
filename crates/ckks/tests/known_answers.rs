//! Encoding, products, key switching, squaring and relinearization against integers computed from the textbook definitions by
//! `testing/vectors/ckks_vectors.py`, with every kernel of this machine.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

use std::collections::BTreeMap;

use adyton_ckks::{
    Ciphertext, Encoder, EvaluationKey, EvaluationKeys, Evaluator, Gadget, InputKey, Kernel,
    KeySource, KeySpec, ModelKey, Parameters, ParametersLiteral, RingKind, Scale, Security,
    SwitchTerm, Weight,
};
use adyton_ring::{Basis, Coeff, Ntt, Poly};
use serde::Deserialize;

const VECTORS: &str = include_str!("../../../testing/vectors/ckks.json");

type Residues = Vec<Vec<u64>>;

#[derive(Deserialize)]
struct Vectors {
    kind: String,
    log_n: u8,
    primes: Vec<u64>,
    special_primes: Vec<u64>,
    rotation: u32,
    weight: Operand,
    operand: Operand,
    product: Product,
    keys: BTreeMap<String, Vec<Pair>>,
    switched: Pair,
    square: [Residues; 3],
    relinearization_key: Vec<Pair>,
    relinearized: Pair,
    decrypted: Decrypted,
}

#[derive(Deserialize)]
struct Operand {
    values: Vec<f64>,
    log2_scale: i16,
    message: Vec<i64>,
    b: Residues,
    a: Residues,
}

#[derive(Deserialize)]
struct Pair {
    b: Residues,
    a: Residues,
}

#[derive(Deserialize)]
struct Product {
    one: Residues,
    model: Residues,
    operand: Residues,
    both: Residues,
}

#[derive(Deserialize)]
struct Decrypted {
    coefficients: Vec<i64>,
    slots: Vec<f64>,
}

impl Vectors {
    fn parameters(&self, kernel: Kernel) -> Parameters {
        let literal = ParametersLiteral {
            kind: match self.kind.as_str() {
                "standard" => RingKind::Standard,
                "conjugate_invariant" => RingKind::ConjugateInvariant,
                other => panic!("unknown ring {other}"),
            },
            log_n: self.log_n,
            primes: self.primes.clone(),
            special_primes: self.special_primes.clone(),
            levels: vec![vec![0], vec![0, 1], vec![0, 1, 2]],
            gadgets: vec![Some(Gadget { digit_primes: 1, special_primes: 1 }); 3],
            security: Security::InsecureForTests,
        };
        // The base prime is a bit larger than the special one, as small digits' excess allows.
        Parameters::new_insecure_for_tests_with_kernel(&literal, kernel).unwrap()
    }
}

fn poly(parameters: &Parameters, basis: &Basis, residues: &Residues) -> Poly<Ntt> {
    let mut poly = Poly::<Coeff>::zero(parameters.ring(), basis).unwrap();
    assert_eq!(residues.len(), basis.len());
    for (limb, residues) in poly.limbs_mut().zip(residues) {
        limb.copy_from_slice(residues);
    }
    parameters.ring().forward(poly).unwrap()
}

fn residues(parameters: &Parameters, poly: &Poly<Ntt>) -> Residues {
    parameters.ring().inverse(poly.clone()).unwrap().limbs().map(<[u64]>::to_vec).collect()
}

fn key(parameters: &Parameters, spec: KeySpec, digits: &[Pair]) -> EvaluationKey {
    let basis = parameters.key_basis(spec.level).unwrap();
    let digits = digits
        .iter()
        .map(|digit| [poly(parameters, basis, &digit.b), poly(parameters, basis, &digit.a)])
        .collect();
    EvaluationKey::from_parts(parameters, spec, digits).unwrap()
}

#[track_caller]
fn assert_pair<K: adyton_ckks::KeyRole>(
    parameters: &Parameters,
    found: &Ciphertext<K>,
    expected: &Pair,
) {
    assert_eq!(residues(parameters, found.b()), expected.b);
    assert_eq!(residues(parameters, found.a()), expected.a);
}

fn check(vectors: &Vectors, kernel: Kernel) {
    let parameters = &vectors.parameters(kernel);
    let encoder = Encoder::new(parameters);
    let evaluator = Evaluator::new(parameters);
    let basis = parameters.basis(2).unwrap();

    for operand in [&vectors.weight, &vectors.operand] {
        let scale = Scale::pow2(operand.log2_scale);
        let plaintext = encoder.encode(&operand.values, 2, &scale).unwrap();
        let message = parameters.ring().from_signed(basis, &operand.message).unwrap();
        assert_eq!(*plaintext.poly(), parameters.ring().forward(message).unwrap());
    }

    let w_scale = Scale::pow2(vectors.weight.log2_scale);
    let x_scale = Scale::pow2(vectors.operand.log2_scale);
    let parts = |operand: &Operand| {
        [poly(parameters, basis, &operand.b), poly(parameters, basis, &operand.a)]
    };
    let [b, a] = parts(&vectors.weight);
    let weight = Ciphertext::<ModelKey>::from_parts(parameters, b, a, 2, w_scale.clone()).unwrap();
    let [b, a] = parts(&vectors.operand);
    let operand = Ciphertext::<InputKey>::from_parts(parameters, b, a, 2, x_scale.clone()).unwrap();

    let product = evaluator.products(&[(Weight::Encrypted(&weight), &operand)], None).unwrap();
    assert_eq!(residues(parameters, product.one()), vectors.product.one);
    assert_eq!(residues(parameters, product.model().unwrap()), vectors.product.model);
    assert_eq!(residues(parameters, product.operand()), vectors.product.operand);
    assert_eq!(residues(parameters, product.both().unwrap()), vectors.product.both);

    let mut keys = EvaluationKeys::new();
    for (name, digits) in &vectors.keys {
        let source = match name.as_str() {
            "model" => KeySource::Model(0),
            "input" => KeySource::Input,
            "model_times_input" => KeySource::ModelTimesInput(0),
            other => panic!("unknown source {other}"),
        };
        let spec = KeySpec { source, rotation: vectors.rotation, level: 2 };
        assert!(keys.insert(key(parameters, spec, digits)).is_none());
    }
    let terms = [(SwitchTerm::InputProducts(&product), vectors.rotation)];
    let switched = evaluator.switch_sum(&terms, true, &keys).unwrap();
    assert_pair(parameters, &switched, &vectors.switched);
    assert_eq!(*switched.scale(), w_scale.mul(&x_scale).div(&Scale::prime(vectors.primes[2])));

    let square = evaluator.square(&switched).unwrap();
    for (found, expected) in square.parts().iter().zip(&vectors.square) {
        assert_eq!(residues(parameters, found), *expected);
    }
    let spec = KeySpec { source: KeySource::ResultSquared, rotation: 0, level: 1 };
    keys.insert(key(parameters, spec, &vectors.relinearization_key));
    let relinearized = evaluator.relinearize(&square, true, &keys).unwrap();
    assert_pair(parameters, &relinearized, &vectors.relinearized);

    let message = parameters
        .ring()
        .from_signed(parameters.basis(0).unwrap(), &vectors.decrypted.coefficients)
        .unwrap();
    let message = parameters.ring().forward(message).unwrap();
    let slots = encoder.decode_poly(&message, relinearized.scale()).unwrap();
    for (found, expected) in slots.iter().zip(&vectors.decrypted.slots) {
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }
}

#[test]
fn every_kernel_gives_the_textbook_integers() {
    let vectors: Vec<Vectors> = serde_json::from_str(VECTORS).unwrap();
    assert_eq!(vectors.len(), 2);
    for kernel in [Kernel::Portable, Kernel::Avx512Ifma] {
        if !kernel.is_supported() {
            println!("kernel {kernel}: not supported by this processor, not tested");
            continue;
        }
        vectors.iter().for_each(|vectors| check(vectors, kernel));
        println!("kernel {kernel}: tested");
    }
}
