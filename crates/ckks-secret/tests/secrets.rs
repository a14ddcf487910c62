//! Keys are bound to role, epoch and parameters; evaluation is the same, bit for bit, with every kernel.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

mod common;

use adyton_ckks::{
    CkksError, Kernel, KeySource, Parameters, ParametersError, RingKind, Scale, SwitchTerm, Weight,
};
use adyton_ckks_secret::{Decryptor, KeyGenerator, NoiseReport, Randomness, SecretKey};
use common::{World, chain, sets};

/// Decrypting with anything but the right key gives noise of the size of the modulus.
#[test]
fn only_the_same_seed_role_epoch_and_parameters_decrypt() {
    let parameters =
        Parameters::new_insecure_for_tests(&chain(RingKind::ConjugateInvariant, 8, 2)).unwrap();
    let mut world = World::new(&parameters);
    let scale = Scale::pow2(30);
    let values = world.values(1);
    let key = |seed, epoch: &[u8]| {
        SecretKey::<adyton_ckks::InputKey>::derive(&parameters, &[seed; 32], epoch)
    };
    let right = key(1, b"epoch 1").unwrap();
    let plaintext = world.encoder.encode(&values, 2, &scale).unwrap();
    let x = right.encrypt(&plaintext, &mut world.randomness).unwrap().into_expanded(&parameters);
    let x = x.unwrap();
    let error = |key: &SecretKey<_>| {
        let found = Decryptor::new(key).decrypt_slots(&x).unwrap();
        NoiseReport::measure(&found, &values, &Scale::one()).worst
    };
    assert!(error(&right) < 1e-6);
    assert!(error(&key(1, b"epoch 1").unwrap()) < 1e-6);
    assert!(error(&key(1, b"epoch 2").unwrap()) > 1e6);
    assert!(error(&key(2, b"epoch 1").unwrap()) > 1e6);
    // The same seed and epoch in another role is another key.
    let model = SecretKey::<adyton_ckks::ModelKey>::derive(&parameters, &[1; 32], b"epoch 1");
    let bytes = right.encrypt(&plaintext, &mut world.randomness).unwrap().encode(&parameters);
    let mut bytes = bytes.unwrap();
    bytes[adyton_ckks::codec::HEADER_LEN] = adyton_ckks::Role::Model as u8;
    let relabelled = adyton_ckks::SeededCiphertext::decode(&bytes, &parameters).unwrap();
    let relabelled = relabelled.into_expanded(&parameters).unwrap();
    let found = Decryptor::new(&model.unwrap()).decrypt_slots(&relabelled).unwrap();
    assert!(NoiseReport::measure(&found, &values, &Scale::one()).worst > 1e6);
}

#[test]
fn encryptions_are_fresh_and_reproducible() {
    let parameters = Parameters::new_insecure_for_tests(&chain(RingKind::Standard, 6, 1)).unwrap();
    let world = World::new(&parameters);
    let plaintext = world.encoder.encode(&[1.0], 1, &Scale::pow2(30)).unwrap();
    let encrypt =
        |randomness: &mut Randomness| world.secrets.model.encrypt(&plaintext, randomness).unwrap();
    let mut randomness = Randomness::from_seed(&[7; 32]);
    let (first, second) = (encrypt(&mut randomness), encrypt(&mut randomness));
    assert_ne!(first.seed(), second.seed());
    assert_ne!(first.b(), second.b());
    assert_eq!(first, encrypt(&mut Randomness::from_seed(&[7; 32])));
}

#[test]
fn keys_of_different_parameters_do_not_mix() {
    let [one, other] = [2, 3].map(|depth| {
        Parameters::new_insecure_for_tests(&chain(RingKind::Standard, 6, depth)).unwrap()
    });
    let (one, other) = (World::new(&one).secrets, World::new(&other).secrets);
    let error = KeyGenerator::new(&other.model, &one.input, &one.result).unwrap_err();
    assert_eq!(error, CkksError::Parameters(ParametersError::OtherParameters));
}

/// A layer, its square and its relinearization, as encoded bytes.
fn run(world: &mut World) -> Vec<Vec<u8>> {
    let scale = Scale::pow2(30);
    let (w, x) = (world.values(1), world.values(2));
    let weight = world.encrypt(|s| &s.model, &w, 2, &scale);
    let input = world.encrypt(|s| &s.input, &x, 2, &scale);
    let keys = world.secrets.keys(&[
        (KeySource::Model(0), 3, 2),
        (KeySource::Input, 3, 2),
        (KeySource::ModelTimesInput(0), 3, 2),
        (KeySource::ResultSquared, 0, 1),
        (KeySource::Result, 1, 1),
    ]);
    let product = world.evaluator.products(&[(Weight::Encrypted(&weight), &input)], None).unwrap();
    let terms = [(SwitchTerm::InputProducts(&product), 3)];
    let layer = world.evaluator.switch_sum(&terms, true, &keys).unwrap();
    let rotated = world.evaluator.rotate(&layer, 1, &keys).unwrap();
    let square = world.evaluator.square(&layer).unwrap();
    let relinearized = world.evaluator.relinearize(&square, true, &keys).unwrap();
    [layer, rotated, relinearized].map(|x| x.encode(&world.parameters).unwrap()).to_vec()
}

#[test]
fn kernels_agree_bit_for_bit() {
    if !Kernel::Avx512Ifma.is_supported() {
        println!("kernel {}: not supported by this processor, not tested", Kernel::Avx512Ifma);
        return;
    }
    for kind in [RingKind::ConjugateInvariant, RingKind::Standard] {
        for literal in [chain(kind, 10, 3), sets(kind, 10)] {
            let [portable, avx512] = [Kernel::Portable, Kernel::Avx512Ifma]
                .map(|kernel| run(&mut World::with_kernel(&literal, kernel)));
            assert!(portable == avx512);
        }
    }
    println!("kernel {}: tested", Kernel::Avx512Ifma);
}

#[test]
fn everything_crosses_threads() {
    fn crosses<T: Send + Sync>() {}
    crosses::<Parameters>();
    crosses::<adyton_ckks::Encoder>();
    crosses::<adyton_ckks::Evaluator>();
    crosses::<adyton_ckks::EvaluationKeys>();
    crosses::<adyton_ckks::PreparedWeights>();
    crosses::<adyton_ckks::ProductSum<adyton_ckks::InputKey>>();
    crosses::<SecretKey<adyton_ckks::ResultKey>>();
    crosses::<Decryptor<'_, adyton_ckks::ResultKey>>();
    crosses::<Randomness>();
}
