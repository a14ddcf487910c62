//! What requests cost. Run in release: `cargo test --release -p adyton-enclave --test cost -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a measurement")]

use std::sync::Arc;
use std::time::Instant;

use adyton_attest::Simulated;
use adyton_enclave::{Enclave, SystemClock};
use adyton_wire::*;

mod common;
use common::*;

fn health(enclave: &Enclave) -> message::HealthReport {
    match enclave.handle(&Request::Health).response {
        Response::Health(report) => report,
        other => panic!("no report: {other:?}"),
    }
}

#[test]
#[ignore = "a measurement"]
#[allow(clippy::print_stdout, reason = "a measurement")]
fn cost_of_keys_and_releases() {
    for log_n in [13, 14] {
        // In memory where there is such a folder: what the disk costs is another question.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let platform = Arc::new(Simulated::open(&folder.path().join("p")).unwrap());
        let enclave =
            Enclave::open(&folder.path().join("s"), platform, Box::new(SystemClock)).unwrap();
        let mut call = |r: Request| Reply::decode(&enclave.serve(&r.encode())).unwrap();
        let known = Known::challenge(&mut call);
        let key = SigningKey::generate().unwrap();
        let model = ModelOwner::new(program(log_n), policy([key.public_key()]));
        register(&mut call, &known, &model);
        let data = DataOwner::new(&key, model.id());
        open(&mut call, &known, &data);
        let before = health(&enclave);
        let host = Host::new(&mut call, &known, &model, data.id());
        let keys = health(&enclave).key_cpu_micros - before.key_cpu_micros;
        let result = host.evaluate(&model, &data.input(&model, &[[1.0, 2.0, 3.0]]));
        let (rounds, started) = (32, Instant::now());
        for _ in 0..rounds {
            let job = data.job(&model, 1, 1);
            released(call(Request::Release(data.release(&job, result.clone()))));
        }
        let wall = started.elapsed().as_micros() as u64 / rounds;
        let after = health(&enclave);
        println!(
            "log_n {log_n}: key {} us CPU each, release {} us CPU, {wall} us wall, peak {} MiB",
            keys / 3,
            after.release_cpu_micros / rounds,
            after.peak_rss_bytes >> 20,
        );
    }
}
