//! The execution.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adyton_ckks::EvaluationKeys;
use adyton_program::VerifiedProgram;
use adyton_program::bundle::{BundleError, BundleReader, BundleShape};
use adyton_runtime::{
    Encrypted, Executor, RunOptions, Weights, crew, load_keys, read_inputs, read_key, read_weights,
};
use adyton_wire::digest::{ObjectHasher, sha256};

use crate::hashing::Hashing;
use crate::{AuditError, Task};

/// Groups that are evaluated together: results are the same for any number, memory is not.
const GROUPS_AT_ONCE: u32 = 4;

/// The objects of a task, each from its first byte.
#[derive(Debug)]
pub struct Sources<M, K, I> {
    /// The encrypted model.
    pub model: M,
    /// The session's evaluation keys.
    pub keys: K,
    /// The job's inputs.
    pub input: I,
}

/// What an execution came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Executed {
    /// SHA-256 of the encoded result ciphertexts, joined.
    pub result: [u8; 32],
    /// Wall time of reading, checking and expanding the objects.
    pub load: Duration,
    /// Wall time of the evaluation.
    pub evaluate: Duration,
}

impl Task {
    /// Executes the task on `threads` threads.
    ///
    /// # Errors
    /// [`AuditError`]: an object is not the one that the demand names, a key not one that the enclave made, or the machine failed.
    pub fn execute<M: Read + Send, K: Read + Send, I: Read + Send>(
        &self,
        sources: Sources<M, K, I>,
        threads: usize,
    ) -> Result<Executed, AuditError> {
        let began = Instant::now();
        let program = &self.program;
        let weights = Arc::new(self.weights(sources.model, threads)?);
        let keys = Arc::new(self.keys(sources.keys, threads)?);
        let shape = BundleShape::inputs(program, self.wanted.job.groups)?;
        let mut source = Hashing::new(sources.input);
        let mut inputs = BundleReader::new(shape, &mut source)?;
        let backend = Encrypted::new(program, weights, keys, crew(threads)?)?;
        let executor = Executor::new(Arc::clone(program));
        let mut hasher = ObjectHasher::default();
        let (mut left, mut evaluate) = (self.wanted.job.groups, Duration::ZERO);
        while left > 0 {
            let groups = left.min(GROUPS_AT_ONCE);
            let what = "input";
            let loaded = read_inputs(program, &mut inputs, groups as usize, threads)
                .map_err(|source| AuditError::Load { what, source: Box::new(source) })?;
            let running = Instant::now();
            let outcome = executor
                .run(&backend, loaded, &RunOptions::threads(threads))
                .map_err(AuditError::Run)?;
            evaluate += running.elapsed();
            for result in &outcome.results {
                let bytes = result.encode(program.parameters()).map_err(AuditError::Encode)?;
                hasher.update(&bytes);
            }
            left -= groups;
        }
        drop(inputs);
        // Only now is it known that these were the inputs: what was computed on others is of no account.
        source.finish("input", self.wanted.job.input)?;
        let load = began.elapsed().saturating_sub(evaluate);
        Ok(Executed { result: hasher.finish().0, load, evaluate })
    }

    fn weights(&self, source: impl Read + Send, threads: usize) -> Result<Weights, AuditError> {
        let what = "model";
        let mut source = Hashing::new(source);
        let bundle = BundleReader::new(BundleShape::model(&self.program)?, &mut source)?;
        let weights = read_weights(&self.program, bundle, threads)
            .map_err(|source| AuditError::Load { what, source: Box::new(source) })?;
        source.finish(what, self.wanted.model)?;
        Ok(weights)
    }

    fn keys(&self, source: impl Read + Send, threads: usize) -> Result<EvaluationKeys, AuditError> {
        let mut source = Hashing::new(source);
        let bundle = BundleReader::new(BundleShape::keys(&self.program)?, &mut source)?;
        let items = bundle.zip(self.keys.iter().enumerate());
        let decode = |(item, (index, digest)): (Result<Vec<u8>, BundleError>, _)| {
            read_signed(&self.program, item, index, digest)
        };
        let keys = load_keys(&self.program, items, decode, threads)
            .map_err(|error| AuditError::Keys(Box::new(error)))?;
        source.finish("bundle of evaluation keys", self.wanted.keys)?;
        Ok(keys)
    }
}

/// A key that has the digest which the enclave signed.
fn read_signed(
    program: &VerifiedProgram,
    item: Result<Vec<u8>, BundleError>,
    index: usize,
    digest: &[u8; 32],
) -> Result<adyton_ckks::SeededEvaluationKey, AuditError> {
    let item = item.map_err(AuditError::Bundle)?;
    if sha256(&item) != *digest {
        return Err(AuditError::Key { index });
    }
    Ok(read_key(program, Ok(item))?)
}
