//! What the model owner allows and the enclave enforces.

use super::{Fields, Source};
use crate::WireError;
use crate::limits::{MAX_OUTPUTS, MAX_OWNERS};
use crate::sign::PublicKey;

/// Who may open sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataOwners {
    /// These keys, sorted and without duplicates; none at all admits nobody.
    Listed(Vec<PublicKey>),
    /// Anybody with a key.
    Any,
}

/// In which form results leave the enclave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputForm {
    /// Every output, rounded to `bits` over the program's range.
    Logits {
        /// Bits an output, 2..=30.
        bits: u8,
    },
    /// The `k` largest outputs with their indices, largest first.
    TopK {
        /// How many, at least 1.
        k: u16,
        /// Bits an output, 2..=30.
        bits: u8,
    },
    /// The index of the largest output.
    Label,
}

impl OutputForm {
    /// Bits of information that the values of `samples` with `outputs` each may carry: what the ledger is charged, besides
    /// [`Checks::BITS`](super::Checks::BITS) for the outcome of the checks.
    pub fn bits(&self, samples: u64, outputs: u32) -> u64 {
        let index = u64::from(u32::BITS - outputs.saturating_sub(1).leading_zeros());
        let per_sample = match *self {
            Self::Logits { bits } => u64::from(outputs) * u64::from(bits),
            Self::TopK { k, bits } => {
                u64::from(u32::from(k).min(outputs)) * (u64::from(bits) + index)
            }
            Self::Label => index,
        };
        samples.saturating_mul(per_sample)
    }

    pub(super) fn write(&self, fields: &mut Fields) {
        let (form, k, bits) = match *self {
            Self::Logits { bits } => (0, 0, bits),
            Self::TopK { k, bits } => (1, k, bits),
            Self::Label => (2, 0, 0),
        };
        fields.u32(form);
        fields.u32(k.into());
        fields.u32(bits.into());
    }

    pub(super) fn read(fields: &mut Source<'_>) -> Result<Self, WireError> {
        let (form, k, bits) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let rounded = |bits: u32| match u8::try_from(bits) {
            Ok(bits @ 2..=30) => Ok(bits),
            _ => Err(WireError::Statement("bits of an output not in 2..=30")),
        };
        match (form, k, bits) {
            (0, 0, bits) => Ok(Self::Logits { bits: rounded(bits)? }),
            (1, k, bits) if k > 0 && k <= MAX_OUTPUTS => {
                let k = u16::try_from(k).map_err(|_| WireError::Statement("k too large"))?;
                Ok(Self::TopK { k, bits: rounded(bits)? })
            }
            (2, 0, 0) => Ok(Self::Label),
            _ => Err(WireError::Statement("unknown output form")),
        }
    }
}

/// How far the enclave takes part in a prediction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Involvement {
    /// In releases alone.
    FinalOnly,
}

/// Re-execution of jobs by somebody who is not the host, before they are released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditPolicy {
    /// Share of jobs that are drawn, in millionths: 1 to [`AUDIT_RATE_ALL`].
    pub rate_ppm: u32,
    /// Whose finding counts.
    pub auditor: PublicKey,
}

/// The rate at which every job is audited.
pub const AUDIT_RATE_ALL: u32 = 1_000_000;

impl AuditPolicy {
    /// A rate of 0 stands for no audits and is followed by no key.
    fn write(policy: Option<&Self>, fields: &mut Fields) {
        fields.u32(policy.map_or(0, |audit| audit.rate_ppm));
        if let Some(audit) = policy {
            fields.bytes(&audit.auditor.0);
        }
    }

    fn read(fields: &mut Source<'_>) -> Result<Option<Self>, WireError> {
        match fields.u32()? {
            0 => Ok(None),
            rate_ppm @ 1..=AUDIT_RATE_ALL => {
                Ok(Some(Self { rate_ppm, auditor: PublicKey(fields.array("auditor's key")?) }))
            }
            _ => Err(WireError::Statement("an audit rate above one")),
        }
    }
}

