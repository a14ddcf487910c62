//! `adyton bench` without a subcommand: networks, measured with the real processes. The fields are documented in docs/bench-json.md.

use crate::args::{BenchNetworks, Objective};
use crate::demo::parties::{self, Capacity, Parties, Setup};
use crate::demo::supervised;
use crate::error::CliError;
use crate::output::{Table, seconds};
use crate::owner::infer::JobReport;
use crate::progress::Progress;
use crate::shipped::{self, Digits, Shipped};
use crate::{calibrate, machine, output, planning};
use nix::time::{ClockId, clock_gettime};
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// Groups of lanes in a throughput job unless others are asked for.
const GROUPS: [u32; 3] = [1, 2, 4];

#[derive(Serialize)]
struct Report {
    version: &'static str,
    cpu: String,
    cores: usize,
    simulated_evidence: bool,
    results: Vec<Measured>,
}

#[derive(Serialize)]
struct Measured {
    network: String,
    objective: &'static str,
    batch: usize,
    groups: u32,
    lanes: u32,
    threads: u32,
    model_privacy: String,
    evaluate_seconds: f64,
    per_image_ms: f64,
    wall_seconds: f64,
    host_cpu_seconds: f64,
    enclave_cpu_seconds: f64,
    host_peak_rss_mib: f64,
    predicted_seconds: f64,
    predicted_cpu_seconds: f64,
    predicted_peak_mib: f64,
    model_bytes: u64,
    input_bytes: u64,
    key_bytes: u64,
    log_n: u8,
    max_log_qp: f64,
    jobs: u32,
    digest_cpu_seconds: f64,
    digest_share: f64,
    upload_digest_cpu_seconds: f64,
    digest_all_cpu_seconds: f64,
}

/// Measures and prints.
pub(crate) fn run(args: &BenchNetworks) -> Result<(), CliError> {
    let networks = shipped::networks(&args.workload.networks)?;
    let digits = shipped::test_digits()?;
    let measurement = parties::measurement()?;
    let both = [Objective::Throughput, Objective::Latency];
    let wanted = |o: &Objective| args.objectives.is_empty() || args.objectives.contains(o);
    let directory = tempfile::Builder::new().prefix("adyton-bench-").tempdir();
    let directory =
        directory.map_err(CliError::file("make a directory in", &std::env::temp_dir()))?;
    let results = supervised(async {
        let mut results = Vec::new();
        for shipped in &networks {
            for objective in both.into_iter().filter(wanted) {
                let directory =
                    directory.path().join(format!("{}-{}", shipped.name, objective.as_str()));
                results.extend(
                    measure(args, (shipped, objective), &digits, (&directory, &measurement))
                        .await?,
                );
                // The next network needs the disk space.
                std::fs::remove_dir_all(&directory)
                    .map_err(CliError::file("remove", &directory))?;
            }
        }
        Ok(results)
    })?;
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        cpu: machine::cpu(),
        cores: machine::cores(),
        simulated_evidence: true,
        results,
    };
    if args.json { output::json(&report) } else { output::text(&render(&report)) }
}

