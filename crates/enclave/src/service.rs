//! Requests in, replies out: every rule of the enclave, no transport.

mod findings;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use adyton_attest::Platform;
use adyton_wire::message::{
    Evidence, HealthReport, KeyMade, OpenSession, RegisterDeployment, Released,
};
use adyton_wire::statement::{
    AUDIT_ENTRY_LENGTH, DeploymentRegistered, EvidenceStatement, Execution, KeyStatement,
    SessionOpened, Statement,
};
use adyton_wire::{
    InstanceId, Nonce, Problem, Reply, Request, Response, SessionId, Signed, WireError, digest,
    limits, random_bytes,
};
use zeroize::Zeroizing;

use crate::audit::Stage;
use crate::defences::{Defence, Defences};
use crate::event::{Event, Record};
use crate::log::{Field, Level, log};
use crate::plan::Gate;
use crate::restart::Restart;
use crate::secrets::{self, Seeds};
use crate::state::{MAX_DEPLOYMENTS, State};
use crate::store::{StateFile, Store, StoreError};
use crate::vault::Seed;
use crate::{Clock, os};

/// Version in evidence and receipts.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Why an enclave cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The sealed state.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No memory for secrets.
    #[error("no memory for secrets")]
    Memory(#[source] std::io::Error),
    /// No random bytes, or a damaged record.
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// The state and the file that it stands in, changed together.
struct Core {
    state: State,
    store: Store,
}

/// The enclave: shared by all connections.
pub struct Enclave {
    core: Mutex<Core>,
    platform: Arc<dyn Platform>,
    clock: Box<dyn Clock>,
    started: Instant,
    release_cpu: AtomicU64,
    key_cpu: AtomicU64,
}

/// A refusal, and a cause for the log where there is one that the requester need not see.
#[derive(Debug)]
pub(crate) struct Refusal(Problem, Option<String>);

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(problem, None)
    }
}

impl From<WireError> for Refusal {
    fn from(error: WireError) -> Self {
        Self(Problem::from(&error), Some(error.to_string()))
    }
}

impl Refusal {
    pub(crate) fn internal(error: impl std::fmt::Display) -> Self {
        Self(Problem::Internal, Some(error.to_string()))
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::internal(error)
    }
}

/// Processor time of a scope, added when it ends.
struct Timed<'a>(&'a AtomicU64, u64);

impl<'a> Timed<'a> {
    fn new(total: &'a AtomicU64) -> Self {
        Self(total, os::thread_cpu_micros())
    }
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(os::thread_cpu_micros().saturating_sub(self.1), Ordering::Relaxed);
    }
}

impl Enclave {
    /// Opens the sealed state, or begins one with fresh keys.
    ///
    /// # Errors
    /// [`StartError`]: the state is tampered with, rolled back or of another platform; or the disk failed.
    pub fn open(
        file: StateFile,
        platform: Arc<dyn Platform>,
        clock: Box<dyn Clock>,
        restart: Restart,
    ) -> Result<Self, StartError> {
        Self::open_gated(file, platform, clock, restart, Default::default())
    }

    pub(crate) fn open_gated(
        file: StateFile,
        platform: Arc<dyn Platform>,
        clock: Box<dyn Clock>,
        restart: Restart,
        gate: (Gate, Defences),
    ) -> Result<Self, StartError> {
        let mut state = State::new(gate).map_err(StartError::Memory)?;
        let store = Store::open(file, Arc::clone(&platform), |place, record| {
            let record = Record::from_bytes(&record)?;
            state.apply(record, place)?;
            Ok::<(), StoreError>(())
        })?;
        let mut core = Core { state, store };
        let counted = platform.counter().map_err(StoreError::from)?.is_some();
        let last = core.state.identity.as_ref().map(|identity| identity.epoch);
        if let Some(epoch) = restart.begins(last, counted) {
            let event = Event::Begun {
                instance: InstanceId(random_bytes()?),
                epoch,
                signing: Seed::new(random_bytes()?),
                sealing: Seed::new(random_bytes()?),
            };
            #[cfg(adyton_attacks)]
            let event = crate::weakened::begun(&core.state, event);
            core.commit(Record { time: clock.now(), event })?;
        }
        let enclave = Self {
            core: Mutex::new(core),
            platform,
            clock,
            started: Instant::now(),
            release_cpu: AtomicU64::new(0),
            key_cpu: AtomicU64::new(0),
        };
        if !enclave.core().state.vault.is_locked() {
            log(
                Level::Warn,
                "secrets-not-locked",
                &[(
                    "advice",
                    Field::Text(
                        &"secrets may be swapped to disk: raise the limit of locked memory (ulimit -l)",
                    ),
                )],
            );
        }
        Ok(enclave)
    }

