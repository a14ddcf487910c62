//! Networks like those that people have: they compile, in bounded time, or are refused with what would help.

#![allow(clippy::unwrap_used, reason = "a failure here is a failure of the test")]

mod common;

use std::time::Instant;

use adyton_compiler::plan::{CompileOptions, Objective, compile};
use common::{Random, zoo};

#[test]
#[ignore = "minutes; prints a survey"]
fn survey() {
    let random = &mut Random(20);
    let wanted = std::env::var("ADYTON_SURVEY").unwrap_or_default();
    let networks = [
        zoo::logistic(random),
        zoo::signal(random),
        zoo::autoencoder(random),
        zoo::deep(random, 8, 64),
        zoo::deep(random, 16, 64),
        zoo::deep(random, 50, 32),
        zoo::lenet(random),
        zoo::vgg(random),
    ];
    for network in networks {
        if !wanted.is_empty() && wanted != network.name {
            continue;
        }
        let samples: Vec<Vec<f64>> = (0..8)
            .map(|_| random.vector(network.input_len()).iter().map(|x| x.abs()).collect())
            .collect();
        for objective in [Objective::Throughput, Objective::Latency] {
            let options = CompileOptions {
                objective,
                precision: 0.05,
                memory: 16 << 30,
                ..CompileOptions::new(&samples)
            };
            let started = Instant::now();
            let outcome = compile(&network, &options);
            println!("== {} {objective:?} {:.1} s", network.name, started.elapsed().as_secs_f64());
            match outcome {
                Ok(compiled) => println!("{}", compiled.report),
                Err(error) => println!("{error}"),
            }
        }
    }
}
