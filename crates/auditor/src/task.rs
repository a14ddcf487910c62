//! What an auditor is asked to do, checked.

use std::sync::Arc;

use adyton_program::{Program, VerifiedProgram};
use adyton_wire::statement::{
    AuditDemand, AuditFinding, DeploymentStatement, Execution, JobStatement, KeyStatement,
    Task as Wanted,
};
use adyton_wire::{ProgramId, PublicKey, Signed, SigningKey};

use crate::{AuditError, VERSION};

/// A task whose every part was held against what its author signed.
#[derive(Clone, Debug)]
pub struct Task {
    pub(crate) wanted: Wanted,
    pub(crate) program: Arc<VerifiedProgram>,
    /// Digests of the evaluation keys, in the order of the manifest.
    pub(crate) keys: Vec<[u8; 32]>,
}

impl Task {
    /// Checks a demand and what belongs to it: `enclave` is the signing key of an enclave that was appraised, `auditor` one's own key,
    /// and the rest is what a host says.
    ///
    /// # Errors
    /// [`AuditError`] for the first thing that does not hold; then the host has asked for something else than the enclave.
    pub fn verify(
        enclave: &PublicKey,
        auditor: &PublicKey,
        demand: &Signed<AuditDemand>,
        deployment: &Signed<DeploymentStatement>,
        program: &[u8],
        keys: &[Signed<KeyStatement>],
    ) -> Result<Self, AuditError> {
        let of = |what| move |source| AuditError::Statement { what, source };
        let demand = demand.verify(enclave).map_err(of("enclave's demand"))?;
        let deployment = deployment.verify_self().map_err(of("deployment statement"))?;
        let wanted = demand.task;
        let holds = [
            (demand.auditor == *auditor, "the demand names another auditor"),
            (deployment.id() == wanted.job.deployment, "the deployment is not the job's"),
            (deployment.program == wanted.job.program, "the job names another program"),
            (deployment.model == wanted.model, "the demand names another model"),
        ];
        if let Some((_, reason)) = holds.into_iter().find(|(holds, _)| !holds) {
            return Err(AuditError::Apart(reason));
        }
        Self::assemble(enclave, wanted, program, keys)
    }

    /// A task that a proof names, whose statements were verified: for a third execution, by anybody.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn of_proof(
        enclave: &PublicKey,
        mismatch: &adyton_wire::message::Mismatch,
        program: &[u8],
        keys: &[Signed<KeyStatement>],
    ) -> Result<Self, AuditError> {
        Self::assemble(enclave, mismatch.quarantine.committed.task.clone(), program, keys)
    }

    fn assemble(
        enclave: &PublicKey,
        wanted: Wanted,
        program: &[u8],
        statements: &[Signed<KeyStatement>],
    ) -> Result<Self, AuditError> {
        let program = Program::decode(program)?;
        if ProgramId(program.id()) != wanted.job.program {
            return Err(AuditError::Apart("the host sent another program than the job names"));
        }
        let manifest = program.keys.len();
        if statements.len() != manifest {
            return Err(AuditError::Apart("not one key statement for each key of the program"));
        }
        let mut keys = Vec::with_capacity(manifest);
        for (index, signed) in (0u32..).zip(statements) {
            let what = "enclave's key statement";
            let statement =
                signed.verify(enclave).map_err(|source| AuditError::Statement { what, source })?;
            let is_this = statement.session == wanted.job.session
                && statement.program == wanted.job.program
                && statement.index == index
                && statement.epoch == wanted.epoch;
            if !is_this {
                return Err(AuditError::Apart("a key statement is about another key"));
            }
            keys.push(statement.digest);
        }
        Ok(Self { wanted, program: Arc::new(VerifiedProgram::new(program)?), keys })
    }

    /// The job.
    #[must_use]
    pub fn job(&self) -> &JobStatement {
        &self.wanted.job
    }

    /// Everything that determines the result: names the objects to execute on.
    #[must_use]
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Arc<VerifiedProgram> {
        &self.program
    }

    /// Signs what an execution came to.
    #[must_use]
    pub fn finding(&self, result: [u8; 32], key: &SigningKey) -> Signed<AuditFinding> {
        let finding = AuditFinding {
            execution: Execution { task: self.wanted.clone(), result },
            auditor: key.public_key(),
            version: VERSION.to_owned(),
        };
        Signed::new(&finding, key)
    }
}