    /// Serves the bytes of one request with the bytes of its reply.
    pub fn serve(&self, request: &[u8]) -> Vec<u8> {
        match Request::decode(request) {
            Ok(request) => self.handle(&request),
            Err(error) => {
                self.refused("decode", &Refusal::from(error.clone()));
                Problem::from(&error).into()
            }
        }
        .encode()
    }

    /// Serves one request. A refusal has changed nothing.
    pub fn handle(&self, request: &Request) -> Reply {
        let (name, reply) = match request {
            Request::GetEvidence { nonce } => ("evidence", self.evidence(*nonce)),
            Request::RegisterDeployment(message) => ("register", self.register(message)),
            Request::OpenSession(message) => ("open-session", self.open_session(message)),
            Request::MakeKey { session, index } => ("make-key", self.make_key(session, *index)),
            Request::Release(message) => ("release", self.release(message)),
            Request::SubmitFinding(finding) => ("finding", self.submit_finding(finding)),
            Request::Health => ("health", Ok(self.health().into())),
            Request::GetAudit { from } => ("audit", Ok(self.audit(*from).into())),
        };
        reply.unwrap_or_else(|refusal| {
            self.refused(name, &refusal);
            refusal.0.into()
        })
    }

    fn refused(&self, request: &str, refusal: &Refusal) {
        let level = if refusal.0 == Problem::Internal { Level::Error } else { Level::Info };
        let cause = refusal.1.as_deref().unwrap_or("");
        log(
            level,
            "refused",
            &[
                ("request", Field::Text(&request)),
                ("problem", Field::Text(&refusal.0)),
                ("cause", Field::Text(&cause)),
            ],
        );
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        // State and file change together at the end of a request; a panic elsewhere leaves them as they were.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn evidence(&self, nonce: Nonce) -> Result<Reply, Refusal> {
        let core = self.core();
        let identity = core.state.identity()?;
        let statement = EvidenceStatement {
            nonce,
            signing_key: core.state.signing_key(identity).public_key(),
            sealing_key: core.state.opening_key(identity)?.public_key().as_bytes().to_vec(),
            instance: identity.instance,
            epoch: identity.epoch,
            version: VERSION.to_owned(),
            simulated: self.platform.simulated(),
        };
        drop(core);
        let evidence =
            self.platform.evidence(&statement.report_data()).map_err(Refusal::internal)?;
        let kind = self.platform.kind().to_owned();
        Ok(Response::Evidence(Evidence { kind, evidence, statement }).into())
    }

