//! An encrypted 128×1024 matrix times 8 encrypted vectors, by the layout and the parameters of ours that are fastest.

use super::timing::{Nanoseconds, Timer, failed};
use crate::error::CliError;
use adyton_ckks::{Ciphertext, Encoder, InputKey, ModelKey, ResultKey, SeededCiphertext};
use adyton_ckks_secret::{Decryptor, KeyGenerator, Masks, Randomness, SecretKey};
use adyton_compiler::network::{Affine, Layer, Network, SparseMatrix};
use adyton_compiler::plan::{self, CompileOptions, Compiled, Objective};
use adyton_program::VerifiedProgram;
use adyton_runtime::{
    Encrypted, Executor, RunOptions, Weights, cleartext, crew, load_inputs, load_keys,
};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::sync::Arc;

/// Outputs, inputs, vectors.
const SHAPE: [usize; 3] = [128, 1024, 8];
/// Ring degrees that are tried, as log2.
const SIZES: std::ops::RangeInclusive<u8> = 12..=14;
/// Largest error, as part of the results' range, flooding of the release included: what networks are compiled for.
const PRECISION: f64 = 0.008;

/// The matrix's figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Matrix {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) vectors: usize,
    /// What the layout was chosen for.
    pub(super) objective: String,
    pub(super) log_n: u8,
    pub(super) max_log_qp: f64,
    /// Vectors that share a ciphertext.
    pub(super) lanes: u32,
    pub(super) threads: u32,
    pub(super) kernel: String,
    /// Evaluation of all vectors: products, key switches, sums.
    pub(super) nanoseconds: Nanoseconds,
    /// Weights in memory.
    pub(super) weight_bytes: u64,
    /// Largest difference to the product in the clear, as part of the results' range, before the release's flooding.
    pub(super) error: f64,
}

/// Measures every layout that compiles and gives the fastest; `None` when none does.
pub(super) fn measure(timer: Timer, threads: u32) -> Result<Option<Matrix>, CliError> {
    let network = network()?;
    let vectors: Vec<Vec<f64>> = (0..64).map(|v| numbers(SHAPE[1], 1000 + v).collect()).collect();
    let mut best: Option<Matrix> = None;
    for log_n in SIZES {
        for objective in [Objective::Throughput, Objective::Latency] {
            let mut options = CompileOptions::new(&vectors);
            options.objective = objective;
            options.log_n = log_n..=log_n;
            options.precision = PRECISION;
            // A layout that does not fit this ring is no candidate.
            let Ok(compiled) = plan::compile(&network, &options) else { continue };
            let found =
                run(&network, &compiled, objective, &vectors[..SHAPE[2]], (timer, threads))?;
            if best.as_ref().is_none_or(|best| found.nanoseconds.min < best.nanoseconds.min) {
                best = Some(found);
            }
        }
    }
    Ok(best)
}

fn network() -> Result<Network, CliError> {
    let [outputs, inputs, _] = SHAPE;
    let rows = (0..outputs).map(|row| numbers(inputs, row as u64).enumerate().collect::<Vec<_>>());
    let matrix = SparseMatrix::from_rows(inputs, rows).map_err(failed)?;
    let affine = Affine::new(matrix, vec![0.0; outputs]).map_err(failed)?;
    Network::new("matrix", vec![inputs], vec![Layer::Affine(affine)]).map_err(failed)
}

/// Numbers in [−1, 1) that look random.
fn numbers(count: usize, seed: u64) -> impl Iterator<Item = f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..count).map(move |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    })
}

/// The secrets of all parties and what they make; fixed seeds, since nothing here is secret.
struct Secrets<'p> {
    program: &'p VerifiedProgram,
    model: Vec<SecretKey<ModelKey>>,
    input: SecretKey<InputKey>,
    result: SecretKey<ResultKey>,
    encoder: Encoder,
    randomness: Randomness,
}

impl<'p> Secrets<'p> {
    fn new(program: &'p VerifiedProgram) -> Result<Self, CliError> {
        let parameters = program.parameters();
        let basis = parameters.ring().full_basis();
        let rows = program.program().weights.iter().map(|spec| spec.row).max().unwrap_or(0);
        let model = |row| SecretKey::derive_row(parameters, &basis, &[1; 32], row, b"bench");
        Ok(Self {
            program,
            model: (0..=rows).map(model).collect::<Result<_, _>>().map_err(failed)?,
            input: SecretKey::derive(parameters, &[2; 32], b"bench").map_err(failed)?,
            result: SecretKey::derive(parameters, &[3; 32], b"bench").map_err(failed)?,
            encoder: Encoder::new(parameters),
            randomness: Randomness::from_seed(&[4; 32]),
        })
    }

    fn model(&self, row: u8) -> Result<&SecretKey<ModelKey>, CliError> {
        self.model.get(usize::from(row)).ok_or_else(|| failed(std::fmt::Error))
    }

