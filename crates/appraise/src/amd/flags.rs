//! Fields of single bits: the guest's policy, the platform, the signer.

use crate::error::VerifyError;

/// What the guest's owner demanded at launch (ABI, section 4.3, guest policy).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Policy(u64);

/// How the platform is set up (ABI, PLATFORM_INFO).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Platform(u64);

/// Which key signs (ABI, ATTESTATION_REPORT, offset 48h).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Signer {
    /// Whether the launch was authorised by an author key too.
    pub(super) author_key: bool,
    pub(super) key: SigningKey,
}

/// Kinds of keys that sign reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SigningKey {
    /// Derived from the chip's secret and its firmware versions.
    Vcek,
    /// Loaded by the cloud's operator, certified by AMD.
    Vlek,
}

impl SigningKey {
    /// AMD's abbreviation.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Vcek => "VCEK",
            Self::Vlek => "VLEK",
        }
    }
}

fn bit(value: u64, index: u32) -> bool {
    (value >> index) & 1 == 1
}

fn unknown_bits(field: &str) -> VerifyError {
    VerifyError::malformed(format!("the report's {field} has reserved bits that are in use"))
}

impl Policy {
    /// Reads the field: bit 17 is one, bits above 25 are zero.
    pub(super) fn read(value: u64) -> Result<Self, VerifyError> {
        if bit(value, 17) && value >> 26 == 0 {
            return Ok(Self(value));
        }
        Err(unknown_bits("guest policy"))
    }

    /// Least version of the firmware's interface that the guest runs on, major and minor.
    pub(super) fn abi(self) -> (u64, u64) {
        ((self.0 >> 8) & 0xFF, self.0 & 0xFF)
    }

    pub(super) fn allows_smt(self) -> bool {
        bit(self.0, 16)
    }

    pub(super) fn allows_migration_agent(self) -> bool {
        bit(self.0, 18)
    }

    pub(super) fn allows_debug(self) -> bool {
        bit(self.0, 19)
    }

    /// Every other demand by its name.
    pub(super) fn demands(self) -> [(&'static str, bool); 6] {
        [
            ("policy.single-socket", bit(self.0, 20)),
            ("policy.cxl-allowed", bit(self.0, 21)),
            ("policy.aes-256-xts", bit(self.0, 22)),
            ("policy.rapl-disabled", bit(self.0, 23)),
            ("policy.ciphertext-hiding", bit(self.0, 24)),
            ("policy.page-swap-disabled", bit(self.0, 25)),
        ]
    }
}

impl Platform {
    /// Reads the field: bits above 7 are zero. (Bit 6 is set by Turin's firmware since report version 5.)
    pub(super) fn read(value: u64) -> Result<Self, VerifyError> {
        if value >> 8 == 0 { Ok(Self(value)) } else { Err(unknown_bits("platform field")) }
    }

    pub(super) fn smt(self) -> bool {
        bit(self.0, 0)
    }

    /// Every other property by its name.
    pub(super) fn properties(self) -> [(&'static str, bool); 7] {
        [
            ("platform.tsme", bit(self.0, 1)),
            ("platform.ecc", bit(self.0, 2)),
            ("platform.rapl-disabled", bit(self.0, 3)),
            ("platform.ciphertext-hiding", bit(self.0, 4)),
            ("platform.alias-check", bit(self.0, 5)),
            ("platform.iommu-write-safe", bit(self.0, 6)),
            ("platform.tio", bit(self.0, 7)),
        ]
    }
}

impl Signer {
    /// Reads the field. With MASK_CHIP_KEY, and with SIGNING_KEY 7, the firmware wrote zeroes for a signature.
    pub(super) fn read(value: u32) -> Result<Self, VerifyError> {
        let value = u64::from(value);
        if value >> 5 != 0 {
            return Err(unknown_bits("signer field"));
        }
        let key = match (value >> 2, bit(value, 1)) {
            (0, false) => SigningKey::Vcek,
            (1, false) => SigningKey::Vlek,
            (7, _) | (_, true) => {
                return Err(VerifyError::new(
                    "unsigned",
                    "the report says that no key signed it",
                    "the host must clear MASK_CHIP_KEY or load a VLEK",
                ));
            }
            _ => return Err(unknown_bits("signer field")),
        };
        Ok(Self { author_key: bit(value, 0), key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies() {
        let policy = Policy::read(0x3_021f).unwrap();
        assert_eq!(policy.abi(), (2, 0x1f));
        assert!(policy.allows_smt() && !policy.allows_debug() && !policy.allows_migration_agent());
        assert!(Policy::read(0xE_0000).unwrap().allows_debug());
        assert!(Policy::read(0x1_0000).is_err(), "bit 17 must be one");
        assert!(Policy::read(0x402_0000).is_err(), "bit 26 is reserved");
        assert!(Platform::read(0x65).is_ok() && Platform::read(0x100).is_err());
    }

    #[test]
    fn signers() {
        let key = |value| Signer::read(value).map(|signer| (signer.key, signer.author_key));
        assert_eq!(key(0), Ok((SigningKey::Vcek, false)));
        assert_eq!(key(1), Ok((SigningKey::Vcek, true)));
        assert_eq!(key(4), Ok((SigningKey::Vlek, false)));
        for unsigned in [2, 3, 6, 28, 30] {
            assert_eq!(key(unsigned).unwrap_err().code, "unsigned");
        }
        for reserved in [8, 12, 24, 32, 1 << 31] {
            assert_eq!(key(reserved).unwrap_err().code, "malformed");
        }
    }
}
