//! The data model of a compiled network.

use adyton_ckks::{KeySpec, ParametersLiteral, Scale};

/// A value of the program in single-assignment form: the input ciphertexts come first, then each step's outputs in order.
pub type ValueId = u32;
/// An index into [`Program::weights`].
pub type WeightId = u32;

/// Whether the host sees the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelPrivacy {
    /// Weights are ciphertexts under the model key.
    Encrypted,
    /// Weights are plaintexts: host and model owner are one party.
    Plain,
}

/// A compiled network.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// Name of the network, for people.
    pub name: String,
    /// Cryptographic parameters; validated by [`adyton_ckks::Parameters`].
    pub parameters: ParametersLiteral,
    /// Whether the host sees the weights.
    pub privacy: ModelPrivacy,
    /// How inputs are laid into ciphertexts.
    pub input: InputLayout,
    /// Level, scale and encryption of every weight vector.
    pub weights: Vec<WeightSpec>,
    /// Operations in execution order.
    pub steps: Vec<Step>,
    /// Where the results stand.
    pub output: OutputLayout,
    /// Every evaluation key that the steps need, sorted, without duplicates. The verifier recomputes it.
    pub keys: Vec<KeySpec>,
}

/// How one batch of inputs (up to `lanes` samples) is laid into ciphertexts by the data owner.
#[derive(Clone, Debug, PartialEq)]
pub struct InputLayout {
    /// Shape of one sample as the ONNX file declares it, batch axis left out.
    pub shape: Vec<u32>,
    /// Samples per ciphertext.
    pub lanes: u32,
    /// Positions per ciphertext; `lanes · positions` = slots.
    pub positions: u32,
    /// For each input ciphertext, the flat (row-major) input feature at every position; `None` is zero.
    /// A feature may stand at several places (im2col).
    pub ciphertexts: Vec<Vec<Option<u32>>>,
    /// Scale of the encrypted inputs; their level is the top level.
    pub scale: Scale,
    /// Largest absolute input value that the plan was made for.
    pub bound: f64,
}

/// One weight vector. It has `positions` values, each repeated over the lanes.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightSpec {
    /// Level of its ciphertext or plaintext.
    pub level: u8,
    /// Exact scale.
    pub scale: Scale,
    /// Number of its mask, the uniform half of its ciphertext; 0 when weights are plain. Weights of different rows may share one: then
    /// masks times operands are computed, and their sums decomposed, once for all rows that also share operands.
    pub mask: u32,
    /// The row, which says whose model key encrypts it; 0 when weights are plain. No two weights of a row have the same mask.
    pub row: u8,
}

/// One operation. Forms: *fresh* (input key), *result* (degree 1 under the result key), *product sum*, *degree 2*.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Hoisted rotations of one fresh or result ciphertext; one result-key output for each entry of `by`, same level and scale.
    Rotations {
        /// The ciphertext to rotate.
        of: ValueId,
        /// Rotations in slots; 0 of a fresh ciphertext is a plain key switch.
        by: Vec<u32>,
    },
    /// Σ weight ⊗ value, lazily summed, plus an optional bias at the product's scale. Output: a product sum.
    Products {
        /// Weight and value of each term. All values have one form, all weights are of one row, all are at one level, and every product has
        /// one scale: a weight's scale makes up for its value's.
        terms: Vec<(WeightId, ValueId)>,
        /// Added at the product's scale; of the same row.
        bias: Option<WeightId>,
    },
    /// Σ rotate(value, r), every component switched to the result key, one mod-down for the whole sum. Output: a result ciphertext.
    SwitchSum {
        /// Product sums or result ciphertexts of one level and scale, with their rotations in slots.
        terms: Vec<(ValueId, u32)>,
        /// Whether the mod-down also rescales: level − 1, scale divided by the level's factor.
        rescale: bool,
    },
    /// Square of a result ciphertext. Output: degree 2, scale squared.
    Square {
        /// The ciphertext to square.
        of: ValueId,
    },
    /// Degree 2 back to a result ciphertext.
    Relinearize {
        /// The degree-2 value.
        of: ValueId,
        /// Whether the mod-down also rescales.
        rescale: bool,
    },
    /// A result ciphertext at the level below, by leaving primes out: same values, same scale.
    Lower {
        /// The ciphertext to bring down.
        of: ValueId,
    },
}

/// Where the results stand and what the enclave may expect there.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputLayout {
    /// The result ciphertext.
    pub value: ValueId,
    /// Number of outputs of one sample.
    pub outputs: u32,
    /// For each position, the output that stands there in every lane; `None` must be ≈ 0.
    /// An output may stand at several positions: copies must agree.
    pub positions: Vec<Option<u32>>,
    /// Largest absolute output value that the plan was made for; the enclave refuses results beyond it.
    pub range: f64,
    /// Standard deviation of the error of the worst slot before flooding, for the worst input, in output units: what the
    /// enclave's [`bounds`](crate::bounds) start from.
    pub deviation: f64,
    /// Root mean square of the deviations of the slots where outputs first stand, for the worst input: what flooding starts from.
    /// At most `deviation`.
    pub released_deviation: f64,
}

impl Program {
    /// Number of inputs of one sample: the product of the input shape, or `None` when it does not fit 32 bits.
    #[must_use]
    pub fn features(&self) -> Option<u32> {
        self.input.shape.iter().try_fold(1u32, |product, &axis| product.checked_mul(axis))
    }

    /// The masks of a product step's weights, in the order of its terms; empty for other steps and for plain weights.
    #[must_use]
    pub fn masks(&self, step: &Step) -> Vec<u32> {
        match (step, self.privacy) {
            (Step::Products { terms, .. }, ModelPrivacy::Encrypted) => {
                let mask = |&(weight, _): &(WeightId, ValueId)| {
                    self.weights.get(weight as usize).map(|weight| weight.mask)
                };
                terms.iter().filter_map(mask).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl Step {
    /// How many values the step appends.
    #[must_use]
    pub fn outputs(&self) -> usize {
        match self {
            Self::Rotations { by, .. } => by.len(),
            Self::Products { .. }
            | Self::SwitchSum { .. }
            | Self::Square { .. }
            | Self::Relinearize { .. }
            | Self::Lower { .. } => 1,
        }
    }

    /// The values that the step reads, in order, repetitions included.
    pub fn operands(&self) -> impl Iterator<Item = ValueId> + '_ {
        let single = match self {
            Self::Rotations { of, .. }
            | Self::Square { of }
            | Self::Relinearize { of, .. }
            | Self::Lower { of } => Some(*of),
            Self::Products { .. } | Self::SwitchSum { .. } => None,
        };
        // Both kinds of terms are pairs of 32-bit ids; the value stands second in a product, first in a rotated sum.
        let (terms, second): (&[(u32, u32)], bool) = match self {
            Self::Products { terms, .. } => (terms, true),
            Self::SwitchSum { terms, .. } => (terms, false),
            _ => (&[], false),
        };
        let summed = terms.iter().map(move |&(left, right)| if second { right } else { left });
        single.into_iter().chain(summed)
    }

    /// The weights that the step reads, the bias last.
    pub fn weights(&self) -> impl Iterator<Item = WeightId> + '_ {
        let (terms, bias): (&[(WeightId, ValueId)], Option<WeightId>) = match self {
            Self::Products { terms, bias } => (terms, *bias),
            _ => (&[], None),
        };
        terms.iter().map(|&(weight, _)| weight).chain(bias)
    }
}
