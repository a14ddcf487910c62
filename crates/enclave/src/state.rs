//! What the enclave knows: deployments, sessions, quotas and ledgers, jobs, the audit chain. Built from the records alone, so that
//! it is the same after a restart.

use std::collections::BTreeMap;
use std::sync::Arc;

use adyton_wire::seal::SealingKey;
use adyton_wire::statement::{
    AuditEntry, AuditEvent, AuditFinding, AuditHead, DeploymentStatement, JobStatement,
    SessionStatement, Statement,
};
use adyton_wire::{DeploymentId, InstanceId, JobId, ProgramId, PublicKey, SessionId};

use crate::audit::{Audits, Job, Stage};
use crate::defences::{Defence, Defences};
use crate::event::{Commitment, Event, Finding, Record, Release};
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
    pub(crate) audits: Audits,
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

/// Everything but the file.
pub(crate) struct State {
    pub(crate) vault: Vault,
    pub(crate) identity: Option<Identity>,
    pub(crate) plans: BTreeMap<ProgramId, Arc<Plan>>,
    pub(crate) deployments: BTreeMap<DeploymentId, Deployment>,
    pub(crate) sessions: BTreeMap<SessionId, Session>,
    pub(crate) jobs: BTreeMap<(SessionId, JobId), Job>,
    /// Jobs that were released.
    pub(crate) releases: u64,
    pub(crate) audit: Vec<u8>,
    pub(crate) head: AuditHead,
    /// Latest time that a record was made at.
    pub(crate) latest: u64,
    gate: Gate,
    pub(crate) defences: Defences,
}

const LOST: StoreError = StoreError::Damaged("it names what no earlier record made");
const MEMORY: &str = "take memory for a secret";
const FORM: StoreError = StoreError::Damaged("its contents are malformed");

