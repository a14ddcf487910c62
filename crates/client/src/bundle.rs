//! Encrypted models and inputs, written as bundles: all cores encrypt, a few ciphertexts stand in memory at a time.

use crate::{ClientError, layout};
use adyton_ckks::{CkksError, Encoder, InputKey, ModelKey};
use adyton_ckks_secret::{Masks, Randomness, SecretKey};
use adyton_program::VerifiedProgram;
use adyton_program::bundle::{BundleShape, BundleWriter};
use adyton_wire::ObjectId;
use adyton_wire::digest::ObjectHasher;
use adyton_wire::statement::{INPUT_KEY_LABEL, MODEL_KEY_LABEL};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

/// Items that one core has in work at a time: enough that none waits for another, few enough for memory.
const ITEMS_PER_CORE: usize = 4;

/// An object that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its id: the digest of its bytes.
    pub object: ObjectId,
    /// Its length in bytes.
    pub length: u64,
    /// Ciphertexts (or plain vectors) in it.
    pub items: usize,
}

/// Passes bytes on and takes their digest.
struct Hashing<W> {
    inner: W,
    hasher: ObjectHasher,
    length: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hasher.update(bytes.get(..n).unwrap_or_default());
        self.length += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Writes `count` items that `item` makes, in order; `item` runs on all cores, each with randomness of its own.
fn write<W: Write>(
    shape: BundleShape,
    output: W,
    item: impl Fn(usize, &mut Randomness) -> Result<Vec<u8>, ClientError> + Sync,
) -> Result<(W, Written), ClientError> {
    let items = shape.lengths().len();
    let hashing = Hashing { inner: output, hasher: ObjectHasher::default(), length: 0 };
    let mut bundle = BundleWriter::new(shape, hashing)?;
    let mut randomness =
        Randomness::from_os().map_err(|error| ClientError::Encode(Box::new(error)))?;
    let batch = ITEMS_PER_CORE * rayon::current_num_threads();
    for first in (0..items).step_by(batch.max(1)) {
        let work: Vec<(usize, Randomness)> =
            (first..items.min(first + batch)).map(|index| (index, randomness.fork())).collect();
        let made: Vec<Vec<u8>> = work
            .into_par_iter()
            .map(|(index, mut randomness)| item(index, &mut randomness))
            .collect::<Result<_, _>>()?;
        for bytes in &made {
            bundle.item(bytes)?;
        }
    }
    let hashing = bundle.finish()?;
    let object = hashing.hasher.finish();
    Ok((hashing.inner, Written { object, length: hashing.length, items }))
}

fn encode_error(error: CkksError) -> ClientError {
    ClientError::Encode(Box::new(error))
}

/// The model key of every row that the program has.
fn model_keys(
    program: &VerifiedProgram,
    seed: &[u8; 32],
) -> Result<BTreeMap<u8, SecretKey<ModelKey>>, ClientError> {
    let parameters = program.parameters();
    let basis = parameters.ring().full_basis();
    let rows: BTreeSet<u8> = program.program().weights.iter().map(|weight| weight.row).collect();
    rows.into_iter()
        .map(|row| {
            Ok((row, SecretKey::derive_row(parameters, &basis, seed, row, MODEL_KEY_LABEL)?))
        })
        .collect::<Result<_, CkksError>>()
        .map_err(encode_error)
}

fn check_weights(program: &VerifiedProgram, weights: &[Vec<f64>]) -> Result<(), ClientError> {
    let (expected, positions) =
        (program.program().weights.len(), program.program().input.positions as usize);
    if weights.len() != expected {
        let found = weights.len();
        return Err(ClientError::Weights(format!("{found} vectors where it has {expected}")));
    }
    match weights.iter().position(|w| w.len() != positions) {
        None => Ok(()),
        Some(index) => Err(ClientError::Weights(format!(
            "vector {index} has not one value for each of {positions} positions"
        ))),
    }
}

/// The encrypted model: each weight vector repeated over the lanes, under the model key of its row, which derives from `seed`. Masks are
/// new each time: no mask ever serves two weights of a row.
pub(crate) fn encrypted_model<W: Write>(
    program: &VerifiedProgram,
    seed: &[u8; 32],
    weights: &[Vec<f64>],
    output: W,
) -> Result<(W, Written), ClientError> {
    check_weights(program, weights)?;
    let keys = model_keys(program, seed)?;
    let mut randomness =
        Randomness::from_os().map_err(|error| ClientError::Encode(Box::new(error)))?;
    let masks = Masks::new(&mut randomness);
    let encoder = Encoder::new(program.parameters());
    let lanes = program.program().input.lanes as usize;
    let specs = &program.program().weights;
    write(BundleShape::model(program)?, output, |index, randomness| {
        let (Some(vector), Some(spec)) = (weights.get(index), specs.get(index)) else {
            return Err(ClientError::Weights(format!("there is no vector {index}")));
        };
        let Some(key) = keys.get(&spec.row) else {
            return Err(ClientError::Weights(format!("there is no key for row {}", spec.row)));
        };
        let slots: Vec<f64> = vector.iter().flat_map(|&w| std::iter::repeat_n(w, lanes)).collect();
        let plaintext = encoder.encode(&slots, spec.level, &spec.scale);
        plaintext
            .and_then(|plaintext| masks.encrypt(key, spec.mask, &plaintext, randomness))
            .and_then(|ciphertext| ciphertext.encode(program.parameters()))
            .map_err(encode_error)
    })
}

/// The plain model: each weight vector as it is, one value a position.
pub(crate) fn plain_model<W: Write>(
    program: &VerifiedProgram,
    weights: &[Vec<f64>],
    output: W,
) -> Result<(W, Written), ClientError> {
    check_weights(program, weights)?;
    write(BundleShape::model(program)?, output, |index, _| {
        let vector = weights.get(index).map(Vec::as_slice).unwrap_or_default();
        Ok(vector.iter().flat_map(|w| w.to_le_bytes()).collect())
    })
}

/// Inputs, group by group, under the input key of `seed`. The samples were checked against the layout.
pub(crate) fn encrypted_inputs<W: Write>(
    program: &VerifiedProgram,
    seed: &[u8; 32],
    samples: &[Vec<f64>],
    output: W,
) -> Result<(W, Written), ClientError> {
    let input = &program.program().input;
    let (lanes, each) = (input.lanes as usize, input.ciphertexts.len());
    let groups = layout::groups(input, samples.len());
    let count = u32::try_from(groups).unwrap_or(u32::MAX);
    let key: SecretKey<InputKey> =
        SecretKey::derive(program.parameters(), seed, INPUT_KEY_LABEL).map_err(encode_error)?;
    let encoder = Encoder::new(program.parameters());
    let level = program.parameters().top_level();
    write(BundleShape::inputs(program, count)?, output, |index, randomness| {
        let group = samples.chunks(lanes.max(1)).nth(index / each).unwrap_or_default();
        let slots = layout::lay_out(input, index % each, group);
        let plaintext = encoder.encode(&slots, level, &input.scale);
        plaintext
            .and_then(|plaintext| key.encrypt(&plaintext, randomness))
            .and_then(|ciphertext| ciphertext.encode(program.parameters()))
            .map_err(encode_error)
    })
}
