//! The search for primes and scales of one layout: formulas tell which ways are promising, simulated runs which of them is precise enough.

use std::rc::Rc;

use adyton_ckks::{NoiseModel, ParametersError};

use super::parameters::{Dressed, Frame, Ring};
use super::ranges::{self, Ranges, Sample};
use super::scales::{Bits, Bounds, Turn};
use super::shadow::{Outcome, Runner};
use super::steps::Source;
use super::{CompileError, CompileOptions, Precision};

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
/// Ways with the best predictions that are tried, for each excess.
const PROMISING: usize = 2;
/// Most special primes.
const MAX_SPECIAL: u8 = 5;

/// Numbers of special primes, without and with a spare one, fewest transforms first.
fn key_switching() -> impl Iterator<Item = (u8, bool)> {
    let spare = |special: u8| [false, true].into_iter().take(if special > 1 { 2 } else { 1 });
    (1..=MAX_SPECIAL)
        .rev()
        .flat_map(move |special| spare(special).map(move |spare| (special, spare)))
}

/// The rings of one degree that have room for the network, by special primes and size of the largest prime.
pub(super) fn rings(
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
pub(super) struct Attempt {
    /// The program.
    pub(super) dressed: Dressed,
    /// Its error.
    pub(super) precision: Precision,
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
pub(super) struct Search<'a> {
    /// The layout.
    pub(super) frame: Frame<'a>,
    /// Samples, and what they span.
    pub(super) ranges: &'a Ranges,
    /// What becomes of the outputs of each layer but the last.
    pub(super) turns: &'a Rc<[Turn]>,
    /// Result ciphertexts of a session.
    pub(super) releases: u32,
    /// The options' precision.
    pub(super) allowed: f64,
}

/// How much better than its formula a way may turn out.
const FORMULA_MARGIN: f64 = 0.6;

impl Search<'_> {
    /// Tries numbers of primes at level 0 and of special primes, cheapest first, until a way is precise enough; otherwise the most precise.
    ///
    /// What the formula says of a way after one run is by far cheaper than trying it, and close: ways that it finds hopeless are left out.
    pub(super) fn first_that_does(
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
