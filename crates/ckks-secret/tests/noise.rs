//! Measured noise against the formulas: standard deviation within a few percent, worst slot within its bound.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops where it fails")]

mod common;

use adyton_ckks::noise::{product, square, worst_slot};
use adyton_ckks::{KeySource, NoiseModel, Parameters, RingKind, Scale, SwitchTerm, Weight};
use adyton_ckks_secret::{Decryptor, NoiseReport};
use common::{World, chain, multiply, rotate, sets};

/// Probability 2^-20 of a false alarm in a worst-slot check.
const FAILURE_BITS: u32 = 20;

fn worlds() -> Vec<World> {
    let mut worlds = Vec::new();
    for kind in [RingKind::ConjugateInvariant, RingKind::Standard] {
        for literal in [chain(kind, 12, 3), sets(kind, 12)] {
            worlds.push(World::new(&Parameters::new_insecure_for_tests(&literal).unwrap()));
        }
    }
    worlds
}

/// The mean over slots of a product with a secret varies from key to key: with N slots the relative deviation is about √(4/N), 3 % at
/// N = 2^12; the fresh errors themselves are known to √(1/2N). 12 % is beyond four deviations of either.
#[track_caller]
fn assert_matches(report: &NoiseReport, predicted: f64, factors: u32) {
    let ratio = report.std / predicted;
    assert!((0.88..1.12).contains(&ratio), "measured {report:?}, predicted {predicted}: {ratio}");
    let bound = worst_slot(predicted, report.slots, factors, FAILURE_BITS);
    assert!(report.worst < bound, "worst of {report:?} is above {bound}");
    assert!(report.mean.abs() < 6.0 * predicted / (report.slots as f64).sqrt());
}

#[test]
fn encoding_and_fresh_encryptions() {
    for mut world in worlds() {
        let noise = NoiseModel::new(&world.parameters);
        let level = world.parameters.top_level();
        let scale = Scale::pow2(40);
        let values = world.values(1);
        let plaintext = world.encoder.encode(&values, level, &scale).unwrap();
        let found = world.encoder.decode(&plaintext).unwrap();
        assert_matches(&NoiseReport::measure(&found, &values, &scale), noise.encoding(), 1);

        // The encoder's error is in the ciphertext too, but small against the encryption's.
        let fresh = world.encrypt(|s| &s.result, &values, level, &scale);
        let report = NoiseReport::measure(&world.decrypt(&fresh), &values, &scale);
        assert_matches(&report, noise.fresh(), 1);

        let public = world.secrets.result.public_key(level, &mut world.randomness).unwrap();
        let fresh = public.encrypt(&world.parameters, &plaintext, &mut world.randomness).unwrap();
        let report = NoiseReport::measure(&world.decrypt(&fresh), &values, &scale);
        assert_matches(&report, noise.fresh_public(), 2);
    }
}

#[test]
fn rescaling_rounds_once() {
    for mut world in worlds() {
        let noise = NoiseModel::new(&world.parameters);
        for level in 1..=world.parameters.top_level() {
            let values = world.values(1);
            // So that the incoming noise vanishes in the rescale and only the rounding remains.
            let scale = world.parameters.rescale_factor(level).unwrap().mul(&Scale::pow2(20));
            let fresh = world.encrypt(|s| &s.result, &values, level, &scale);
            let rescaled = world.evaluator.rescale(&fresh).unwrap();
            let found = world.decrypt(&rescaled);
            let report = NoiseReport::measure(&found, &values, rescaled.scale());
            assert_matches(&report, noise.rounding(), 2);
        }
    }
}

