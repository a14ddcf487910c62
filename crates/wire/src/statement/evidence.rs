//! What evidence vouches for.

use super::{Fields, Source, Statement};
use crate::ids::{InstanceId, Nonce};
use crate::seal::X_WING;
use crate::sign::{ED25519, PublicKey};
use crate::{WireError, digest};

/// Keys and identity of an enclave, bound into its evidence by [`report_data`](Self::report_data).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceStatement {
    /// The challenger's nonce.
    pub nonce: Nonce,
    /// Signs registrations, keys and receipts.
    pub signing_key: PublicKey,
    /// X-Wing public key to which owners seal their seeds.
    pub sealing_key: Vec<u8>,
    /// The state behind these keys.
    pub instance: InstanceId,
    /// Epoch of all keys made now.
    pub epoch: u32,
    /// Version of the enclave's program.
    pub version: String,
    /// Whether the platform is simulated and protects nothing.
    pub simulated: bool,
}

impl EvidenceStatement {
    /// SHA-512 over a domain tag and the canonical bytes: the platform's report data.
    pub fn report_data(&self) -> [u8; 64] {
        digest::tagged_512("adyton/v1/report-data", &[&self.to_bytes()])
    }
}

impl Statement for EvidenceStatement {
    const DOMAIN: &'static str = "adyton/v1/evidence";

    fn write(&self, fields: &mut Fields) {
        fields.bytes(self.nonce.as_bytes());
        fields.u32(ED25519);
        fields.bytes(&self.signing_key.0);
        fields.u32(X_WING);
        fields.bytes(&self.sealing_key);
        fields.bytes(self.instance.as_bytes());
        fields.u32(self.epoch);
        fields.bytes(self.version.as_bytes());
        fields.bool(self.simulated);
    }

    fn read(fields: &mut Source<'_>) -> Result<Self, WireError> {
        let nonce = Nonce(fields.array("nonce")?);
        known_suite(fields.u32()?, ED25519)?;
        let signing_key = PublicKey(fields.array("signing key")?);
        known_suite(fields.u32()?, X_WING)?;
        let sealing_key: [u8; crate::seal::PUBLIC_KEY_LENGTH] = fields.array("sealing key")?;
        Ok(Self {
            nonce,
            signing_key,
            sealing_key: sealing_key.to_vec(),
            instance: InstanceId(fields.array("instance id")?),
            epoch: fields.u32()?,
            version: fields.text(64)?,
            simulated: fields.bool()?,
        })
    }
}

/// Only the suites of this version.
pub(super) fn known_suite(suite: u32, known: u32) -> Result<(), WireError> {
    if suite == known { Ok(()) } else { Err(WireError::Suite(suite)) }
}
