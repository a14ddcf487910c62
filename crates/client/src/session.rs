//! An open session: inputs, jobs, results.

use crate::bundle::{self, Written};
use crate::data_owner::OpeningSession;
use crate::trust::VerifiedEnclave;
use crate::{ClientError, Deployment, layout};
use adyton_wire::message::Released;
use adyton_wire::seal::OpeningKey;
use adyton_wire::statement::{
    JobStatement, ReceiptStatement, ResultPayload, SessionOpened, Statement,
};
use adyton_wire::{JobId, ObjectId, SessionId, Signed, SigningKey, random_bytes};
use std::io::Write;
use zeroize::Zeroizing;

/// A session that the enclave has opened.
#[derive(Debug)]
pub struct Session {
    deployment: Deployment,
    enclave: VerifiedEnclave,
    signing: SigningKey,
    id: SessionId,
    seed: Zeroizing<[u8; 32]>,
    reply: OpeningKey,
    opened: SessionOpened,
}

/// A signed job.
#[derive(Clone, Debug)]
pub struct Job {
    statement: JobStatement,
    signed: Signed<JobStatement>,
}

/// A result that was opened and whose receipt verifies.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The values, in the form that the policy allows, and the enclave's checks on them.
    pub payload: ResultPayload,
    /// What the enclave signed.
    pub receipt: ReceiptStatement,
    /// The signed receipt as it came, to be kept.
    pub signed_receipt: Signed<ReceiptStatement>,
}

impl Job {
    /// Signed job, encoded.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        self.signed.encode()
    }

    /// What was signed.
    #[must_use]
    pub fn statement(&self) -> &JobStatement {
        &self.statement
    }
}

impl Session {
    pub(crate) fn new(opening: OpeningSession, opened: SessionOpened) -> Self {
        let id = opening.statement.id();
        let OpeningSession { deployment, enclave, signing, seed, reply, .. } = opening;
        Self { deployment, enclave, signing, id, seed, reply, opened }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// What the enclave said when it opened the session.
    #[must_use]
    pub fn opened(&self) -> &SessionOpened {
        &self.opened
    }

    /// Encrypts samples under the session's input key and writes them as an object for the host. All cores work; memory
    /// holds a few ciphertexts.
    ///
    /// # Errors
    /// A sample does not fit the program, or the output fails.
    pub fn encrypt_inputs<W: Write>(
        &self,
        samples: &[Vec<f64>],
        output: W,
    ) -> Result<(W, Written), ClientError> {
        let program = self.deployment.program();
        layout::check(&program.program().input, samples)?;
        bundle::encrypted_inputs(program, &self.seed, samples, output)
    }

    /// Signs a job for `samples` samples that were encrypted as `input`; not released after `expires` (Unix seconds).
    ///
    /// # Errors
    /// No random bytes, or more samples than a job may have.
    pub fn job(&self, input: ObjectId, samples: usize, expires: u64) -> Result<Job, ClientError> {
        const WHAT: &str = "the job";
        let many = |_| ClientError::Mismatch { what: WHAT, problem: "has too many samples" };
        let groups = layout::groups(&self.deployment.program().program().input, samples);
        let statement = JobStatement {
            deployment: self.deployment.id(),
            session: self.id,
            job: JobId(random_bytes().map_err(ClientError::Random)?),
            program: self.deployment.statement().program,
            input,
            samples: u32::try_from(samples).map_err(many)?,
            groups: u32::try_from(groups).map_err(many)?,
            expires,
        };
        let signed = Signed::new(&statement, &self.signing);
        Ok(Job { statement, signed })
    }

    /// A job that was signed earlier and stored, encoded; refused unless it is this session's.
    ///
    /// # Errors
    /// The bytes are not a job, or not one of this session.
    pub fn stored_job(&self, message: &[u8]) -> Result<Job, ClientError> {
        const WHAT: &str = "the stored job";
        let signed = Signed::<JobStatement>::decode(message).map_err(ClientError::message(WHAT))?;
        let statement =
            signed.verify(&self.signing.public_key()).map_err(ClientError::message(WHAT))?;
        ClientError::unless(statement.session == self.id, WHAT, "belongs to another session")?;
        Ok(Job { statement, signed })
    }

    /// Opens a released result (wire's `Released`, encoded) and verifies its receipt: the enclave signed it, for this very
    /// job, this model and this sealed result, and the result tells what the receipt commits to.
    ///
    /// # Errors
    /// Anything differs; nothing of the result may then be believed.
    pub fn open_result(&self, job: &Job, released: &[u8]) -> Result<Outcome, ClientError> {
        const RECEIPT: &str = "the receipt";
        const RESULT: &str = "the result";
        let released = Released::decode(released).map_err(ClientError::message(RESULT))?;
        let receipt = released
            .receipt
            .verify(self.enclave.signing_key())
            .map_err(ClientError::message(RECEIPT))?;
        let is = |holds, problem| ClientError::unless(holds, RECEIPT, problem);
        is(receipt.job == job.statement, "is for another job")?;
        is(receipt.instance == *self.enclave.instance(), "is another enclave's")?;
        is(receipt.epoch == self.opened.epoch, "is of another epoch")?;
        is(receipt.model == self.deployment.statement().model, "names another model")?;
        is(receipt.result == released.result.digest(), "names another sealed result")?;

        let info = self.id.result_info(self.enclave.instance(), &job.statement.job);
        let opened =
            self.reply.open(&info, b"", &released.result).map_err(ClientError::message(RESULT))?;
        let payload = ResultPayload::from_bytes(&opened).map_err(ClientError::message(RESULT))?;
        let committed = ResultPayload::outcome_commitment(payload.checks, &payload.blind);
        is(receipt.outcome == committed, "commits to another outcome")?;
        let is = |holds, problem| ClientError::unless(holds, RESULT, problem);
        is(payload.session == self.id && payload.job == job.statement.job, "is for another job")?;
        let outputs = self.deployment.program().program().output.outputs;
        let size = payload.samples == job.statement.samples && payload.outputs == outputs;
        is(size, "has another number of samples or outputs")?;
        let form = &self.deployment.statement().policy.output;
        is(payload.form_matches(form), "is not in the form that the policy sets")?;
        Ok(Outcome { payload, receipt, signed_receipt: released.receipt })
    }
}
