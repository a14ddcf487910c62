//! From a network to a program: layouts, steps, parameters, scales, and a prediction of the result's error.
//!
//! ```text
//! Network → Plan (layouts: positions, lanes, baby and giant steps) → Skeleton (steps, weight vectors)
//!         → bits of scales and primes → Program (parameters, exact scales, key manifest) → shadow run (ranges, errors)
//! ```
//!
//! The rules are simple ones; the [`Plan`] is data that can be printed and compared, so that a planner can take their place.

mod choose;
mod error;
mod layout;
mod linear;
mod parameters;
mod pool;
mod ranges;
mod report;
mod scales;
mod search;
mod shadow;
mod spread;
mod steps;
mod weights;
mod work;

pub use choose::{LayerPlan, Plan};
pub use error::CompileError;
pub use report::{Precision, Report};
pub use steps::{Part, Source};
pub use weights::{PackedWeights, WeightsError};

use std::rc::Rc;

use adyton_ckks::{RingKind, Security};
use adyton_program::{ModelPrivacy, Program};

use self::choose::{Candidate, Patterns};
use self::parameters::{Frame, Ring};
use self::ranges::Ranges;
use self::scales::{Bits, Turn};
use self::search::{Attempt, Search, rings};
use self::steps::Skeleton;
use crate::cost::UnitCosts;
use crate::network::Network;

/// How many primes level 0 may have: each costs a limb everywhere and gives its bits to all scales.
const BASE_PRIMES: std::ops::RangeInclusive<u8> = 2..=4;

/// What the layout is chosen for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// One sample as fast as possible.
    Latency,
    /// Many samples with the least work for each.
    Throughput,
    /// The least memory for weights and keys.
    Memory,
}

/// How to compile.
#[derive(Clone, Debug)]
pub struct CompileOptions<'a> {
    /// What the layout is chosen for.
    pub objective: Objective,
    /// How many samples are run together: with it, time is counted for a batch of that size.
    pub batch: Option<usize>,
    /// What operations cost on the host.
    pub units: UnitCosts,
    /// Whether the host sees the weights.
    pub privacy: ModelPrivacy,
    /// Samples that stand for all inputs (flat, row-major): ranges and errors are taken from them.
    pub calibration: &'a [Vec<f64>],
    /// The bound that parameters keep.
    pub security: Security,
    /// Kind of ring.
    pub ring: RingKind,
    /// Ring degrees that may be used, as log2; the smallest that does is taken.
    pub log_n: std::ops::RangeInclusive<u8>,
    /// Memory for the expanded weights and one session's keys in bytes.
    pub memory: u64,
    /// Result ciphertexts that one session may have released: the τ of the flooding bound.
    pub releases: u32,
    /// Largest error after flooding, as part of the range that the logits cover.
    pub precision: f64,
}

impl<'a> CompileOptions<'a> {
    /// The defaults: throughput, encrypted weights, 128 bits of classical security, conjugate-invariant rings of degree 2^12 to
    /// 2^16, 1.25 GiB of expanded weights and keys, 64 releases, an error of at most 0.8 % of the logits' range (which
    /// leaves room for a sample's range to differ).
    #[must_use]
    pub fn new(calibration: &'a [Vec<f64>]) -> Self {
        Self {
            objective: Objective::Throughput,
            batch: None,
            units: UnitCosts::default(),
            privacy: ModelPrivacy::Encrypted,
            calibration,
            security: Security::Classical128,
            ring: RingKind::ConjugateInvariant,
            log_n: 12..=16,
            memory: 5 << 28,
            releases: 64,
            precision: 0.008,
        }
    }
}

/// A compiled network.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The public program.
    pub program: Program,
    /// The weights in the clear, in the program's order and layout: secret.
    pub weights: PackedWeights,
    /// How the program came about and what it costs.
    pub report: Report,
}

