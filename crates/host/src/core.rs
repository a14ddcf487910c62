//! What all calls and workers share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use adyton_ckks::{Ciphertext, Crew, EvaluationKeys, ResultKey, Scale};
use adyton_program::VerifiedProgram;
use adyton_rpc::HostProblem;
use adyton_runtime::{Executor, MemoryEstimate, Weights, crew, estimate_memory};
use adyton_wire::statement::{AUDIT_ENTRY_LENGTH, AuditEntry};
use adyton_wire::{
    DeploymentId, Problem as SharedProblem, ProgramId, Request, Response, SessionId,
};

use tokio::sync::watch;

use crate::config::Config;
use crate::error::HostError;
use crate::jobs::Jobs;
use crate::link::{Link, LinkError};
use crate::locks::KeyedLocks;
use crate::memory::{Memory, with_overhead};
use crate::metrics::Metrics;
use crate::service::objects;
use crate::store::hex;
use crate::store::meta::{Id, Meta, QueueLimits};
use crate::store::objects::Objects;
use crate::store::parts::Parts;
use crate::store::record::{DeploymentRecord, SessionRecord};

/// Verified programs that are kept ready; a handful of MiB each.
const PROGRAMS_READY: usize = 16;

/// What the memory budget caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CacheKey {
    /// Expanded weights of a deployment.
    Weights(DeploymentId),
    /// Expanded evaluation keys of a session in an epoch: the digest of their bundle.
    Keys(Id),
}

/// A cached value.
#[derive(Clone, Debug)]
pub(crate) enum Cached {
    Weights(Arc<Weights>),
    Keys(Arc<EvaluationKeys>),
}

/// A program made ready to run.
#[derive(Debug)]
pub(crate) struct LoadedProgram {
    pub(crate) verified: Arc<VerifiedProgram>,
    pub(crate) executor: Executor,
    /// The object that holds its bytes.
    pub(crate) object: Id,
}

impl LoadedProgram {
    fn new(verified: VerifiedProgram, object: Id) -> Self {
        let verified = Arc::new(verified);
        Self { executor: Executor::new(Arc::clone(&verified)), verified, object }
    }

    /// Length in bytes of one encoded result ciphertext.
    pub(crate) fn result_length(&self) -> Result<usize, HostError> {
        let program = self.verified.program();
        let output = self.verified.value_type(program.output.value);
        let (level, scale) =
            output.map_or((0, Scale::one()), |value| (value.level, value.scale.clone()));
        Ciphertext::<ResultKey>::encoded_len(self.verified.parameters(), level, &scale)
            .map_err(|error| HostError::Damaged(crate::error::chain(&error)))
    }

    /// Memory of a run, the allocator's overhead included.
    pub(crate) fn memory(&self, groups: u32, threads: usize) -> Result<MemoryEstimate, HostError> {
        let estimate = estimate_memory(&self.verified, groups as usize, threads)
            .map_err(|error| HostError::refused(SharedProblem::BadProgram, error.to_string()))?;
        Ok(MemoryEstimate {
            weights: with_overhead(estimate.weights),
            keys: with_overhead(estimate.keys),
            values: with_overhead(estimate.values),
            scratch: with_overhead(estimate.scratch),
        })
    }
}

/// State shared by all calls and workers.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) threads: usize,
    /// As many threads, for the parts of a step.
    pub(crate) crew: Arc<dyn Crew>,
    pub(crate) queue_limits: QueueLimits,
    pub(crate) meta: Meta,
    pub(crate) objects: Objects,
    pub(crate) parts: Parts,
    pub(crate) link: Link,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) memory: Arc<Memory<CacheKey, Cached>>,
    pub(crate) jobs: Jobs,
    /// Held by the evaluation that has the processors.
    pub(crate) evaluating: tokio::sync::Mutex<()>,
    /// One opening of a session at a time.
    pub(crate) openings: KeyedLocks<SessionId>,
    programs: Mutex<Programs>,
    stop: watch::Sender<bool>,
}

/// Programs that are ready, and a clock for which was used last.
#[derive(Debug, Default)]
struct Programs {
    clock: u64,
    ready: HashMap<Id, (u64, Arc<LoadedProgram>)>,
}

impl Core {
    /// Opens everything on disk, and cleans up what a crash left behind.
    pub(crate) fn open(config: &Config, metrics: Arc<Metrics>) -> Result<Self, HostError> {
        let files = |error: std::io::Error| HostError::Store(error.into());
        std::fs::create_dir_all(&config.data).map_err(files)?;
        let meta = Meta::open(&config.data.join("meta.redb"))?;
        let objects = Objects::open(&config.data.join("objects"), meta.clone(), config.store)?;
        let unfinished = meta.unfinished_sessions()?;
        let parts = Parts::open(config.data.join("parts"), |name| {
            Ok(unfinished.iter().any(|session| hex(session) == name))
        })?;
        let cores = std::thread::available_parallelism().map_err(files)?.get();
        let jobs = Jobs::open(&meta)?;
        metrics.jobs_open.set(jobs.open_count());
        let threads = config.threads.unwrap_or(cores).max(1);
        let crew = crew(threads).map_err(|error| files(std::io::Error::other(error)))?;
        Ok(Self {
            threads,
            crew,
            queue_limits: QueueLimits {
                total: config.queue,
                per_session: config.queue_per_session,
            },
            link: Link::new(config.enclave.clone(), Arc::clone(&metrics)),
            memory: Arc::new(Memory::new(config.memory)),
            evaluating: tokio::sync::Mutex::new(()),
            openings: KeyedLocks::default(),
            programs: Mutex::default(),
            stop: watch::Sender::new(false),
            meta,
            objects,
            parts,
            metrics,
            jobs,
        })
    }

