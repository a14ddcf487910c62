//! Audits: which jobs are drawn, what stands still meanwhile, and what a finding leads to.
//!
//! In a deployment with an audit rate a job is released in three steps, each on disk before the next:
//!
//! 1. **Commitment.** The host names the digest of its result ciphertexts. The record spends the job's id and its budget, so the host
//!    is bound to this execution before it can know whether anybody will look.
//! 2. **Draw.** A pseudo-random function of the execution's digest under the session's secret, which is known to the enclave alone.
//!    It has no state: killing the enclave, restarting it or asking again gives the same answer.
//! 3. **Finding**, where the job was drawn. The auditor's result equals the host's, and the job may be released; or it does not, and
//!    the deployment is closed for good.
//!
//! While a drawn job waits for its finding, the deployment takes no other commitment and releases nothing that was not audited.
//! Otherwise a host could leave drawn jobs alone, and would be caught in nothing but silence.

use adyton_wire::statement::{
    AuditDemand, AuditFinding, AuditPolicy, Execution, JobStatement, Quarantine, Statement, Task,
};
use adyton_wire::{JobId, ObjectId, Problem, SessionId, Signed, digest};
use zeroize::Zeroizing;

use crate::service::{Refusal, VERSION};
use crate::state::{Deployment, State};
use crate::vault::Seed;

/// Domain of the draw.
const DRAW: &str = "adyton/v1/audit-draw";

/// A job whose id is spent.
pub(crate) struct Job {
    /// Digest of the execution that the host committed to.
    pub(crate) execution: [u8; 32],
    /// Bits that it was charged.
    pub(crate) bits: u64,
    pub(crate) stage: Stage,
}

/// How far a job is.
pub(crate) enum Stage {
    /// Not drawn: it may be released.
    Spared,
    /// Drawn; it waits for a finding.
    Demanded(Box<Pending>),
    /// The auditor found what the host had committed to: it may be released.
    Agreed,
    /// The auditor found something else.
    Refuted,
    /// Released; the record has the reply.
    Released {
        place: crate::store::Place,
        /// Whether an auditor agreed before.
        audited: bool,
    },
}

/// A drawn job.
pub(crate) struct Pending {
    pub(crate) demand: AuditDemand,
    /// The result that the host committed to.
    pub(crate) result: [u8; 32],
}

/// What stands between a host's commitments and their release.
#[derive(Default)]
pub(crate) struct Audits {
    /// The drawn job that waits for a finding.
    pub(crate) open: Option<(SessionId, JobId)>,
    /// Set for good by a finding that differs.
    pub(crate) quarantine: Option<Box<Signed<Quarantine>>>,
}

impl Audits {
    /// Whether `job` may be committed to or released. One that the auditor agreed to need not wait for others.
    pub(crate) fn check(&self, job: &JobStatement, agreed: bool) -> Result<(), Refusal> {
        if self.quarantine.is_some() {
            return Err(Problem::Quarantined.into());
        }
        match self.open {
            Some(open) if !agreed && open != (job.session, job.job) => {
                Err(Problem::AuditOpen.into())
            }
            _ => Ok(()),
        }
    }
}

/// Whether an execution is drawn: with probability `rate_ppm` / 10^6, off by less than 2^−44, over the secret.
pub(crate) fn is_drawn(secret: &Seed, execution: &[u8; 32], rate_ppm: u32) -> bool {
    let random = Zeroizing::new(digest::tagged(DRAW, &[secret.as_slice(), execution]));
    let [a, b, c, d, e, f, g, h, ..] = *random;
    let word = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    (u128::from(word) * 1_000_000) >> 64 < u128::from(rate_ppm)
}

impl State {
    /// The execution that a host claims for a job; `None` for a session or deployment that is not here.
    pub(crate) fn execution(
        &self,
        job: &JobStatement,
        keys: ObjectId,
        result: [u8; 32],
    ) -> Option<Execution> {
        let identity = self.identity.as_ref()?;
        let session = self.sessions.get(&job.session)?;
        let deployment = self.deployments.get(&session.deployment)?;
        let task = Task {
            instance: identity.instance,
            epoch: identity.epoch,
            job: job.clone(),
            model: deployment.statement.model,
            keys,
        };
        Some(Execution { task, result })
    }

