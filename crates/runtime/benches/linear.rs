//! One linear layer of middle size, 256 inputs and 64 outputs, by thread and group: products, then one switched sum.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::Arc;

use adyton_ckks::RingKind;
use adyton_program::ModelPrivacy;
use adyton_runtime::{Executor, RunOptions};
use divan::{Bencher, counter::ItemsCount};
use support::{
    program::{Case, Shape},
    secrets::Secrets,
};

/// As in the host.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

/// Threads and groups.
const RUNS: [(usize, usize); 4] = [(1, 1), (2, 1), (1, 4), (2, 4)];

/// The layer's shifts: with 64 positions, 256 inputs stand in four ciphertexts and 64 outputs take 64 diagonals each.
const SHIFTS: u32 = 64;

#[divan::bench(args = RUNS, sample_count = 10)]
fn layer(bencher: Bencher<'_, '_>, (threads, groups): (usize, usize)) {
    let shape = Shape {
        kind: RingKind::ConjugateInvariant,
        log_n: 13,
        layers: 1,
        lanes: 128,
        inputs: 4,
        privacy: ModelPrivacy::Encrypted,
        alpha: 1,
    };
    let case = Case::layer(shape, SHIFTS);
    let mut secrets = Secrets::new(&case.program, 1);
    let backend = secrets.backend(&case.program, &case.weights, 2);
    let slots = case.inputs(groups, 1);
    let inputs = secrets.inputs(&case.program, &slots);
    let executor = Executor::new(Arc::new(case.program));
    bencher
        .counter(ItemsCount::new(groups * shape.lanes as usize))
        .with_inputs(|| inputs.clone())
        .bench_values(|inputs| executor.run(&backend, inputs, &RunOptions::threads(threads)));
}
