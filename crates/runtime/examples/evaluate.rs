//! Times the evaluation of the shipped networks on real images and prints JSON.
//!
//! ```text
//! cargo run --release -p adyton-runtime --example evaluate -- [--network mlp]… [--objective throughput]… [--plain]
//!     [--groups 1,2,4] [--threads 1,2] [--repeat 3] [--networks networks] [--log-n 13] [--precision 0.01]
//!     [--memory MIB]
//! ```
//!
//! For each network, objective, number of groups and number of threads one record: the fastest of the repeated runs, per
//! image and by kind of step, and the processor time of the run that took least (which other load on the machine disturbs less),
//! beside the estimate of its memory and the largest difference to the network in the clear
//! (before the enclave floods it). Secret keys live here in the open: this measures, it protects nothing.

#[path = "../tests/support/secrets.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod secrets;

use std::{error::Error, path::PathBuf, sync::Arc, time::Instant};

use adyton_ckks::EvaluationKeys;
use adyton_compiler::{network::Network, onnx, plan};
use adyton_program::{ModelPrivacy, VerifiedProgram};
use adyton_runtime::{Encrypted, Executor, Profile, RunOptions, Value, cleartext, estimate_memory};
use adyton_samples::Samples;
use nix::sys::resource::{UsageWho, getrusage};
use secrets::Secrets;
use serde_json::{Value as Json, json};

/// As in the host.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn Error>;

struct Arguments {
    directory: PathBuf,
    networks: Vec<String>,
    objectives: Vec<plan::Objective>,
    privacy: ModelPrivacy,
    groups: Vec<usize>,
    threads: Vec<usize>,
    repeat: usize,
    log_n: Option<u8>,
    precision: Option<f64>,
    memory_mib: Option<u64>,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut arguments = Self {
            directory: concat!(env!("CARGO_MANIFEST_DIR"), "/../../networks").into(),
            networks: Vec::new(),
            objectives: Vec::new(),
            privacy: ModelPrivacy::Encrypted,
            groups: vec![1, 2, 4],
            threads: vec![1, 2],
            repeat: 3,
            log_n: None,
            precision: None,
            memory_mib: None,
        };
        while let Some(word) = words.next() {
            if word == "--plain" {
                arguments.privacy = ModelPrivacy::Plain;
                continue;
            }
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            match word.as_str() {
                "--networks" => arguments.directory = value.into(),
                "--network" => arguments.networks.push(value),
                "--objective" => arguments.objectives.push(objective(&value)?),
                "--groups" => arguments.groups = numbers(&value)?,
                "--threads" => arguments.threads = numbers(&value)?,
                "--log-n" => arguments.log_n = Some(value.parse()?),
                "--memory" => arguments.memory_mib = Some(value.parse()?),
                "--precision" => arguments.precision = Some(value.parse()?),
                "--repeat" => arguments.repeat = value.parse()?,
                _ => return Err(format!("unknown option {word}").into()),
            }
        }
        if arguments.networks.is_empty() {
            arguments.networks = ["mlp", "e2dm", "cryptonets"].map(String::from).into();
        }
        if arguments.objectives.is_empty() {
            arguments.objectives = vec![plan::Objective::Throughput, plan::Objective::Latency];
        }
        Ok(arguments)
    }
}

fn objective(name: &str) -> Result<plan::Objective, Failure> {
    match name {
        "throughput" => Ok(plan::Objective::Throughput),
        "latency" => Ok(plan::Objective::Latency),
        _ => Err(format!("unknown objective {name}").into()),
    }
}

fn numbers(list: &str) -> Result<Vec<usize>, Failure> {
    Ok(list.split(',').map(str::parse).collect::<Result<_, _>>()?)
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let read = |name: &str| -> Result<Vec<Vec<f64>>, Failure> {
        let samples = Samples::open(arguments.directory.join("data").join(name))?;
        Ok(samples.iter().map(<[f64]>::to_vec).collect())
    };
    let calibration = read("calibration-images.idx3.gz")?;
    let images = read("test-images.idx3.gz")?;
    let mut results = Vec::new();
    for name in &arguments.networks {
        let network = onnx::import_file(arguments.directory.join(format!("{name}.onnx")))?;
        for &objective in &arguments.objectives {
            eprintln!("{name}, {objective:?}");
            results.extend(measure(&network, objective, &calibration, &images, &arguments)?);
        }
    }
    let report = json!({ "version": env!("CARGO_PKG_VERSION"), "results": results });
    #[expect(clippy::print_stdout, reason = "printing is what this program is for")]
    {
        println!("{}", serde_json::to_string_pretty(&report)?);
    }
    Ok(())
}

