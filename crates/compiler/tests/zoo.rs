//! Networks like those that people have: they compile, in bounded time, or are refused with what would help.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failure here is a failure of the test")]

mod common;

use adyton_ckks::Security;
use adyton_compiler::network::Network;
use adyton_compiler::plan::{CompileError, CompileOptions, Objective, compile};
use common::{Random, check, zoo};

fn samples(random: &mut Random, network: &Network) -> Vec<Vec<f64>> {
    let sample = |random: &mut Random| random.vector(network.input_len());
    (0..8).map(|_| sample(random).iter().map(|x| x.abs()).collect()).collect()
}

/// A regression, a network on signals (convolutions that stay on their grid), an autoencoder: every slot is what the network says.
#[test]
fn common_networks_run_as_they_should() {
    let random = &mut Random(20);
    for network in [zoo::logistic(random), zoo::signal(random), zoo::autoencoder(random)] {
        let samples = samples(random, &network);
        let options = CompileOptions { precision: 0.05, ..CompileOptions::new(&samples) };
        check(&network, &compile(&network, &options).unwrap(), &samples[..2]);
    }
}

/// Layers on a grid keep it where that takes fewer diagonals.
#[test]
fn convolutions_stay_on_their_grid() {
    let random = &mut Random(21);
    let network = zoo::signal(random);
    let samples = samples(random, &network);
    let options = CompileOptions {
        objective: Objective::Latency,
        precision: 0.1,
        security: Security::InsecureForTests,
        log_n: 13..=13,
        ..CompileOptions::new(&samples)
    };
    let compiled = compile(&network, &options).unwrap();
    check(&network, &compiled, &samples[..1]);
    // In order, 90 outputs of 16 channels would have a diagonal for nearly every distance.
    let second = &compiled.report.plan.layers[1];
    assert!(second.products < 400, "{second:?}");
}

/// Depth beyond every ring is refused with what it needs.
#[test]
fn too_deep_is_refused_with_depth_and_budget() {
    let random = &mut Random(22);
    let network = zoo::deep(random, 50, 8);
    let samples = vec![vec![0.0; 8]];
    match compile(&network, &CompileOptions::new(&samples)).unwrap_err() {
        CompileError::NoRoom { layers: 50, depth: 99, log_n: 16, needed, bound } => {
            assert!(f64::from(needed) > bound, "{needed} bits, {bound} allowed");
        }
        other => panic!("{other}"),
    }
}
