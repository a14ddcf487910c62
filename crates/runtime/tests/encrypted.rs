//! CKKS against cleartext, value by value, on small insecure rings; loaders and estimates.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use adyton_ckks::{Alone, CkksError, EvaluationKeys, KeySet, RingKind};
use adyton_program::{ModelPrivacy, WeightSpec};
use adyton_runtime::{
    Encrypted, EncryptedError, Executor, LoadError, Place, RunError, RunOptions, Value, Weights,
    estimate_memory, load_inputs, load_keys,
};
use support::{
    distance, interpret,
    program::{Case, Shape},
    secrets::Secrets,
};

const PRIVACIES: [ModelPrivacy; 2] = [ModelPrivacy::Encrypted, ModelPrivacy::Plain];

/// Largest error allowed in a slot, in the units of the network: at N ≤ 2^7 and scales of 2^34 noise stays below 2^-15.
const TOLERANCE: f64 = 3e-5;

/// Every value, product sums and degree 2 included, decrypts to what the plain interpreter finds.
fn compare_every_step(shape: Shape, seed: u64) {
    let case = Case::draw(shape, seed);
    let mut secrets = Secrets::new(&case.program, 7);
    let backend = secrets.backend(&case.program, &case.weights, 2);
    let slots = case.inputs(2, seed);
    let inputs = secrets.inputs(&case.program, &slots);
    let program = case.program.program().clone();
    let expected: Vec<_> =
        slots.iter().map(|group| interpret(&program, &case.weights, group)).collect();
    let worst = Mutex::new((0.0, Place { step: 0, group: 0 }));
    let trace = |at: Place, value: u32, found: &Value<Encrypted>| {
        let error = distance(&secrets.open(found), &expected[at.group][value as usize]);
        let mut worst = worst.lock().unwrap();
        if error > worst.0 {
            *worst = (error, at);
        }
    };
    let declared = case.program.types()[program.output.value as usize].clone();
    let executor = Executor::new(Arc::new(case.program));
    let outcome = executor.run(&backend, inputs, &RunOptions::threads(2).trace(&trace)).unwrap();
    let (error, at) = worst.into_inner().unwrap();
    assert!(error < TOLERANCE, "{shape:?}, seed {seed}: error {error} at {at}");
    for result in &outcome.results {
        assert_eq!((result.level(), result.scale()), (declared.level, &declared.scale));
    }
}

#[test]
fn both_backends_agree_at_every_step() {
    for privacy in PRIVACIES {
        for seed in 0..6 {
            compare_every_step(Shape::small(privacy), seed);
        }
    }
}

#[test]
fn also_with_several_primes_a_digit() {
    for seed in 0..3 {
        compare_every_step(Shape { alpha: 2, ..Shape::small(ModelPrivacy::Encrypted) }, seed);
    }
}

#[test]
fn also_in_the_standard_ring() {
    for privacy in PRIVACIES {
        let shape = Shape { kind: RingKind::Standard, log_n: 7, ..Shape::small(privacy) };
        (0..3).for_each(|seed| compare_every_step(shape, seed));
    }
}

#[test]
fn results_are_the_same_bits_for_any_number_of_threads_and_groups() {
    let case = Case::draw(Shape::small(ModelPrivacy::Encrypted), 11);
    let mut secrets = Secrets::new(&case.program, 7);
    let backend = secrets.backend(&case.program, &case.weights, 3);
    let slots = case.inputs(3, 11);
    let inputs = secrets.inputs(&case.program, &slots);
    let executor = Executor::new(Arc::new(case.program));
    let run = |inputs, threads| {
        executor.run(&backend, inputs, &RunOptions::threads(threads)).unwrap().results
    };
    let together = run(inputs.clone(), 1);
    for threads in 2..=4 {
        assert_eq!(run(inputs.clone(), threads), together);
    }
    for (group, expected) in inputs.into_iter().zip(together) {
        assert_eq!(run(vec![group], 2), [expected]);
    }
}

#[test]
fn a_missing_key_is_named_with_its_step() {
    let case = Case::draw(Shape::small(ModelPrivacy::Encrypted), 2);
    let mut secrets = Secrets::new(&case.program, 7);
    let weights = Arc::new(secrets.weights(&case.program, &case.weights, 1));
    let all = secrets.keys(&case.program, 2);
    let gone = *all.specs().last().unwrap();
    let mut some = EvaluationKeys::new();
    for spec in all.specs().filter(|&&spec| spec != gone) {
        some.insert((*all.key(spec).unwrap()).clone());
    }
    let backend = Encrypted::new(&case.program, weights, Arc::new(some), Arc::new(Alone)).unwrap();
    let inputs = secrets.inputs(&case.program, &case.inputs(1, 1));
    let executor = Executor::new(Arc::new(case.program));
    let error = executor.run(&backend, inputs, &RunOptions::threads(1)).unwrap_err();
    let RunError::Step { step, source, .. } = error else { panic!("{error}") };
    assert!(step < executor.program().program().steps.len());
    assert!(
        matches!(source, EncryptedError::Ckks(CkksError::MissingKey(spec)) if spec == gone),
        "{source}"
    );
}

#[test]
fn weights_belong_to_their_program() {
    let first = Case::draw(Shape::small(ModelPrivacy::Plain), 1);
    let second = Case::draw(Shape::small(ModelPrivacy::Plain), 2);
    let mut secrets = Secrets::new(&first.program, 7);
    let weights = Arc::new(secrets.weights(&first.program, &first.weights, 1));
    let keys = Arc::new(EvaluationKeys::new());
    let refused = Encrypted::new(&second.program, weights, keys, Arc::new(Alone)).err();
    assert!(matches!(refused, Some(EncryptedError::OtherProgram)));
}

