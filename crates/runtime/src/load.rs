//! From what is stored to what is computed with: evaluation keys and inputs are expanded from their seeded form on several
//! threads, and checked against the program. Weights: [`crate::Weights`].

use std::error::Error;

use adyton_ckks::{
    Ciphertext, CkksError, EvaluationKeys, InputKey, KeyRole, KeySpec, Parameters, Scale,
    SeededCiphertext, SeededEvaluationKey,
};
use adyton_program::{ModelPrivacy, VerifiedProgram};
use thiserror::Error;

use crate::parallel;

/// Why weights, keys or inputs were refused. `E` is the error of whoever reads or decodes the items.
#[derive(Debug, Error)]
pub enum LoadError<E: Error + 'static> {
    /// An item could not be read.
    #[error("item {index}: {source}")]
    Item {
        /// Its place.
        index: usize,
        /// The reader's reason.
        source: E,
    },
    /// Another number of items than the program has.
    #[error("{given} items or more where there should be {expected}")]
    Count {
        /// How many there are.
        given: usize,
        /// How many there should be.
        expected: usize,
    },
    /// Encrypted weights for a program with plain ones, or the reverse.
    #[error("the program's weights are not {0:?}")]
    Privacy(ModelPrivacy),
    /// A ciphertext at another level than the program declares.
    #[error("item {index} is at level {given}, the program declares level {expected}")]
    Level {
        /// Its place.
        index: usize,
        /// Its level.
        given: u8,
        /// The declared level.
        expected: u8,
    },
    /// A ciphertext at another scale than the program declares.
    #[error("item {index} has scale {given}, the program declares {expected}")]
    Scale {
        /// Its place.
        index: usize,
        /// Its scale.
        given: Box<Scale>,
        /// The declared scale.
        expected: Box<Scale>,
    },
    /// A weight with another seed than an earlier one that has the same mask.
    #[error("weight {index} has another seed than the weights before it that share mask {mask}")]
    Mask {
        /// The weight.
        index: usize,
        /// Its mask.
        mask: u32,
    },
    /// A plain weight with another number of values than a ciphertext has positions.
    #[error("weight {index} has {given} values, a ciphertext has {expected} positions")]
    Length {
        /// The weight.
        index: usize,
        /// How many values it has.
        given: usize,
        /// How many it should have.
        expected: usize,
    },
    /// Another key than the manifest names at this place.
    #[error("item {index} is a key for {given}, the manifest names {expected}")]
    Key {
        /// The place in the manifest.
        index: usize,
        /// What the key is for.
        given: KeySpec,
        /// What it should be for.
        expected: KeySpec,
    },
    /// An item that does not belong to the program's parameters, or does not fit them.
    #[error("item {index}: {source}")]
    Unfit {
        /// Its place.
        index: usize,
        /// What is wrong with it.
        source: CkksError,
    },
}

/// Expands the evaluation keys of a session, given in the order of the program's manifest, on `threads` threads; `decode` as
/// in [`Weights::encrypted`](crate::Weights::encrypted).
///
/// # Errors
/// [`LoadError`] naming the first key that does not fit.
pub fn load_keys<T, E: Error + Send + 'static>(
    program: &VerifiedProgram,
    items: impl IntoIterator<Item = T, IntoIter: Send>,
    decode: impl Fn(T) -> Result<SeededEvaluationKey, E> + Sync,
    threads: usize,
) -> Result<EvaluationKeys, LoadError<E>> {
    let parameters = program.parameters();
    let keys = load(&program.program().keys, items, threads, |index, &expected, item| {
        let key = decode(item).map_err(|source| LoadError::Item { index, source })?;
        let given = key.spec();
        if given != expected {
            return Err(LoadError::Key { index, given, expected });
        }
        key.into_expanded(parameters).map_err(|source| LoadError::Unfit { index, source })
    })?;
    Ok(keys.into_iter().collect())
}

/// Expands the inputs of a job, group by group, on `threads` threads; `decode` as in [`Weights::encrypted`](crate::Weights::encrypted). The list returned
/// has one entry for each group.
///
/// # Errors
/// [`LoadError`] naming the first ciphertext that does not fit.
pub fn load_inputs<T, E: Error + Send + 'static>(
    program: &VerifiedProgram,
    groups: usize,
    items: impl IntoIterator<Item = T, IntoIter: Send>,
    decode: impl Fn(T) -> Result<SeededCiphertext<InputKey>, E> + Sync,
    threads: usize,
) -> Result<Vec<Vec<Ciphertext<InputKey>>>, LoadError<E>> {
    let parameters = program.parameters();
    let layout = &program.program().input;
    let (level, count) = (parameters.top_level(), layout.ciphertexts.len());
    let specs = vec![(); count.saturating_mul(groups)];
    let inputs = load(&specs, items, threads, |index, (), item| {
        let input = decode(item).map_err(|source| LoadError::Item { index, source })?;
        expand(parameters, index, input, level, &layout.scale)
    })?;
    let mut inputs = inputs.into_iter();
    Ok((0..groups).map(|_| inputs.by_ref().take(count).collect()).collect())
}

/// That a ciphertext has the given level and scale.
pub(crate) fn check_seeded<K: KeyRole, E: Error>(
    index: usize,
    seeded: &SeededCiphertext<K>,
    level: u8,
    scale: &Scale,
) -> Result<(), LoadError<E>> {
    if seeded.level() != level {
        return Err(LoadError::Level { index, given: seeded.level(), expected: level });
    }
    if seeded.scale() != scale {
        let (given, expected) = (seeded.scale().clone().into(), scale.clone().into());
        return Err(LoadError::Scale { index, given, expected });
    }
    Ok(())
}

/// Expands a ciphertext, which must have the given level and scale.
fn expand<K: KeyRole, E: Error>(
    parameters: &Parameters,
    index: usize,
    seeded: SeededCiphertext<K>,
    level: u8,
    scale: &Scale,
) -> Result<Ciphertext<K>, LoadError<E>> {
    check_seeded(index, &seeded, level, scale)?;
    seeded.into_expanded(parameters).map_err(|source| LoadError::Unfit { index, source })
}

/// Makes one thing of each item and its specification; there must be as many items as specifications.
pub(crate) fn load<S: Sync, T, U: Send, E: Error + Send + 'static>(
    specs: &[S],
    items: impl IntoIterator<Item = T, IntoIter: Send>,
    threads: usize,
    make: impl Fn(usize, &S, T) -> Result<U, LoadError<E>> + Sync,
) -> Result<Vec<U>, LoadError<E>> {
    let expected = specs.len();
    let made = parallel::map(items.into_iter(), threads, |index, item| match specs.get(index) {
        Some(spec) => make(index, spec, item),
        None => Err(LoadError::Count { given: index + 1, expected }),
    })?;
    match made.len() {
        given if given == expected => Ok(made),
        given => Err(LoadError::Count { given, expected }),
    }
}