    fn weights(&mut self, compiled: &Compiled) -> Result<Weights, CliError> {
        let lanes = self.program.program().input.lanes as usize;
        let masks = Masks::new(&mut self.randomness);
        let mut items: Vec<SeededCiphertext<ModelKey>> = Vec::new();
        for (values, spec) in compiled.weights.vectors().iter().zip(&self.program.program().weights)
        {
            let slots: Vec<f64> =
                values.iter().flat_map(|&value| std::iter::repeat_n(value, lanes)).collect();
            let plaintext = self.encoder.encode(&slots, spec.level, &spec.scale).map_err(failed)?;
            let mut randomness = self.randomness.fork();
            let key = self.model(spec.row)?;
            items.push(masks.encrypt(key, spec.mask, &plaintext, &mut randomness).map_err(failed)?);
        }
        Weights::encrypted(self.program, items, Ok::<_, Infallible>, 1).map_err(failed)
    }

    fn keys(&mut self) -> Result<adyton_ckks::EvaluationKeys, CliError> {
        let mut items = Vec::new();
        for spec in &self.program.program().keys {
            let mut randomness = self.randomness.fork();
            let model = self.model(spec.source.row().unwrap_or_default())?;
            let generator = KeyGenerator::new(model, &self.input, &self.result).map_err(failed)?;
            items.push(generator.evaluation_key(spec, &mut randomness).map_err(failed)?);
        }
        load_keys(self.program, items, Ok::<_, Infallible>, 1).map_err(failed)
    }

    fn inputs(&mut self, vectors: &[Vec<f64>]) -> Result<Vec<Vec<Ciphertext<InputKey>>>, CliError> {
        let layout = &self.program.program().input;
        let level = self.program.parameters().top_level();
        let groups = vectors.chunks(layout.lanes as usize);
        let mut items = Vec::new();
        for group in groups.clone() {
            let group: Vec<&[f64]> = group.iter().map(Vec::as_slice).collect();
            for slots in cleartext::pack_inputs(layout, &group).map_err(failed)? {
                let plaintext =
                    self.encoder.encode(&slots, level, &layout.scale).map_err(failed)?;
                items.push(self.input.encrypt(&plaintext, &mut self.randomness).map_err(failed)?);
            }
        }
        load_inputs(self.program, groups.len(), items, Ok::<_, Infallible>, 1).map_err(failed)
    }
}

fn run(
    network: &Network,
    compiled: &Compiled,
    objective: Objective,
    vectors: &[Vec<f64>],
    (timer, threads): (Timer, u32),
) -> Result<Matrix, CliError> {
    let program = Arc::new(VerifiedProgram::new(compiled.program.clone()).map_err(failed)?);
    let mut secrets = Secrets::new(&program)?;
    let weights = Arc::new(secrets.weights(compiled)?);
    let keys = Arc::new(secrets.keys()?);
    let inputs = secrets.inputs(vectors)?;
    let weight_bytes = weights.bytes() as u64;
    let crew = crew(threads as usize).map_err(failed)?;
    let backend = Encrypted::new(&program, weights, keys, crew).map_err(failed)?;
    let executor = Executor::new(Arc::clone(&program));
    let options = RunOptions::threads(threads as usize);
    let mut results = Vec::new();
    let mut walls = Vec::new();
    // The executor's own clock leaves out the copy of the inputs that each run consumes.
    timer.time(|| {
        executor.run(&backend, inputs.clone(), &options).map(|outcome| {
            walls.push(outcome.profile.wall().as_nanos() as f64);
            results = outcome.results;
        })
    })?;
    walls.sort_by(f64::total_cmp);
    let at = |index: usize| walls.get(index).copied().unwrap_or(f64::NAN);
    let parameters = program.parameters();
    let lanes = program.program().input.lanes;
    Ok(Matrix {
        rows: SHAPE[0],
        columns: SHAPE[1],
        vectors: SHAPE[2],
        objective: match objective {
            Objective::Latency => "latency",
            Objective::Throughput => "throughput",
            Objective::Memory => "memory",
        }
        .to_owned(),
        log_n: parameters.log_n(),
        max_log_qp: parameters.max_log_qp(),
        lanes,
        threads,
        kernel: parameters.ring().kernel().to_string(),
        nanoseconds: Nanoseconds { min: at(0), median: at(walls.len() / 2) },
        weight_bytes,
        error: error(network, &program, &secrets, vectors, &results)?,
    })
}

/// Largest difference to the network in the clear, as part of the largest result.
fn error(
    network: &Network,
    program: &VerifiedProgram,
    secrets: &Secrets<'_>,
    vectors: &[Vec<f64>],
    results: &[Ciphertext<ResultKey>],
) -> Result<f64, CliError> {
    let lanes = program.program().input.lanes as usize;
    let decryptor = Decryptor::new(&secrets.result);
    let (mut worst, mut range) = (0.0_f64, f64::MIN_POSITIVE);
    for (vectors, result) in vectors.chunks(lanes).zip(results) {
        let slots = decryptor.decrypt_slots(result).map_err(failed)?;
        let found =
            cleartext::read_outputs(&program.program().output, lanes, &slots).map_err(failed)?;
        for (vector, found) in vectors.iter().zip(found) {
            for (expected, found) in network.run(vector).map_err(failed)?.iter().zip(found) {
                worst = worst.max((expected - found).abs());
                range = range.max(expected.abs());
            }
        }
    }
    Ok(worst / range)
}
