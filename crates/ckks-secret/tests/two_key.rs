//! The inference scheme's operations, encrypted against the same in the clear, in both ring kinds, over levels that are chains and
//! levels that are sets of primes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

mod common;

use adyton_ckks::{
    Ciphertext, CkksError, InputKey, KeySource, KeySpec, ResultKey, SwitchTerm, Weight,
};
use adyton_ckks_secret::{Decryptor, Masks};
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
            for source in [KeySource::Model(0), KeySource::Input, KeySource::ModelTimesInput(0)] {
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
            (KeySource::Model(0), 0, level),
            (KeySource::ModelTimesResult(0), 0, level),
            (KeySource::Model(0), 7, level),
            (KeySource::Result, 7, level),
            (KeySource::ModelTimesResult(0), 7, level),
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

/// Rows that share masks, each under a model key of its own: their products are the products one by one, bit for bit, and switched
/// together they decrypt to the sum of their rotations.
#[test]
fn rows_share_masks() {
    const ROWS: u8 = 3;
    for parameters in all_parameters() {
        let mut world = World::new(&parameters);
        let level = if parameters.gadget(3).is_ok() { 3 } else { 2 };
        let target = adyton_ckks::Scale::pow2(OUT_BITS);
        let x_scale = adyton_ckks::Scale::pow2(40);
        let w_scale = target.mul(&parameters.rescale_factor(level).unwrap()).div(&x_scale);
        let product_scale = w_scale.mul(&x_scale);
        let models: Vec<_> = (0..ROWS).map(|row| world.secrets.model_of(row)).collect();
        let w: Vec<Vec<_>> =
            (0..3).map(|row| (0..2).map(|i| world.values(2 * row + i)).collect()).collect();
        let bias = world.values(20);
        let x: Vec<Vec<_>> =
            (0..2).map(|g| (0..2).map(|i| world.values(30 + 2 * g + i)).collect()).collect();

        let masks = Masks::new(&mut world.randomness);
        let mut encrypt = |row: usize, mask, values: &[f64], scale: &adyton_ckks::Scale| {
            let plaintext = world.encoder.encode(values, level, scale).unwrap();
            masks.encrypt(&models[row], mask, &plaintext, &mut world.randomness).unwrap()
        };
        let weights: Vec<Vec<_>> = (0..3)
            .map(|row| (0..2).map(|i| encrypt(row, i as u32, &w[row][i], &w_scale)).collect())
            .collect();
        let encrypted_bias = encrypt(1, 7, &bias, &product_scale);
        let inputs: Vec<Vec<_>> = x
            .iter()
            .map(|x| x.iter().map(|x| world.encrypt(|s| &s.input, x, level, &x_scale)).collect())
            .collect();
        assert_eq!(weights[0][1].seed(), weights[2][1].seed());

        let evaluator = &world.evaluator;
        let rows: Vec<_> = (0..ROWS)
            .zip(&weights)
            .map(|(row, weights)| {
                let bias = (row == 1).then_some(&encrypted_bias);
                let weights: Vec<_> = weights.iter().collect();
                evaluator.prepare_encrypted(row, &weights, bias).unwrap()
            })
            .collect();
        let rows: Vec<_> = rows.iter().collect();
        let shared = evaluator.prepare_masks(&weights[0].iter().collect::<Vec<_>>()).unwrap();
        let groups: Vec<Vec<_>> = inputs.iter().map(|group| group.iter().collect()).collect();
        let groups: Vec<&[&Ciphertext<InputKey>]> = groups.iter().map(Vec::as_slice).collect();
        let sums = evaluator.products_prepared(&rows, Some(&shared), &groups).unwrap();

        for (row, sums) in sums.iter().enumerate() {
            let weights: Vec<_> =
                weights[row].iter().map(|w| w.expand(&parameters).unwrap()).collect();
            let bias = (row == 1).then(|| encrypted_bias.expand(&parameters).unwrap());
            for (group, sum) in groups.iter().zip(sums) {
                let terms: Vec<_> =
                    weights.iter().map(Weight::Encrypted).zip(group.iter().copied()).collect();
                let bias = bias.as_ref().map(Weight::Encrypted);
                let single = evaluator.products(&terms, bias).unwrap();
                assert_eq!(sum.row(), Some(row as u8));
                assert_eq!((sum.one(), sum.operand()), (single.one(), single.operand()));
                assert_eq!((sum.model(), sum.both()), (single.model(), single.both()));
            }
        }

        let rotations = [0u32, 3, 100];
        let specs: Vec<_> = (0..ROWS)
            .zip(rotations)
            .flat_map(|(row, rotation)| {
                let sources =
                    [KeySource::Model(row), KeySource::Input, KeySource::ModelTimesInput(row)];
                sources.map(|source| (source, rotation, level))
            })
            .collect();
        let keys = world.secrets.keys(&specs);
        let decryptor = Decryptor::new(&world.secrets.input);
        for group in 0..2 {
            let clear: Vec<_> = (0..3)
                .map(|row| {
                    let products: Vec<_> =
                        w[row].iter().zip(&x[group]).map(|(w, x)| multiply(w, x)).collect();
                    if row == 1 { sum(&[sum(&products), bias.clone()]) } else { sum(&products) }
                })
                .collect();
            for row in 0..3 {
                let found = decryptor.decrypt_products(&sums[row][group], &models[row]).unwrap();
                assert_close(&found, &clear[row], 1e-5);
                let other = decryptor.decrypt_products(&sums[row][group], &models[(row + 1) % 3]);
                assert!(matches!(other, Err(CkksError::OtherRow { .. })));
            }
            let terms: Vec<_> = sums
                .iter()
                .map(|sums| SwitchTerm::InputProducts(&sums[group]))
                .zip(rotations)
                .collect();
            let layer = world.evaluator.switch_sum(&terms, true, &keys).unwrap();
            let rotated: Vec<_> = clear
                .iter()
                .zip(rotations)
                .map(|(clear, rotation)| rotate(clear, rotation as usize))
                .collect();
            assert_close(&world.decrypt(&layer), &sum(&rotated), 2e-5);
        }
    }
}

/// Plain rows have no masks, and a mask serves each row once.
#[test]
fn rows_and_masks_fit_each_other() {
    let parameters = &all_parameters()[0];
    let mut world = World::new(parameters);
    let level = parameters.top_level();
    let scale = adyton_ckks::Scale::pow2(30);
    let plaintext = world.encoder.encode(&world.values(1), level, &scale).unwrap();
    let x = world.encrypt(|s| &s.input, &[1.0], level, &scale);
    let masks = Masks::new(&mut world.randomness);
    let w = masks.encrypt(&world.secrets.model, 0, &plaintext, &mut world.randomness).unwrap();
    assert_eq!(
        masks.encrypt(&world.secrets.model, 0, &plaintext, &mut world.randomness).unwrap_err(),
        CkksError::MaskReused { mask: 0, row: 0 }
    );
    let evaluator = &world.evaluator;
    let plain = evaluator.prepare_plain(&[&plaintext], None).unwrap();
    let row = evaluator.prepare_encrypted(0, &[&w], None).unwrap();
    let shared = evaluator.prepare_masks(&[&w]).unwrap();
    let group: &[&Ciphertext<InputKey>] = &[&x];
    assert!(evaluator.products_prepared(&[&plain], None, &[group]).unwrap()[0][0].row().is_none());
    for (row, masks) in [(&plain, Some(&shared)), (&row, None)] {
        assert_eq!(
            evaluator.products_prepared(&[row], masks, &[group]),
            Err(CkksError::MixedWeights)
        );
    }
    let two = evaluator.prepare_masks(&[&w, &w]).unwrap();
    assert_eq!(
        evaluator.products_prepared(&[&row], Some(&two), &[group]),
        Err(CkksError::GroupLength { weights: 2, operands: 1 })
    );
    let none: &[&Ciphertext<InputKey>] = &[&x, &x];
    assert_eq!(
        evaluator.products_prepared(&[&row], Some(&shared), &[none]),
        Err(CkksError::GroupLength { weights: 1, operands: 2 })
    );
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
