//! Sessions: one data owner admitted to one deployment for one epoch.

use super::evidence::known_suite;
use super::{Fields, SelfSigned, Source, Statement, seal_info};
use crate::WireError;
use crate::ids::{DeploymentId, InstanceId, JobId, ProgramId, SessionId, SessionNonce};
use crate::seal::{PUBLIC_KEY_LENGTH, X_WING};
use crate::sign::PublicKey;

/// What a data owner signs to open a session. Its digest is the session's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionStatement {
    /// The deployment.
    pub deployment: DeploymentId,
    /// The data owner; its key also signs the session's jobs.
    pub owner: PublicKey,
    /// X-Wing public key to which results are sealed, fixed for the session.
    pub reply_key: Vec<u8>,
    /// Tells sessions of one owner apart.
    pub nonce: SessionNonce,
    /// [`seed_commitment`](crate::digest::seed_commitment) of the input key's seed.
    pub seed_commitment: [u8; 32],
}

impl SessionStatement {
    /// The session's id.
    pub fn id(&self) -> SessionId {
        SessionId(self.digest())
    }
}

impl SessionId {
    /// HPKE `info` under which the input key's seed is sealed to an enclave; the associated data is empty.
    pub fn seed_info(&self, instance: &InstanceId) -> Vec<u8> {
        seal_info("adyton/v1/seal/input-seed", instance, &[self.as_bytes()])
    }

    /// HPKE `info` under which the result of a job is sealed to the session's reply key; the associated data is empty.
    pub fn result_info(&self, instance: &InstanceId, job: &JobId) -> Vec<u8> {
        seal_info("adyton/v1/seal/result", instance, &[self.as_bytes(), job.as_bytes()])
    }
}

impl Statement for SessionStatement {
    const DOMAIN: &'static str = "adyton/v1/session";

    fn write(&self, fields: &mut Fields) {
        fields.bytes(self.deployment.as_bytes());
        fields.bytes(&self.owner.0);
        fields.u32(X_WING);
        fields.bytes(&self.reply_key);
        fields.bytes(self.nonce.as_bytes());
        fields.bytes(&self.seed_commitment);
    }

    fn read(fields: &mut Source<'_>) -> Result<Self, WireError> {
        let deployment = DeploymentId(fields.array("deployment id")?);
        let owner = PublicKey(fields.array("owner key")?);
        known_suite(fields.u32()?, X_WING)?;
        let reply_key: [u8; PUBLIC_KEY_LENGTH] = fields.array("reply key")?;
        Ok(Self {
            deployment,
            owner,
            reply_key: reply_key.to_vec(),
            nonce: SessionNonce(fields.array("session nonce")?),
            seed_commitment: fields.array("seed commitment")?,
        })
    }
}

impl SelfSigned for SessionStatement {
    fn signer(&self) -> PublicKey {
        self.owner
    }
}

/// The enclave's answer: the session is open and its keys can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionOpened {
    /// The session.
    pub session: SessionId,
    /// Its deployment.
    pub deployment: DeploymentId,
    /// The deployment's program.
    pub program: ProgramId,
    /// The enclave state that holds it.
    pub instance: InstanceId,
    /// Epoch of its keys.
    pub epoch: u32,
    /// Number of evaluation keys in the program's manifest.
    pub keys: u32,
}

impl Statement for SessionOpened {
    const DOMAIN: &'static str = "adyton/v1/session-opened";

    fn write(&self, fields: &mut Fields) {
        fields.bytes(self.session.as_bytes());
        fields.bytes(self.deployment.as_bytes());
        fields.bytes(self.program.as_bytes());
        fields.bytes(self.instance.as_bytes());
        fields.u32(self.epoch);
        fields.u32(self.keys);
    }

    fn read(fields: &mut Source<'_>) -> Result<Self, WireError> {
        Ok(Self {
            session: SessionId(fields.array("session id")?),
            deployment: DeploymentId(fields.array("deployment id")?),
            program: ProgramId(fields.array("program id")?),
            instance: InstanceId(fields.array("instance id")?),
            epoch: fields.u32()?,
            keys: fields.u32()?,
        })
    }
}

/// The enclave vouches for one evaluation key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyStatement {
    /// The session whose secrets it was made of.
    pub session: SessionId,
    /// The program whose manifest lists it.
    pub program: ProgramId,
    /// Its index there; source, rotation and level follow from it and stand in the key's own header.
    pub index: u32,
    /// Epoch of the session.
    pub epoch: u32,
    /// SHA-256 of the encoded key.
    pub digest: [u8; 32],
}

impl Statement for KeyStatement {
    const DOMAIN: &'static str = "adyton/v1/evaluation-key";

    fn write(&self, fields: &mut Fields) {
        fields.bytes(self.session.as_bytes());
        fields.bytes(self.program.as_bytes());
        fields.u32(self.index);
        fields.u32(self.epoch);
        fields.bytes(&self.digest);
    }

    fn read(fields: &mut Source<'_>) -> Result<Self, WireError> {
        Ok(Self {
            session: SessionId(fields.array("session id")?),
            program: ProgramId(fields.array("program id")?),
            index: fields.u32()?,
            epoch: fields.u32()?,
            digest: fields.array("key digest")?,
        })
    }
}