/// Compiles a network: the smallest ring for which security and precision hold, layouts by what the objective counts.
///
/// # Errors
/// [`CompileError`] when the network cannot be run within the options' bounds; a lack of precision names the binding layer.
pub fn compile(network: &Network, options: &CompileOptions<'_>) -> Result<Compiled, CompileError> {
    let ranges = Ranges::measure(network, options.calibration)?;
    if !network
        .affines()
        .all(|affine| affine.matrix.values().iter().chain(&affine.bias).all(|x| x.is_finite()))
    {
        return Err(CompileError::NotFinite("a weight"));
    }
    let (turns, patterns) = (turns(network), Patterns::of(network));
    let mut refusal = no_room(network, &turns, &ranges, options);
    for log_n in options.log_n.clone() {
        let by_base = BASE_PRIMES.map(|base| rings(log_n, base, &turns, ranges.bits(), options));
        let by_base: Vec<Vec<Ring>> = by_base.filter(|rings| !rings.is_empty()).collect();
        let Some(any) = by_base.first().and_then(|rings| rings.first()) else { continue };
        // A layout is chosen before the primes are. Where these take more memory than was counted, one of less memory is next.
        let (mut memory, mut least) = (options.memory, u64::MAX);
        refusal = loop {
            let (plan, candidate) = match Plan::choose(&patterns, any, options, memory) {
                Ok(chosen) => chosen,
                Err(CompileError::Memory { needed, .. }) => {
                    // What was tried tells more than what was counted.
                    let needed = if least < u64::MAX { least } else { needed };
                    break CompileError::Memory { needed, limit: options.memory };
                }
                Err(error @ CompileError::TooManyOutputs { .. }) => break error,
                Err(error) => return Err(error),
            };
            let counted = plan.memory;
            match laid_out(
                (network, &patterns),
                &ranges,
                &turns,
                &by_base,
                options,
                (plan, candidate),
            )? {
                Ok(compiled) if compiled.report.resident_bytes <= options.memory => {
                    return Ok(compiled);
                }
                Ok(compiled) => {
                    least = least.min(compiled.report.resident_bytes);
                    memory = counted.saturating_sub(1);
                }
                Err(refusal) => break refusal,
            }
        };
    }
    Err(refusal)
}

/// Finds primes and scales for one layout, or says why there are none.
fn laid_out(
    (network, patterns): (&Network, &Patterns<'_>),
    ranges: &Ranges,
    turns: &Rc<[Turn]>,
    by_base: &[Vec<Ring>],
    options: &CompileOptions<'_>,
    (plan, candidate): (Plan, Candidate),
) -> Result<Result<Compiled, CompileError>, CompileError> {
    let linears = candidate.build(patterns);
    let skeleton = Skeleton::new(&linears, plan.lanes);
    let rotating = plan.rotating_levels();
    let search = Search {
        frame: Frame {
            name: &network.name,
            shape: &network.input_shape,
            privacy: options.privacy,
            linears: &linears,
            lanes: plan.lanes,
            rotating: &rotating,
            skeleton: &skeleton,
            bound: ranges.input,
            range: ranges.output,
        },
        ranges,
        turns,
        releases: options.releases,
        allowed: options.precision,
    };
    let log_n = by_base.first().and_then(|rings| rings.first()).map_or(0, |ring| ring.log_n);
    match search.first_that_does(by_base)? {
        Ok(attempt) => finish(attempt, skeleton, plan).map(Ok),
        Err(attempt) => Ok(Err(CompileError::Precision {
            log_n,
            predicted: attempt.precision.relative,
            allowed: options.precision,
            binding: attempt.precision.binding(),
        })),
    }
}

/// The refusal of a network for which no ring has room.
fn no_room(
    network: &Network,
    turns: &Rc<[Turn]>,
    ranges: &Ranges,
    options: &CompileOptions<'_>,
) -> CompileError {
    let log_n = *options.log_n.end();
    let needed = Bits::least(turns, ranges.bits());
    let bound = options.security.max_log2_modulus(log_n).unwrap_or(0.0);
    CompileError::NoRoom { layers: turns.len() + 1, depth: network.depth(), log_n, needed, bound }
}

/// What becomes of the outputs of each layer but the last.
fn turns(network: &Network) -> Rc<[Turn]> {
    let layers = network.affines().count().saturating_sub(1);
    let sizes = network.affines().map(|affine| affine.matrix.rows());
    Turn::of(network.squared().zip(sizes).take(layers))
}

/// Declares the predicted error and has the verifier confirm the whole.
fn finish(attempt: Attempt, skeleton: Skeleton, plan: Plan) -> Result<Compiled, CompileError> {
    let Attempt { dressed, precision } = attempt;
    let mut program = dressed.program;
    program.output.deviation = precision.std;
    program.output.released_deviation = precision.released;
    let verified = match program.parameters.security {
        Security::InsecureForTests => {
            adyton_program::VerifiedProgram::new_insecure_for_tests(program)?
        }
        _ => adyton_program::VerifiedProgram::new(program)?,
    };
    let vectors = skeleton.vectors.into_iter().map(|vector| vector.values).collect();
    let weights = PackedWeights::new(verified.id(), vectors);
    let report = Report::new(&verified, plan, precision)?;
    Ok(Compiled { program: verified.program().clone(), weights, report })
}