#[test]
fn loaders_refuse_what_does_not_fit() {
    let case = Case::draw(Shape::small(ModelPrivacy::Encrypted), 1);
    let program = &case.program;
    let mut secrets = Secrets::new(program, 7);
    let items = secrets.encrypted_weights(program, &case.weights);
    let load = |items: Vec<_>| Weights::encrypted(program, items, Ok::<_, Infallible>, 2).err();
    assert!(load(items.clone()).is_none());

    let count = items.len();
    let short = items[1..].to_vec();
    // The first weights may be alike, so a short list shows as a count or as a misfit.
    assert!(load(short).is_some());
    let mut long = items.clone();
    long.push(items[0].clone());
    let given = count + 1;
    assert!(
        matches!(load(long), Some(LoadError::Count { given: g, expected }) if (g, expected) == (given, count))
    );

    let mut swapped = items.clone();
    let declared = &program.program().weights;
    let differs =
        |spec: &&WeightSpec| (spec.level, &spec.scale) != (declared[0].level, &declared[0].scale);
    let other = declared.iter().position(|spec| differs(&spec)).unwrap();
    swapped.swap(0, other);
    assert!(matches!(
        load(swapped),
        Some(LoadError::Level { index: 0, .. } | LoadError::Scale { index: 0, .. })
    ));

    // Two weights of one mask with different seeds.
    let mut sharing = BTreeMap::new();
    let shared = declared
        .iter()
        .enumerate()
        .find_map(|(index, spec)| sharing.insert(spec.mask, index).map(|_| index));
    let index = shared.unwrap();
    let mut foreign = items.clone();
    foreign[index] = secrets.encrypted_weights(program, &case.weights).swap_remove(index);
    let refused = load(foreign);
    assert!(matches!(refused, Some(LoadError::Mask { mask, .. }) if mask == declared[index].mask));

    let failing = Weights::encrypted(program, items, |_| Err(std::fmt::Error), 2).err();
    assert!(matches!(failing, Some(LoadError::Item { index: 0, .. })));

    let plain = case.weights.iter().cloned();
    let plain = Weights::plain(program, plain, Ok::<_, Infallible>, 2).err();
    assert!(matches!(plain, Some(LoadError::Privacy(ModelPrivacy::Plain))));

    let keys = secrets.seeded_keys(program);
    let mut swapped = keys.clone();
    swapped.swap(0, 1);
    let refused = load_keys(program, swapped, Ok::<_, Infallible>, 1).err();
    assert!(matches!(refused, Some(LoadError::Key { index: 0, .. })));
    let refused = load_keys(program, keys[1..].to_vec(), Ok::<_, Infallible>, 1).err();
    assert!(matches!(refused, Some(LoadError::Key { index: 0, .. } | LoadError::Count { .. })));

    let inputs = secrets.seeded_inputs(program, &case.inputs(2, 1));
    let load = |groups| load_inputs(program, groups, inputs.clone(), Ok::<_, Infallible>, 2);
    assert_eq!(load(2).unwrap().len(), 2);
    assert!(matches!(load(1), Err(LoadError::Count { expected: 2, .. })));
    assert!(matches!(load(3), Err(LoadError::Count { given: 4, expected: 6 })));
}

#[test]
fn plain_weights_have_a_value_for_every_position() {
    let case = Case::draw(Shape::small(ModelPrivacy::Plain), 1);
    let mut weights = case.weights.clone();
    weights[2].pop();
    let refused = Weights::plain(&case.program, weights, Ok::<_, Infallible>, 2).err();
    let expected = case.program.program().input.positions as usize;
    assert!(
        matches!(refused, Some(LoadError::Length { index: 2, expected: e, given }) if e == expected && given == e - 1)
    );
}

#[test]
fn estimates_grow_with_groups_and_threads_and_count_weights_exactly() {
    let encrypted = Case::draw(Shape::small(ModelPrivacy::Encrypted), 1);
    let plain = Case::draw(Shape::small(ModelPrivacy::Plain), 1);
    let [one, two] = [1, 2].map(|groups| estimate_memory(&encrypted.program, groups, 1).unwrap());
    assert_eq!(two.values, 2 * one.values);
    assert_eq!((two.weights, two.keys, two.scratch), (one.weights, one.keys, one.scratch));
    let threaded = estimate_memory(&encrypted.program, 1, 2).unwrap();
    assert!(threaded.values >= one.values && threaded.scratch == 2 * one.scratch);
    // The same draw: a plaintext has one polynomial, a ciphertext another for its mask, which several may share.
    let plain = estimate_memory(&plain.program, 1, 1).unwrap();
    let parameters = encrypted.program.parameters();
    let bytes = |level: u8| 8 * parameters.degree() * parameters.basis(level).unwrap().len();
    let weights = &encrypted.program.program().weights;
    let own: usize = weights.iter().map(|weight| bytes(weight.level)).sum();
    let masks: BTreeMap<u32, u8> =
        weights.iter().map(|weight| (weight.mask, weight.level)).collect();
    assert!(masks.len() < weights.len());
    let shared: usize = masks.into_values().map(bytes).sum();
    assert_eq!((plain.weights, one.weights), (own as u64, (own + shared) as u64));
    assert_eq!(one.total(), one.weights + one.keys + one.run());
}
