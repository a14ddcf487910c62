//! The audit log: a hash chain of entries of one fixed length.

use crate::WireError;
use crate::digest::tagged;
use crate::ids::array;

/// Length of an encoded entry in bytes.
pub const AUDIT_ENTRY_LENGTH: usize = 144;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditEvent {
    /// The state began; the subject is the enclave's signing key.
    Started,
    /// A deployment was registered; the subject is its id, the object its program.
    DeploymentRegistered,
    /// A session was opened; the subject is its id, the object its deployment.
    SessionOpened,
    /// A job was released; the subject is its session, the object the digest of the sealed result.
    Released,
    /// The host committed to a job's execution, before it was decided whether it is audited; the subject is its session, the
    /// object the execution's digest.
    Committed,
    /// An auditor found what the host had committed to; the subject is the job's session, the object the finding's digest.
    AuditAgreed,
    /// An auditor found something else, and the deployment is closed; the subject is the deployment, the object the finding's
    /// digest.
    Quarantined,
}

impl AuditEvent {
    const ALL: [Self; 7] = [
        Self::Started,
        Self::DeploymentRegistered,
        Self::SessionOpened,
        Self::Released,
        Self::Committed,
        Self::AuditAgreed,
        Self::Quarantined,
    ];

    fn code(self) -> u32 {
        self as u32 + 1
    }
}

/// One state change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Position in the log, from 0.
    pub sequence: u64,
    /// Second since 1970, as the enclave was told.
    pub time: u64,
    /// What happened.
    pub event: AuditEvent,
    /// Epoch then.
    pub epoch: u32,
    /// Digest of the entry before; zeros for the first.
    pub previous: [u8; 32],
    /// What it happened to; see [`AuditEvent`].
    pub subject: [u8; 32],
    /// The job that it is about, else zeros.
    pub job: [u8; 16],
    /// See [`AuditEvent`].
    pub object: [u8; 32],
    /// Bits released, else zero.
    pub bits: u64,
}

impl AuditEntry {
    /// The entry's bytes: its fields in order, numbers little endian.
    pub fn to_bytes(&self) -> [u8; AUDIT_ENTRY_LENGTH] {
        let mut bytes = [0; AUDIT_ENTRY_LENGTH];
        let fields: [&[u8]; 9] = [
            &self.sequence.to_le_bytes(),
            &self.time.to_le_bytes(),
            &self.event.code().to_le_bytes(),
            &self.epoch.to_le_bytes(),
            &self.previous,
            &self.subject,
            &self.job,
            &self.object,
            &self.bits.to_le_bytes(),
        ];
        for (byte, value) in bytes.iter_mut().zip(fields.into_iter().flatten()) {
            *byte = *value;
        }
        bytes
    }

    /// Parses an entry.
    ///
    /// # Errors
    /// [`WireError::Length`] or, for an unknown event, [`WireError::Statement`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        let whole: [u8; AUDIT_ENTRY_LENGTH] = array("audit entry", bytes)?;
        let mut rest = whole.as_slice();
        let code = |code| AuditEvent::ALL.into_iter().find(|event| event.code() == code);
        Ok(Self {
            sequence: u64::from_le_bytes(take(&mut rest)?),
            time: u64::from_le_bytes(take(&mut rest)?),
            event: code(u32::from_le_bytes(take(&mut rest)?))
                .ok_or(WireError::Statement("unknown audit event"))?,
            epoch: u32::from_le_bytes(take(&mut rest)?),
            previous: take(&mut rest)?,
            subject: take(&mut rest)?,
            job: take(&mut rest)?,
            object: take(&mut rest)?,
            bits: u64::from_le_bytes(take(&mut rest)?),
        })
    }

    /// Digest by which the next entry and receipts name this one.
    pub fn digest(&self) -> [u8; 32] {
        tagged("adyton/v1/audit-entry", &[&self.to_bytes()])
    }

    /// Where the log stands after this entry.
    pub fn head(&self) -> AuditHead {
        AuditHead { length: self.sequence.saturating_add(1), digest: self.digest() }
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], WireError> {
    let (field, tail) =
        rest.split_first_chunk::<N>().ok_or(WireError::Statement("audit entry too short"))?;
    *rest = tail;
    Ok(*field)
}

/// Where a log stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditHead {
    /// Number of entries.
    pub length: u64,
    /// Digest of the last entry; zeros for an empty log.
    pub digest: [u8; 32],
}

/// Parses joined entries and verifies that they continue the chain from `head`; gives them and the new head.
///
/// # Errors
/// [`WireError`] for a malformed entry, [`WireError::Statement`] where the chain breaks.
pub fn verify_audit(
    head: AuditHead,
    entries: &[u8],
) -> Result<(Vec<AuditEntry>, AuditHead), WireError> {
    let mut head = head;
    let mut parsed = Vec::with_capacity(entries.len() / AUDIT_ENTRY_LENGTH);
    for bytes in entries.chunks(AUDIT_ENTRY_LENGTH) {
        let entry = AuditEntry::from_bytes(bytes)?;
        if entry.sequence != head.length || entry.previous != head.digest {
            return Err(WireError::Statement("the audit chain is broken"));
        }
        head = entry.head();
        parsed.push(entry);
    }
    Ok((parsed, head))
}
