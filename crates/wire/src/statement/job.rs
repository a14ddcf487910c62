//! Jobs and their receipts.

use super::{AuditHead, Execution, Fields, Source, Statement, Task};
use crate::WireError;
use crate::ids::{DeploymentId, InstanceId, JobId, ObjectId, ProgramId, SessionId};
use crate::limits::MAX_SAMPLES;

/// What a data owner signs for one prediction, with the key that opened the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobStatement {
    /// The deployment.
    pub deployment: DeploymentId,
    /// The session.
    pub session: SessionId,
    /// Drawn at random, single use.
    pub job: JobId,
    /// The program that shall run.
    pub program: ProgramId,
    /// The encrypted inputs on the host.
    pub input: ObjectId,
    /// Number of samples, at least 1 and at most `groups · lanes`.
    pub samples: u32,
    /// Number of result ciphertexts: one for each group of `lanes` samples.
    pub groups: u32,
    /// Second since 1970 from which on the job is not released.
    pub expires: u64,
}

impl Statement for JobStatement {
    const DOMAIN: &'static str = "adyton/v1/job";

    fn write(&self, fields: &mut Fields) {
        fields.bytes(self.deployment.as_bytes());
        fields.bytes(self.session.as_bytes());
        fields.bytes(self.job.as_bytes());
        fields.bytes(self.program.as_bytes());
        fields.bytes(self.input.as_bytes());
        fields.u32(self.samples);
        fields.u32(self.groups);
        fields.u64(self.expires);
    }

    fn read(fields: &mut Source<'_>) -> Result<Self, WireError> {
        let job = Self {
            deployment: DeploymentId(fields.array("deployment id")?),
            session: SessionId(fields.array("session id")?),
            job: JobId(fields.array("job id")?),
            program: ProgramId(fields.array("program id")?),
            input: ObjectId(fields.array("input object id")?),
            samples: fields.u32()?,
            groups: fields.u32()?,
            expires: fields.u64()?,
        };
        if job.samples == 0
            || job.samples > MAX_SAMPLES
            || job.groups == 0
            || job.groups > job.samples
        {
            return Err(WireError::Statement("samples or groups out of range"));
        }
        Ok(job)
    }
}

/// The enclave's statement on one released result. The same shape whether its checks held or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptStatement {
    /// The enclave state that released.
    pub instance: InstanceId,
    /// Version of the enclave's program.
    pub version: String,
    /// Epoch of the session's keys.
    pub epoch: u32,
    /// The job as its data owner signed it.
    pub job: JobStatement,
    /// The encrypted model that the deployment names.
    pub model: ObjectId,
    /// The session's evaluation keys, as the host named them.
    pub keys: ObjectId,
    /// Digest of the released result ciphertexts.
    pub ciphertexts: [u8; 32],
    /// Whether an auditor executed the job again and found these very ciphertexts.
    pub audited: bool,
    /// Digest of the sealed result.
    pub result: [u8; 32],
    /// Commitment to the outcome of the checks; the sealed result opens it.
    pub outcome: [u8; 32],
    /// Bits charged to the ledger.
    pub bits: u64,
    /// Bits charged to the session so far, this release included.
    pub session_bits: u64,
    /// Second since 1970, as the enclave was told.
    pub time: u64,
    /// Audit log after this release.
    pub audit: AuditHead,
}

impl ReceiptStatement {
    /// The execution that the host committed to; its digest is what an auditor's finding is held against.
    pub fn execution(&self) -> Execution {
        Execution {
            task: Task {
                instance: self.instance,
                epoch: self.epoch,
                job: self.job.clone(),
                model: self.model,
                keys: self.keys,
            },
            result: self.ciphertexts,
        }
    }
}

impl Statement for ReceiptStatement {
    const DOMAIN: &'static str = "adyton/v2/receipt";

    fn write(&self, fields: &mut Fields) {
        fields.bytes(self.instance.as_bytes());
        fields.bytes(self.version.as_bytes());
        fields.u32(self.epoch);
        self.job.write(fields);
        fields.bytes(self.model.as_bytes());
        fields.bytes(self.keys.as_bytes());
        fields.bytes(&self.ciphertexts);
        fields.bool(self.audited);
        fields.bytes(&self.result);
        fields.bytes(&self.outcome);
        fields.u64(self.bits);
        fields.u64(self.session_bits);
        fields.u64(self.time);
        fields.u64(self.audit.length);
        fields.bytes(&self.audit.digest);
    }

    fn read(fields: &mut Source<'_>) -> Result<Self, WireError> {
        Ok(Self {
            instance: InstanceId(fields.array("instance id")?),
            version: fields.text(64)?,
            epoch: fields.u32()?,
            job: JobStatement::read(fields)?,
            model: ObjectId(fields.array("model object id")?),
            keys: ObjectId(fields.array("keys object id")?),
            ciphertexts: fields.array("ciphertext digest")?,
            audited: fields.bool()?,
            result: fields.array("result digest")?,
            outcome: fields.array("outcome commitment")?,
            bits: fields.u64()?,
            session_bits: fields.u64()?,
            time: fields.u64()?,
            audit: AuditHead { length: fields.u64()?, digest: fields.array("audit head")? },
        })
    }
}