/// All records of one network compiled for one objective.
fn measure(
    network: &Network,
    objective: plan::Objective,
    calibration: &[Vec<f64>],
    images: &[Vec<f64>],
    arguments: &Arguments,
) -> Result<Vec<Json>, Failure> {
    let mut options = plan::CompileOptions::new(calibration);
    options.objective = objective;
    options.privacy = arguments.privacy;
    if let Some(log_n) = arguments.log_n {
        options.log_n = log_n..=log_n;
    }
    if let Some(precision) = arguments.precision {
        options.precision = precision;
    }
    if let Some(mib) = arguments.memory_mib {
        options.memory = mib << 20;
    }
    let compiled = plan::compile(network, &options)?;
    eprintln!("{}", compiled.report);
    let program = Arc::new(VerifiedProgram::new(compiled.program)?);
    let mut secrets = Secrets::new(&program, 1);
    let started = Instant::now();
    let weights = Arc::new(secrets.weights(&program, compiled.weights.vectors(), 2));
    let keys = Arc::new(secrets.keys(&program, 2));
    eprintln!("weights and keys made in {:.1} s", started.elapsed().as_secs_f64());

    let executor = Executor::new(Arc::clone(&program));
    let lanes = program.program().input.lanes as usize;
    let mut records = Vec::new();
    for &groups in &arguments.groups {
        let batch: Vec<&[f64]> =
            images.iter().cycle().take(groups * lanes).map(Vec::as_slice).collect();
        let slots = batch
            .chunks(lanes)
            .map(|samples| cleartext::pack_inputs(&program.program().input, samples))
            .collect::<Result<Vec<_>, _>>()?;
        let inputs = secrets.inputs(&program, &slots);
        for &threads in &arguments.threads {
            let crew = adyton_runtime::crew(threads)?;
            let keys: Arc<EvaluationKeys> = Arc::clone(&keys);
            let backend = Encrypted::new(&program, Arc::clone(&weights), keys, crew)?;
            let mut best: Option<Profile> = None;
            let mut least_cpu = f64::INFINITY;
            let mut results = Vec::new();
            for _ in 0..arguments.repeat.max(1) {
                let options = RunOptions::threads(threads);
                let inputs = inputs.clone();
                let before = cpu_seconds()?;
                let outcome = executor.run(&backend, inputs, &options)?;
                least_cpu = least_cpu.min(cpu_seconds()? - before);
                if best.as_ref().is_none_or(|best| outcome.profile.wall() < best.wall()) {
                    best = Some(outcome.profile);
                }
                results = outcome.results;
            }
            let profile = best.unwrap_or_default();
            let mut record = record(&profile, batch.len());
            record["cpu_seconds"] = json!(least_cpu);
            record["cpu_per_image_ms"] = json!(least_cpu * 1e3 / batch.len() as f64);
            let estimate = estimate_memory(&program, groups, threads)?;
            record["network"] = json!(network.name);
            record["objective"] = json!(format!("{objective:?}").to_lowercase());
            record["model_privacy"] = json!(format!("{:?}", arguments.privacy).to_lowercase());
            record["groups"] = json!(groups);
            record["threads"] = json!(threads);
            record["log_n"] = json!(program.parameters().log_n());
            record["max_log_qp"] = json!(program.parameters().max_log_qp());
            record["estimated_mib"] = json!({
                "weights": estimate.weights >> 20,
                "keys": estimate.keys >> 20,
                "run": estimate.run() >> 20,
            });
            let results =
                results.into_iter().map(|result| secrets.open(&Value::<Encrypted>::Result(result)));
            record["accuracy"] = compare(network, &program, &batch, results)?;
            let images = batch.len();
            eprintln!(
                "{images} images, {threads} threads: {profile}, cpu {:.1} ms",
                1e3 * least_cpu
            );
            records.push(record);
        }
    }
    Ok(records)
}

/// Processor time of this process so far.
fn cpu_seconds() -> Result<f64, Failure> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

fn record(profile: &Profile, images: usize) -> Json {
    let millis = |seconds: f64| (seconds * 1e6).round() / 1e3;
    let kinds: serde_json::Map<String, Json> = profile
        .kinds()
        .map(|(kind, share)| {
            let busy = millis(share.busy.as_secs_f64());
            (kind.name().to_owned(), json!({ "tasks": share.tasks, "busy_ms": busy }))
        })
        .collect();
    let wall = profile.wall().as_secs_f64();
    json!({
        "batch": images,
        "evaluate_seconds": wall,
        "per_image_ms": millis(wall / images as f64),
        "idle_ms": millis(profile.idle().as_secs_f64()),
        "profile": kinds,
    })
}

/// Largest difference to the network in the clear, and whether labels agree.
fn compare(
    network: &Network,
    program: &VerifiedProgram,
    batch: &[&[f64]],
    results: impl Iterator<Item = Vec<f64>>,
) -> Result<Json, Failure> {
    let layout = &program.program().output;
    let lanes = program.program().input.lanes as usize;
    let (mut worst, mut agree) = (0.0_f64, 0);
    for (samples, slots) in batch.chunks(lanes).zip(results) {
        for (sample, found) in samples.iter().zip(cleartext::read_outputs(layout, lanes, &slots)?) {
            let expected = network.run(sample)?;
            let errors =
                found.iter().zip(&expected).map(|(found, expected)| (found - expected).abs());
            worst = errors.fold(worst, f64::max);
            agree += usize::from(label(&found) == label(&expected));
        }
    }
    Ok(json!({
        "max_logit_error": worst,
        "declared_deviation": layout.deviation,
        "labels_agreeing": agree,
    }))
}

fn label(logits: &[f64]) -> Option<usize> {
    (0..logits.len()).max_by(|&left, &right| logits[left].total_cmp(&logits[right]))
}
