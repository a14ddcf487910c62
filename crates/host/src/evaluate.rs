//! Evaluation of one job: admission to memory, loading what is not cached, the run itself.

use std::io::BufReader;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use adyton_ckks::{Ciphertext, EvaluationKeys, InputKey};
use adyton_program::bundle::{BundleReader, BundleShape};
use adyton_rpc::HostProblem;
use adyton_runtime::{
    Encrypted, RunError, RunOptions, Weights, load_keys, read_inputs, read_key, read_weights,
};
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
#[derive(Debug, Default)]
pub(crate) struct Evaluated {
    /// Groups that were evaluated.
    pub(crate) groups: u32,
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
///
/// A batch with more groups than fit into the memory budget is evaluated in several runs.
pub(crate) async fn evaluate(
    core: &Arc<Core>,
    work: Work,
    cancel: &Arc<AtomicBool>,
) -> Result<Evaluated, EvaluateError> {
    let at_once = core.groups_at_once(&work.program, work.job.groups)?;
    let estimate = work.program.memory(at_once, core.threads)?;
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
    let shape =
        BundleShape::inputs(&work.program.verified, work.job.groups).map_err(HostError::from)?;
    let bundle = open(core, work.job.input.0, shape).await?;
    let mut task = Run {
        core: Arc::clone(core),
        work,
        weights,
        keys,
        cancel: Arc::clone(cancel),
        bundle,
        at_once,
        evaluated: Evaluated::default(),
    };
    let (mut task, inputs) = blocking(move || task.load().map(|inputs| (task, inputs))).await?;
    task.evaluated.load = started.elapsed();

    let _turn = core.evaluating.lock().await;
    let evaluated = blocking(move || task.run(inputs)).await?;
    // Memory is held until nothing of the run is left.
    drop(lease);
    core.metrics.memory_used.set(i64::try_from(core.memory.used()).unwrap_or(i64::MAX));
    Ok(evaluated)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EvaluateError> + Send + 'static,
) -> Result<T, EvaluateError> {
    tokio::task::spawn_blocking(work).await.map_err(HostError::from)?
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
    let load = move || read_weights(&program, bundle, threads);
    let weights = tokio::task::spawn_blocking(load).await?.map_err(|error| damaged(&error))?;
    tracing::info!(deployment = %work.job.deployment, "weights loaded");
    Ok(Cached::Weights(Arc::new(weights)))
}

async fn load_session_keys(core: &Arc<Core>, work: &Work) -> Result<Cached, HostError> {
    let program = Arc::clone(&work.program.verified);
    let bundle = open(core, work.keys, BundleShape::keys(&program)?).await?;
    let threads = core.threads;
    let load = move || load_keys(&program, bundle, |item| read_key(&program, item), threads);
    let keys = tokio::task::spawn_blocking(load).await?.map_err(|error| damaged(&error))?;
    tracing::info!(session = %work.job.session, "evaluation keys loaded");
    Ok(Cached::Keys(Arc::new(keys)))
}

type Inputs = Vec<Vec<Ciphertext<InputKey>>>;

/// A job on threads that may block.
struct Run {
    core: Arc<Core>,
    work: Work,
    weights: Arc<Weights>,
    keys: Arc<EvaluationKeys>,
    cancel: Arc<AtomicBool>,
    /// The inputs that are not loaded yet.
    bundle: Reader,
    /// Groups that memory was admitted for.
    at_once: u32,
    /// What was evaluated so far.
    evaluated: Evaluated,
}

impl Run {
    /// Loads the next groups of inputs, none at the end.
    fn load(&mut self) -> Result<Inputs, EvaluateError> {
        let groups = self.at_once.min(self.work.job.groups - self.evaluated.groups);
        let program = &self.work.program.verified;
        let inputs = read_inputs(program, &mut self.bundle, groups as usize, self.core.threads);
        Ok(inputs.map_err(|error| damaged(&error))?)
    }

    /// Evaluates the inputs given, then those that are not loaded yet.
    fn run(mut self, mut inputs: Inputs) -> Result<Evaluated, EvaluateError> {
        while !inputs.is_empty() {
            self.run_loaded(inputs)?;
            let started = Instant::now();
            inputs = self.load()?;
            self.evaluated.load += started.elapsed();
        }
        Ok(self.evaluated)
    }

    fn run_loaded(&mut self, inputs: Inputs) -> Result<(), EvaluateError> {
        let program = &self.work.program.verified;
        let (weights, keys) = (Arc::clone(&self.weights), Arc::clone(&self.keys));
        let crew = Arc::clone(&self.core.crew);
        // One for each run: with it goes the memory that it keeps for its results, before the next inputs take theirs.
        let backend = Encrypted::new(program, weights, keys, crew).map_err(|e| self.failed(&e))?;
        let groups = inputs.len() as u64;
        let (before, all) = (u64::from(self.evaluated.groups), u64::from(self.work.job.groups));
        let progress = |progress: adyton_runtime::Progress, _: &adyton_runtime::Profile| {
            let steps = progress.total as u64 / groups;
            let (done, total) = (before * steps + progress.done as u64, all * steps);
            self.core.jobs.set(self.work.key, JobStatus::Evaluating { done, total });
        };
        let options =
            RunOptions::threads(self.core.threads).cancel(&self.cancel).progress(&progress);
        let (started, cpu) = (Instant::now(), cpu_time());
        let outcome = self.work.program.executor.run(&backend, inputs, &options);
        let (wall, cpu) = (started.elapsed(), cpu_time().saturating_sub(cpu));
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(RunError::Cancelled) => return Err(EvaluateError::Cancelled),
            Err(error) => return Err(self.failed(&error)),
        };
        tracing::debug!(job = %JobId(self.work.key.1), profile = %outcome.profile, "evaluated");
        for result in &outcome.results {
            let encoded = result.encode(self.work.program.verified.parameters());
            let encoded = encoded.map_err(|error| self.failed(&error))?;
            self.evaluated.ciphertexts.extend_from_slice(&encoded);
            self.evaluated.groups += 1;
        }
        self.evaluated.wall += wall;
        self.evaluated.cpu += cpu;
        Ok(())
    }

    fn failed(&self, error: &dyn std::error::Error) -> EvaluateError {
        let job = JobId(self.work.key.1);
        tracing::warn!(%job, error = chain(error), "evaluation failed");
        HostError::refused(HostProblem::EvaluationFailed, "the evaluation failed").into()
    }
}
