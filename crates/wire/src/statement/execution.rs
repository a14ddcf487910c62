//! What an execution is, and the statements about it: the enclave's demand for an audit, the auditor's finding, the quarantine.
//!
//! Evaluation is exact: program, weights, keys and inputs determine every bit of the result ciphertexts, on any machine, with any
//! kernel and number of threads. So the digests of these and of the result say all that there is to say of an execution.
//! Intermediate values are left out: they would multiply the cost of the digest, and whoever wants to see where two executions
//! part can make the honest one's values again at any time, while the other side's word on its own would be worth nothing.

use super::{AuditHead, Fields, JobStatement, SelfSigned, Source, Statement};
use crate::WireError;
use crate::ids::{InstanceId, ObjectId};
use crate::sign::PublicKey;

/// Everything that determines the result ciphertexts of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The enclave state that made the session's keys.
    pub instance: InstanceId,
    /// Epoch of these keys.
    pub epoch: u32,
    /// The job: its program, its inputs, its session.
    pub job: JobStatement,
    /// The encrypted model that the deployment names.
    pub model: ObjectId,
    /// The session's evaluation keys, as one bundle. Each key in it has a [`KeyStatement`](super::KeyStatement) of the enclave.
    pub keys: ObjectId,
}

impl Task {
    fn write(&self, fields: &mut Fields) {
        fields.bytes(self.instance.as_bytes());
        fields.u32(self.epoch);
        self.job.write(fields);
        fields.bytes(self.model.as_bytes());
        fields.bytes(self.keys.as_bytes());
    }

    fn read(fields: &mut Source<'_>) -> Result<Self, WireError> {
        Ok(Self {
            instance: InstanceId(fields.array("instance id")?),
            epoch: fields.u32()?,
            job: JobStatement::read(fields)?,
            model: ObjectId(fields.array("model object id")?),
            keys: ObjectId(fields.array("keys object id")?),
        })
    }
}

/// A task and what came of it. Its [`digest`](Statement::digest) is the execution digest that a host commits to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// What was executed.
    pub task: Task,
    /// SHA-256 of the encoded result ciphertexts, joined.
    pub result: [u8; 32],
}

impl Statement for Execution {
    const DOMAIN: &'static str = "adyton/v1/execution";

    fn write(&self, fields: &mut Fields) {
        self.task.write(fields);
        fields.bytes(&self.result);
    }

    fn read(fields: &mut Source<'_>) -> Result<Self, WireError> {
        Ok(Self { task: Task::read(fields)?, result: fields.array("result digest")? })
    }
}

/// The enclave's demand that a job be executed again before it is released. It does not tell the host's result: an auditor that
/// saw it could sign it unseen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditDemand {
    /// What is to be executed.
    pub task: Task,
    /// Whose finding counts.
    pub auditor: PublicKey,
    /// Second since 1970 of the host's commitment, as the enclave was told.
    pub time: u64,
}

impl Statement for AuditDemand {
    const DOMAIN: &'static str = "adyton/v1/audit-demand";

    fn write(&self, fields: &mut Fields) {
        self.task.write(fields);
        fields.bytes(&self.auditor.0);
        fields.u64(self.time);
    }

    fn read(fields: &mut Source<'_>) -> Result<Self, WireError> {
        Ok(Self {
            task: Task::read(fields)?,
            auditor: PublicKey(fields.array("auditor's key")?),
            time: fields.u64()?,
        })
    }
}

/// What an auditor signs: it executed the task, on objects that have these digests and keys that the enclave vouches for, and this
/// is what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditFinding {
    /// The task and its result.
    pub execution: Execution,
    /// The auditor.
    pub auditor: PublicKey,
    /// Version of its evaluator.
    pub version: String,
}

impl Statement for AuditFinding {
    const DOMAIN: &'static str = "adyton/v1/audit-finding";

    fn write(&self, fields: &mut Fields) {
        self.execution.write(fields);
        fields.bytes(&self.auditor.0);
        fields.bytes(self.version.as_bytes());
    }

    fn read(fields: &mut Source<'_>) -> Result<Self, WireError> {
        Ok(Self {
            execution: Execution::read(fields)?,
            auditor: PublicKey(fields.array("auditor's key")?),
            version: fields.text(64)?,
        })
    }
}

impl SelfSigned for AuditFinding {
    fn signer(&self) -> PublicKey {
        self.auditor
    }
}

/// The enclave's statement that a host committed to one result of a task and the auditor found another. From here on the
/// deployment opens no session and releases nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantine {
    /// Version of the enclave's program.
    pub version: String,
    /// What the host had committed to.
    pub committed: Execution,
    /// Digest of the auditor's finding.
    pub finding: [u8; 32],
    /// Second since 1970, as the enclave was told.
    pub time: u64,
    /// Audit log after this.
    pub audit: AuditHead,
}

impl Statement for Quarantine {
    const DOMAIN: &'static str = "adyton/v1/quarantine";

    fn write(&self, fields: &mut Fields) {
        fields.bytes(self.version.as_bytes());
        self.committed.write(fields);
        fields.bytes(&self.finding);
        fields.u64(self.time);
        fields.u64(self.audit.length);
        fields.bytes(&self.audit.digest);
    }

    fn read(fields: &mut Source<'_>) -> Result<Self, WireError> {
        Ok(Self {
            version: fields.text(64)?,
            committed: Execution::read(fields)?,
            finding: fields.array("finding digest")?,
            time: fields.u64()?,
            audit: AuditHead { length: fields.u64()?, digest: fields.array("audit head")? },
        })
    }
}
