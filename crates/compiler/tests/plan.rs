//! Compiled programs, run in the clear slot by slot, against the networks they came from.

mod common;

use adyton_ckks::Security;
use adyton_compiler::network::Network;
use adyton_compiler::plan::{CompileError, CompileOptions, Compiled, Objective, compile};
use adyton_program::{ModelPrivacy, Program, Step, VerifiedProgram, VerifyError};
use common::{Random, check, cryptonets, dense, e2dm, mlp, network, sparse};

fn samples(random: &mut Random, network: &Network, count: usize) -> Vec<Vec<f64>> {
    (0..count)
        .map(|_| random.vector(network.input_len()).iter().map(|x| x.abs()).collect())
        .collect()
}

/// Compiles with a loose bound on precision: made-up weights say nothing about it.
fn compiled(network: &Network, objective: Objective, samples: &[Vec<f64>]) -> Compiled {
    let options = CompileOptions { objective, precision: 0.1, ..CompileOptions::new(samples) };
    let compiled = compile(network, &options).unwrap();
    println!("{} {objective:?}\n{}", network.name, compiled.report);
    compiled
}

#[test]
fn shipped_shapes_run_as_the_networks_do() {
    let random = &mut Random(1);
    for network in [mlp(random), cryptonets(random), e2dm(random)] {
        let samples = samples(random, &network, 5);
        for objective in [Objective::Throughput, Objective::Latency] {
            check(&network, &compiled(&network, objective, &samples), &samples);
        }
    }
}
