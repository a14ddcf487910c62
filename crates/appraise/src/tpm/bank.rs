//! Banks of registers: one for each digest that the TPM computes.

use crate::pki::Hash;

/// A bank, by its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Bank {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Bank {
    /// Every bank.
    pub(crate) const ALL: [Self; 4] = [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    /// The bank of a `TPM_ALG_ID`.
    pub(crate) fn from_algorithm(id: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|bank| bank.algorithm() == id)
    }

    /// The bank of a name as tpm2-tools prints it.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bank| bank.name() == name)
    }

    /// Its `TPM_ALG_ID` (TCG Algorithm Registry).
    pub(crate) fn algorithm(self) -> u16 {
        match self {
            Self::Sha1 => 0x0004,
            Self::Sha256 => 0x000b,
            Self::Sha384 => 0x000c,
            Self::Sha512 => 0x000d,
        }
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// Bytes of a register.
    pub(crate) fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// Its digest as one to rely on: none for SHA-1, whose collisions can be computed.
    pub(crate) fn hash(self) -> Option<Hash> {
        match self {
            Self::Sha1 => None,
            Self::Sha256 => Some(Hash::Sha256),
            Self::Sha384 => Some(Hash::Sha384),
            Self::Sha512 => Some(Hash::Sha512),
        }
    }

    /// The name of a register of this bank in claims: `pcr7` of the SHA-256 bank, `pcr7-sha384` of another, so that a name
    /// never means a weaker digest than a policy's author had in mind.
    pub(crate) fn register(self, index: u8) -> String {
        match self {
            Self::Sha256 => format!("pcr{index}"),
            other => format!("pcr{index}-{}", other.name()),
        }
    }
}
