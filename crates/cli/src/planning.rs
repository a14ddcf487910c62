//! From options to plans: what `compile`, `check` and `plan` share, and `adyton plan`.

use crate::args::{Objective, Plan, Planning, Privacy, SecurityLevel};
use crate::error::CliError;
use crate::output::{self, Table};
use crate::{calibrate, import, machine, samples};
use adyton_ckks::Security;
use adyton_compiler::cost::{self, UnitCosts};
use adyton_compiler::network::Network;
use adyton_compiler::plan::{self, CompileError, CompileOptions, Compiled};
use adyton_program::{ModelPrivacy, VerifiedProgram};
use adyton_runtime::estimate_memory;
use serde::Serialize;

/// Parts of the allocator and of the process beside what is counted: a quarter, and a base.
const MEMORY_BASE_MIB: f64 = 40.0;
/// Memory for the weights in which a plan is looked for when there is none in the default, bytes: this many times as much each time.
const MORE_MEMORY: u64 = 2;
/// Most memory that is tried unless it was asked for.
const MOST_MEMORY: u64 = 16 << 30;

/// What a program will cost on this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Predicted {
    /// Evaluation of so many groups, wall time.
    pub(crate) seconds: f64,
    /// The same, processor time.
    pub(crate) cpu_seconds: f64,
    /// Largest memory of the host.
    pub(crate) peak_mib: f64,
}

/// The samples that `--calibrate` names; none without it.
pub(crate) fn calibration(planning: &Planning) -> Result<Vec<Vec<f64>>, CliError> {
    match &planning.calibrate {
        Some(path) => samples::read(std::slice::from_ref(path), None),
        None => Ok(Vec::new()),
    }
}

/// Compiles by the options. Where no plan keeps within the default memory, and none was asked for, more is tried.
pub(crate) fn compile(
    network: &Network,
    planning: &Planning,
    calibration: &[Vec<f64>],
) -> Result<Result<Compiled, CompileError>, CliError> {
    let defaults = CompileOptions::new(calibration);
    let mut options = CompileOptions {
        objective: match planning.objective {
            Objective::Latency => plan::Objective::Latency,
            Objective::Throughput => plan::Objective::Throughput,
            Objective::Memory => plan::Objective::Memory,
        },
        batch: planning.batch.map(|batch| batch as usize),
        units: units(planning)?,
        privacy: match planning.model_privacy {
            Privacy::Encrypted => ModelPrivacy::Encrypted,
            Privacy::Plain => ModelPrivacy::Plain,
        },
        security: match planning.security {
            SecurityLevel::Classical128 => Security::Classical128,
            SecurityLevel::Quantum128 => Security::Quantum128,
        },
        memory: planning.max_memory.map_or(defaults.memory, |mib| mib.saturating_mul(1 << 20)),
        precision: planning.min_precision_bits.map_or(defaults.precision, |bits| (-bits).exp2()),
        ..defaults
    };
    loop {
        let compiled = plan::compile(network, &options);
        let more = planning.max_memory.is_none() && options.memory < MOST_MEMORY;
        match compiled {
            Err(CompileError::Memory { needed, .. }) if more && needed <= MOST_MEMORY => {
                options.memory = needed.max(options.memory.saturating_mul(MORE_MEMORY));
            }
            other => return Ok(other),
        }
    }
}

/// Unit costs: of the file that was named, of this machine, or the built-in ones.
pub(crate) fn units(planning: &Planning) -> Result<UnitCosts, CliError> {
    calibrate::units(planning.machine.as_deref())
}

/// Predicts time and memory of `groups` groups.
pub(crate) fn predict(
    program: &VerifiedProgram,
    units: &UnitCosts,
    (groups, threads): (usize, usize),
) -> Result<Predicted, CliError> {
    const FAIL: &str = "the program's cost cannot be predicted";
    let time = cost::predict(program, units, groups).map_err(CliError::part(FAIL))?;
    let memory = estimate_memory(program, groups, threads).map_err(CliError::part(FAIL))?;
    Ok(Predicted {
        seconds: time.wall(threads),
        cpu_seconds: time.total(),
        peak_mib: memory.total() as f64 / f64::from(1 << 20) + MEMORY_BASE_MIB,
    })
}

/// One plan, for machines.
#[derive(Serialize)]
struct PlanReport {
    objective: &'static str,
    refused: Option<String>,
    log_n: Option<u8>,
    max_log_qp: Option<f64>,
    positions: Option<usize>,
    lanes: Option<usize>,
    products: Option<usize>,
    rotation_keys: Option<usize>,
    model_bytes: Option<u64>,
    input_bytes: Option<u64>,
    key_bytes: Option<u64>,
    predicted_seconds: Option<f64>,
    predicted_seconds_per_sample: Option<f64>,
    predicted_peak_mib: Option<f64>,
    predicted_relative_error: Option<f64>,
}

