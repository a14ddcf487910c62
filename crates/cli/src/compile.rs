//! `adyton compile`.

use crate::args::Compile;
use crate::error::CliError;
use crate::import::{self, FitReport};
use crate::process::{self, Usage};
use crate::{output, planning, program_files, shipped};
use adyton_ckks::{Ciphertext, ResultKey};
use adyton_compiler::network::Network;
use adyton_program::{Program, VerifiedProgram};
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// What `compile --json` prints.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CompileReport {
    /// The network's name.
    pub(crate) name: String,
    /// The program's id.
    pub(crate) program: String,
    /// `latency`, `throughput` or `memory`.
    pub(crate) objective: String,
    /// `encrypted` or `plain`.
    pub(crate) model_privacy: String,
    /// log2 of the ring degree.
    pub(crate) log_n: u8,
    /// Largest log2 of a modulus under which anything is encrypted.
    pub(crate) max_log_qp: f64,
    /// Samples per ciphertext.
    pub(crate) lanes: u32,
    /// Features per ciphertext.
    pub(crate) positions: u32,
    /// Steps of the program.
    pub(crate) steps: usize,
    /// Weight vectors.
    pub(crate) weights: usize,
    /// Evaluation keys.
    pub(crate) keys: usize,
    /// Bytes of the model as it is stored.
    pub(crate) model_bytes: u64,
    /// Bytes of the inputs of one group of lanes.
    pub(crate) input_bytes: u64,
    /// Bytes of the evaluation keys of one session.
    pub(crate) key_bytes: u64,
    /// Bytes of the result of one group of lanes.
    pub(crate) result_bytes: u64,
    /// Largest error to expect after flooding, as part of the logits' range.
    pub(crate) predicted_relative_error: f64,
    /// Functions that were fitted by polynomials, in the graph's order.
    pub(crate) fits: Vec<FitReport>,
    /// Wall time.
    pub(crate) seconds: f64,
    /// CPU and memory of this process.
    #[serde(flatten)]
    pub(crate) usage: Usage,
}

/// Compiles and stores; prints what came of it.
pub(crate) fn run(args: &Compile) -> Result<(), CliError> {
    let began = Instant::now();
    let given = planning::calibration(&args.planning)?;
    let imported = import::network(&args.network, &given, &args.planning.fitting)?;
    let network = imported.network;
    let calibration = if given.is_empty() { shipped_samples(&network)? } else { given };
    let compiled = planning::compile(&network, &args.planning, &calibration)?
        .map_err(CliError::part(format!("{} cannot be compiled", args.network.display())))?;
    let (program_path, weights_path) =
        program_files::store(&args.output, &compiled.program, &compiled.weights)?;
    let report = CompileReport {
        name: compiled.program.name.clone(),
        program: adyton_client::hex::encode(&compiled.program.id()),
        objective: args.planning.objective.as_str().to_owned(),
        model_privacy: args.planning.model_privacy.as_str().to_owned(),
        log_n: compiled.report.log_n,
        max_log_qp: compiled.report.max_log_qp,
        lanes: compiled.program.input.lanes,
        positions: compiled.program.input.positions,
        steps: compiled.report.steps,
        weights: compiled.report.weights,
        keys: compiled.report.keys,
        model_bytes: compiled.report.model_bytes,
        input_bytes: compiled.report.input_bytes,
        key_bytes: compiled.report.key_bytes,
        result_bytes: result_bytes(&compiled.program)?,
        predicted_relative_error: compiled.report.precision.relative,
        fits: imported.fits.iter().map(FitReport::of).collect(),
        seconds: began.elapsed().as_secs_f64(),
        usage: process::of_self()?,
    };
    if args.json {
        return output::json(&report);
    }
    let fits: String = imported.fits.iter().map(|fit| format!("fitted: {fit}\n")).collect();
    output::text(&format!(
        "{fits}{}: program {}\n{}\n{}  the program: give it to anybody\n{}  the packed weights: KEEP SECRET",
        report.name,
        report.program,
        compiled.report,
        program_path.display(),
        weights_path.display()
    ))
}

/// The shipped digits, where they have the right size to measure ranges on.
pub(crate) fn shipped_samples(network: &Network) -> Result<Vec<Vec<f64>>, CliError> {
    let digits = shipped::calibration()?;
    if digits.sample_len() == network.input_len() {
        output::note(
            "Note: no --calibrate was given; ranges are measured on the shipped MNIST digits, which have the right size.",
        );
        return Ok(digits.iter().map(<[f64]>::to_vec).collect());
    }
    Err(CliError::Argument {
        what: "--calibrate",
        value: String::new(),
        reason: format!(
            "samples are needed to measure the ranges of activations and outputs: give a .npy or idx file with samples of \
             {} values (a hundred typical ones will do)",
            network.input_len()
        ),
    })
}

/// Length of one encoded result ciphertext.
fn result_bytes(program: &Program) -> Result<u64, CliError> {
    const FAIL: &str = "the program's results have no encoding";
    let verified = VerifiedProgram::new(program.clone()).map_err(CliError::part(FAIL))?;
    let Some(form) = verified.value_type(program.output.value) else { return Ok(0) };
    let length =
        Ciphertext::<ResultKey>::encoded_len(verified.parameters(), form.level, &form.scale);
    Ok(length.map_err(CliError::part(FAIL))? as u64)
}