    fn register(&self, message: &RegisterDeployment) -> Result<Reply, Refusal> {
        let statement = message.statement.verify_self()?;
        let id = statement.id();
        let mut core = self.core();
        let audit = if core.state.deployments.contains_key(&id) {
            Vec::new()
        } else {
            if core.state.deployments.len() >= MAX_DEPLOYMENTS {
                return Err(Problem::Busy.into());
            }
            let time = core.state.now(self.clock.as_ref());
            if statement.policy.expires <= time {
                return Err(Problem::Expired.into());
            }
            let known = core.state.plans.contains_key(&statement.program);
            let plan = core
                .state
                .plan(&statement.program, &message.program)
                .map_err(|error| Refusal(Problem::BadProgram, Some(error.to_string())))?;
            if plan.id != statement.program {
                return Err(Problem::BadProgram.into());
            }
            let info = id.seed_info(&core.state.identity()?.instance);
            let seed = core.state.unseal(&info, &message.seed, &statement.seed_commitment)?;
            let program = if known { Vec::new() } else { message.program.clone() };
            let event = Event::Deployment { statement: message.statement.clone(), program, seed };
            let audit = core.commit(Record { time, event })?;
            log(
                Level::Info,
                "deployment-registered",
                &[
                    ("deployment", Field::Text(&id)),
                    ("program", Field::Text(&plan.id)),
                    ("owner", Field::Text(&statement.owner)),
                ],
            );
            audit
        };
        let identity = core.state.identity()?;
        let registered = DeploymentRegistered {
            deployment: id,
            program: statement.program,
            instance: identity.instance,
            epoch: identity.epoch,
        };
        let signed = Signed::new(&registered, &core.state.signing_key(identity));
        Ok(Reply { response: Response::DeploymentRegistered(signed), audit })
    }

    fn open_session(&self, message: &OpenSession) -> Result<Reply, Refusal> {
        let statement = message.statement.verify_self()?;
        let id = statement.id();
        let mut core = self.core();
        let audit = if core.state.sessions.contains_key(&id) {
            Vec::new()
        } else {
            let time = core.state.now(self.clock.as_ref());
            core.state.admit(&statement, time)?;
            let info = id.seed_info(&core.state.identity()?.instance);
            let input = core.state.unseal(&info, &message.seed, &statement.seed_commitment)?;
            let secret = Seed::new(random_bytes()?);
            let event = Event::Session { statement: message.statement.clone(), input, secret };
            let audit = core.commit(Record { time, event })?;
            log(
                Level::Info,
                "session-opened",
                &[
                    ("session", Field::Text(&id)),
                    ("deployment", Field::Text(&statement.deployment)),
                    ("owner", Field::Text(&statement.owner)),
                ],
            );
            audit
        };
        let (_, deployment) = core.state.session(&id)?;
        let identity = core.state.identity()?;
        let opened = SessionOpened {
            session: id,
            deployment: statement.deployment,
            program: deployment.plan.id,
            instance: identity.instance,
            epoch: identity.epoch,
            keys: u32::try_from(deployment.plan.keys.len()).map_err(Refusal::internal)?,
        };
        let signed = Signed::new(&opened, &core.state.signing_key(identity));
        Ok(Reply { response: Response::SessionOpened(signed), audit })
    }

    fn make_key(&self, id: &SessionId, index: u32) -> Result<Reply, Refusal> {
        let _timed = Timed::new(&self.key_cpu);
        let core = self.core();
        let (session, deployment) = core.state.session(id)?;
        let plan = Arc::clone(&deployment.plan);
        let (secret, named) = core.state.result_secret(id, session);
        let seeds = Seeds {
            model: core.state.vault.get(deployment.seed),
            input: core.state.vault.get(session.input),
            session: secret,
        };
        let identity = core.state.identity()?;
        let (epoch, signing) = (identity.epoch, core.state.signing_key(identity));
        let key_epoch = core.state.key_epoch(identity);
        // Making a key takes long and changes nothing: others need not wait for it.
        drop(core);
        let spec = plan.keys.get(index as usize).ok_or(Problem::UnknownKey)?;
        let key =
            secrets::evaluation_key(&plan.parameters, &seeds, &named, key_epoch, (index, spec))
                .map_err(Refusal::internal)?;
        if key.len() > limits::MAX_KEY {
            return Err(Problem::TooLarge.into());
        }
        let digest = digest::sha256(&key);
        let statement = KeyStatement { session: *id, program: plan.id, index, epoch, digest };
        let statement = Signed::new(&statement, &signing);
        Ok(Response::KeyMade(KeyMade { key, statement }).into())
    }