/// `adyton plan`.
pub(crate) fn run(args: &Plan) -> Result<(), CliError> {
    let given = calibration(&args.planning)?;
    let imported = import::network(&args.network, &given, &args.planning.fitting)?;
    let samples = match given.is_empty() {
        true => crate::compile::shipped_samples(&imported.network)?,
        false => given,
    };
    let threads = args.threads.map_or_else(machine::cores, |threads| threads as usize);
    let objectives = match args.compare {
        true => vec![Objective::Latency, Objective::Throughput, Objective::Memory],
        false => vec![args.planning.objective],
    };
    let mut reports = Vec::new();
    for objective in objectives {
        let planning = Planning { objective, ..args.planning.clone() };
        let compiled = compile(&imported.network, &planning, &samples)?;
        reports.push(report(objective, compiled, &units(&planning)?, threads)?);
        if let (false, false, Some((_, compiled))) = (args.json, args.compare, reports.last()) {
            output::text(compiled)?;
        }
    }
    let reports: Vec<PlanReport> = reports.into_iter().map(|(report, _)| report).collect();
    match (args.json, args.compare) {
        (true, _) => output::json(&reports),
        (false, true) => output::text(&compared(&reports)),
        (false, false) => Ok(()),
    }
}

fn report(
    objective: Objective,
    compiled: Result<Compiled, CompileError>,
    units: &UnitCosts,
    threads: usize,
) -> Result<(PlanReport, String), CliError> {
    let compiled = match compiled {
        Ok(compiled) => compiled,
        Err(error) => {
            let text = error.to_string();
            let report = PlanReport {
                objective: objective.as_str(),
                refused: Some(text.clone()),
                log_n: None,
                max_log_qp: None,
                positions: None,
                lanes: None,
                products: None,
                rotation_keys: None,
                model_bytes: None,
                input_bytes: None,
                key_bytes: None,
                predicted_seconds: None,
                predicted_seconds_per_sample: None,
                predicted_peak_mib: None,
                predicted_relative_error: None,
            };
            return Ok((report, text));
        }
    };
    let program = VerifiedProgram::new(compiled.program)
        .map_err(CliError::part("the program that was made is not valid"))?;
    let predicted = predict(&program, units, (1, threads))?;
    let (plan, found) = (&compiled.report.plan, &compiled.report);
    let lanes = match objective {
        Objective::Latency => 1,
        Objective::Throughput | Objective::Memory => plan.lanes,
    };
    let report = PlanReport {
        objective: objective.as_str(),
        refused: None,
        log_n: Some(found.log_n),
        max_log_qp: Some(found.max_log_qp),
        positions: Some(plan.positions),
        lanes: Some(plan.lanes),
        products: Some(plan.layers.iter().map(|layer| layer.products).sum()),
        rotation_keys: Some(found.keys),
        model_bytes: Some(found.model_bytes),
        input_bytes: Some(found.input_bytes),
        key_bytes: Some(found.key_bytes),
        predicted_seconds: Some(predicted.seconds),
        predicted_seconds_per_sample: Some(predicted.seconds / lanes as f64),
        predicted_peak_mib: Some(predicted.peak_mib),
        predicted_relative_error: Some(found.precision.relative),
    };
    Ok((report, found.to_string()))
}

/// Plans side by side, one a column.
fn compared(reports: &[PlanReport]) -> String {
    let header = std::iter::once("").chain(reports.iter().map(|report| report.objective));
    let mut table = Table::new(1, &header.collect::<Vec<_>>());
    let mut row = |name: &str, cell: &dyn Fn(&PlanReport) -> Option<String>| {
        let cells = reports.iter().map(|report| cell(report).unwrap_or_else(|| "–".to_owned()));
        table.row(&std::iter::once(name.to_owned()).chain(cells).collect::<Vec<_>>());
    };
    row("ring degree", &|r| r.log_n.map(|n| format!("2^{n}")));
    row("log2 QP", &|r| r.max_log_qp.map(|bits| format!("{bits:.0}")));
    row("positions × lanes", &|r| Some(format!("{} × {}", r.positions?, r.lanes?)));
    row("products", &|r| r.products.map(|n| n.to_string()));
    row("evaluation keys", &|r| r.rotation_keys.map(|n| n.to_string()));
    row("model", &|r| r.model_bytes.map(output::bytes));
    row("inputs a group", &|r| r.input_bytes.map(output::bytes));
    row("keys a session", &|r| r.key_bytes.map(output::bytes));
    row("predicted time", &|r| r.predicted_seconds.map(output::seconds));
    row("a sample", &|r| r.predicted_seconds_per_sample.map(output::seconds));
    row("predicted memory", &|r| r.predicted_peak_mib.map(|mib| format!("{mib:.0} MiB")));
    row("error, of the range", &|r| {
        r.predicted_relative_error.map(|error| format!("{:.3} %", 100.0 * error))
    });
    let refused = reports.iter().filter_map(|r| Some((r.objective, r.refused.as_ref()?)));
    let refused: String = refused.map(|(objective, why)| format!("\n{objective}: {why}")).collect();
    format!("{}{refused}", table.render())
}
