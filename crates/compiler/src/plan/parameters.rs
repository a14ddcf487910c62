//! From bits to primes, gadgets and exact scales, and a skeleton dressed in them.

use adyton_ckks::{Gadget, Parameters, ParametersLiteral, RingKind, Scale, Security};
use adyton_program::{
    Inference, InputLayout, ModelPrivacy, OutputLayout, Program, WeightSpec, infer,
};
use adyton_ring::ntt_primes;

use super::CompileError;
use super::linear::Linear;
use super::scales::{Bits, Bounds, Turn};
use super::steps::{Skeleton, Vector};

/// What the primes are chosen for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ring {
    /// Kind of ring.
    pub kind: RingKind,
    /// log2 of its degree.
    pub log_n: u8,
    /// The bound to keep.
    pub security: Security,
    /// Special primes.
    pub special: u8,
    /// Whether digits have one prime less than there are special primes in use, at levels where inputs are rotated: with a special
    /// modulus far above the digits', key switching adds nothing but rounding.
    pub spare: bool,
    /// Primes of level 0.
    pub base: u8,
    /// Bits of the largest ciphertext prime.
    pub largest: u32,
    /// Bits of each special prime: above `largest`, key switching adds less noise.
    pub special_bits: u32,
}

impl Ring {
    /// Slots of a ciphertext.
    #[must_use]
    pub(super) fn slots(&self) -> usize {
        match self.kind {
            RingKind::ConjugateInvariant => 1 << self.log_n,
            RingKind::Standard => 1 << (self.log_n - 1),
        }
    }

    /// How many bits more the special primes have than the largest ciphertext prime.
    pub(super) fn excess(&self) -> u32 {
        self.special_bits.saturating_sub(self.largest)
    }

    /// Parameters with primes of these bits (lowest level first) and a gadget at every level.
    fn literal(&self, bits: &[u32], rotating: &[usize]) -> Result<ParametersLiteral, CompileError> {
        let mut taken: Vec<u64> = Vec::new();
        let mut next = |bits: u32| -> Result<u64, CompileError> {
            let found = ntt_primes(self.kind, self.log_n, bits, 1, &taken)?;
            let prime = found.first().copied().ok_or(CompileError::NoPrimes { bits })?;
            taken.push(prime);
            Ok(prime)
        };
        let special_primes =
            (0..self.special).map(|_| next(self.special_bits)).collect::<Result<Vec<_>, _>>()?;
        let primes = bits.iter().map(|&bits| next(bits)).collect::<Result<Vec<_>, _>>()?;
        let count = u8::try_from(primes.len()).map_err(|_| CompileError::TooDeep)?;
        let levels: Vec<Vec<u8>> = (self.base..=count).map(|end| (0..end).collect()).collect();
        let gadgets = levels
            .iter()
            .enumerate()
            .map(|(level, primes)| Some(self.gadget(primes.len(), rotating.contains(&level))))
            .collect();
        Ok(ParametersLiteral {
            kind: self.kind,
            log_n: self.log_n,
            primes,
            special_primes,
            levels,
            gadgets,
            security: self.security,
        })
    }

    /// Special primes and primes of a digit at a level of so many primes, where inputs are not rotated.
    #[must_use]
    pub(super) fn usual_gadget(&self, limbs: usize) -> (usize, usize) {
        let gadget = self.gadget(limbs, false);
        (usize::from(gadget.special_primes), usize::from(gadget.digit_primes))
    }

    /// The digits that take the fewest transforms: `digits·(limbs + special)` decompose one polynomial.
    fn gadget(&self, limbs: usize, rotating: bool) -> Gadget {
        let spare = u8::from(self.spare && rotating);
        let most = self.special.saturating_sub(spare).max(1);
        let gadgets = (1..=most).map(|digit| Gadget {
            digit_primes: digit,
            special_primes: (digit + spare).min(self.special),
        });
        let transforms = |gadget: &Gadget| {
            let digits = limbs.div_ceil(usize::from(gadget.digit_primes));
            digits * (limbs + usize::from(gadget.special_primes))
        };
        let fewest = gadgets.min_by_key(transforms);
        fewest.unwrap_or(Gadget { digit_primes: 1, special_primes: 1 })
    }
}

/// A program with everything but its range and noise.
#[derive(Clone, Debug)]
pub(super) struct Dressed {
    /// The program.
    pub program: Program,
    /// Its parameters.
    pub parameters: Parameters,
    /// Types of its values.
    pub inference: Inference,
}

/// What of the program the network and its plan say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    /// Name of the network.
    pub name: &'a str,
    /// Shape of one sample.
    pub shape: &'a [usize],
    /// Whether weights are encrypted.
    pub privacy: ModelPrivacy,
    /// The affine layers.
    pub linears: &'a [Linear],
    /// Samples of a ciphertext.
    pub lanes: usize,
    /// Levels at which inputs are rotated.
    pub rotating: &'a [usize],
    /// Steps and weights.
    pub skeleton: &'a Skeleton,
    /// Largest absolute input.
    pub bound: f64,
    /// Largest absolute output.
    pub range: f64,
}