/// Release policy of a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Who may open sessions.
    pub owners: DataOwners,
    /// Most sessions of one data owner.
    pub sessions_per_owner: u32,
    /// Most result ciphertexts that a session may release: τ of the flooding bound.
    pub ciphertexts_per_session: u32,
    /// Most jobs of one data owner, over all its sessions.
    pub jobs_per_owner: u32,
    /// Most jobs of all data owners.
    pub jobs_total: u32,
    /// Most bits released to one session: [`OutputForm::bits`] and [`Checks::BITS`](super::Checks::BITS) a job.
    pub bits_per_session: u64,
    /// Most bits released by the deployment.
    pub bits_total: u64,
    /// Second since 1970 from which on nothing is released.
    pub expires: u64,
    /// In which form results leave.
    pub output: OutputForm,
    /// Which share of jobs is executed again before release, and by whom; `None` for no audits.
    pub audit: Option<AuditPolicy>,
    /// How far the enclave takes part.
    pub involvement: Involvement,
}

impl Policy {
    /// A policy that admits nobody and releases nothing: the start of any other.
    pub fn deny() -> Self {
        Self {
            owners: DataOwners::Listed(Vec::new()),
            sessions_per_owner: 0,
            ciphertexts_per_session: 0,
            jobs_per_owner: 0,
            jobs_total: 0,
            bits_per_session: 0,
            bits_total: 0,
            expires: 0,
            output: OutputForm::Label,
            audit: None,
            involvement: Involvement::FinalOnly,
        }
    }

    /// Whether `owner` may open sessions.
    pub fn admits(&self, owner: &PublicKey) -> bool {
        match &self.owners {
            DataOwners::Listed(keys) => keys.binary_search(owner).is_ok(),
            DataOwners::Any => true,
        }
    }

    pub(super) fn write(&self, fields: &mut Fields) {
        match &self.owners {
            DataOwners::Any => fields.bool(true),
            DataOwners::Listed(keys) => {
                let mut keys = keys.clone();
                keys.sort_unstable();
                keys.dedup();
                fields.bool(false);
                fields.u32(keys.len() as u32);
                keys.iter().for_each(|key| fields.bytes(&key.0));
            }
        }
        fields.u32(self.sessions_per_owner);
        fields.u32(self.ciphertexts_per_session);
        fields.u32(self.jobs_per_owner);
        fields.u32(self.jobs_total);
        fields.u64(self.bits_per_session);
        fields.u64(self.bits_total);
        fields.u64(self.expires);
        self.output.write(fields);
        AuditPolicy::write(self.audit.as_ref(), fields);
        fields.u32(0);
    }

    pub(super) fn read(fields: &mut Source<'_>) -> Result<Self, WireError> {
        let owners =
            if fields.bool()? { DataOwners::Any } else { DataOwners::Listed(listed(fields)?) };
        Ok(Self {
            owners,
            sessions_per_owner: fields.u32()?,
            ciphertexts_per_session: fields.u32()?,
            jobs_per_owner: fields.u32()?,
            jobs_total: fields.u32()?,
            bits_per_session: fields.u64()?,
            bits_total: fields.u64()?,
            expires: fields.u64()?,
            output: OutputForm::read(fields)?,
            audit: AuditPolicy::read(fields)?,
            involvement: match fields.u32()? {
                0 => Involvement::FinalOnly,
                _ => return Err(WireError::Statement("unknown involvement")),
            },
        })
    }
}

/// Keys in strictly rising order.
fn listed(fields: &mut Source<'_>) -> Result<Vec<PublicKey>, WireError> {
    let count = fields.u32()? as usize;
    if count > MAX_OWNERS {
        return Err(WireError::TooLarge { what: "owner list", length: count, limit: MAX_OWNERS });
    }
    let mut keys: Vec<PublicKey> = Vec::new();
    for _ in 0..count {
        let key = PublicKey(fields.array("owner key")?);
        if keys.last().is_some_and(|last| *last >= key) {
            return Err(WireError::Statement("owner keys are not in rising order"));
        }
        keys.push(key);
    }
    Ok(keys)
}
