//! Deployments: a program, its owner, a policy, a model key.

use super::{Fields, Policy, SelfSigned, Source, Statement, seal_info};
use crate::WireError;
use crate::ids::{DeploymentId, InstanceId, ObjectId, ProgramId};
use crate::sign::PublicKey;

/// What a model owner registers and signs. Its digest is the deployment's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentStatement {
    /// The compiled network.
    pub program: ProgramId,
    /// The encrypted model on the host.
    pub model: ObjectId,
    /// The model owner.
    pub owner: PublicKey,
    /// What may be released to whom.
    pub policy: Policy,
    /// [`seed_commitment`](crate::digest::seed_commitment) of the model key's seed: sealing the same seed anew is the same
    /// deployment, and no other seed can be put in its place.
    pub seed_commitment: [u8; 32],
}

impl DeploymentStatement {
    /// The deployment's id.
    pub fn id(&self) -> DeploymentId {
        DeploymentId(self.digest())
    }
}

impl DeploymentId {
    /// HPKE `info` under which the model key's seed is sealed to an enclave; the associated data is empty.
    pub fn seed_info(&self, instance: &InstanceId) -> Vec<u8> {
        seal_info("adyton/v1/seal/model-seed", instance, &[self.as_bytes()])
    }
}

impl Statement for DeploymentStatement {
    const DOMAIN: &'static str = "adyton/v1/deployment";

    fn write(&self, fields: &mut Fields) {
        fields.bytes(self.program.as_bytes());
        fields.bytes(self.model.as_bytes());
        fields.bytes(&self.owner.0);
        self.policy.write(fields);
        fields.bytes(&self.seed_commitment);
    }

    fn read(fields: &mut Source<'_>) -> Result<Self, WireError> {
        Ok(Self {
            program: ProgramId(fields.array("program id")?),
            model: ObjectId(fields.array("model object id")?),
            owner: PublicKey(fields.array("owner key")?),
            policy: Policy::read(fields)?,
            seed_commitment: fields.array("seed commitment")?,
        })
    }
}

impl SelfSigned for DeploymentStatement {
    fn signer(&self) -> PublicKey {
        self.owner
    }
}

/// The enclave's answer: the deployment stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentRegistered {
    /// The deployment.
    pub deployment: DeploymentId,
    /// Its program.
    pub program: ProgramId,
    /// The enclave state that holds it.
    pub instance: InstanceId,
    /// Epoch at registration.
    pub epoch: u32,
}

impl Statement for DeploymentRegistered {
    const DOMAIN: &'static str = "adyton/v1/deployment-registered";

    fn write(&self, fields: &mut Fields) {
        fields.bytes(self.deployment.as_bytes());
        fields.bytes(self.program.as_bytes());
        fields.bytes(self.instance.as_bytes());
        fields.u32(self.epoch);
    }

    fn read(fields: &mut Source<'_>) -> Result<Self, WireError> {
        Ok(Self {
            deployment: DeploymentId(fields.array("deployment id")?),
            program: ProgramId(fields.array("program id")?),
            instance: InstanceId(fields.array("instance id")?),
            epoch: fields.u32()?,
        })
    }
}
