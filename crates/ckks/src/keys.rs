//! Evaluation keys: what they switch from, where they work, and sets of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use adyton_ring::{Automorphism, Ntt, Poly, Seed, sampler};

use crate::codec::{DecodeError, Reader};
use crate::{CkksError, Parameters, Role};

/// Which secret an evaluation key switches from. The target is always the result key `s_R`.
///
/// There are several model keys `s_M`, told apart by the number of a *row*: weights of different rows may share their uniform half,
/// their mask, because each row is encrypted under a key of its own. (Many secrets with one mask: Peikert, Vaikuntanathan, Waters, CRYPTO 2008,
/// section 7.3; by a hybrid argument over the rows as hard as one secret.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeySource {
    /// `s_M` of a row.
    Model(u8),
    /// `s_M·s_I`, from first-layer products of a row.
    ModelTimesInput(u8),
    /// `s_M·s_R`, from later products of a row.
    ModelTimesResult(u8),
    /// `s_I`.
    Input,
    /// `s_R` itself: a Galois key.
    Result,
    /// `s_R²`: the relinearization key.
    ResultSquared,
}

impl KeySource {
    /// Kind and row, as they are encoded; kinds without a row have row 0.
    fn code(self) -> [u8; 2] {
        match self {
            Self::Model(row) => [1, row],
            Self::ModelTimesInput(row) => [2, row],
            Self::ModelTimesResult(row) => [3, row],
            Self::Input => [4, 0],
            Self::Result => [5, 0],
            Self::ResultSquared => [6, 0],
        }
    }

    fn from_code(code: [u8; 2]) -> Option<Self> {
        Some(match code {
            [1, row] => Self::Model(row),
            [2, row] => Self::ModelTimesInput(row),
            [3, row] => Self::ModelTimesResult(row),
            [4, 0] => Self::Input,
            [5, 0] => Self::Result,
            [6, 0] => Self::ResultSquared,
            _ => return None,
        })
    }

    /// The row of the model key among the source's secrets, if there is one.
    #[must_use]
    pub fn row(self) -> Option<u8> {
        match self {
            Self::Model(row) | Self::ModelTimesInput(row) | Self::ModelTimesResult(row) => {
                Some(row)
            }
            Self::Input | Self::Result | Self::ResultSquared => None,
        }
    }

    /// The secrets whose product is the source secret.
    #[must_use]
    pub fn secrets(self) -> &'static [Role] {
        match self {
            Self::Model(_) => &[Role::Model],
            Self::ModelTimesInput(_) => &[Role::Model, Role::Input],
            Self::ModelTimesResult(_) => &[Role::Model, Role::Result],
            Self::Input => &[Role::Input],
            Self::Result => &[Role::Result],
            Self::ResultSquared => &[Role::Result, Role::Result],
        }
    }
}

/// Names one evaluation key. The order (source, rotation, level) is the order of key manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeySpec {
    /// What it switches from.
    pub source: KeySource,
    /// Rotation to the left in slots, below the number of slots; 0 is none.
    pub rotation: u32,
    /// Level of the ciphertexts that it switches.
    pub level: u8,
}

impl KeySpec {
    /// Length of the encoding in bytes: source and row (u8 each), rotation (u32), level (u8).
    pub const ENCODED_LEN: usize = 7;

    /// Appends the canonical encoding.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.source.code());
        out.extend_from_slice(&self.rotation.to_le_bytes());
        out.push(self.level);
    }

    /// Reads what [`KeySpec::encode_into`] wrote. Whether parameters admit such a key is checked by [`Parameters::check_key`].
    ///
    /// # Errors
    /// [`DecodeError::Truncated`], or [`DecodeError::NotCanonical`] for an unknown source.
    pub fn decode_from(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let code = [reader.u8()?, reader.u8()?];
        let source = KeySource::from_code(code).ok_or(DecodeError::NotCanonical("key source"))?;
        Ok(Self { source, rotation: reader.u32()?, level: reader.u8()? })
    }
}

impl std::fmt::Display for KeySpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}, rotation {}, level {}", self.source, self.rotation, self.level)
    }
}

/// An evaluation key as it is stored and sent: the uniform halves are a seed.
///
/// It holds, for each digit i, `b_i = −a_i·σ⁻¹(s_R) + e_i + P·g_i·s'` over Q_ℓ·P, where s' is the source secret, σ the automorphism
/// of the rotation, and g_i is 1 modulo the digit's primes and 0 modulo the level's others. Applied to digits of c and followed by
/// σ this gives an encryption of `σ(c·s')` under s_R; putting σ last lets one decomposition serve many rotations (hoisting:
/// Halevi, Shoup, ePrint 2018/244; in this form Bossuat et al., ePrint 2020/1203).
#[derive(Clone, Debug, PartialEq)]
pub struct SeededEvaluationKey {
    pub(crate) spec: KeySpec,
    pub(crate) seed: Seed,
    pub(crate) digits: Vec<Poly<Ntt>>,
}