impl Frame<'_> {
    /// Makes the program for a ring and bits.
    ///
    /// # Errors
    /// [`CompileError`] when no such primes exist, or the parameters or steps are not valid.
    pub(super) fn dress(
        &self,
        ring: &Ring,
        bounds: Bounds,
        bits: &Bits,
    ) -> Result<Dressed, CompileError> {
        let sizes = bits.primes(bounds).ok_or(CompileError::TooDeep)?;
        let mut literal = ring.literal(&sizes, self.rotating)?;
        let scales = Scales::new(&literal, ring.base, bits);
        let encrypted = self.privacy == ModelPrivacy::Encrypted;
        let weights = self.skeleton.vectors.iter().map(|vector| {
            let (level, scale) = scales.weight(vector);
            let (mask, row) = if encrypted { (vector.mask, vector.row) } else { (0, 0) };
            WeightSpec { level, scale, mask, row }
        });
        let places = &self.linears.first().ok_or(CompileError::TooDeep)?.input;
        let results = &self.linears.last().ok_or(CompileError::TooDeep)?.output;
        let outputs = results.blocks.first().cloned().unwrap_or_default();
        let shape: Option<Vec<u32>> =
            self.shape.iter().map(|&axis| u32::try_from(axis).ok()).collect();
        let mut program = Program {
            name: self.name.to_owned(),
            parameters: literal.clone(),
            privacy: self.privacy,
            input: InputLayout {
                shape: shape.ok_or(CompileError::TooLarge)?,
                lanes: u32::try_from(self.lanes).map_err(|_| CompileError::TooLarge)?,
                positions: u32::try_from(places.positions).map_err(|_| CompileError::TooLarge)?,
                ciphertexts: places.blocks.clone(),
                scale: scales.input.clone(),
                bound: self.bound,
            },
            weights: weights.collect(),
            steps: self.skeleton.steps.clone(),
            output: OutputLayout {
                value: self.skeleton.output,
                outputs: outputs.iter().flatten().max().map_or(0, |&last| last + 1),
                positions: outputs,
                range: self.range,
                // Set once the error is predicted.
                deviation: f64::MIN_POSITIVE,
                released_deviation: f64::MIN_POSITIVE,
            },
            keys: Vec::new(),
        };
        let parameters = validated(&literal)?;
        let inference = infer(&program, &parameters)?;
        // No key may exist where none is needed.
        for (level, gadget) in literal.gadgets.iter_mut().enumerate() {
            if !inference.keys.iter().any(|key| usize::from(key.level) == level) {
                *gadget = None;
            }
        }
        let parameters =
            if literal == program.parameters { parameters } else { validated(&literal)? };
        program.parameters = literal;
        program.keys.clone_from(&inference.keys);
        Ok(Dressed { program, parameters, inference })
    }
}

fn validated(literal: &ParametersLiteral) -> Result<Parameters, CompileError> {
    Ok(match literal.security {
        Security::InsecureForTests => Parameters::new_insecure_for_tests(literal)?,
        _ => Parameters::new(literal)?,
    })
}

/// Exact scales: every rescale lands on a power of two (after an affine layer) or on its square over a prime (after a square).
struct Scales {
    input: Scale,
    layers: Vec<LayerScales>,
}

/// The scales of a layer's products: that of a product is the scale of a value times that of the weights it meets.
struct LayerScales {
    level: u8,
    product: Scale,
    weight: Scale,
    /// Of weights that meet values which the square before passed.
    passed: Scale,
}

impl Scales {
    fn new(literal: &ParametersLiteral, base: u8, bits: &Bits) -> Self {
        let pow2 = |bits: u32| Scale::pow2(i16::try_from(bits).unwrap_or(i16::MAX));
        // The primes that rescales drop, in order of use.
        let mut dropped = literal.primes.iter().skip(usize::from(base)).rev();
        let mut next = || dropped.next().map_or_else(Scale::one, |&prime| Scale::prime(prime));
        let input = pow2(bits.input);
        // Of the next layer's values, and of those among them that were passed.
        let (mut operand, mut passed) = (input.clone(), input.clone());
        let mut layers = Vec::new();
        let mut level = u32::try_from(literal.levels.len().saturating_sub(1)).unwrap_or(u32::MAX);
        for (&sum, turn) in bits.sums.iter().zip(bits.turns()) {
            let sum = pow2(sum);
            let product = sum.mul(&next());
            layers.push(LayerScales {
                level: u8::try_from(level).unwrap_or(u8::MAX),
                weight: product.div(&operand),
                passed: product.div(&passed),
                product,
            });
            operand = match turn {
                Turn::Passes => sum.clone(),
                Turn::Squares | Turn::Mixed => sum.square().div(&next()),
            };
            passed = sum;
            level = level.saturating_sub(turn.primes());
        }
        // The last layer keeps the scale of its products: make that one a power of two.
        let product =
            pow2(operand.log2().floor() as u32 + bits.weights.last().copied().unwrap_or(0));
        layers.push(LayerScales {
            level: 0,
            weight: product.div(&operand),
            passed: product.div(&passed),
            product,
        });
        Self { input, layers }
    }

    /// Level and scale of a weight vector.
    fn weight(&self, vector: &Vector) -> (u8, Scale) {
        match self.layers.get(vector.layer) {
            None => (0, Scale::one()),
            Some(layer) if vector.bias => (layer.level, layer.product.clone()),
            Some(layer) if vector.passed => (layer.level, layer.passed.clone()),
            Some(layer) => (layer.level, layer.weight.clone()),
        }
    }
}
