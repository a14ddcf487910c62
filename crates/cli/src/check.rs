//! `adyton check`: the first thing to run on a network of one's own. The fields are documented in docs/check-json.md.

use crate::args::Check;
use crate::error::CliError;
use crate::output::{self, Table};
use crate::planning::{self, Predicted};
use crate::{import, machine, samples};
use adyton_compiler::network::Network;
use adyton_compiler::onnx::ImportError;
use adyton_compiler::plan::Compiled;
use adyton_program::VerifiedProgram;
use adyton_runtime::{Cleartext, Executor, RunOptions, cleartext};
use serde::Serialize;
use std::error::Error;
use std::sync::Arc;

/// Groups of lanes that are run at most.
const MOST_GROUPS: usize = 4;

/// Why a network is not compiled.
#[derive(Serialize)]
struct Refusal {
    /// The node that is in the way, where a single one is.
    node: Option<String>,
    operator: Option<String>,
    reason: String,
}

#[derive(Default, Serialize)]
struct Report {
    network: String,
    compiled: bool,
    refused: Option<Refusal>,
    samples: usize,
    max_error_cleartext: Option<f64>,
    max_error_encrypted: Option<f64>,
    predicted_error: Option<f64>,
    label_agreement: Option<f64>,
    predicted_seconds: Option<f64>,
    evaluate_seconds: Option<f64>,
    predicted_peak_mib: Option<f64>,
    peak_mib: Option<f64>,
    log_n: Option<u8>,
    max_log_qp: Option<f64>,
    depth: Option<usize>,
}

/// Checks and prints.
pub(crate) fn run(args: &Check) -> Result<(), CliError> {
    let report = check(args)?;
    if args.json { output::json(&report) } else { output::text(&render(&report)) }
}

fn check(args: &Check) -> Result<Report, CliError> {
    let given = samples::read(std::slice::from_ref(&args.samples), None)?;
    let calibration = match planning::calibration(&args.planning)? {
        none if none.is_empty() => given.clone(),
        calibration => calibration,
    };
    let name = args.network.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut report = Report { network: name, ..Report::default() };
    let network = match import::network(&args.network, &calibration, &args.planning.fitting) {
        Ok(imported) => imported.network,
        Err(error) => {
            report.refused = Some(refusal(error)?);
            return Ok(report);
        }
    };
    report.depth = Some(network.depth());
    let compiled = match planning::compile(&network, &args.planning, &calibration)? {
        Ok(compiled) => compiled,
        Err(error) => {
            report.refused = Some(Refusal { node: None, operator: None, reason: chain(&error) });
            return Ok(report);
        }
    };
    let lanes = compiled.program.input.lanes as usize;
    let checked = given.get(..given.len().min(MOST_GROUPS * lanes)).unwrap_or(&given);
    let wanted = Wanted::new(args, &network, checked)?;
    let predicted_error = compiled.report.precision.relative * compiled.report.precision.span;
    report.compiled = true;
    report.samples = checked.len();
    report.log_n = Some(compiled.report.log_n);
    report.max_log_qp = Some(compiled.report.max_log_qp);
    report.predicted_error = Some(predicted_error);

    let (outputs, program) = in_the_clear(compiled, checked)?;
    report.max_error_cleartext = Some(wanted.largest_error(&network, &outputs));
    report.label_agreement = Some(wanted.agreement(&network, &outputs));
    let threads = args.threads.map_or_else(machine::cores, |threads| threads as usize);
    let units = planning::units(&args.planning)?;
    let groups = checked.len().div_ceil(lanes).max(1);
    let Predicted { seconds, peak_mib, .. } =
        planning::predict(&program, &units, (groups, threads))?;
    report.predicted_seconds = Some(seconds);
    report.predicted_peak_mib = Some(peak_mib);
    if args.encrypted {
        let run = encrypted::run(args, peak_mib, (&calibration, checked))?;
        report.max_error_encrypted = Some(wanted.largest_error(&network, &run.outputs));
        report.label_agreement = Some(wanted.agreement(&network, &run.outputs));
        report.evaluate_seconds = Some(run.evaluate_seconds);
        report.peak_mib = Some(run.peak_mib);
    }
    Ok(report)
}

/// What the results should be.
enum Wanted {
    /// The network's logits, run in the clear.
    Logits(Vec<Vec<f64>>),
    /// Rows of the file that was named: outputs in the forms of the model.
    Outputs(Vec<Vec<f64>>),
}

