//! What keys and releases cost an enclave: `cargo bench -p adyton-enclave --bench release -- [--state DIR] [--rounds N]
//! [--network NAME] [--groups N]`.
//!
//! One JSON object a line, in microseconds of the enclave's own processor time, as its health report tells it: system calls count,
//! waiting for the disk does not; `wall` has both. The state stands in `DIR` (default: cargo's folder for temporary files), so
//! that the file system's share is that of a real disk; put it in memory to leave that out.
//!
//! Result ciphertexts are random residues of the program's form. An enclave does the same work for every ciphertext, whether its
//! checks hold or not, so that no evaluation is needed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark reports and may stop"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use adyton_attest::Simulated;
use adyton_ckks::{Ciphertext, ResultKey};
use adyton_compiler::plan::{CompileOptions, Objective, compile};
use adyton_enclave::{Enclave, Restart, StateFile, SystemClock};
use adyton_program::VerifiedProgram;
use adyton_ring::sampler;
use adyton_wire::statement::Policy;
use adyton_wire::*;

#[path = "../tests/common/mod.rs"]
mod common;
use common::*;

/// Result ciphertexts of one job, by objective; one image and the largest batches.
const LATENCY: &[u32] = &[1];
const THROUGHPUT: &[u32] = &[1, 4, 16];

struct Arguments {
    state: PathBuf,
    rounds: u32,
    network: Option<String>,
    groups: Option<u32>,
}

fn arguments() -> Arguments {
    let mut arguments = Arguments {
        state: PathBuf::from(env!("CARGO_TARGET_TMPDIR")),
        rounds: 64,
        network: None,
        groups: None,
    };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        match name.as_str() {
            // Cargo's own.
            "--bench" => {}
            "--state" => arguments.state = given.next().unwrap().into(),
            "--rounds" => arguments.rounds = given.next().unwrap().parse().unwrap(),
            "--network" => arguments.network = given.next(),
            "--groups" => arguments.groups = Some(given.next().unwrap().parse().unwrap()),
            other => panic!("unknown argument {other}"),
        }
    }
    arguments
}

/// A shipped network as a program. Its range needs no care here, so two samples calibrate it.
fn program_of(name: &str, objective: Objective) -> adyton_program::Program {
    let networks = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../networks");
    let network =
        adyton_compiler::onnx::import_file(networks.join(format!("{name}.onnx"))).unwrap();
    let calibration: Vec<Vec<f64>> = (0..2)
        .map(|i| (0..network.input_len()).map(|j| ((i * 31 + j) % 7) as f64 / 7.0).collect())
        .collect();
    let options = CompileOptions {
        objective,
        // Loose, for the range that these samples give is not that of digits.
        precision: 1.0,
        log_n: 14..=14,
        ..CompileOptions::new(&calibration)
    };
    compile(&network, &options).unwrap().program
}

fn health(enclave: &Enclave) -> message::HealthReport {
    match enclave.handle(&Request::Health).response {
        Response::Health(report) => report,
        other => panic!("no report: {other:?}"),
    }
}

fn median(mut values: Vec<u64>) -> (u64, u64) {
    values.sort_unstable();
    (values[0], values[values.len() / 2])
}

fn bench(arguments: &Arguments, name: &str, objective: Objective, groups: &[u32]) {
    let folder = tempfile::tempdir_in(&arguments.state).unwrap();
    let platform = Arc::new(Simulated::open(&folder.path().join("p")).unwrap());
    let enclave = Enclave::open(
        StateFile::claim(&folder.path().join("s")).unwrap(),
        platform,
        Box::new(SystemClock),
        Restart::default(),
    )
    .unwrap();
    let mut call = |r: Request| Reply::decode(&enclave.serve(&r.encode())).unwrap();
    let known = Known::challenge(&mut call);
    let key = SigningKey::generate().unwrap();
    let policy = Policy {
        ciphertexts_per_session: 1 << 20,
        jobs_per_owner: 1 << 20,
        jobs_total: 1 << 20,
        bits_per_session: 1 << 50,
        bits_total: 1 << 50,
        ..policy([key.public_key()])
    };
    let model = ModelOwner::new(program_of(name, objective), policy);
    register(&mut call, &known, &model);
    let data = DataOwner::new(&key, model.id());
    let opening = Instant::now();
    open(&mut call, &known, &data);
    let opened = opening.elapsed().as_micros();
    let keys = model.program.keys.len() as u32;
    for index in 0..keys {
        common::key(&mut call, data.id(), index);
    }
    let kernel = model.parameters.ring().kernel();
    let about = format!(
        r#""network":"{name}","objective":"{}","log_n":{},"kernel":"{kernel}""#,
        if objective == Objective::Latency { "latency" } else { "throughput" },
        model.parameters.log_n(),
    );
    println!(
        r#"{{"operation":"session",{about},"keys":{keys},"keys_cpu_us":{},"open_wall_us":{opened},"keys_wall_us":{}}}"#,
        health(&enclave).key_cpu_micros,
        opening.elapsed().as_micros(),
    );
    let verified = VerifiedProgram::new(model.program.clone()).unwrap();
    let form = verified.value_type(model.program.output.value).unwrap();
    let basis = model.parameters.basis(form.level).unwrap();
    for &groups in groups.iter().filter(|&groups| arguments.groups.is_none_or(|g| g == *groups)) {
        let mut ciphertexts = Vec::new();
        for group in 0..u64::from(groups) {
            let half = |number| {
                sampler::uniform(model.parameters.ring(), basis, &[1; 32], number).unwrap()
            };
            let (b, a) = (half(2 * group), half(2 * group + 1));
            let ciphertext = Ciphertext::<ResultKey>::from_parts(
                &model.parameters,
                b,
                a,
                form.level,
                form.scale.clone(),
            );
            ciphertexts.extend(ciphertext.unwrap().encode(&model.parameters).unwrap());
        }
        let samples = match objective {
            Objective::Latency => 1,
            Objective::Throughput | Objective::Memory => groups * model.program.input.lanes,
        };
        let (mut cpu, mut wall) = (Vec::new(), Vec::new());
        for _ in 0..arguments.rounds {
            let job = data.job(&model, samples, groups);
            let request = Request::Release(data.release(&job, ciphertexts.clone())).encode();
            let (before, began) = (health(&enclave).release_cpu_micros, Instant::now());
            let reply = enclave.serve(&request);
            wall.push(began.elapsed().as_micros() as u64);
            cpu.push(health(&enclave).release_cpu_micros - before);
            released(Reply::decode(&reply).unwrap());
        }
        let ((cpu_min, cpu), (wall_min, wall)) = (median(cpu), median(wall));
        println!(
            r#"{{"operation":"release",{about},"primes":{},"groups":{groups},"samples":{samples},"bytes":{},"rounds":{},"cpu_us_min":{cpu_min},"cpu_us_median":{cpu},"wall_us_min":{wall_min},"wall_us_median":{wall}}}"#,
            basis.len(),
            ciphertexts.len(),
            arguments.rounds,
        );
    }
}

fn main() {
    let arguments = arguments();
    for name in ["mlp", "cryptonets", "e2dm"] {
        if arguments.network.as_deref().is_none_or(|wanted| wanted == name) {
            bench(&arguments, name, Objective::Latency, LATENCY);
            bench(&arguments, name, Objective::Throughput, THROUGHPUT);
        }
    }
}
