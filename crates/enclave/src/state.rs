//! What the enclave knows: deployments, sessions, quotas and ledgers, jobs, the audit chain. Built from the records alone, so that
//! it is the same after a restart.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use adyton_wire::seal::SealingKey;
use adyton_wire::statement::{
    AuditEntry, AuditEvent, AuditHead, DeploymentStatement, JobStatement, SessionStatement,
};
use adyton_wire::{DeploymentId, InstanceId, JobId, ProgramId, PublicKey, SessionId};

use crate::event::{Event, Record};
use crate::plan::{Gate, Plan};
use crate::store::{Place, StoreError};
use crate::vault::{SecretId, Vault};

/// Most deployments of one enclave.
pub(crate) const MAX_DEPLOYMENTS: usize = 256;
/// Most sessions of one enclave.
pub(crate) const MAX_SESSIONS: usize = 1 << 16;

/// The enclave's own identity.
pub(crate) struct Identity {
    pub(crate) instance: InstanceId,
    pub(crate) epoch: u32,
    pub(crate) signing: SecretId,
    pub(crate) sealing: SecretId,
}

/// What one data owner has used of a deployment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Use {
    pub(crate) sessions: u32,
    pub(crate) jobs: u32,
}

/// A registered deployment.
pub(crate) struct Deployment {
    pub(crate) statement: DeploymentStatement,
    pub(crate) plan: Arc<Plan>,
    /// Seed of the model key.
    pub(crate) seed: SecretId,
    pub(crate) jobs: u32,
    pub(crate) bits: u64,
    pub(crate) owners: BTreeMap<PublicKey, Use>,
}

/// An open session.
pub(crate) struct Session {
    pub(crate) deployment: DeploymentId,
    pub(crate) owner: PublicKey,
    pub(crate) reply: SealingKey,
    /// Seed of the input key.
    pub(crate) input: SecretId,
    /// The enclave's own secret of the session.
    pub(crate) secret: SecretId,
    /// Result ciphertexts released.
    pub(crate) ciphertexts: u32,
    /// Bits released.
    pub(crate) bits: u64,
}

/// A job that was released.
pub(crate) struct Job {
    /// Digest of the job statement.
    pub(crate) statement: [u8; 32],
    /// Digest of the result ciphertexts.
    pub(crate) ciphertexts: [u8; 32],
    /// The record that has the reply.
    pub(crate) place: Place,
}

/// Everything but the file.
pub(crate) struct State {
    pub(crate) vault: Vault,
    pub(crate) identity: Option<Identity>,
    pub(crate) plans: BTreeMap<ProgramId, Arc<Plan>>,
    pub(crate) deployments: BTreeMap<DeploymentId, Deployment>,
    pub(crate) sessions: BTreeMap<SessionId, Session>,
    pub(crate) jobs: BTreeMap<(SessionId, JobId), Job>,
    pub(crate) audit: Vec<u8>,
    pub(crate) head: AuditHead,
    /// Latest time that a record was made at.
    pub(crate) latest: u64,
    gate: Gate,
}

const LOST: StoreError = StoreError::Damaged("it names what no earlier record made");
const FORM: StoreError = StoreError::Damaged("its contents are malformed");

impl State {
    pub(crate) fn new(gate: Gate) -> std::io::Result<Self> {
        Ok(Self {
            vault: Vault::new()?,
            identity: None,
            plans: BTreeMap::new(),
            deployments: BTreeMap::new(),
            sessions: BTreeMap::new(),
            jobs: BTreeMap::new(),
            audit: Vec::new(),
            head: AuditHead::default(),
            latest: 0,
            gate,
        })
    }

    /// Decodes and verifies a program, or finds it among those known.
    pub(crate) fn plan(
        &self,
        id: &ProgramId,
        bytes: &[u8],
    ) -> Result<Arc<Plan>, crate::plan::PlanError> {
        match self.plans.get(id) {
            Some(plan) => Ok(Arc::clone(plan)),
            None => Plan::new(bytes, self.gate).map(Arc::new),
        }
    }

    /// The audit entry that `event` will add at `time`.
    pub(crate) fn entry(&self, record: &Record) -> Result<AuditEntry, StoreError> {
        let mut entry = self.blank_entry(record.time);
        match &record.event {
            Event::Begun { epoch, signing, .. } => {
                entry.epoch = *epoch;
                entry.subject = adyton_wire::SigningKey::from_seed(signing).public_key().0;
            }
            Event::Deployment { statement, .. } => {
                let statement = statement.unverified()?;
                entry.event = AuditEvent::DeploymentRegistered;
                (entry.subject, entry.object) = (statement.id().0, statement.program.0);
            }
            Event::Session { statement, .. } => {
                let statement = statement.unverified()?;
                entry.event = AuditEvent::SessionOpened;
                (entry.subject, entry.object) = (statement.id().0, statement.deployment.0);
            }
            Event::Release(release) => {
                let job = release.job.unverified()?;
                entry = self.release_entry(record.time, &job, release.result, release.bits);
            }
        }
        Ok(entry)
    }

