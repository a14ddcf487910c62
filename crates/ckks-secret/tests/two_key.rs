//! The inference scheme's operations, encrypted against the same in the clear, in both ring kinds, over levels that are chains and
//! levels that are sets of primes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

mod common;

use adyton_ckks::{
    Ciphertext, CkksError, InputKey, KeySource, KeySpec, ResultKey, SwitchTerm, Weight,
};
use adyton_ckks_secret::Decryptor;
use common::{World, all_parameters, assert_close, multiply, rotate, sum};

const OUT_BITS: i16 = 38;

/// Weights, operands, bias: encrypted products, decrypted with all keys at once.
#[test]
fn product_sums_decrypt_to_the_sum_of_products() {
    for parameters in all_parameters() {
        let mut world = World::new(&parameters);
        let level = parameters.top_level();
        let (w_scale, x_scale) = (adyton_ckks::Scale::pow2(36), adyton_ckks::Scale::pow2(40));
        let w: Vec<_> = (0..3).map(|i| world.values(i)).collect();
        let x: Vec<_> = (10..13).map(|i| world.values(i)).collect();
        let bias = world.values(20);
        let expected = sum(&[
            multiply(&w[0], &x[0]),
            multiply(&w[1], &x[1]),
            multiply(&w[2], &x[2]),
            bias.clone(),
        ]);
        let weights: Vec<_> =
            w.iter().map(|w| world.encrypt(|s| &s.model, w, level, &w_scale)).collect();
        let inputs: Vec<_> =
            x.iter().map(|x| world.encrypt(|s| &s.input, x, level, &x_scale)).collect();
        let product_scale = w_scale.mul(&x_scale);
        let encrypted_bias = world.encrypt(|s| &s.model, &bias, level, &product_scale);
        let terms: Vec<_> =
            weights.iter().zip(&inputs).map(|(w, x)| (Weight::Encrypted(w), x)).collect();
        let products =
            world.evaluator.products(&terms, Some(Weight::Encrypted(&encrypted_bias))).unwrap();
        assert_eq!((products.level(), products.scale()), (level, &product_scale));
        let decryptor = Decryptor::new(&world.secrets.input);
        let found = decryptor.decrypt_products(&products, &world.secrets.model).unwrap();
        assert_close(&found, &expected, 1e-6);

        // Plain weights: two components, the same result.
        let plain: Vec<_> =
            w.iter().map(|w| world.encoder.encode(w, level, &w_scale).unwrap()).collect();
        let plain_bias = world.encoder.encode(&bias, level, &product_scale).unwrap();
        let terms: Vec<_> = plain.iter().zip(&inputs).map(|(w, x)| (Weight::Plain(w), x)).collect();
        let products = world.evaluator.products(&terms, Some(Weight::Plain(&plain_bias))).unwrap();
        assert!(products.model().is_none() && products.both().is_none());
        let found = decryptor.decrypt_products(&products, &world.secrets.model).unwrap();
        assert_close(&found, &expected, 1e-6);
    }
}

