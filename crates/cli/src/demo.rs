//! `adyton demo`: all four roles on this machine.

pub(crate) mod parties;
mod report;
mod text;

use crate::args::Demo;
use crate::digits::Picture;
use crate::error::CliError;
use crate::progress::Progress;
use crate::shipped::{self, Digits, Shipped};
use crate::{output, samples};
use parties::{Capacity, Parties, Setup};
use report::{Agreement, DemoReport, NetworkReport};
use std::path::{Path, PathBuf};
use std::time::Instant;
use tokio::signal::unix::{SignalKind, signal};

/// Pictures shown for each network.
const SHOWN: usize = 10;
/// Said once when the demo is silent otherwise.
const BANNER: &str = "Adyton demo: four processes, real sockets, real MNIST images, trained networks.\n\
    NOTE: the enclave's evidence is SIMULATED: the protocol is real,\n\
    \x20     the hardware's protection is not.";

/// A directory to work in, removed at the end unless it is to be kept.
struct Workspace {
    path: PathBuf,
    _temporary: Option<tempfile::TempDir>,
}

impl Workspace {
    fn new(keep: Option<&Path>) -> Result<Self, CliError> {
        let Some(path) = keep else {
            let prefix = "adyton-demo-";
            let made = tempfile::Builder::new().prefix(prefix).tempdir();
            let directory =
                made.map_err(CliError::file("make a directory in", &std::env::temp_dir()))?;
            return Ok(Self { path: directory.path().to_owned(), _temporary: Some(directory) });
        };
        std::fs::create_dir_all(path).map_err(CliError::file("make", path))?;
        let mut entries = std::fs::read_dir(path).map_err(CliError::file("read", path))?;
        if entries.next().is_some() {
            return Err(CliError::NotEmpty { path: path.to_owned() });
        }
        let path = path.canonicalize().map_err(CliError::file("find", path))?;
        Ok(Self { path, _temporary: None })
    }
}

/// Runs a future on this very thread (children live no longer than the thread that starts them), until it ends or a
/// signal comes. Either way everything that it started has ended when this returns.
pub(crate) fn supervised<T>(
    future: impl Future<Output = Result<T, CliError>>,
) -> Result<T, CliError> {
    let fail = || CliError::part("cannot start");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(fail())?.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(fail())?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(fail())?;
        let mut hangup = signal(SignalKind::hangup()).map_err(fail())?;
        tokio::select! {
            result = future => result,
            _ = terminate.recv() => Err(CliError::Interrupted),
            _ = interrupt.recv() => Err(CliError::Interrupted),
            _ = hangup.recv() => Err(CliError::Interrupted),
        }
    })
}

/// Runs the demo and prints its report.
pub(crate) fn run(args: &Demo) -> Result<(), CliError> {
    let networks = shipped::networks(&args.workload.networks)?;
    let digits = shipped::test_digits()?;
    let measurement = parties::measurement()?;
    output::note(BANNER);
    let began = Instant::now();
    let report = supervised(async {
        // Made here, where a signal no longer ends the process before it is removed.
        let workspace = Workspace::new(args.keep.as_deref())?;
        let mut reports = Vec::new();
        for shipped in networks {
            let directory = workspace.path.join(shipped.name);
            reports.push(network(args, &shipped, &digits, (&directory, &measurement)).await?);
        }
        DemoReport::new(reports, began.elapsed().as_secs_f64())
    })?;
    if args.json {
        output::json(&report)?;
    } else {
        output::text(&text::render(&report))?;
    }
    if let Some(keep) = &args.keep {
        output::note(&format!("Every party's files are in {}.", keep.display()));
    }
    Ok(())
}

async fn network(
    args: &Demo,
    shipped: &Shipped,
    digits: &Digits,
    (directory, measurement): (&Path, &str),
) -> Result<NetworkReport, CliError> {
    let began = Instant::now();
    let mut progress = Progress::new();
    progress.heading(&format!("{}: {}", shipped.name, shipped.about));
    let setup =
        Setup { network: shipped, objective: args.objective, privacy: args.workload.model_privacy };
    let mut parties = Parties::start(
        directory,
        measurement,
        Capacity::of(shipped, args.workload.threads),
        &mut progress,
    )
    .await?;
    let compiled = parties.compile(setup, &mut progress).await?;
    let published = parties.publish(&mut progress).await?;
    let wanted = args.images.unwrap_or(compiled.lanes) as usize;
    let images: Vec<Vec<f64>> = digits.images.iter().take(wanted).map(<[f64]>::to_vec).collect();
    let inferred = parties.infer(&published.deployment, &images, 1, &mut progress).await?;
    let stats = parties.stats().await?;
    let used = [parties.enclave.usage()?, parties.host.usage()?];
    progress.begin("stop enclave and host");
    drop(parties);
    let wall_seconds = began.elapsed().as_secs_f64();

    progress.begin("run the same ONNX file in the clear, to compare");
    let network = shipped.network()?;
    let plain = images
        .iter()
        .map(|image| network.run(image))
        .collect::<Result<Vec<_>, _>>()
        .map_err(CliError::part("the network cannot be run in the clear"))?;
    let agreement = Agreement::new(&plain, &inferred, &digits.labels)?;
    progress.end(None);
    let shape = digits.images.shape();
    let pictures = images
        .iter()
        .take(SHOWN)
        .zip(&inferred.labels)
        .zip(&digits.labels)
        .map(|((image, &label), &truth)| {
            let (height, width) = (shape.first().copied(), shape.last().copied());
            let picture = Picture::draw(image, height.unwrap_or(1), width.unwrap_or(1));
            (picture, caption(label, truth))
        })
        .collect();
    NetworkReport::new(report::Parts {
        objective: args.objective,
        compiled,
        published,
        inferred,
        stats,
        enclave: used[0],
        host: used[1],
        agreement,
        pictures,
        wall_seconds,
    })
}

fn caption(label: u32, truth: u8) -> String {
    if label == u32::from(truth) {
        format!("{label} ✓")
    } else {
        format!("{label} ✗ it is {truth}")
    }
}

/// The label of each row of logits.
pub(crate) fn labels(rows: &[Vec<f64>]) -> Vec<u32> {
    rows.iter().map(|row| samples::label(row)).collect()
}