impl Wanted {
    fn new(args: &Check, network: &Network, samples: &[Vec<f64>]) -> Result<Self, CliError> {
        let Some(path) = &args.expect else {
            let logits = samples.iter().map(|sample| network.run(sample));
            let logits = logits.collect::<Result<_, _>>();
            return Ok(Self::Logits(
                logits.map_err(CliError::part("the samples do not fit the network"))?,
            ));
        };
        let rows = samples::read(std::slice::from_ref(path), None)?;
        let length = outputs(network, &vec![0.0; network.output_len()]).len();
        if rows.len() < samples.len() || rows.iter().any(|row| row.len() != length) {
            return Err(CliError::Content {
                path: path.clone(),
                reason: format!(
                    "expected a row of {length} outputs for each of {} samples",
                    samples.len()
                ),
            });
        }
        Ok(Self::Outputs(rows))
    }

    /// What is wanted and what was found of it, row by row.
    fn pairs<'a>(
        &'a self,
        network: &'a Network,
        logits: &'a [Vec<f64>],
    ) -> impl Iterator<Item = (&'a Vec<f64>, Vec<f64>)> {
        let (Self::Logits(wanted) | Self::Outputs(wanted)) = self;
        wanted.iter().zip(logits).map(move |(wanted, logits)| match self {
            Self::Logits(_) => (wanted, logits.clone()),
            Self::Outputs(_) => (wanted, outputs(network, logits)),
        })
    }

    fn largest_error(&self, network: &Network, logits: &[Vec<f64>]) -> f64 {
        let errors = self.pairs(network, logits).flat_map(|(wanted, found)| {
            wanted.iter().zip(found).map(|(x, y)| (x - y).abs()).collect::<Vec<_>>()
        });
        errors.fold(0.0, f64::max)
    }

    /// The share of samples with the same label: the largest output, or the sign of a single one.
    fn agreement(&self, network: &Network, logits: &[Vec<f64>]) -> f64 {
        let label = |row: &[f64]| match row {
            [single] => u32::from(*single > 0.0),
            _ => samples::label(row),
        };
        let same =
            self.pairs(network, logits).filter(|(wanted, found)| label(wanted) == label(found));
        same.count() as f64 / logits.len().max(1) as f64
    }
}

/// The outputs of the model in their forms, one after the other.
fn outputs(network: &Network, logits: &[f64]) -> Vec<f64> {
    network.outputs.iter().flat_map(|output| output.read(logits)).collect()
}

/// Runs the program on the samples in the clear.
fn in_the_clear(
    compiled: Compiled,
    samples: &[Vec<f64>],
) -> Result<(Vec<Vec<f64>>, Arc<VerifiedProgram>), CliError> {
    const FAIL: &str = "the program cannot be run in the clear";
    let verified = VerifiedProgram::new(compiled.program).map_err(CliError::part(FAIL))?;
    let program = Arc::new(verified);
    let (input, output) = (&program.program().input, &program.program().output);
    let lanes = input.lanes as usize;
    let vectors = compiled.weights.vectors().to_vec();
    let backend = Cleartext::new(program.program(), vectors).map_err(CliError::part(FAIL))?;
    let groups = samples.chunks(lanes.max(1)).map(|samples| {
        let samples: Vec<&[f64]> = samples.iter().map(Vec::as_slice).collect();
        cleartext::pack_inputs(input, &samples)
    });
    let groups = groups.collect::<Result<Vec<_>, _>>();
    let groups = groups.map_err(CliError::part("the samples do not fit the network"))?;
    let threads = RunOptions::threads(machine::cores());
    let run = Executor::new(Arc::clone(&program)).run(&backend, groups, &threads);
    let run = run.map_err(CliError::part(FAIL))?;
    let mut rows = Vec::with_capacity(samples.len());
    for result in &run.results {
        rows.extend(cleartext::read_outputs(output, lanes, result).map_err(CliError::part(FAIL))?);
    }
    rows.truncate(samples.len());
    Ok((rows, program))
}

/// What an import's error says of the network; other errors stay errors.
fn refusal(error: CliError) -> Result<Refusal, CliError> {
    let CliError::Part { source, .. } = &error else { return Err(error) };
    let Some(import) = source.downcast_ref::<ImportError>() else { return Err(error) };
    Ok(match import {
        ImportError::Io(_) => return Err(error),
        ImportError::Node { node, operator, fault } => Refusal {
            node: Some(node.clone()),
            operator: Some(operator.clone()),
            reason: chain(fault),
        },
        other => Refusal { node: None, operator: None, reason: chain(other) },
    })
}

/// An error and what led to it.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