/// A whole two-layer network: products → switch-and-rotate → square → products → switch.
#[test]
fn layers_compose_down_the_levels() {
    for parameters in all_parameters() {
        let mut world = World::new(&parameters);
        // The first layer stands one level below the top where the top has no keys.
        let top = if parameters.gadget(3).is_ok() { 3 } else { 2 };
        let target = adyton_ckks::Scale::pow2(OUT_BITS);
        let x_scale = adyton_ckks::Scale::pow2(40);
        let w_scale = target.mul(&parameters.rescale_factor(top).unwrap()).div(&x_scale);
        let rotations = [0u32, 3, 100];
        let w: Vec<_> = (0..6).map(|i| world.values(i)).collect();
        let x: Vec<_> = (10..12).map(|i| world.values(i)).collect();
        let weights: Vec<_> =
            w.iter().map(|w| world.encrypt(|s| &s.model, w, top, &w_scale)).collect();
        let inputs: Vec<_> =
            x.iter().map(|x| world.encrypt(|s| &s.input, x, top, &x_scale)).collect();
        let mut specs = Vec::new();
        for &rotation in &rotations {
            for source in [KeySource::Model, KeySource::Input, KeySource::ModelTimesInput] {
                specs.push((source, rotation, top));
            }
        }
        let keys = world.secrets.keys(&specs);
        let sums: Vec<_> = (0..3)
            .map(|i| {
                let terms = [
                    (Weight::Encrypted(&weights[2 * i]), &inputs[0]),
                    (Weight::Encrypted(&weights[2 * i + 1]), &inputs[1]),
                ];
                world.evaluator.products(&terms, None).unwrap()
            })
            .collect();
        let terms: Vec<_> = sums.iter().map(SwitchTerm::InputProducts).zip(rotations).collect();
        let layer = world.evaluator.switch_sum(&terms, true, &keys).unwrap();
        let clear = sum(&(0..3)
            .map(|i| {
                let products = [multiply(&w[2 * i], &x[0]), multiply(&w[2 * i + 1], &x[1])];
                rotate(&sum(&products), rotations[i] as usize)
            })
            .collect::<Vec<_>>());
        assert_eq!((layer.level(), layer.scale()), (top - 1, &target));
        assert_close(&world.decrypt(&layer), &clear, 2e-5);

        // Switching without rescaling gives the same at the product's level and scale.
        let unscaled = world.evaluator.switch_sum(&terms, false, &keys).unwrap();
        assert_eq!((unscaled.level(), unscaled.scale()), (top, sums[0].scale()));
        assert_close(&world.decrypt(&unscaled), &clear, 2e-5);
        let rescaled = world.evaluator.rescale(&unscaled).unwrap();
        assert_close(&world.decrypt(&rescaled), &clear, 2e-5);

        let squared = world.evaluator.square(&layer).unwrap();
        let clear = multiply(&clear, &clear);
        let decryptor = Decryptor::new(&world.secrets.result);
        assert_close(&decryptor.decrypt_degree2(&squared).unwrap(), &clear, 1e-4);
        let keys = world.secrets.keys(&[(KeySource::ResultSquared, 0, top - 1)]);
        let relinearized = world.evaluator.relinearize(&squared, top > 2, &keys).unwrap();
        assert_close(&world.decrypt(&relinearized), &clear, 1e-4);
        if top == 2 {
            continue;
        }
        let level = relinearized.level();
        let w_scale =
            target.mul(&parameters.rescale_factor(level).unwrap()).div(relinearized.scale());
        let v = world.values(30);
        let weight = world.encrypt(|s| &s.model, &v, level, &w_scale);
        let products =
            world.evaluator.products(&[(Weight::Encrypted(&weight), &relinearized)], None).unwrap();
        let keys = world.secrets.keys(&[
            (KeySource::Model, 0, level),
            (KeySource::ModelTimesResult, 0, level),
            (KeySource::Model, 7, level),
            (KeySource::Result, 7, level),
            (KeySource::ModelTimesResult, 7, level),
        ]);
        let terms = [
            (SwitchTerm::ResultProducts(&products), 0),
            (SwitchTerm::ResultProducts(&products), 7),
            (SwitchTerm::ResultProducts(&products), 7),
        ];
        let found = world.evaluator.switch_sum(&terms, true, &keys).unwrap();
        let once = multiply(&clear, &v);
        let twice = rotate(&once, 7);
        assert_eq!((found.level(), found.scale()), (0, &target));
        assert_close(&world.decrypt(&found), &sum(&[once, twice.clone(), twice]), 1e-3);
    }
}

/// Grouped products are the products one by one, bit for bit.
#[test]
fn grouped_products_equal_single_ones() {
    for parameters in all_parameters() {
        let mut world = World::new(&parameters);
        let level = parameters.top_level();
        let scale = adyton_ckks::Scale::pow2(30);
        let weights: Vec<_> = (0..5)
            .map(|i| {
                let values = world.values(i);
                world.encrypt(|s| &s.model, &values, level, &scale)
            })
            .collect();
        let operands: Vec<Ciphertext<InputKey>> = (0..15)
            .map(|i| {
                let values = world.values(100 + i);
                world.encrypt(|s| &s.input, &values, level, &scale)
            })
            .collect();
        let groups: Vec<Vec<_>> = operands.chunks(5).map(|group| group.iter().collect()).collect();
        let groups: Vec<&[&Ciphertext<InputKey>]> = groups.iter().map(Vec::as_slice).collect();
        let weights: Vec<_> = weights.iter().map(Weight::Encrypted).collect();
        let grouped = world.evaluator.products_grouped(&weights, &groups, None).unwrap();
        for (group, found) in groups.iter().zip(&grouped) {
            let terms: Vec<_> = weights.iter().copied().zip(group.iter().copied()).collect();
            assert_eq!(world.evaluator.products(&terms, None).unwrap(), *found);
        }
    }
}

