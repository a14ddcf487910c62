//! Evaluation of one job: admission to memory, loading what is not cached, the run itself.

use std::io::BufReader;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use adyton_ckks::{
    Ciphertext, CkksError, EvaluationKeys, InputKey, ModelKey, SeededCiphertext,
    SeededEvaluationKey,
};
use adyton_program::ModelPrivacy;
use adyton_program::bundle::{BundleError, BundleReader, BundleShape};
use adyton_rpc::HostProblem;
use adyton_runtime::{Encrypted, RunError, RunOptions, Weights, load_inputs, load_keys};
use adyton_wire::JobId;
use adyton_wire::statement::JobStatement;

use crate::core::{CacheKey, Cached, Core, LoadedProgram};
use crate::error::{HostError, chain};
use crate::jobs::JobStatus;
use crate::store::meta::{Id, JobKey};
use crate::store::objects::ObjectReader;
use crate::usage::cpu_time;

/// Memory of a reader of stored objects.
const READ_BUFFER: usize = 1 << 20;

/// What an evaluation gives.
#[derive(Debug)]
pub(crate) struct Evaluated {
    /// Encoded result ciphertexts, one a group, joined.
    pub(crate) ciphertexts: Vec<u8>,
    /// Wall time of loading what was not cached.
    pub(crate) load: Duration,
    /// Wall time of the run.
    pub(crate) wall: Duration,
    /// CPU time of the process during the run.
    pub(crate) cpu: Duration,
}

/// What a job needs.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) key: JobKey,
    pub(crate) job: JobStatement,
    pub(crate) program: Arc<LoadedProgram>,
    pub(crate) model: Id,
    pub(crate) keys: Id,
}