    /// Tells all calls and tasks that the host stops.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Returns once the host stops.
    pub(crate) async fn stopping(&self) {
        // The sender lives as long as `self`.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }

    /// Asks the enclave, and keeps the audit entries that it appended.
    pub(crate) async fn ask(&self, request: Request) -> Result<Response, HostError> {
        let reply = self.link.call(&request).await?;
        if let Some(first) = reply.audit.first_chunk::<AUDIT_ENTRY_LENGTH>() {
            let from = AuditEntry::from_bytes(first).map_err(LinkError::from)?.sequence;
            let missed = from > self.meta.audit_length()?;
            self.keep_audit(from, &reply.audit).await?;
            if missed {
                self.fetch_audit().await?;
            }
        }
        Ok(reply.response)
    }

    /// Fetches the audit entries that the host does not have.
    pub(crate) async fn fetch_audit(&self) -> Result<(), HostError> {
        loop {
            let from = self.meta.audit_length()?;
            let reply = self.link.call(&Request::GetAudit { from }).await?;
            let Response::AuditLog { entries, length } = reply.response else {
                return Err(LinkError::Unexpected.into());
            };
            self.keep_audit(from, &entries).await?;
            if entries.is_empty() || self.meta.audit_length()? >= length {
                return Ok(());
            }
        }
    }

    async fn keep_audit(&self, from: u64, joined: &[u8]) -> Result<(), HostError> {
        let entries = joined.chunks_exact(AUDIT_ENTRY_LENGTH).map(<[u8]>::to_vec).collect();
        if !self.meta.append_audit(from, entries).await? {
            tracing::error!(
                from,
                "the enclave's audit log does not continue the one stored here: its state was replaced or rolled back"
            );
        }
        Ok(())
    }

    /// A program that is stored, ready to run.
    pub(crate) async fn program(&self, id: Id) -> Result<Arc<LoadedProgram>, HostError> {
        if let Some(ready) = self.programs().get(id) {
            return Ok(ready);
        }
        let Some(object) = self.meta.program_object(id)? else {
            let message = format!("program {} is not stored", ProgramId(id));
            return Err(HostError::refused(HostProblem::UnknownObject, message));
        };
        let content = self.objects.read(object).await?;
        let verified = tokio::task::spawn_blocking(move || objects::verify(&content)).await?;
        let verified = verified.map_err(|error| HostError::Damaged(error.to_string()))?;
        let loaded = Arc::new(LoadedProgram::new(verified, object));
        self.programs().put(id, Arc::clone(&loaded));
        Ok(loaded)
    }

    fn programs(&self) -> std::sync::MutexGuard<'_, Programs> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A deployment that is registered.
    pub(crate) fn deployment(&self, id: DeploymentId) -> Result<DeploymentRecord, HostError> {
        self.meta.deployment(id.0)?.ok_or_else(|| {
            let message = format!("deployment {id} is not registered here");
            HostError::refused(SharedProblem::UnknownDeployment, message)
        })
    }

    /// A session that was opened.
    pub(crate) fn session(&self, id: SessionId) -> Result<SessionRecord, HostError> {
        self.meta.session(id.0)?.ok_or_else(|| {
            let message = format!("session {id} was not opened here");
            HostError::refused(SharedProblem::UnknownSession, message)
        })
    }

    /// How many of `groups` groups can be evaluated in one run within the memory budget; at least one.
    ///
    /// # Errors
    /// [`HostProblem::ExceedsMemory`] when not even one group fits.
    pub(crate) fn groups_at_once(
        &self,
        program: &LoadedProgram,
        groups: u32,
    ) -> Result<u32, HostError> {
        let mut at_once = groups.max(1);
        loop {
            match self.memory.fits(program.memory(at_once, self.threads)?.total()) {
                Ok(()) => return Ok(at_once),
                Err(error) if at_once == 1 => return Err(error.into()),
                // Runs of about equal size, as few as fit.
                Err(_) => at_once = at_once.div_ceil(2),
            }
        }
    }
}

impl Programs {
    fn get(&mut self, id: Id) -> Option<Arc<LoadedProgram>> {
        self.clock += 1;
        let (used, program) = self.ready.get_mut(&id)?;
        *used = self.clock;
        Some(Arc::clone(program))
    }

    fn put(&mut self, id: Id, program: Arc<LoadedProgram>) {
        if self.ready.len() >= PROGRAMS_READY {
            let oldest = self.ready.iter().min_by_key(|(_, (used, _))| *used).map(|(id, _)| *id);
            oldest.and_then(|oldest| self.ready.remove(&oldest));
        }
        self.clock += 1;
        self.ready.insert(id, (self.clock, program));
    }
}

/// Milliseconds since 1970; 0 on a machine whose clock stands before.
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Seconds since 1970.
pub(crate) fn unix_seconds() -> u64 {
    unix_ms() / 1000
}
