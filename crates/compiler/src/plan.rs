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
mod ranges;
mod report;
mod scales;
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

use adyton_ckks::{NoiseModel, ParametersError, RingKind, Security};
use adyton_program::{ModelPrivacy, Program};

use self::parameters::{Dressed, Frame, Ring};
use self::ranges::{Ranges, Sample};
use self::scales::{Bits, Bounds, Turn};
use self::shadow::{Outcome, Runner};
use self::steps::Skeleton;
use crate::cost::UnitCosts;
use crate::network::Network;

/// Fewest calibration samples that are run beside their errors.
const FEWEST_SAMPLES: usize = 4;
/// Positions of all samples that are run: with many positions to a sample fewer samples are run.
const SHADOW_POSITIONS: usize = 1 << 15;
/// Bits between any intermediate value of the samples and its modulus: other inputs may give values this much larger.
const INTERMEDIATE_HEADROOM_BITS: f64 = 1.5;
/// Largest difference between program and network, both in f64, as part of the declared range: rounding alone.
const SIMULATION_TOLERANCE: f64 = 1e-9;
/// Sizes of the largest prime that are tried.
const PRIME_BITS: std::ops::RangeInclusive<u32> = 28..=46;
/// How much larger than the largest prime the special primes may be.
const SPECIAL_EXCESS_BITS: [u32; 4] = [0, 1, 2, 4];
/// How many primes level 0 may have: each costs a limb everywhere and gives its bits to all scales.
const BASE_PRIMES: std::ops::RangeInclusive<u8> = 2..=4;
/// Ways with the best predictions that are tried, for each excess.
const PROMISING: usize = 2;
/// Most special primes.
const MAX_SPECIAL: u8 = 5;

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
    /// Memory for the expanded weights in bytes.
    pub memory: u64,
    /// Result ciphertexts that one session may have released: the τ of the flooding bound.
    pub releases: u32,
    /// Largest error after flooding, as part of the range that the logits cover.
    pub precision: f64,
}

impl<'a> CompileOptions<'a> {
    /// The defaults: throughput, encrypted weights, 128 bits of classical security, conjugate-invariant rings of degree 2^12 to
    /// 2^16, 1.25 GiB of expanded weights, 64 releases, an error of at most 0.8 % of the logits' range (which
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
    let turns = turns(network);
    let mut refusal = no_room(network, &turns, &ranges, options);
    for log_n in options.log_n.clone() {
        let by_base = BASE_PRIMES.map(|base| rings(log_n, base, &turns, ranges.bits(), options));
        let by_base: Vec<Vec<Ring>> = by_base.filter(|rings| !rings.is_empty()).collect();
        let Some(any) = by_base.first().and_then(|rings| rings.first()) else { continue };
        let (plan, candidate) = match Plan::choose(network, any, options) {
            Ok(chosen) => chosen,
            Err(error @ (CompileError::TooManyOutputs { .. } | CompileError::Memory { .. })) => {
                refusal = error;
                continue;
            }
            Err(error) => return Err(error),
        };
        let linears = candidate.build(network);
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
            ranges: &ranges,
            turns: &turns,
            releases: options.releases,
            allowed: options.precision,
        };
        match search.first_that_does(&by_base)? {
            Ok(attempt) => return finish(attempt, skeleton, plan),
            Err(attempt) => {
                refusal = CompileError::Precision {
                    log_n,
                    predicted: attempt.precision.relative,
                    allowed: options.precision,
                    binding: attempt.precision.binding(),
                };
            }
        }
    }
    Err(refusal)
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

/// Numbers of special primes, without and with a spare one, fewest transforms first.
fn key_switching() -> impl Iterator<Item = (u8, bool)> {
    let spare = |special: u8| [false, true].into_iter().take(if special > 1 { 2 } else { 1 });
    (1..=MAX_SPECIAL)
        .rev()
        .flat_map(move |special| spare(special).map(move |spare| (special, spare)))
}