/// Prepared products are the products one by one, bit for bit, with and without a bias, encrypted and plain.
#[test]
fn prepared_products_equal_single_ones() {
    for parameters in all_parameters() {
        let mut world = World::new(&parameters);
        let level = parameters.top_level();
        let scale = adyton_ckks::Scale::pow2(30);
        let square = scale.square();
        let values: Vec<_> = (0..9).map(|i| world.values(i)).collect();
        let plain: Vec<_> = values
            .iter()
            .map(|values| world.encoder.encode(values, level, &scale).unwrap())
            .collect();
        let encrypted: Vec<_> =
            values.iter().map(|v| world.encrypt(|s| &s.model, v, level, &scale)).collect();
        let plain_bias = world.encoder.encode(&values[0], level, &square).unwrap();
        let bias = world.encrypt(|s| &s.model, &values[0], level, &square);
        let operands: Vec<_> =
            values.iter().map(|v| world.encrypt(|s| &s.input, v, level, &scale)).collect();
        let groups: Vec<Vec<_>> = operands.chunks(3).map(|group| group.iter().collect()).collect();
        let groups: Vec<&[&Ciphertext<InputKey>]> = groups.iter().map(Vec::as_slice).collect();
        let kinds: [(Vec<_>, _); 2] = [
            (encrypted.iter().map(Weight::Encrypted).collect(), Weight::Encrypted(&bias)),
            (plain.iter().map(Weight::Plain).collect(), Weight::Plain(&plain_bias)),
        ];
        for (weights, bias) in &kinds {
            let biases = [None, Some(*bias), None];
            let rows: Vec<_> = weights
                .chunks(3)
                .zip(biases)
                .map(|(row, bias)| world.evaluator.prepare(row, bias).unwrap())
                .collect();
            let rows: Vec<_> = rows.iter().collect();
            let found = world.evaluator.products_prepared(&rows, &groups).unwrap();
            for ((row, bias), found) in weights.chunks(3).zip(biases).zip(&found) {
                let expected = world.evaluator.products_grouped(row, &groups, bias).unwrap();
                assert_eq!(*found, expected);
            }
        }
        let mixed = [kinds[0].0[0], kinds[1].0[0]];
        assert_eq!(world.evaluator.prepare(&mixed, None).unwrap_err(), CkksError::MixedWeights);
        let short = world.evaluator.prepare(&kinds[0].0[..2], None).unwrap();
        assert_eq!(
            world.evaluator.products_prepared(&[&short], &groups),
            Err(CkksError::GroupLength { weights: 2, operands: 3 })
        );
    }
}

/// Rotations of result and input ciphertexts from one decomposition.
#[test]
fn hoisted_rotations_rotate_left() {
    for parameters in all_parameters() {
        let mut world = World::new(&parameters);
        for level in 0..=parameters.top_level() {
            if parameters.gadget(level).is_err() {
                continue;
            }
            let scale = adyton_ckks::Scale::pow2(36);
            let last = parameters.slots() as u32 - 1;
            let rotations = [0, 1, 5, last];
            let values = world.values(u64::from(level));
            let keys = world.secrets.keys(&[
                (KeySource::Input, 0, level),
                (KeySource::Input, 1, level),
                (KeySource::Input, 5, level),
                (KeySource::Input, last, level),
                (KeySource::Result, 1, level),
                (KeySource::Result, 5, level),
                (KeySource::Result, last, level),
            ]);
            let input = world.encrypt(|s| &s.input, &values, level, &scale);
            let result = world.encrypt(|s| &s.result, &values, level, &scale);
            let from_input = world.evaluator.rotations_hoisted(&input, &rotations, &keys).unwrap();
            let from_result =
                world.evaluator.rotations_hoisted(&result, &rotations, &keys).unwrap();
            assert_eq!(from_result[0], result);
            for (i, &rotation) in rotations.iter().enumerate() {
                let expected = rotate(&values, rotation as usize);
                assert_close(&world.decrypt(&from_input[i]), &expected, 1e-5);
                assert_close(&world.decrypt(&from_result[i]), &expected, 1e-5);
            }
            let one = world.evaluator.rotate(&result, 5, &keys).unwrap();
            assert_eq!(one, from_result[2]);
            let terms = [(SwitchTerm::Result(&result), 0), (SwitchTerm::Result(&result), 5)];
            let found = world.evaluator.switch_sum(&terms, false, &keys).unwrap();
            let expected = sum(&[values.clone(), rotate(&values, 5)]);
            assert_close(&world.decrypt(&found), &expected, 1e-5);
        }
    }
}