    fn release(&self, message: &adyton_wire::message::Release) -> Result<Reply, Refusal> {
        let _timed = Timed::new(&self.release_cpu);
        let began = os::thread_cpu_micros();
        let claimed = message.job.unverified()?;
        let mut core = self.core();
        let (session, _) = core.state.session(&claimed.session)?;
        let job = match core.state.defences.stands(Defence::Owner) {
            true => message.job.verify(&session.owner)?,
            false => claimed,
        };
        let ciphertexts = digest::sha256(&message.ciphertexts);
        let execution = core.state.execution(&job, message.keys, ciphertexts);
        let execution = execution.ok_or(Problem::UnknownSession)?;
        if let Some(reply) = core.released(&execution)? {
            return Ok(Response::Released(reply).into());
        }
        let time = core.state.now(self.clock.as_ref());
        let mut audit = core.bind(message, &execution, time)?;
        if let Some(demand) = core.state.demand(&job)? {
            return Ok(Reply { response: Response::AuditDemanded(demand), audit });
        }
        let (event, reply) = core.state.make_release(&job, message, ciphertexts, time)?;
        audit.extend(core.commit(Record { time, event: Event::Release(event) })?);
        log(
            Level::Info,
            "released",
            &[
                ("session", Field::Text(&job.session)),
                ("job", Field::Text(&job.job)),
                ("samples", Field::Number(job.samples.into())),
                ("cpu_us", Field::Number(os::thread_cpu_micros().saturating_sub(began))),
            ],
        );
        Ok(Reply { response: Response::Released(reply), audit })
    }

    fn health(&self) -> Response {
        let (rss_bytes, peak_rss_bytes) = os::resident_bytes();
        let core = self.core();
        let state = &core.state;
        Response::Health(HealthReport {
            version: VERSION.to_owned(),
            uptime_seconds: self.started.elapsed().as_secs(),
            cpu_micros: os::process_cpu_micros(),
            peak_rss_bytes,
            rss_bytes,
            deployments: state.deployments.len() as u64,
            sessions: state.sessions.len() as u64,
            releases: state.releases,
            memory_locked: state.vault.is_locked(),
            audit_entries: state.head.length,
            release_cpu_micros: self.release_cpu.load(Ordering::Relaxed),
            key_cpu_micros: self.key_cpu.load(Ordering::Relaxed),
        })
    }

    fn audit(&self, from: u64) -> Response {
        let core = self.core();
        let log = &core.state.audit;
        let start = usize::try_from(from).unwrap_or(usize::MAX).saturating_mul(AUDIT_ENTRY_LENGTH);
        let page = log.get(start..).unwrap_or_default();
        let page = page.get(..limits::AUDIT_PAGE * AUDIT_ENTRY_LENGTH).unwrap_or(page);
        Response::AuditLog { entries: page.to_vec(), length: core.state.head.length }
    }
}

impl Core {
    /// Makes a change: on disk and counted first, then in memory. Gives the audit entry.
    fn commit(&mut self, record: Record) -> Result<Vec<u8>, StoreError> {
        let place = self.store.append(&Zeroizing::new(record.to_bytes()))?;
        self.state.apply(record, place)
    }

    /// The reply given before to the same execution of the same job; a refusal for another use of its id.
    fn released(&self, execution: &Execution) -> Result<Option<Released>, Refusal> {
        if !self.state.defences.stands(Defence::SingleUse) {
            return Ok(None);
        }
        let job = &execution.task.job;
        let Some(known) = self.state.jobs.get(&(job.session, job.job)) else {
            return Ok(None);
        };
        if known.execution != execution.digest() {
            return Err(Problem::JobReused.into());
        }
        let Stage::Released { place, .. } = known.stage else { return Ok(None) };
        match Record::from_bytes(&self.store.record(place)?)?.event {
            Event::Release(release) => Ok(Some(release.reply)),
            _ => Err(Refusal::internal("a job's record is of another kind")),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
