//! The proof of a failed audit: five signed statements that fit together, checkable by anybody, offline.

use super::{signed, strict};
use crate::limits::MAX_STATEMENT;
use crate::sign::PublicKey;
use crate::statement::{
    AuditFinding, DeploymentStatement, JobStatement, Quarantine, SessionStatement, Statement,
};
use crate::{Signed, WireError, proto};
use prost::Message;

/// Longest proof: one statement may be long, the deployment's with its list of owners.
const MAX_PROOF: usize = MAX_STATEMENT + (32 << 10);

/// Everything by which a failed audit can be checked.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditProof {
    /// Signed by the model owner; its policy names the auditor.
    pub deployment: Signed<DeploymentStatement>,
    /// Signed by the data owner.
    pub session: Signed<SessionStatement>,
    /// Signed by the data owner.
    pub job: Signed<JobStatement>,
    /// Signed by the auditor.
    pub finding: Signed<AuditFinding>,
    /// Signed by the enclave.
    pub quarantine: Signed<Quarantine>,
}

codec!(AuditProof, MAX_PROOF);

/// What a proof that holds proves: the enclave took the host's commitment to one result of a task, and the auditor that the model
/// owner had named signed another. Since an execution has one result, one of the two is wrong; which one, a third execution tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// What the model owner had signed.
    pub deployment: DeploymentStatement,
    /// What the auditor signed.
    pub finding: AuditFinding,
    /// What the enclave signed: the host's commitment stands in it.
    pub quarantine: Quarantine,
}

/// Why a proof proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// A statement's signature or form is wrong.
    #[error("the {statement} statement cannot be believed: {source}")]
    Statement {
        /// Which.
        statement: &'static str,
        /// Why.
        source: WireError,
    },
    /// The statements do not belong together.
    #[error("{0}")]
    Apart(&'static str),
}

impl AuditProof {
    /// Verifies all signatures, the enclave's under `enclave`, and that the statements belong together and contradict each other in
    /// the result alone.
    ///
    /// # Errors
    /// [`ProofError`] for the first thing that does not hold.
    pub fn verify(&self, enclave: &PublicKey) -> Result<Mismatch, ProofError> {
        let of = |statement| move |source| ProofError::Statement { statement, source };
        let deployment = self.deployment.verify_self().map_err(of("deployment"))?;
        let session = self.session.verify_self().map_err(of("session"))?;
        let job = self.job.verify(&session.owner).map_err(of("job"))?;
        let finding = self.finding.verify_self().map_err(of("auditor's"))?;
        let quarantine = self.quarantine.verify(enclave).map_err(of("enclave's"))?;
        let task = &quarantine.committed.task;
        let named = deployment.policy.audit.map(|audit| audit.auditor);
        let holds = [
            (session.deployment == deployment.id(), "the session is another deployment's"),
            (job.session == session.id(), "the job is another session's"),
            (job.deployment == deployment.id(), "the job is another deployment's"),
            (job.program == deployment.program, "the job names another program"),
            (task.job == job, "the host's commitment is for another job"),
            (task.model == deployment.model, "the host's commitment names another model"),
            (named == Some(finding.auditor), "the finding is not by the auditor of the policy"),
            (finding.execution.task == *task, "the finding is on another task"),
            (quarantine.finding == finding.digest(), "the enclave speaks of another finding"),
            (
                finding.execution.result != quarantine.committed.result,
                "host and auditor have the same result",
            ),
        ];
        match holds.into_iter().find(|(holds, _)| !holds) {
            Some((_, reason)) => Err(ProofError::Apart(reason)),
            None => Ok(Mismatch { deployment, finding, quarantine }),
        }
    }

    fn to_proto(&self) -> proto::AuditProof {
        proto::AuditProof {
            deployment: Some(self.deployment.to_proto()),
            session: Some(self.session.to_proto()),
            job: Some(self.job.to_proto()),
            finding: Some(self.finding.to_proto()),
            quarantine: Some(self.quarantine.to_proto()),
        }
    }

    fn from_proto(message: proto::AuditProof) -> Result<Self, WireError> {
        Ok(Self {
            deployment: signed(message.deployment)?,
            session: signed(message.session)?,
            job: signed(message.job)?,
            finding: signed(message.finding)?,
            quarantine: signed(message.quarantine)?,
        })
    }
}