    fn blank_entry(&self, time: u64) -> AuditEntry {
        AuditEntry {
            sequence: self.head.length,
            time,
            event: AuditEvent::Started,
            epoch: self.identity.as_ref().map_or(0, |identity| identity.epoch),
            previous: self.head.digest,
            subject: [0; 32],
            job: [0; 16],
            object: [0; 32],
            bits: 0,
        }
    }

    /// The audit entry of a release, which its receipt names before the release is recorded.
    pub(crate) fn release_entry(
        &self,
        time: u64,
        job: &JobStatement,
        result: [u8; 32],
        bits: u64,
    ) -> AuditEntry {
        AuditEntry {
            event: AuditEvent::Released,
            subject: job.session.0,
            job: job.job.0,
            object: result,
            bits,
            ..self.blank_entry(time)
        }
    }

    /// Takes in a record that stands at `place`; gives the audit entry it adds.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] for a record that this version would not have made.
    pub(crate) fn apply(&mut self, record: Record, place: Place) -> Result<Vec<u8>, StoreError> {
        let entry = self.entry(&record)?;
        self.latest = self.latest.max(record.time);
        match record.event {
            Event::Begun { instance, epoch, signing, sealing } => {
                if self.identity.is_some() {
                    return Err(FORM);
                }
                let (signing, sealing) = (self.secret(&signing)?, self.secret(&sealing)?);
                self.identity = Some(Identity { instance, epoch, signing, sealing });
            }
            Event::Deployment { statement, program, seed } => {
                let statement = statement.unverified()?;
                let plan = self.plan(&statement.program, &program).map_err(|_| FORM)?;
                self.plans.insert(plan.id, Arc::clone(&plan));
                let seed = self.secret(&seed)?;
                let (id, owners) = (statement.id(), BTreeMap::new());
                let deployment = Deployment { statement, plan, seed, jobs: 0, bits: 0, owners };
                self.deployments.insert(id, deployment);
            }
            Event::Session { statement, input, secret } => {
                let statement = statement.unverified()?;
                let (input, secret) = (self.secret(&input)?, self.secret(&secret)?);
                let deployment = self.deployments.get_mut(&statement.deployment).ok_or(LOST)?;
                deployment.owners.entry(statement.owner).or_default().sessions += 1;
                let id = statement.id();
                self.sessions.insert(id, Session::new(&statement, input, secret)?);
            }
            Event::Release(release) => {
                let digest = adyton_wire::digest::sha256(release.job.statement_bytes());
                let job = release.job.unverified()?;
                let session = self.sessions.get_mut(&job.session).ok_or(LOST)?;
                let deployment = self.deployments.get_mut(&session.deployment).ok_or(LOST)?;
                let Entry::Vacant(vacant) = self.jobs.entry((job.session, job.job)) else {
                    return Err(FORM);
                };
                vacant.insert(Job { statement: digest, ciphertexts: release.ciphertexts, place });
                session.ciphertexts = session.ciphertexts.saturating_add(job.groups);
                session.bits = session.bits.saturating_add(release.bits);
                deployment.bits = deployment.bits.saturating_add(release.bits);
                deployment.jobs = deployment.jobs.saturating_add(1);
                let used = deployment.owners.entry(session.owner).or_default();
                used.jobs = used.jobs.saturating_add(1);
            }
        }
        let bytes = entry.to_bytes();
        self.audit.extend_from_slice(&bytes);
        self.head = entry.head();
        Ok(bytes.to_vec())
    }

    fn secret(&mut self, seed: &[u8; 32]) -> Result<SecretId, StoreError> {
        let io = |source| StoreError::Io { what: "take memory for a secret", source };
        self.vault.store(seed).map_err(io)
    }
}

impl Session {
    fn new(
        statement: &SessionStatement,
        input: SecretId,
        secret: SecretId,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            deployment: statement.deployment,
            owner: statement.owner,
            reply: SealingKey::from_bytes(&statement.reply_key)?,
            input,
            secret,
            ciphertexts: 0,
            bits: 0,
        })
    }
}
