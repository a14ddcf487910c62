//! `adyton bench scale`: threads, and batches far beyond the best one. The fields are documented in docs/bench-json.md.

use super::plot::{self, Panel, Series};
use crate::args::{BenchScale, Objective};
use crate::demo::parties::{self, Capacity, Parties, Setup};
use crate::demo::supervised;
use crate::error::CliError;
use crate::output::{Table, seconds};
use crate::owner::infer::InferReport;
use crate::progress::Progress;
use crate::shipped::{self, Digits, Shipped};
use crate::{machine, output};
use serde::Serialize;
use std::path::Path;
use std::time::Instant;

/// Result ciphertexts that a session may release: the default of `adyton publish`.
const SESSION_CIPHERTEXTS: u32 = 64;
/// Threads that are compared.
const THREADS: [u32; 2] = [1, 2];
/// Jobs of one batch with each number of threads, after one to warm up; the fastest counts.
const REPEAT: u32 = 3;

#[derive(Serialize)]
struct Report {
    version: &'static str,
    cpu: String,
    cores: usize,
    simulated_evidence: bool,
    networks: Vec<Scaled>,
}

#[derive(Serialize)]
struct Scaled {
    network: String,
    model_privacy: String,
    log_n: u8,
    max_log_qp: f64,
    lanes: u32,
    /// Images of the best batch.
    best_batch: usize,
    threads: Vec<Threads>,
    /// Time with one thread divided by that with two.
    speedup: f64,
    batches: Vec<Batches>,
    /// Time per image at the largest number of images divided by that at one best batch.
    time_growth: f64,
    /// The same of the host's peak memory.
    memory_growth: f64,
}

#[derive(Serialize)]
struct Threads {
    threads: u32,
    evaluate_seconds: f64,
    per_image_ms: f64,
    host_peak_rss_mib: f64,
}

#[derive(Serialize)]
struct Batches {
    images: usize,
    /// Jobs that they went as, one after the other.
    jobs: u32,
    sessions: u32,
    evaluate_seconds: f64,
    per_image_ms: f64,
    /// From the submission of each job to its opened result, summed.
    job_seconds: f64,
    /// Everything a data owner waits for: attestation, keys of new sessions, encryption, transfer, release.
    wall_seconds: f64,
    host_peak_rss_mib: f64,
}

/// Measures, draws and prints.
pub(super) fn run(args: &BenchScale) -> Result<(), CliError> {
    let networks = shipped::networks(&args.workload.networks)?;
    let digits = shipped::test_digits()?;
    let measurement = parties::measurement()?;
    let directory = tempfile::Builder::new().prefix("adyton-scale-").tempdir();
    let directory =
        directory.map_err(CliError::file("make a directory in", &std::env::temp_dir()))?;
    let networks = supervised(async {
        let mut all = Vec::new();
        for shipped in &networks {
            let directory = directory.path().join(shipped.name);
            all.push(scale(args, shipped, &digits, (&directory, &measurement)).await?);
            std::fs::remove_dir_all(&directory).map_err(CliError::file("remove", &directory))?;
        }
        Ok(all)
    })?;
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        cpu: machine::cpu(),
        cores: machine::cores(),
        simulated_evidence: true,
        networks,
    };
    if let Some(path) = &args.plot {
        plot::draw(path, &panels(&report))?;
    }
    if args.json { output::json(&report) } else { output::text(&render(&report)) }
}

/// A deployment with running parties.
struct Stage {
    parties: Parties,
    deployment: String,
    lanes: u32,
    /// Ciphertexts released so far.
    released: u32,
}

