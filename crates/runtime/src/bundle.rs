//! Stored bundles to what a run needs: the host and an auditor read the same files in the same way.

use std::io::Read;

use adyton_ckks::{
    Ciphertext, CkksError, InputKey, ModelKey, SeededCiphertext, SeededEvaluationKey,
};
use adyton_program::bundle::{BundleError, BundleReader};
use adyton_program::{ModelPrivacy, VerifiedProgram};
use thiserror::Error;

use crate::{LoadError, Weights, load_inputs};

/// Why an item of a bundle cannot be read.
#[derive(Debug, Error)]
pub enum ItemError {
    /// The bundle is malformed, or reading it failed.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The item is no object of the program's parameters.
    #[error(transparent)]
    Ckks(#[from] CkksError),
}

/// What a bundle's reader gives.
type Item = Result<Vec<u8>, BundleError>;

/// The weights of a model's bundle, encrypted or plain as the program has them.
///
/// # Errors
/// [`LoadError`] naming the first weight that cannot be read or does not fit.
pub fn read_weights<R: Read + Send>(
    program: &VerifiedProgram,
    bundle: BundleReader<R>,
    threads: usize,
) -> Result<Weights, LoadError<ItemError>> {
    match program.program().privacy {
        ModelPrivacy::Encrypted => {
            let decode = |item: Item| {
                let decoded = SeededCiphertext::<ModelKey>::decode(&item?, program.parameters())?;
                Ok::<_, ItemError>(decoded)
            };
            Weights::encrypted(program, bundle, decode, threads)
        }
        ModelPrivacy::Plain => {
            let decode = |item: Item| Ok(floats(&item?));
            Weights::plain(program, bundle, decode, threads)
        }
    }
}

/// One evaluation key of a session's bundle.
///
/// # Errors
/// [`ItemError`].
pub fn read_key(
    program: &VerifiedProgram,
    item: Result<Vec<u8>, BundleError>,
) -> Result<SeededEvaluationKey, ItemError> {
    Ok(SeededEvaluationKey::decode(&item?, program.parameters())?)
}

/// The next `groups` groups of inputs of a job's bundle.
///
/// # Errors
/// [`LoadError`] naming the first ciphertext that cannot be read or does not fit.
pub fn read_inputs<R: Read + Send>(
    program: &VerifiedProgram,
    bundle: &mut BundleReader<R>,
    groups: usize,
    threads: usize,
) -> Result<Vec<Vec<Ciphertext<InputKey>>>, LoadError<ItemError>> {
    let decode =
        |item: Item| Ok::<_, ItemError>(SeededCiphertext::decode(&item?, program.parameters())?);
    let count = groups.saturating_mul(program.program().input.ciphertexts.len());
    load_inputs(program, groups, bundle.by_ref().take(count), decode, threads)
}

/// Little-endian floating-point numbers.
pub fn floats(bytes: &[u8]) -> Vec<f64> {
    let (values, _) = bytes.as_chunks::<8>();
    values.iter().map(|value| f64::from_le_bytes(*value)).collect()
}