impl SeededEvaluationKey {
    /// Puts a key together from the b-polynomials of its digits; `a_i` is stream i of the seed.
    ///
    /// # Errors
    /// [`CkksError::Parameters`] when such a key may not exist, [`CkksError::MalformedKey`] when the number of digits or
    /// their primes are wrong.
    pub fn from_parts(
        parameters: &Parameters,
        spec: KeySpec,
        seed: Seed,
        digits: Vec<Poly<Ntt>>,
    ) -> Result<Self, CkksError> {
        let key = Self { spec, seed, digits };
        key.check(parameters)?;
        Ok(key)
    }

    /// What the key is for.
    #[must_use]
    pub fn spec(&self) -> KeySpec {
        self.spec
    }

    /// The usable form.
    ///
    /// # Errors
    /// As [`SeededEvaluationKey::from_parts`], for a key of other parameters.
    pub fn into_expanded(self, parameters: &Parameters) -> Result<EvaluationKey, CkksError> {
        self.check(parameters)?;
        let (ring, basis) = (parameters.ring(), parameters.key_basis(self.spec.level)?);
        let digits: Vec<_> = self
            .digits
            .into_iter()
            .zip(0..)
            .map(|(b, number)| Ok([b, sampler::uniform(ring, basis, &self.seed, number)?]))
            .collect::<Result<_, CkksError>>()?;
        EvaluationKey::from_parts(parameters, self.spec, digits)
    }

    fn check(&self, parameters: &Parameters) -> Result<(), CkksError> {
        parameters.check_key(&self.spec)?;
        check_digits(parameters, &self.spec, self.digits.len(), self.digits.iter())
    }
}

/// That a key has as many digits as its level needs, over the right primes.
fn check_digits<'a>(
    parameters: &Parameters,
    spec: &KeySpec,
    count: usize,
    mut polys: impl Iterator<Item = &'a Poly<Ntt>>,
) -> Result<(), CkksError> {
    let mod_up = parameters.mod_up(spec.level)?;
    let fits =
        count == mod_up.digit_count() && polys.all(|poly| poly.basis() == mod_up.extended_basis());
    if fits { Ok(()) } else { Err(CkksError::MalformedKey(*spec)) }
}

/// An evaluation key, expanded, with the slot permutation of its rotation. It is never stored or sent.
#[derive(Clone, Debug)]
pub struct EvaluationKey {
    spec: KeySpec,
    /// `[b_i, a_i]` for each digit.
    pub(crate) digits: Vec<[Poly<Ntt>; 2]>,
    /// `None` without rotation.
    pub(crate) automorphism: Option<Automorphism>,
}

impl EvaluationKey {
    /// Puts a key together from the pairs `[b_i, a_i]` of its digits.
    ///
    /// # Errors
    /// As [`SeededEvaluationKey::from_parts`].
    pub fn from_parts(
        parameters: &Parameters,
        spec: KeySpec,
        digits: Vec<[Poly<Ntt>; 2]>,
    ) -> Result<Self, CkksError> {
        parameters.check_key(&spec)?;
        check_digits(parameters, &spec, digits.len(), digits.iter().flatten())?;
        let automorphism = match spec.rotation {
            0 => None,
            steps => Some(Automorphism::rotation(parameters.ring(), steps)?),
        };
        Ok(Self { spec, digits, automorphism })
    }

    /// That the key is the one with this name and belongs to the parameters.
    pub(crate) fn check(&self, parameters: &Parameters, spec: &KeySpec) -> Result<(), CkksError> {
        if self.spec != *spec {
            return Err(CkksError::MalformedKey(*spec));
        }
        check_digits(parameters, spec, self.digits.len(), self.digits.iter().flatten())
    }

    /// What the key is for.
    #[must_use]
    pub fn spec(&self) -> KeySpec {
        self.spec
    }
}

/// Where an evaluator finds its keys: in memory, on disk, or over a network.
pub trait KeySet: Sync {
    /// The key of this name, if the set has it.
    fn key(&self, spec: &KeySpec) -> Option<Arc<EvaluationKey>>;
}

/// Keys in memory.
#[derive(Clone, Debug, Default)]
pub struct EvaluationKeys {
    keys: BTreeMap<KeySpec, Arc<EvaluationKey>>,
}

impl EvaluationKeys {
    /// The empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key and returns the one of the same name that it replaces.
    pub fn insert(&mut self, key: EvaluationKey) -> Option<Arc<EvaluationKey>> {
        self.keys.insert(key.spec(), Arc::new(key))
    }

    /// The names of the keys, ascending.
    pub fn specs(&self) -> impl ExactSizeIterator<Item = &KeySpec> {
        self.keys.keys()
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

impl KeySet for EvaluationKeys {
    fn key(&self, spec: &KeySpec) -> Option<Arc<EvaluationKey>> {
        self.keys.get(spec).cloned()
    }
}

impl FromIterator<EvaluationKey> for EvaluationKeys {
    fn from_iter<I: IntoIterator<Item = EvaluationKey>>(keys: I) -> Self {
        let keys = keys.into_iter().map(|key| (key.spec(), Arc::new(key))).collect();
        Self { keys }
    }
}