impl Stage {
    /// One job of so many images, in the first session that has room for it.
    async fn infer(
        &mut self,
        digits: &Digits,
        images: usize,
        repeat: u32,
        progress: &mut Progress,
    ) -> Result<(u32, InferReport), CliError> {
        let groups = repeat * (images as u32).div_ceil(self.lanes);
        let left = SESSION_CIPHERTEXTS - self.released % SESSION_CIPHERTEXTS;
        if groups > left {
            self.released += left;
        }
        let session = self.released / SESSION_CIPHERTEXTS;
        self.released += groups;
        let repeated = (0..images).filter_map(|i| digits.images.get(i % digits.images.count()));
        let images: Vec<Vec<f64>> = repeated.map(<[f64]>::to_vec).collect();
        let report =
            self.parties.infer_in(session, &self.deployment, &images, repeat, progress).await?;
        Ok((session, report))
    }
}

async fn scale(
    args: &BenchScale,
    shipped: &Shipped,
    digits: &Digits,
    (directory, measurement): (&Path, &str),
) -> Result<Scaled, CliError> {
    let mut progress = Progress::new();
    progress.heading(shipped.name);
    let setup = Setup {
        network: shipped,
        objective: Objective::Throughput,
        privacy: args.workload.model_privacy,
    };
    let mut threads = Vec::new();
    let mut batches = Vec::new();
    let mut about = None;
    for count in THREADS {
        let directory = directory.join(format!("{count}"));
        let mut parties = Parties::start(
            &directory,
            measurement,
            Capacity::of(shipped, Some(count)),
            &mut progress,
        )
        .await?;
        let compiled = parties.compile(setup, &mut progress).await?;
        let published = parties.publish(&mut progress).await?;
        let mut stage =
            Stage { parties, deployment: published.deployment, lanes: compiled.lanes, released: 0 };
        let best_batch = (args.groups * compiled.lanes) as usize;
        threads.push(threaded(&mut stage, digits, (count, best_batch), &mut progress).await?);
        if args.workload.threads.unwrap_or(2) == count {
            for multiple in multiples(args.batches) {
                let images = multiple as usize * best_batch;
                batches.push(batch(args, &mut stage, digits, images, &mut progress).await?);
            }
        }
        about = Some(compiled);
        drop(stage);
        // The next run needs the disk space.
        std::fs::remove_dir_all(&directory).map_err(CliError::file("remove", &directory))?;
    }
    progress.end(None);
    let about = about.ok_or_else(|| CliError::usage("nothing was measured"))?;
    let ratio = |of: fn(&Batches) -> f64| match (batches.first(), batches.last()) {
        (Some(first), Some(last)) => of(last) / of(first),
        _ => f64::NAN,
    };
    let speedup = match threads.as_slice() {
        [one, two] => one.evaluate_seconds / two.evaluate_seconds,
        _ => f64::NAN,
    };
    Ok(Scaled {
        network: about.name,
        model_privacy: about.model_privacy,
        log_n: about.log_n,
        max_log_qp: about.max_log_qp,
        lanes: about.lanes,
        best_batch: (args.groups * about.lanes) as usize,
        threads,
        speedup,
        time_growth: ratio(|batch| batch.per_image_ms),
        memory_growth: ratio(|batch| batch.host_peak_rss_mib),
        batches,
    })
}

/// One batch, about a tenth and a third of the largest multiple, and that.
fn multiples(largest: u32) -> Vec<u32> {
    let mut multiples = vec![1, largest.div_ceil(10), largest.div_ceil(3), largest];
    multiples.dedup();
    multiples
}

async fn threaded(
    stage: &mut Stage,
    digits: &Digits,
    (threads, images): (u32, usize),
    progress: &mut Progress,
) -> Result<Threads, CliError> {
    let (_, report) = stage.infer(digits, images, REPEAT + 1, progress).await?;
    // The first job loads what the later ones find in memory.
    let times = report.jobs.iter().skip(1).map(|job| job.evaluate_seconds);
    let evaluate_seconds = times.fold(f64::INFINITY, f64::min);
    Ok(Threads {
        threads,
        evaluate_seconds,
        per_image_ms: 1e3 * evaluate_seconds / images as f64,
        host_peak_rss_mib: stage.parties.host.usage()?.peak_rss_mib,
    })
}

