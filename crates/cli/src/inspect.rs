//! `adyton inspect`.

mod levels;

use crate::args::Inspect;
use crate::error::CliError;
use crate::planning::{self, Predicted};
use crate::{calibrate, output, owner, program_files};
use adyton_program::bundle::{BundleKind, BundleShape};
use adyton_program::{Listing, VerifiedProgram};
use serde::Serialize;
use std::fs::File;
use std::io::Read;
use std::path::Path;

#[derive(Serialize)]
struct ProgramReport {
    name: String,
    program: String,
    model_privacy: &'static str,
    log_n: u8,
    max_log_qp: f64,
    primes: Vec<u64>,
    special_primes: Vec<u64>,
    input_shape: Vec<u32>,
    input_bound: f64,
    input_ciphertexts: usize,
    lanes: u32,
    positions: u32,
    outputs: u32,
    output_range: f64,
    output_deviation: f64,
    steps: usize,
    weights: usize,
    keys: usize,
    model_bytes: Option<u64>,
    input_bytes: Option<u64>,
    key_bytes: Option<u64>,
    predicted_cpu_seconds: f64,
    predicted_peak_mib: f64,
    levels: Vec<levels::Level>,
}

/// Prints what a path holds.
pub(crate) fn run(args: &Inspect) -> Result<(), CliError> {
    let path = &args.path;
    if path.is_dir() {
        return program(&path.join(program_files::PROGRAM), args);
    }
    let mut start = Vec::new();
    File::open(path)
        .and_then(|file| file.take(64).read_to_end(&mut start))
        .map_err(CliError::file("read", path))?;
    if owner::evidence::is_evidence(&start) {
        output::note("Shown as it claims, not verified: `adyton evidence verify` does that.");
        return owner::evidence::show(path, args.json);
    }
    if start.starts_with(b"ADYTBNDL") {
        return bundle(path, &start, args.json);
    }
    if start.starts_with(b"ADYTPACK") {
        return Err(CliError::Content {
            path: path.clone(),
            reason: "these are packed weights, which are secret and are not shown; inspect the program beside them".into(),
        });
    }
    program(path, args)
}

fn program(path: &Path, args: &Inspect) -> Result<(), CliError> {
    let program = program_files::load_program(path)?;
    let units = calibrate::units(None)?;
    let levels = levels::of(&program, &units)?;
    if let Some(path) = &args.svg {
        std::fs::write(path, levels::svg(&program, &levels))
            .map_err(CliError::file("write", path))?;
    }
    let predicted = planning::predict(&program, &units, (1, 1))?;
    if args.json {
        return output::json(&report(&program, predicted, levels));
    }
    let listing = Listing(&program).to_string();
    if args.steps {
        return output::text(&listing);
    }
    let is_step = |line: &&str| {
        line.trim_start()
            .split_once("  ")
            .is_some_and(|(n, rest)| n.chars().all(|c| c.is_ascii_digit()) && rest.starts_with('v'))
    };
    let head: Vec<&str> = listing.lines().filter(|line| !is_step(line)).collect();
    let steps = program.program().steps.len();
    output::text(&format!(
        "{}\nsteps       {steps} (--steps lists them)\npredicted   one group: {} of processor time, {:.0} MiB on the host\n\n{}",
        head.join("\n"),
        output::seconds(predicted.seconds),
        predicted.peak_mib,
        levels::table(&levels)
    ))
}

fn report(
    verified: &VerifiedProgram,
    predicted: Predicted,
    levels: Vec<levels::Level>,
) -> ProgramReport {
    let program = verified.program();
    let size = |shape: Result<BundleShape, _>| shape.ok().map(|s| s.total_len());
    ProgramReport {
        name: program.name.clone(),
        program: adyton_client::hex::encode(&verified.id()),
        model_privacy: match program.privacy {
            adyton_program::ModelPrivacy::Encrypted => "encrypted",
            adyton_program::ModelPrivacy::Plain => "plain",
        },
        log_n: program.parameters.log_n,
        max_log_qp: verified.parameters().max_log_qp(),
        primes: program.parameters.primes.clone(),
        special_primes: program.parameters.special_primes.clone(),
        input_shape: program.input.shape.clone(),
        input_bound: program.input.bound,
        input_ciphertexts: program.input.ciphertexts.len(),
        lanes: program.input.lanes,
        positions: program.input.positions,
        outputs: program.output.outputs,
        output_range: program.output.range,
        output_deviation: program.output.deviation,
        steps: program.steps.len(),
        weights: program.weights.len(),
        keys: program.keys.len(),
        model_bytes: size(BundleShape::model(verified)),
        input_bytes: size(BundleShape::inputs(verified, 1)),
        key_bytes: size(BundleShape::keys(verified)),
        predicted_cpu_seconds: predicted.seconds,
        predicted_peak_mib: predicted.peak_mib,
        levels,
    }
}

#[derive(Serialize)]
struct BundleReport {
    kind: String,
    version: u8,
    items: u32,
    program: String,
    bytes: u64,
}

/// A bundle's header: magic (8), version, kind, two zeros, number of items (u32), program id (32).
fn bundle(path: &Path, start: &[u8], json: bool) -> Result<(), CliError> {
    let short =
        || CliError::Content { path: path.to_owned(), reason: "its header is cut off".into() };
    let header: &[u8; 48] = start.first_chunk().ok_or_else(short)?;
    let kinds = [
        (BundleKind::EncryptedModel, "encrypted model"),
        (BundleKind::PlainModel, "plain model"),
        (BundleKind::InputBatch, "encrypted inputs"),
        (BundleKind::KeyBundle, "evaluation keys"),
    ];
    let kind = kinds.iter().find(|(kind, _)| *kind as u8 == header[9]).map_or("unknown", |k| k.1);
    let report = BundleReport {
        kind: kind.to_owned(),
        version: header[8],
        items: u32::from_le_bytes([header[12], header[13], header[14], header[15]]),
        program: adyton_client::hex::encode(&header[16..]),
        bytes: std::fs::metadata(path).map_err(CliError::file("read", path))?.len(),
    };
    if json {
        return output::json(&report);
    }
    output::text(&format!(
        "bundle      {} (format {})\nprogram     {}\nitems       {}\nsize        {}",
        report.kind,
        report.version,
        report.program,
        report.items,
        output::bytes(report.bytes)
    ))
}