    /// Where an execution stands once its commitment is on disk: spared or drawn.
    pub(crate) fn draw(&self, execution: Execution, policy: &AuditPolicy, time: u64) -> Stage {
        let Execution { task, result } = &execution;
        let drawn = self.sessions.get(&task.job.session).is_some_and(|session| {
            let secret = self.vault.get(session.secret);
            is_drawn(&secret, &execution.digest(), policy.rate_ppm)
        });
        if !drawn {
            return Stage::Spared;
        }
        let demand = AuditDemand { task: task.clone(), auditor: policy.auditor, time };
        Stage::Demanded(Box::new(Pending { demand, result: *result }))
    }

    /// The demand that a job's release waits for.
    pub(crate) fn demand(
        &self,
        job: &JobStatement,
    ) -> Result<Option<Signed<AuditDemand>>, Refusal> {
        match self.jobs.get(&(job.session, job.job)).map(|job| &job.stage) {
            Some(Stage::Demanded(pending)) => {
                let key = self.signing_key(self.identity()?);
                Ok(Some(Signed::new(&pending.demand, &key)))
            }
            _ => Ok(None),
        }
    }

    /// What a finding, whose signature was verified, leads to.
    pub(crate) fn weigh(&self, finding: &AuditFinding, time: u64) -> Result<Weighed, Refusal> {
        let job = &finding.execution.task.job;
        let deployment = self.session(&job.session)?.1;
        if !names(deployment, finding) {
            return Err(Problem::NoAudit.into());
        }
        let known = self.jobs.get(&(job.session, job.job)).ok_or(Problem::NoAudit)?;
        let pending = match &known.stage {
            Stage::Demanded(pending) => pending,
            Stage::Agreed | Stage::Released { audited: true, .. } => {
                return Ok(Weighed::Settled(None));
            }
            Stage::Refuted => {
                return Ok(Weighed::Settled(deployment.audits.quarantine.as_deref().cloned()));
            }
            Stage::Spared | Stage::Released { audited: false, .. } => {
                return Err(Problem::NoAudit.into());
            }
        };
        if pending.demand.task != finding.execution.task {
            return Err(Problem::NoAudit.into());
        }
        if pending.result == finding.execution.result {
            return Ok(Weighed::Agrees);
        }
        let committed = Execution { task: pending.demand.task.clone(), result: pending.result };
        let quarantine = Quarantine {
            version: VERSION.to_owned(),
            committed,
            finding: finding.digest(),
            time,
            audit: self.finding_entry(time, finding, true).head(),
        };
        let signed = Signed::new(&quarantine, &self.signing_key(self.identity()?));
        Ok(Weighed::Differs(Box::new(signed)))
    }
}

/// Whether the deployment's policy names the finding's signer.
fn names(deployment: &Deployment, finding: &AuditFinding) -> bool {
    let audit = deployment.statement.policy.audit;
    audit.is_some_and(|audit| audit.auditor == finding.auditor)
}

/// What a finding comes to.
pub(crate) enum Weighed {
    /// It is the host's result.
    Agrees,
    /// It is another.
    Differs(Box<Signed<Quarantine>>),
    /// The job's audit ended before, with this.
    Settled(Option<Signed<Quarantine>>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_keep_the_rate_and_depend_on_secret_and_execution() {
        let secret = |byte: u8| Seed::new([byte; 32]);
        let execution = |n: u32| digest::sha256(&n.to_le_bytes());
        for rate in [0u32, 1_000, 100_000, 500_000, 1_000_000] {
            const DRAWS: u32 = 20_000;
            let drawn = (0..DRAWS).filter(|&n| is_drawn(&secret(1), &execution(n), rate)).count();
            let (p, n) = (f64::from(rate) / 1e6, f64::from(DRAWS));
            let off = (drawn as f64 - n * p).abs();
            assert!(off <= 5.0 * (n * p * (1.0 - p)).sqrt(), "{drawn} of {n} at {p}");
        }
        let draws = |byte| (0..256).map(move |n| is_drawn(&secret(byte), &execution(n), 500_000));
        assert!(draws(1).eq(draws(1)) && draws(1).ne(draws(2)));
    }
}