/// Why an item of a bundle cannot be read.
#[derive(Debug, thiserror::Error)]
enum ItemError {
    #[error(transparent)]
    Bundle(#[from] BundleError),
    #[error(transparent)]
    Ckks(#[from] CkksError),
}

/// Why a run gave nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EvaluateError {
    /// The host is shutting down; the job stays accepted.
    #[error("the host is shutting down")]
    Cancelled,
    /// Any other reason.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// Evaluates a job. Waits for memory, then for the processor: evaluations take turns on all threads, while loading overlaps.
pub(crate) async fn evaluate(
    core: &Arc<Core>,
    work: Work,
    cancel: &Arc<AtomicBool>,
) -> Result<Evaluated, EvaluateError> {
    let estimate = work.program.memory(work.job.groups, core.threads)?;
    let wanted = [
        (CacheKey::Weights(work.job.deployment), estimate.weights),
        (CacheKey::Keys(work.keys), estimate.keys),
    ];
    let waits = || core.jobs.set(work.key, JobStatus::Queued { waits_for_memory: true });
    let lease = core
        .memory
        .admit(&wanted, estimate.run(), waits)
        .await
        .map_err(|error| EvaluateError::Host(error.into()))?;
    core.metrics.memory_used.set(i64::try_from(core.memory.used()).unwrap_or(i64::MAX));

    let started = Instant::now();
    let [weights, keys] = lease.cells() else { return Err(defect("lease").into()) };
    let weights = weights.get_or_try_init(|| load_weights(core, &work)).await?.clone();
    let keys = keys.get_or_try_init(|| load_session_keys(core, &work)).await?.clone();
    let (Cached::Weights(weights), Cached::Keys(keys)) = (weights, keys) else {
        return Err(defect("cache").into());
    };
    let inputs = load_job_inputs(core, &work).await?;
    let load = started.elapsed();

    let _turn = core.evaluating.lock().await;
    let task = Run { core: Arc::clone(core), work, weights, keys, cancel: Arc::clone(cancel) };
    let (ciphertexts, wall, cpu) =
        tokio::task::spawn_blocking(move || task.run(inputs)).await.map_err(HostError::from)??;
    // Memory is held until nothing of the run is left.
    drop(lease);
    core.metrics.memory_used.set(i64::try_from(core.memory.used()).unwrap_or(i64::MAX));
    Ok(Evaluated { ciphertexts, load, wall, cpu })
}

fn defect(what: &str) -> HostError {
    HostError::Damaged(format!("{what} of another shape than was asked for"))
}

/// Items were checked when they were uploaded or made.
fn damaged(error: &dyn std::error::Error) -> HostError {
    HostError::Damaged(chain(error))
}

type Reader = BundleReader<BufReader<ObjectReader>>;

async fn open(core: &Core, object: Id, shape: BundleShape) -> Result<Reader, HostError> {
    let reader = BufReader::with_capacity(READ_BUFFER, core.objects.reader(object).await?);
    Ok(tokio::task::spawn_blocking(move || BundleReader::new(shape, reader)).await??)
}

async fn load_weights(core: &Arc<Core>, work: &Work) -> Result<Cached, HostError> {
    let program = Arc::clone(&work.program.verified);
    let bundle = open(core, work.model, BundleShape::model(&program)?).await?;
    let threads = core.threads;
    let load = move || match program.program().privacy {
        ModelPrivacy::Encrypted => {
            let decode = |item: Result<Vec<u8>, BundleError>| {
                let decoded = SeededCiphertext::<ModelKey>::decode(&item?, program.parameters())?;
                Ok::<_, ItemError>(decoded)
            };
            Weights::encrypted(&program, bundle, decode, threads)
        }
        ModelPrivacy::Plain => {
            let decode = |item: Result<Vec<u8>, BundleError>| Ok(floats(&item?));
            Weights::plain(&program, bundle, decode, threads)
        }
    };
    let weights = tokio::task::spawn_blocking(load).await?.map_err(|error| damaged(&error))?;
    tracing::info!(deployment = %work.job.deployment, "weights loaded");
    Ok(Cached::Weights(Arc::new(weights)))
}

async fn load_session_keys(core: &Arc<Core>, work: &Work) -> Result<Cached, HostError> {
    let program = Arc::clone(&work.program.verified);
    let bundle = open(core, work.keys, BundleShape::keys(&program)?).await?;
    let threads = core.threads;
    let load = move || {
        let decode = |item: Result<Vec<u8>, BundleError>| {
            Ok::<_, ItemError>(SeededEvaluationKey::decode(&item?, program.parameters())?)
        };
        load_keys(&program, bundle, decode, threads)
    };
    let keys = tokio::task::spawn_blocking(load).await?.map_err(|error| damaged(&error))?;
    tracing::info!(session = %work.job.session, "evaluation keys loaded");
    Ok(Cached::Keys(Arc::new(keys)))
}

/// Little-endian floating-point numbers.
pub(crate) fn floats(bytes: &[u8]) -> Vec<f64> {
    let (values, _) = bytes.as_chunks::<8>();
    values.iter().map(|value| f64::from_le_bytes(*value)).collect()
}

type Inputs = Vec<Vec<Ciphertext<InputKey>>>;

async fn load_job_inputs(core: &Arc<Core>, work: &Work) -> Result<Inputs, HostError> {
    let program = Arc::clone(&work.program.verified);
    let shape = BundleShape::inputs(&program, work.job.groups)?;
    let bundle = open(core, work.job.input.0, shape).await?;
    let (groups, threads) = (work.job.groups as usize, core.threads);
    let load = move || {
        let decode = |item: Result<Vec<u8>, BundleError>| {
            Ok::<_, ItemError>(SeededCiphertext::decode(&item?, program.parameters())?)
        };
        load_inputs(&program, groups, bundle, decode, threads)
    };
    tokio::task::spawn_blocking(load).await?.map_err(|error| damaged(&error))
}

/// A run on threads that may block.
struct Run {
    core: Arc<Core>,
    work: Work,
    weights: Arc<Weights>,
    keys: Arc<EvaluationKeys>,
    cancel: Arc<AtomicBool>,
}

impl Run {
    fn run(self, inputs: Inputs) -> Result<(Vec<u8>, Duration, Duration), EvaluateError> {
        let Self { core, work, weights, keys, cancel } = self;
        if cancel.load(Ordering::Relaxed) {
            return Err(EvaluateError::Cancelled);
        }
        let failed = |error: &dyn std::error::Error| {
            tracing::warn!(job = %JobId(work.key.1), error = chain(error), "evaluation failed");
            HostError::refused(HostProblem::EvaluationFailed, "the evaluation failed")
        };
        let verified = &work.program.verified;
        let backend = Encrypted::new(verified, weights, keys).map_err(|error| failed(&error))?;
        let progress = |progress: adyton_runtime::Progress, _: &adyton_runtime::Profile| {
            let (done, total) = (progress.done as u64, progress.total as u64);
            core.jobs.set(work.key, JobStatus::Evaluating { done, total });
        };
        let options = RunOptions::threads(core.threads).cancel(&cancel).progress(&progress);
        let (started, cpu_before) = (Instant::now(), cpu_time());
        let outcome = work.program.executor.run(&backend, inputs, &options);
        let (wall, cpu) = (started.elapsed(), cpu_time().saturating_sub(cpu_before));
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(RunError::Cancelled) => return Err(EvaluateError::Cancelled),
            Err(error) => return Err(failed(&error).into()),
        };
        tracing::debug!(job = %JobId(work.key.1), profile = %outcome.profile, "evaluated");
        let mut ciphertexts = Vec::new();
        for result in &outcome.results {
            let encoded = result.encode(verified.parameters()).map_err(|error| failed(&error))?;
            ciphertexts.extend_from_slice(&encoded);
        }
        Ok((ciphertexts, wall, cpu))
    }
}
