//! A deployment as the data owner sees it: what the model owner signed, and the program that it names.

use crate::{ClientError, layout};
use adyton_program::{Program, VerifiedProgram};
use adyton_wire::statement::DeploymentStatement;
use adyton_wire::{DeploymentId, ProgramId, Signed};
use std::sync::Arc;

/// A deployment whose statement and program were checked against its id.
#[derive(Clone, Debug)]
pub struct Deployment {
    id: DeploymentId,
    statement: DeploymentStatement,
    program: Arc<VerifiedProgram>,
}

impl Deployment {
    /// Checks what the host says of the deployment `id`: the id is the digest of the statement, so owner, policy, model
    /// and program cannot be others; the program's parameters must be secure.
    ///
    /// # Errors
    /// The statement or the program is not the one that `id` names, or the program is refused.
    pub fn verify(
        id: DeploymentId,
        statement: &Signed<DeploymentStatement>,
        program: &[u8],
    ) -> Result<Self, ClientError> {
        const WHAT: &str = "the deployment that the host offers";
        let statement = statement.verify_self().map_err(ClientError::message(WHAT))?;
        ClientError::unless(statement.id() == id, WHAT, "is not the one that was asked for")?;
        let program = Program::decode(program)?;
        let named = ProgramId(program.id()) == statement.program;
        ClientError::unless(named, WHAT, "comes with another program than it names")?;
        Ok(Self { id, statement, program: Arc::new(VerifiedProgram::new(program)?) })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> DeploymentId {
        self.id
    }

    /// What its model owner signed.
    #[must_use]
    pub fn statement(&self) -> &DeploymentStatement {
        &self.statement
    }

    /// Checks samples against the program's shape and bound, as encryption will: before a session is opened for them.
    ///
    /// # Errors
    /// [`ClientError::Layout`] names the first sample that does not fit.
    pub fn check_samples(&self, samples: &[Vec<f64>]) -> Result<(), ClientError> {
        Ok(layout::check(&self.program.program().input, samples)?)
    }

    /// Its program.
    #[must_use]
    pub fn program(&self) -> &Arc<VerifiedProgram> {
        &self.program
    }
}
