//! Estimates of memory against what an allocator counts. One test: the count is of the whole process.

mod support;

use std::sync::Arc;

use adyton_program::ModelPrivacy;
use adyton_runtime::{Executor, RunOptions, estimate_memory};
use peak_alloc::PeakAlloc;
use support::{
    program::{Case, Shape},
    secrets::Secrets,
};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// What is not residues: schedules, threads, tables of pointers. Part of the estimate, and in all.
const BESIDE: (f64, usize) = (0.05, 1 << 18);

fn assert_near(what: &str, found: usize, estimate: u64) {
    let bound = estimate as f64 * (1.0 + BESIDE.0) + BESIDE.1 as f64;
    assert!(found as f64 <= bound, "{what}: {found} bytes, {estimate} estimated");
    assert!(found as f64 >= 0.3 * estimate as f64, "{what}: {found} bytes of {estimate} estimated");
}

#[test]
fn estimates_bound_what_is_allocated() {
    for privacy in [ModelPrivacy::Encrypted, ModelPrivacy::Plain] {
        let shape = Shape { log_n: 11, inputs: 3, ..Shape::small(privacy) };
        for seed in 0..4 {
            let case = Case::draw(shape, seed);
            let mut secrets = Secrets::new(&case.program, 7);
            for (groups, threads) in [(1, 1), (3, 1), (3, 2)] {
                let estimate = estimate_memory(&case.program, groups, threads).unwrap();
                let slots = case.inputs(groups, 1);
                let backend = secrets.backend(&case.program, &case.weights, threads);
                let held = ALLOCATOR.current_usage();
                let program = Arc::new(Case::draw(shape, seed).program);
                let tables = ALLOCATOR.current_usage() - held;
                let inputs = secrets.inputs(&case.program, &slots);
                let before = ALLOCATOR.current_usage();
                let of_inputs = before - held - tables;
                ALLOCATOR.reset_peak_usage();
                let executor = Executor::new(program);
                executor.run(&backend, inputs, &RunOptions::threads(threads)).unwrap();
                let run = ALLOCATOR.peak_usage() - before + of_inputs;
                assert_near("run", run, estimate.run());

                let with = ALLOCATOR.current_usage();
                let weights = secrets.weights(&case.program, &case.weights, threads);
                assert_near("weights", ALLOCATOR.current_usage() - with, estimate.weights);
                assert_eq!(weights.bytes() as u64, estimate.weights);
            }
        }
    }
}