/// Sums that need no key at all work at levels without keys, too.
#[test]
fn sums_without_keys() {
    for parameters in all_parameters() {
        let mut world = World::new(&parameters);
        let level = parameters.top_level();
        let scale = adyton_ckks::Scale::pow2(50);
        let (x, y, w) = (world.values(1), world.values(2), world.values(3));
        let [x_ct, y_ct] = [&x, &y].map(|v| world.encrypt(|s| &s.result, v, level, &scale));
        let none = world.secrets.keys(&[]);
        let terms = [(SwitchTerm::Result(&x_ct), 0), (SwitchTerm::Result(&y_ct), 0)];
        let found = world.evaluator.switch_sum(&terms, false, &none).unwrap();
        assert_eq!(found, world.evaluator.add(&x_ct, &y_ct).unwrap());
        let w_plain = world.encoder.encode(&w, level, &adyton_ckks::Scale::pow2(20)).unwrap();
        let products = world.evaluator.products(&[(Weight::Plain(&w_plain), &x_ct)], None).unwrap();
        let terms = [(SwitchTerm::ResultProducts(&products), 0)];
        let found = world.evaluator.switch_sum(&terms, true, &none).unwrap();
        assert_eq!(found.level(), level - 1);
        assert_close(&world.decrypt(&found), &multiply(&w, &x), 1e-4);
        let y_plain = world.encoder.encode(&y, level, &scale).unwrap();
        let found = world.evaluator.add_plain(&x_ct, &y_plain).unwrap();
        assert_close(&world.decrypt(&found), &sum(&[x, y]), 1e-6);
    }
}

/// Operands that do not fit are named, and a missing key is reported before anything is computed.
#[test]
fn misuse_is_a_typed_error() {
    let parameters = &all_parameters()[0];
    let mut world = World::new(parameters);
    let foreign = World::new(&all_parameters()[2]);
    let scale = adyton_ckks::Scale::pow2(30);
    let values = world.values(1);
    let mut encrypt =
        |level, bits| world.encrypt(|s| &s.result, &values, level, &adyton_ckks::Scale::pow2(bits));
    let (x, lower, finer) = (encrypt(3, 30), encrypt(2, 30), encrypt(3, 31));
    let w = world.encrypt(|s| &s.model, &values, 3, &scale);
    let plain = world.encoder.encode(&values, 3, &scale).unwrap();
    let evaluator = &world.evaluator;
    assert_eq!(evaluator.add(&x, &lower), Err(CkksError::LevelMismatch { left: 3, right: 2 }));
    assert!(matches!(evaluator.add(&x, &finer), Err(CkksError::ScaleMismatch { .. })));
    assert_eq!(foreign.evaluator.rescale(&x), Err(CkksError::ForeignOperand { level: 3 }));
    let mixed = [(Weight::Encrypted(&w), &x), (Weight::Plain(&plain), &x)];
    assert_eq!(evaluator.products(&mixed, None), Err(CkksError::MixedWeights));
    let bias = Some(Weight::Encrypted(&w));
    assert!(matches!(
        evaluator.products(&[(Weight::Encrypted(&w), &x)], bias),
        Err(CkksError::ScaleMismatch { .. })
    ));
    assert_eq!(evaluator.products::<ResultKey>(&[], None), Err(CkksError::Empty));
    let group: &[&Ciphertext<ResultKey>] = &[&x];
    assert_eq!(
        evaluator.products_grouped(&[Weight::Encrypted(&w); 2], &[group], None),
        Err(CkksError::GroupLength { weights: 2, operands: 1 })
    );
    // A key for level 2 does not serve level 3.
    let keys = world.secrets.keys(&[(KeySource::Result, 4, 2)]);
    let missing = KeySpec { source: KeySource::Result, rotation: 4, level: 3 };
    assert_eq!(evaluator.rotate(&x, 4, &keys), Err(CkksError::MissingKey(missing)));
    assert_eq!(
        evaluator.switch_sum(&[(SwitchTerm::Result(&x), 4)], false, &keys),
        Err(CkksError::MissingKey(missing))
    );
    assert!(evaluator.rotate(&lower, 4, &keys).is_ok());
    assert!(matches!(
        evaluator.rotate(&x, parameters.slots() as u32, &keys),
        Err(CkksError::Parameters(_))
    ));
    let bottom = world.encrypt(|s| &s.result, &values, 0, &scale);
    assert!(matches!(world.evaluator.rescale(&bottom), Err(CkksError::Parameters(_))));
}
