//! The model owner encrypts a model and registers it.

use crate::bundle::{self, Written};
use crate::trust::VerifiedEnclave;
use crate::{ClientError, Identity};
use adyton_program::{ModelPrivacy, VerifiedProgram};
use adyton_wire::digest::seed_commitment;
use adyton_wire::message::RegisterDeployment;
use adyton_wire::statement::{DeploymentRegistered, DeploymentStatement, Policy};
use adyton_wire::{DeploymentId, ObjectId, ProgramId, PublicKey, Signed, SigningKey};
use std::io::Write;
use zeroize::Zeroizing;

/// One model owner.
#[derive(Debug)]
pub struct ModelOwner {
    identity: Identity,
    signing: SigningKey,
}

impl ModelOwner {
    /// The model owner behind an identity.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        let signing = identity.signing_key();
        Self { identity, signing }
    }

    /// The key that deployments name as their owner's.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.signing.public_key()
    }

    /// Seed of model key `number` for a program. Another number is a renewed key.
    fn seed(&self, program: &VerifiedProgram, number: u32) -> Zeroizing<[u8; 32]> {
        let about = [program.id().as_slice(), number.to_le_bytes().as_slice()].concat();
        self.identity.derive("adyton 2026 model key seed", &about)
    }

    /// Writes the model as an object for the host: every weight vector, repeated over the lanes, encrypted under model key
    /// `number`, or in the clear when the program says that the host may see them. All cores work; memory holds a few
    /// ciphertexts.
    ///
    /// # Errors
    /// The weights do not fit the program, or the output fails.
    pub fn encrypt_model<W: Write>(
        &self,
        program: &VerifiedProgram,
        weights: &[Vec<f64>],
        number: u32,
        output: W,
    ) -> Result<(W, Written), ClientError> {
        match program.program().privacy {
            ModelPrivacy::Encrypted => {
                bundle::encrypted_model(program, &self.seed(program, number), weights, output)
            }
            ModelPrivacy::Plain => bundle::plain_model(program, weights, output),
        }
    }

    /// Seals the model key's seed to the appraised enclave and signs the deployment.
    ///
    /// # Errors
    /// Sealing fails for lack of random bytes.
    pub fn register(
        &self,
        enclave: &VerifiedEnclave,
        program: &VerifiedProgram,
        model: ObjectId,
        number: u32,
        policy: Policy,
    ) -> Result<Registration, ClientError> {
        let seed = self.seed(program, number);
        let statement = DeploymentStatement {
            program: ProgramId(program.id()),
            model,
            owner: self.public_key(),
            policy,
            seed_commitment: seed_commitment(&seed),
        };
        let info = statement.id().seed_info(enclave.instance());
        let sealed = enclave.sealing_key().seal(&info, b"", seed.as_slice());
        let message = RegisterDeployment {
            program: program.program().encode(),
            statement: Signed::new(&statement, &self.signing),
            seed: sealed.map_err(ClientError::message("the registration"))?,
        };
        Ok(Registration { enclave: enclave.clone(), statement, message: message.encode() })
    }
}

/// A registration that awaits the enclave's answer.
#[derive(Debug)]
pub struct Registration {
    enclave: VerifiedEnclave,
    statement: DeploymentStatement,
    message: Vec<u8>,
}

impl Registration {
    /// Wire's `RegisterDeployment`, encoded.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// The deployment's id.
    #[must_use]
    pub fn id(&self) -> DeploymentId {
        self.statement.id()
    }

    /// Accepts the answer, wire's `Signed<DeploymentRegistered>` encoded, if the enclave signed it for this registration.
    ///
    /// # Errors
    /// The answer is malformed, not signed by the enclave, or about something else.
    pub fn confirm(self, answer: &[u8]) -> Result<DeploymentRegistered, ClientError> {
        const WHAT: &str = "the enclave's answer to the registration";
        let registered = Signed::<DeploymentRegistered>::decode(answer)
            .and_then(|signed| signed.verify(self.enclave.signing_key()))
            .map_err(ClientError::message(WHAT))?;
        let same = registered.deployment == self.id()
            && registered.program == self.statement.program
            && registered.instance == *self.enclave.instance();
        ClientError::unless(same, WHAT, "is about another deployment")?;
        Ok(registered)
    }
}
