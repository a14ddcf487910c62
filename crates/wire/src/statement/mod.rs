//! Canonical bytes of everything that is signed or hashed.
//!
//! Format: the domain tag `adyton/v1/<what>`, then the fields in the order of the struct. Tag and fields are each a 32-bit
//! little-endian length and that many bytes; numbers are little endian; floating-point numbers are their IEEE 754 bits; a list
//! is a field with its count, then its items. A value has one encoding, and decoding accepts no other.

mod audit;
mod deployment;
mod evidence;
mod execution;
mod job;
mod policy;
mod result;
mod session;

pub use audit::{AUDIT_ENTRY_LENGTH, AuditEntry, AuditEvent, AuditHead, verify_audit};
pub use deployment::{DeploymentRegistered, DeploymentStatement};
pub use evidence::EvidenceStatement;
pub use execution::{AuditDemand, AuditFinding, Execution, Quarantine, Task};
pub use job::{JobStatement, ReceiptStatement};
pub use policy::{AUDIT_RATE_ALL, AuditPolicy, DataOwners, Involvement, OutputForm, Policy};
pub use result::{Checks, ResultPayload, Values};
pub use session::{KeyStatement, SessionOpened, SessionStatement};

use crate::WireError;
use crate::canonical::{Reader, Writer};
use crate::sign::PublicKey;

/// Label under which the model key derives from its seed: empty, since a seed belongs to one deployment and serves all its epochs.
pub const MODEL_KEY_LABEL: &[u8] = b"";
/// Label under which the input key derives from its seed: empty, since a seed belongs to one session and so to one epoch.
pub const INPUT_KEY_LABEL: &[u8] = b"";

/// A value with canonical bytes.
pub trait Statement: Sized {
    /// Domain tag, distinct for every kind.
    const DOMAIN: &'static str;

    /// Writes the fields in order.
    fn write(&self, fields: &mut Fields);

    /// Reads the fields in order and checks their ranges.
    ///
    /// # Errors
    /// [`WireError`] for anything that [`write`](Self::write) would not have written.
    fn read(fields: &mut Source<'_>) -> Result<Self, WireError>;

    /// The canonical bytes.
    fn to_bytes(&self) -> Vec<u8> {
        let mut fields = Writer::new(Self::DOMAIN);
        self.write(&mut fields);
        fields.finish()
    }

    /// Parses canonical bytes; nothing may be left over.
    ///
    /// # Errors
    /// [`WireError`] for anything that [`to_bytes`](Self::to_bytes) would not have made.
    fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        let mut fields = Reader::new(Self::DOMAIN, bytes)?;
        let statement = Self::read(&mut fields)?;
        fields.finish()?;
        Ok(statement)
    }

    /// SHA-256 of the canonical bytes.
    fn digest(&self) -> [u8; 32] {
        crate::digest::sha256(&self.to_bytes())
    }
}

/// Where a statement writes its fields.
pub type Fields = Writer;
/// Where a statement reads its fields.
pub type Source<'a> = Reader<'a>;

/// A statement that names the key it is signed with.
pub trait SelfSigned: Statement {
    /// The key that must have signed it.
    fn signer(&self) -> PublicKey;
}

/// HPKE `info` for a purpose: tag, enclave instance, and the id that the secret belongs to.
fn seal_info(purpose: &str, instance: &crate::InstanceId, ids: &[&[u8]]) -> Vec<u8> {
    let mut info = Writer::new(purpose);
    info.bytes(instance.as_bytes());
    ids.iter().for_each(|id| info.bytes(id));
    info.finish()
}

#[cfg(test)]
mod tests;