/// The rings of one degree that have room for the network, by special primes and size of the largest prime.
fn rings(
    log_n: u8,
    base: u8,
    turns: &Rc<[Turn]>,
    range: u32,
    options: &CompileOptions<'_>,
) -> Vec<Ring> {
    let (kind, security) = (options.ring, options.security);
    let mut rings = Vec::new();
    for (special, spare) in key_switching() {
        for largest in PRIME_BITS {
            for excess in SPECIAL_EXCESS_BITS {
                let special_bits = largest + excess;
                let ring =
                    Ring { kind, log_n, security, special, spare, base, largest, special_bits };
                let fits =
                    bounds(&ring, turns, range).and_then(|bounds| Bits::fewest(turns, bounds));
                if fits.is_some() && special_bits <= *PRIME_BITS.end() {
                    rings.push(ring);
                }
            }
        }
    }
    rings
}

/// What becomes of the outputs of each layer but the last.
fn turns(network: &Network) -> Rc<[Turn]> {
    let layers = network.affines().count().saturating_sub(1);
    let sizes = network.affines().map(|affine| affine.matrix.rows());
    Turn::of(network.squared().zip(sizes).take(layers))
}

fn bounds(ring: &Ring, turns: &[Turn], range: u32) -> Option<Bounds> {
    let base = u32::from(ring.base);
    let primes = base + turns.iter().map(|turn| turn.primes()).sum::<u32>();
    let most = primes * ring.largest;
    let total = match ring.security.max_log2_modulus(ring.log_n)? {
        bound if bound.is_finite() => {
            let special = u32::from(ring.special) * ring.special_bits;
            (bound.floor() as u32).checked_sub(special)?.min(most)
        }
        _ => most,
    };
    let smallest = Bounds::smallest(ring.log_n);
    Some(Bounds { smallest, largest: ring.largest, total, base, range })
}

/// One way to run the network, with its predicted error.
struct Attempt {
    dressed: Dressed,
    precision: Precision,
}

impl Attempt {
    /// For each source, the variance that it would leave in the result at scale 1.
    fn contributions(&self, bits: &Bits) -> Vec<f64> {
        let variances = self.precision.variances.iter().enumerate();
        variances
            .map(|(source, variance)| variance * 4.0f64.powi(bits.of_source(source) as i32))
            .collect()
    }
}

/// The search for primes and scales of one layout.
struct Search<'a> {
    frame: Frame<'a>,
    ranges: &'a Ranges,
    turns: &'a Rc<[Turn]>,
    releases: u32,
    /// The options' precision.
    allowed: f64,
}

/// How much better than its formula a way may turn out.
const FORMULA_MARGIN: f64 = 0.6;