impl State {
    pub(crate) fn new((gate, defences): (Gate, Defences)) -> std::io::Result<Self> {
        Ok(Self {
            vault: Vault::new()?,
            identity: None,
            plans: BTreeMap::new(),
            deployments: BTreeMap::new(),
            sessions: BTreeMap::new(),
            jobs: BTreeMap::new(),
            releases: 0,
            audit: Vec::new(),
            head: AuditHead::default(),
            latest: 0,
            gate,
            defences,
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
            Event::Committed(commitment) => {
                let job = commitment.job.unverified()?;
                let execution = self.execution(&job, commitment.keys, commitment.ciphertexts);
                entry.event = AuditEvent::Committed;
                (entry.subject, entry.job) = (job.session.0, job.job.0);
                entry.object = execution.ok_or(LOST)?.digest();
            }
            Event::Finding(found) => {
                let finding = found.finding.unverified()?;
                entry = self.finding_entry(record.time, &finding, found.quarantine.is_some());
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

    /// The audit entry of a finding, which a quarantine names before the finding is recorded.
    pub(crate) fn finding_entry(
        &self,
        time: u64,
        finding: &AuditFinding,
        differs: bool,
    ) -> AuditEntry {
        let job = &finding.execution.task.job;
        let (event, subject) = match differs {
            true => (AuditEvent::Quarantined, job.deployment.0),
            false => (AuditEvent::AuditAgreed, job.session.0),
        };
        AuditEntry {
            event,
            subject,
            job: job.job.0,
            object: finding.digest(),
            ..self.blank_entry(time)
        }
    }

    /// Takes in a record that stands at `place`; gives the audit entry it adds.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] for a record that this version would not have made.
    pub(crate) fn apply(&mut self, record: Record, place: Place) -> Result<Vec<u8>, StoreError> {
        let entry = self.entry(&record)?;
        let time = record.time;
        self.latest = self.latest.max(time);
        match record.event {
            Event::Begun { instance, epoch, signing, sealing } => {
                match &self.identity {
                    None => {}
                    Some(last) if last.epoch.checked_add(1) == Some(epoch) => self.give_up()?,
                    Some(_) => return Err(FORM),
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
                let audits = Audits::default();
                let deployment =
                    Deployment { statement, plan, seed, jobs: 0, bits: 0, owners, audits };
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
            Event::Release(release) => self.apply_release(&release, place)?,
            Event::Committed(commitment) => self.apply_commitment(&commitment, time)?,
            Event::Finding(found) => self.apply_finding(&found)?,
        }
        let bytes = entry.to_bytes();
        self.audit.extend_from_slice(&bytes);
        self.head = entry.head();
        Ok(bytes.to_vec())
    }

    /// An epoch is over: its secrets are wiped and nothing of it counts any more, but for the audit chain.
    fn give_up(&mut self) -> Result<(), StoreError> {
        let vault = Vault::new();
        self.vault = vault.map_err(|source| StoreError::Io { what: MEMORY, source })?;
        self.identity = None;
        self.plans.clear();
        self.deployments.clear();
        self.sessions.clear();
        self.jobs.clear();
        Ok(())
    }

    fn apply_release(&mut self, release: &Release, place: Place) -> Result<(), StoreError> {
        let job = release.job.unverified()?;
        let execution = self.execution(&job, release.keys, release.ciphertexts).ok_or(LOST)?;
        let execution = execution.digest();
        let key = (job.session, job.job);
        // What was committed to was charged then.
        let audited = match self.jobs.get(&key) {
            None => {
                self.charge(&job, release.bits)?;
                false
            }
            Some(_) if !self.defences.stands(Defence::SingleUse) => false,
            Some(known) if known.execution != execution => return Err(FORM),
            Some(known) => match known.stage {
                Stage::Spared => false,
                Stage::Agreed => true,
                _ => return Err(FORM),
            },
        };
        let stage = Stage::Released { place, audited };
        self.releases += 1;
        self.jobs.insert(key, Job { execution, bits: release.bits, stage });
        Ok(())
    }

    fn apply_commitment(&mut self, commitment: &Commitment, time: u64) -> Result<(), StoreError> {
        let job = commitment.job.unverified()?;
        let key = (job.session, job.job);
        let execution =
            self.execution(&job, commitment.keys, commitment.ciphertexts).ok_or(LOST)?;
        let digest = execution.digest();
        let deployment = self.deployments.get(&job.deployment).ok_or(LOST)?;
        let policy = deployment.statement.policy.audit.ok_or(FORM)?;
        let stage = self.draw(execution, &policy, time);
        if self.jobs.contains_key(&key) {
            return Err(FORM);
        }
        self.charge(&job, commitment.bits)?;
        let drawn = matches!(stage, Stage::Demanded(_));
        if let Some(deployment) = self.deployments.get_mut(&job.deployment).filter(|_| drawn) {
            deployment.audits.open = Some(key);
        }
        self.jobs.insert(key, Job { execution: digest, bits: commitment.bits, stage });
        Ok(())
    }

    fn apply_finding(&mut self, found: &Finding) -> Result<(), StoreError> {
        let job = found.finding.unverified()?.execution.task.job;
        let known = self.jobs.get_mut(&(job.session, job.job)).ok_or(LOST)?;
        let deployment = self.deployments.get_mut(&job.deployment).ok_or(LOST)?;
        known.stage = match found.quarantine {
            None => Stage::Agreed,
            Some(_) => Stage::Refuted,
        };
        deployment.audits.open = None;
        deployment.audits.quarantine = found.quarantine.clone().map(Box::new);
        Ok(())
    }

    /// Spends a job's budget.
    fn charge(&mut self, job: &JobStatement, bits: u64) -> Result<(), StoreError> {
        let session = self.sessions.get_mut(&job.session).ok_or(LOST)?;
        let deployment = self.deployments.get_mut(&session.deployment).ok_or(LOST)?;
        session.ciphertexts = session.ciphertexts.saturating_add(job.groups);
        session.bits = session.bits.saturating_add(bits);
        deployment.bits = deployment.bits.saturating_add(bits);
        deployment.jobs = deployment.jobs.saturating_add(1);
        let used = deployment.owners.entry(session.owner).or_default();
        used.jobs = used.jobs.saturating_add(1);
        Ok(())
    }

    fn secret(&mut self, seed: &[u8; 32]) -> Result<SecretId, StoreError> {
        let io = |source| StoreError::Io { what: MEMORY, source };
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