#[test]
fn key_switching_at_every_level_with_keys() {
    for mut world in worlds() {
        let noise = NoiseModel::new(&world.parameters);
        for level in 0..=world.parameters.top_level() {
            if world.parameters.gadget(level).is_err() {
                continue;
            }
            let rotation = 9;
            let keys = world.secrets.keys(&[(KeySource::Result, rotation, level)]);
            let values = world.values(2);
            let scale = Scale::pow2(30);
            let fresh = world.encrypt(|s| &s.result, &values, level, &scale);
            let rotated = world.evaluator.rotate(&fresh, rotation, &keys).unwrap();
            // Against the decryption before, so that the switch's own noise is all there is.
            let before = rotate(&world.decrypt(&fresh), rotation as usize);
            let report = NoiseReport::measure(&world.decrypt(&rotated), &before, &scale);
            let predicted = noise.switch_sum(level, 1, false).unwrap();
            assert!(predicted >= noise.rounding());
            assert_matches(&report, predicted, 2);
        }
    }
}

#[test]
fn products_and_their_fused_switch() {
    for mut world in worlds() {
        let noise = NoiseModel::new(&world.parameters);
        let level = if world.parameters.gadget(3).is_ok() { 3 } else { 2 };
        let (w_values, x_values) = (world.values(1), world.values(2));
        let x_scale = Scale::pow2(36);
        let w_scale = Scale::pow2(30);
        let weight = world.encrypt(|s| &s.model, &w_values, level, &w_scale);
        let input = world.encrypt(|s| &s.input, &x_values, level, &x_scale);
        let terms = [(Weight::Encrypted(&weight), &input)];
        let products = world.evaluator.products(&terms, None).unwrap();
        let expected = multiply(&w_values, &x_values);
        let decryptor = Decryptor::new(&world.secrets.input);
        let found = decryptor.decrypt_products(&products, &world.secrets.model).unwrap();
        let report = NoiseReport::measure(&found, &expected, products.scale());
        // Values uniform in [−1, 1): root mean square 1/√3. In the standard ring the error is complex, but the weights are real, so its
        // real part alone meets them.
        let rms = (1.0f64 / 3.0).sqrt();
        let predicted =
            product(rms * w_scale.to_f64(), noise.fresh(), rms * x_scale.to_f64(), noise.fresh());
        assert_matches(&report, predicted, 2);

        let keys = world.secrets.keys(&[
            (KeySource::Model(0), 3, level),
            (KeySource::Input, 3, level),
            (KeySource::ModelTimesInput(0), 3, level),
        ]);
        for rescale in [false, true] {
            let terms = [(SwitchTerm::InputProducts(&products), 3)];
            let switched = world.evaluator.switch_sum(&terms, rescale, &keys).unwrap();
            let before = rotate(&found, 3);
            let report = NoiseReport::measure(&world.decrypt(&switched), &before, switched.scale());
            // Before the rescale the scale is 2^66: what `f64` slots cannot resolve is checked by the rescaled run.
            if rescale {
                assert_matches(&report, noise.switch_sum(level, 3, true).unwrap(), 2);
            }
        }
    }
}

#[test]
fn squares_and_relinearization() {
    for mut world in worlds() {
        let noise = NoiseModel::new(&world.parameters);
        let level = 1;
        let values = world.values(3);
        let scale = Scale::pow2(24);
        let keys = world.secrets.keys(&[(KeySource::ResultSquared, 0, level)]);
        let fresh = world.encrypt(|s| &s.result, &values, level, &scale);
        let squared = world.evaluator.square(&fresh).unwrap();
        let decryptor = Decryptor::new(&world.secrets.result);
        let found = decryptor.decrypt_degree2(&squared).unwrap();
        let report = NoiseReport::measure(&found, &multiply(&values, &values), squared.scale());
        let predicted = square((1.0f64 / 3.0).sqrt() * scale.to_f64(), noise.fresh());
        assert_matches(&report, predicted, 2);
        let relinearized = world.evaluator.relinearize(&squared, false, &keys).unwrap();
        let report =
            NoiseReport::measure(&world.decrypt(&relinearized), &found, relinearized.scale());
        assert_matches(&report, noise.relinearize(level, false).unwrap(), 2);
    }
}