async fn measure(
    args: &BenchNetworks,
    (shipped, objective): (&Shipped, Objective),
    digits: &Digits,
    (directory, measurement): (&Path, &str),
) -> Result<Vec<Measured>, CliError> {
    let mut progress = Progress::new();
    progress.heading(&format!("{}, {}", shipped.name, objective.as_str()));
    let setup = Setup { network: shipped, objective, privacy: args.workload.model_privacy };
    let mut parties = Parties::start(
        directory,
        measurement,
        Capacity::of(shipped, args.workload.threads),
        &mut progress,
    )
    .await?;
    let compiled = parties.compile(setup, &mut progress).await?;
    let published = parties.publish(&mut progress).await?;
    let program = parties.program()?;
    let units = calibrate::units(args.machine.as_deref())?;
    let batches: Vec<usize> = match objective {
        Objective::Latency => vec![1],
        Objective::Throughput | Objective::Memory => {
            let mut groups =
                if args.groups.is_empty() { GROUPS.to_vec() } else { args.groups.clone() };
            // Rising, so that the host's peak memory is that of the batch and not of a larger one before it.
            groups.sort_unstable();
            groups.dedup();
            groups.iter().map(|&g| g as usize * compiled.lanes as usize).collect()
        }
    };
    let mut results = Vec::new();
    for batch in batches {
        // Batches beyond the shipped images repeat them.
        let repeated = (0..batch).filter_map(|i| digits.images.get(i % digits.images.count()));
        let images: Vec<Vec<f64>> = repeated.map(<[f64]>::to_vec).collect();
        let inferred =
            parties.infer(&published.deployment, &images, args.repeat + 1, &mut progress).await?;
        // The first job loads what the later ones find in memory.
        let by_time =
            |a: &&JobReport, b: &&JobReport| a.evaluate_seconds.total_cmp(&b.evaluate_seconds);
        let best = inferred.jobs.iter().skip(1).min_by(by_time).ok_or_else(|| {
            CliError::part("the run cannot be reported")(std::io::Error::other("no measured job"))
        })?;
        let result_bytes = u64::from(inferred.groups) * compiled.result_bytes;
        // The host takes the result's digest, and the enclave takes it again, since it believes nothing.
        let audit = 2.0 * digest_seconds(result_bytes)?;
        let upload = digest_seconds(inferred.input_bytes)?;
        let size = (inferred.groups as usize, best.threads as usize);
        let predicted = planning::predict(&program, &units, size)?;
        let of_session = digest_seconds(published.model_bytes + compiled.key_bytes)?;
        results.push(Measured {
            network: compiled.name.clone(),
            objective: objective.as_str(),
            batch,
            groups: inferred.groups,
            lanes: compiled.lanes,
            threads: best.threads,
            model_privacy: compiled.model_privacy.clone(),
            evaluate_seconds: best.evaluate_seconds,
            per_image_ms: 1e3 * best.evaluate_seconds / batch as f64,
            wall_seconds: best.wall_seconds,
            host_cpu_seconds: best.evaluate_cpu_seconds,
            enclave_cpu_seconds: best.enclave_cpu_seconds,
            host_peak_rss_mib: parties.host.usage()?.peak_rss_mib,
            predicted_seconds: predicted.seconds,
            predicted_cpu_seconds: predicted.cpu_seconds,
            predicted_peak_mib: predicted.peak_mib,
            model_bytes: published.model_bytes,
            input_bytes: inferred.input_bytes,
            key_bytes: compiled.key_bytes,
            log_n: compiled.log_n,
            max_log_qp: compiled.max_log_qp,
            jobs: args.repeat,
            digest_cpu_seconds: audit,
            digest_share: audit / best.evaluate_cpu_seconds,
            upload_digest_cpu_seconds: upload,
            digest_all_cpu_seconds: audit / 2.0 + upload + of_session,
        });
    }
    progress.end(None);
    Ok(results)
}

/// CPU time of this thread for the digest of so many bytes: SHA-256 takes as long for any content.
fn digest_seconds(bytes: u64) -> Result<f64, CliError> {
    const PIECE: usize = 1 << 20;
    let clock = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_err(CliError::usage);
    let piece = vec![0x5a; PIECE];
    let mut hasher = adyton_wire::digest::ObjectHasher::default();
    let before = clock()?;
    for _ in 0..bytes / PIECE as u64 {
        hasher.update(&piece);
    }
    hasher.update(piece.get(..bytes as usize % PIECE).unwrap_or_default());
    std::hint::black_box(hasher.finish());
    let spent = Duration::from(clock()? - before);
    Ok(spent.as_secs_f64())
}

fn render(report: &Report) -> String {
    let header = [
        "network",
        "objective",
        "batch",
        "evaluation",
        "per image",
        "job",
        "host CPU",
        "predicted",
        "enclave CPU",
        "host memory",
        "predicted",
        "model",
        "keys",
        "digest",
    ];
    let mut table = Table::new(2, &header);
    for r in &report.results {
        table.row(&[
            r.network.clone(),
            r.objective.to_owned(),
            r.batch.to_string(),
            seconds(r.evaluate_seconds),
            format!("{:.3} ms", r.per_image_ms),
            seconds(r.wall_seconds),
            seconds(r.host_cpu_seconds),
            seconds(r.predicted_cpu_seconds),
            seconds(r.enclave_cpu_seconds),
            format!("{:.0} MiB", r.host_peak_rss_mib),
            format!("{:.0} MiB", r.predicted_peak_mib),
            output::bytes(r.model_bytes),
            output::bytes(r.key_bytes),
            format!("{:.2} %", 100.0 * r.digest_share),
        ]);
    }
    let threads = report.results.first().map_or(0, |r| r.threads);
    format!(
        "{} ({} cores), {threads} threads, Adyton {}\n\n{}",
        report.cpu,
        report.cores,
        report.version,
        table.render()
    )
}