/// So many images as jobs one after the other.
async fn batch(
    args: &BenchScale,
    stage: &mut Stage,
    digits: &Digits,
    images: usize,
    progress: &mut Progress,
) -> Result<Batches, CliError> {
    let of_job = (args.job_groups.min(SESSION_CIPHERTEXTS) * stage.lanes) as usize;
    let began = Instant::now();
    let (mut done, mut jobs, mut evaluate_seconds, mut job_seconds) = (0, 0, 0.0, 0.0);
    let mut sessions = std::collections::BTreeSet::new();
    while done < images {
        let now = of_job.min(images - done);
        progress.heading(&format!("{done} of {images} images"));
        let (session, report) = stage.infer(digits, now, 1, progress).await?;
        sessions.insert(session);
        evaluate_seconds += report.jobs.iter().map(|job| job.evaluate_seconds).sum::<f64>();
        job_seconds += report.jobs.iter().map(|job| job.wall_seconds).sum::<f64>();
        (done, jobs) = (done + now, jobs + 1);
    }
    Ok(Batches {
        images,
        jobs,
        sessions: sessions.len() as u32,
        evaluate_seconds,
        per_image_ms: 1e3 * evaluate_seconds / images as f64,
        job_seconds,
        wall_seconds: began.elapsed().as_secs_f64(),
        host_peak_rss_mib: stage.parties.host.usage()?.peak_rss_mib,
    })
}

fn panels(report: &Report) -> [Panel; 2] {
    let series = |of: fn(&Batches) -> f64| {
        let points = |network: &Scaled| {
            network.batches.iter().map(|batch| (batch.images as f64, of(batch))).collect()
        };
        let series = report.networks.iter();
        let name = |network: &Scaled| {
            format!("{}, two threads {:.2}× one", network.network, network.speedup)
        };
        series.map(|n| Series { name: name(n), points: points(n), line: true }).collect()
    };
    [
        Panel {
            title: "time per image, evaluation".to_owned(),
            x: "images",
            y: "ms",
            log_y: false,
            series: series(|batch| batch.per_image_ms),
        },
        Panel {
            title: "peak memory of the host".to_owned(),
            x: "images",
            y: "MiB",
            log_y: false,
            series: series(|batch| batch.host_peak_rss_mib),
        },
    ]
}

fn render(report: &Report) -> String {
    let mut out = format!("{} ({} cores), Adyton {}\n", report.cpu, report.cores, report.version);
    for n in &report.networks {
        out.push_str(&format!(
            "\n{}, {} model, N = 2^{}, {} lanes, best batch {} images\n\n",
            n.network, n.model_privacy, n.log_n, n.lanes, n.best_batch
        ));
        let mut table = Table::new(
            1,
            &["", "evaluation", "per image", "jobs", "sessions", "wall", "host memory"],
        );
        for t in &n.threads {
            table.row(&[
                format!("{} images, {} thread(s)", n.best_batch, t.threads),
                seconds(t.evaluate_seconds),
                format!("{:.3} ms", t.per_image_ms),
                "1".to_owned(),
                "1".to_owned(),
                String::new(),
                format!("{:.0} MiB", t.host_peak_rss_mib),
            ]);
        }
        for b in &n.batches {
            table.row(&[
                format!("{} images", b.images),
                seconds(b.evaluate_seconds),
                format!("{:.3} ms", b.per_image_ms),
                b.jobs.to_string(),
                b.sessions.to_string(),
                seconds(b.wall_seconds),
                format!("{:.0} MiB", b.host_peak_rss_mib),
            ]);
        }
        out.push_str(&table.render());
        out.push_str(&format!(
            "\n  two threads are {:.2} times as fast as one; from one batch to {}, time per image grows by {:.2}, memory by {:.2}\n",
            n.speedup,
            n.batches.last().map_or(0, |b| b.images / n.best_batch.max(1)),
            n.time_growth,
            n.memory_growth
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiples_rise_from_one_to_the_largest() {
        assert_eq!(multiples(50), [1, 5, 17, 50]);
        assert_eq!(multiples(1), [1]);
        assert!(multiples(2).is_sorted());
    }
}