impl Search<'_> {
    /// Tries numbers of primes at level 0 and of special primes, cheapest first, until a way is precise enough; otherwise the most precise.
    ///
    /// What the formula says of a way after one run is by far cheaper than trying it, and close: ways that it finds hopeless are left out.
    fn first_that_does(
        &self,
        by_base: &[Vec<Ring>],
    ) -> Result<Result<Attempt, Attempt>, CompileError> {
        let mut closest: Option<Attempt> = None;
        let mut reference: Option<(Attempt, Vec<f64>)> = None;
        // How much larger errors turned out, over all samples and edges, than the formula says from one sample.
        let mut excess = 1.0f64;
        for rings in by_base {
            for (special, spare) in key_switching() {
                let rings: Vec<&Ring> = rings
                    .iter()
                    .filter(|ring| (ring.special, ring.spare) == (special, spare))
                    .collect();
                if reference.is_none() {
                    reference = self.reference(&rings)?;
                }
                let formula = reference.as_ref().and_then(|(attempt, contributions)| {
                    self.by_formula(&rings, attempt, contributions)
                });
                let Some(formula) = formula else { continue };
                if closest.is_some() && formula * excess * FORMULA_MARGIN > self.allowed {
                    continue;
                }
                let Some(attempt) = self.most_precise(&rings)? else { continue };
                let relative = attempt.precision.relative;
                if relative <= self.allowed {
                    return Ok(Ok(attempt));
                }
                if relative.is_finite() {
                    excess = relative / formula;
                }
                let closer = |closest: &Attempt| relative < closest.precision.relative;
                if closest.as_ref().is_none_or(closer) {
                    closest = Some(attempt);
                }
            }
        }
        closest.ok_or(CompileError::TooDeep).map(Err)
    }

    /// A run on one of these rings, and what each scale contributes to its error.
    fn reference(&self, rings: &[&Ring]) -> Result<Option<(Attempt, Vec<f64>)>, CompileError> {
        let even = vec![1.0; Source::count(self.layers())];
        let Some(&ring) = rings.last() else { return Ok(None) };
        let bits = self.bounds(ring).and_then(|bounds| Bits::allocate(self.turns, bounds, &even));
        let Some(bits) = bits else { return Ok(None) };
        let attempt = self.predict(ring, &bits, self.first(), &[])?;
        let contributions = attempt.contributions(&bits);
        Ok(Some((attempt, contributions)))
    }

    /// The error on the best of these rings by formula, as part of the logits' range; `None` when there is none.
    fn by_formula(&self, rings: &[&Ring], attempt: &Attempt, contributions: &[f64]) -> Option<f64> {
        // Special primes of the same size leave the most bits.
        let rings = rings.iter().filter(|ring| ring.excess() == 0);
        let bits = rings.filter_map(|ring| {
            let bits = Bits::allocate(self.turns, self.bounds(ring)?, contributions)?;
            Some(bits.error(contributions))
        });
        let least = bits.fold(f64::INFINITY, f64::min);
        let known: f64 = attempt.precision.variances.iter().sum();
        (least.is_finite() && known > 0.0)
            .then(|| attempt.precision.relative * (least / known).sqrt())
    }

    /// The most precise way to run the network on one of `rings`: ways are compared on one sample, the best is run on all.
    fn most_precise(&self, rings: &[&Ring]) -> Result<Option<Attempt>, CompileError> {
        let mut best: Option<(f64, &Ring, Bits)> = None;
        for excess in SPECIAL_EXCESS_BITS {
            let alike: Vec<&Ring> =
                rings.iter().copied().filter(|ring| ring.excess() == excess).collect();
            for (ring, bits) in self.promising(&alike)? {
                let std = self.predict(ring, &bits, self.first(), &[])?.precision.std;
                if best.as_ref().is_none_or(|(least, _, _)| std < *least) {
                    best = Some((std, ring, bits));
                }
            }
        }
        let Some((_, ring, bits)) = best else { return Ok(None) };
        let positions = self.frame.linears.first().map_or(1, |linear| linear.input.positions);
        let samples = &self.ranges.samples;
        let count = (SHADOW_POSITIONS / positions).max(FEWEST_SAMPLES).min(samples.len());
        let samples = samples.get(..count).unwrap_or(samples);
        self.predict(ring, &bits, samples, &self.ranges.edges).map(Some)
    }

    /// The sample that ways are compared on.
    fn first(&self) -> &[Sample] {
        self.ranges.samples.get(..1).unwrap_or_default()
    }

    /// The best ways by formula, for rings that differ in the size of their primes but not in how much key switching adds.
    ///
    /// One run with evenly given bits shows what each scale contributes; the formula in [`scales`] then tells for every ring which bits
    /// are best and how precise they are.
    fn promising<'r>(&self, rings: &[&'r Ring]) -> Result<Vec<(&'r Ring, Bits)>, CompileError> {
        let even = vec![1.0; Source::count(self.layers())];
        let Some(&reference) = rings.last() else { return Ok(Vec::new()) };
        let Some(bounds) = self.bounds(reference) else { return Ok(Vec::new()) };
        let Some(bits) = Bits::allocate(self.turns, bounds, &even) else { return Ok(Vec::new()) };
        let contributions = self.predict(reference, &bits, self.first(), &[])?.contributions(&bits);
        let mut ways: Vec<(f64, &Ring, Bits)> = Vec::new();
        for &ring in rings {
            let bits = self
                .bounds(ring)
                .and_then(|bounds| Bits::allocate(self.turns, bounds, &contributions));
            ways.extend(bits.map(|bits| (bits.error(&contributions), ring, bits)));
        }
        ways.sort_by(|left, right| left.0.total_cmp(&right.0));
        Ok(ways.into_iter().take(PROMISING).map(|(_, ring, bits)| (ring, bits)).collect())
    }

    fn layers(&self) -> usize {
        self.turns.len() + 1
    }

    fn bounds(&self, ring: &Ring) -> Option<Bounds> {
        bounds(ring, self.turns, self.ranges.bits())
    }

    /// Runs samples and inputs at the edge with these bits.
    fn predict(
        &self,
        ring: &Ring,
        bits: &Bits,
        samples: &[Sample],
        edges: &[Vec<f64>],
    ) -> Result<Attempt, CompileError> {
        let bounds = self.bounds(ring).ok_or(CompileError::TooDeep)?;
        let dressed = self.frame.dress(ring, bounds, bits)?;
        let level_bits = (0..=dressed.parameters.top_level())
            .map(|level| dressed.parameters.log2_modulus(level))
            .collect::<Result<_, _>>()?;
        let runner = Runner {
            program: &dressed.program,
            inference: &dressed.inference,
            skeleton: self.frame.skeleton,
            noise: NoiseModel::new(&dressed.parameters),
            parameters: &dressed.parameters,
            layers: self.layers(),
            squares: self.turns.iter().filter(|turn| **turn != Turn::Passes).count(),
            level_bits,
        };
        let mut outcomes = Vec::with_capacity(samples.len() + edges.len());
        for (sample, expected) in samples {
            let outcome = runner.run(sample)?;
            let positions = &dressed.program.output.positions;
            let difference = difference(&outcome.values, positions, expected);
            if difference > SIMULATION_TOLERANCE * self.ranges.output {
                return Err(CompileError::Simulation { difference });
            }
            outcomes.push(outcome);
        }
        let headroom =
            outcomes.iter().map(|outcome| outcome.headroom).fold(f64::INFINITY, f64::min);
        let output = &dressed.program.output;
        let values = u64::from(output.outputs) * u64::from(dressed.program.input.lanes);
        let precision = |outcomes: &[Outcome]| {
            Precision::new(outcomes, samples.len(), self.ranges.span, (self.releases, values))
        };
        let mut precision = match precision(&outcomes) {
            // What fails for the samples need not be run at the edge.
            failed if failed.relative > self.allowed => failed,
            _ => {
                for edge in edges {
                    outcomes.extend(largest_that_fits(&runner, edge)?);
                }
                precision(&outcomes)
            }
        };
        if headroom < INTERMEDIATE_HEADROOM_BITS {
            // A value that wraps around has no precision at all.
            precision.relative = f64::INFINITY;
            precision.std = f64::INFINITY;
        }
        Ok(Attempt { dressed, precision })
    }
}

/// Runs an input made smaller until no value of it wraps around: the result of one that does is withheld, being beyond the range or
/// noise where nothing should be.
fn largest_that_fits(
    runner: &Runner<'_>,
    edge: &[f64],
) -> Result<Option<Outcome>, ParametersError> {
    let mut edge = edge.to_vec();
    for _ in 0..ranges::SHRINK_STEPS {
        let outcome = runner.run(&edge)?;
        if outcome.headroom >= 0.0 {
            return Ok(Some(outcome));
        }
        // Values grow with the input to the power of the network's degree at most, so this never shrinks too far.
        let degree = 2.0f64.powi(i32::try_from(runner.squares).unwrap_or(i32::MAX));
        let factor = ((outcome.headroom - 0.1) / degree).exp2();
        edge.iter_mut().for_each(|x| *x *= factor);
    }
    Ok(None)
}

/// The largest difference between what stands at the positions and what should.
fn difference(values: &[f64], positions: &[Option<u32>], expected: &[f64]) -> f64 {
    let at = |output: &Option<u32>| output.and_then(|output| expected.get(output as usize));
    let expected = positions.iter().map(|output| at(output).copied().unwrap_or(0.0));
    values.iter().zip(expected).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max)
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