fn render(report: &Report) -> String {
    if let Some(Refusal { node, operator, reason }) = &report.refused {
        let place = match (node, operator) {
            (Some(node), Some(operator)) => format!("{node} ({operator}): "),
            _ => String::new(),
        };
        return format!("{} is refused.\n{place}{reason}", report.network);
    }
    let mut table = Table::new(1, &["", "predicted", "measured"]);
    let none = || "–".to_owned();
    let error = |error: Option<f64>| error.map_or_else(none, |error| format!("{error:.3e}"));
    table.row(&[
        "largest error, in the clear".to_owned(),
        none(),
        error(report.max_error_cleartext),
    ]);
    table.row(&[
        "largest error, encrypted".to_owned(),
        error(report.predicted_error),
        error(report.max_error_encrypted),
    ]);
    let seconds = |seconds: Option<f64>| seconds.map_or_else(none, output::seconds);
    table.row(&[
        "evaluation".to_owned(),
        seconds(report.predicted_seconds),
        seconds(report.evaluate_seconds),
    ]);
    let mib = |mib: Option<f64>| mib.map_or_else(none, |mib| format!("{mib:.0} MiB"));
    table.row(&["host memory".to_owned(), mib(report.predicted_peak_mib), mib(report.peak_mib)]);
    format!(
        "{} compiles: N = 2^{}, log2 QP = {:.0}, depth {}; {} samples, labels agree for {:.2} %\n\n{}",
        report.network,
        report.log_n.unwrap_or(0),
        report.max_log_qp.unwrap_or(0.0),
        report.depth.unwrap_or(0),
        report.samples,
        100.0 * report.label_agreement.unwrap_or(0.0),
        table.render()
    )
}

/// The whole flow on this machine.
#[cfg(feature = "simulated")]
mod encrypted {
    use super::Check;
    use crate::demo::parties::{self, Capacity, Parties};
    use crate::demo::supervised;
    use crate::error::CliError;
    use crate::progress::Progress;

    /// Memory for evaluation that a host has unless told otherwise.
    const HOST_MEMORY_MIB: u64 = 1792;

    pub(super) struct Run {
        pub(super) outputs: Vec<Vec<f64>>,
        pub(super) evaluate_seconds: f64,
        pub(super) peak_mib: f64,
    }

    /// The host gets the memory that was predicted, where that is more than its default.
    pub(super) fn run(
        args: &Check,
        predicted_peak_mib: f64,
        (calibration, samples): (&[Vec<f64>], &[Vec<f64>]),
    ) -> Result<Run, CliError> {
        let measurement = parties::measurement()?;
        let onnx = std::fs::read(&args.network).map_err(CliError::file("read", &args.network))?;
        let directory = tempfile::Builder::new().prefix("adyton-check-").tempdir();
        let directory =
            directory.map_err(CliError::file("make a directory in", &std::env::temp_dir()))?;
        let options = args.planning.arguments()?;
        let memory_mib = (predicted_peak_mib.ceil() as u64).max(HOST_MEMORY_MIB);
        let capacity = Capacity { threads: args.threads, memory_mib: Some(memory_mib) };
        supervised(async {
            let mut progress = Progress::new();
            let mut parties =
                Parties::start(directory.path(), &measurement, capacity, &mut progress).await?;
            parties.compile_file(("network", &onnx), calibration, &options, &mut progress).await?;
            let published = parties.publish(&mut progress).await?;
            // The first job loads what the second finds in memory.
            let inferred = parties.infer(&published.deployment, samples, 2, &mut progress).await?;
            let times = inferred.jobs.iter().map(|job| job.evaluate_seconds);
            let evaluate_seconds = times.fold(f64::INFINITY, f64::min);
            let peak_mib = parties.host.usage()?.peak_rss_mib;
            progress.end(None);
            let outputs = inferred.logits.unwrap_or_default();
            Ok(Run { outputs, evaluate_seconds, peak_mib })
        })
    }
}

#[cfg(not(feature = "simulated"))]
mod encrypted {
    use super::Check;
    use crate::error::CliError;

    pub(super) struct Run {
        pub(super) outputs: Vec<Vec<f64>>,
        pub(super) evaluate_seconds: f64,
        pub(super) peak_mib: f64,
    }

    pub(super) fn run(_: &Check, _: f64, _: (&[Vec<f64>], &[Vec<f64>])) -> Result<Run, CliError> {
        Err(CliError::Argument {
            what: "--encrypted",
            value: String::new(),
            reason: "this build has no simulated platform to run an enclave on".into(),
        })
    }
}
