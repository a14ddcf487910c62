//! What evidence says, its signatures verified.

use crate::time::UnixTime;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::collections::BTreeMap;
use std::fmt;

/// What made the evidence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Intel SGX enclave.
    Sgx,
    /// Intel TDX trust domain.
    Tdx,
    /// AMD SEV-SNP guest.
    SevSnp,
    /// AWS Nitro enclave.
    Nitro,
    /// Azure confidential VM: a vTPM quote whose key an SNP report vouches for.
    AzureSnp,
    /// Azure confidential VM: a vTPM quote whose key a TDX quote vouches for.
    AzureTdx,
    /// TPM 2.0 quote alone.
    Tpm,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Sgx,
        Self::Tdx,
        Self::SevSnp,
        Self::Nitro,
        Self::AzureSnp,
        Self::AzureTdx,
        Self::Tpm,
    ];

    /// The kind's name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sgx => "sgx",
            Self::Tdx => "tdx",
            Self::SevSnp => "sev-snp",
            Self::Nitro => "nitro",
            Self::AzureSnp => "azure-snp",
            Self::AzureTdx => "azure-tdx",
            Self::Tpm => "tpm",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Bytes that read and write as hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(pub Vec<u8>);

impl Bytes {
    /// Whether there is a byte and every one is zero: how debug enclaves and unset registers read.
    pub fn is_zero(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|&b| b == 0)
    }

    /// Bytes from hexadecimal digits of either case, without separators or prefix.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let pair = |pair: &[u8]| match pair {
            [high, low] => Some((digit(*high)? << 4) | digit(*low)?),
            _ => None,
        };
        text.as_bytes().chunks(2).map(pair).collect::<Option<Vec<u8>>>().map(Self)
    }
}

impl<T: AsRef<[u8]>> From<T> for Bytes {
    fn from(bytes: T) -> Self {
        Self(bytes.as_ref().to_vec())
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({self})")
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_hex(&text).ok_or_else(|| de::Error::custom("expected hexadecimal digits"))
    }
}

/// A SHA-256, in hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The SHA-256 of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The root that the evidence's signatures lead to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Root {
    /// Its name in the trust store, such as `AMD ARK-Milan`.
    pub name: String,
    /// SHA-256 of its `SubjectPublicKeyInfo` in DER: what policies pin, since it survives renewal of the certificate.
    pub sha256: Digest,
    /// Whether it is a test root, which vouches for nothing.
    pub test: bool,
}

/// How current the platform's firmware is, by its vendor's word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TcbStatus {
    /// Nothing newer is known.
    UpToDate,
    /// Current, and software must mitigate an advisory.
    SwHardeningNeeded,
    /// Current, and the platform's configuration must be judged.
    ConfigurationNeeded,
    /// Both of these.
    ConfigurationAndSwHardeningNeeded,
    /// A newer version fixes known weaknesses.
    OutOfDate,
    /// Out of date, and the configuration must be judged.
    OutOfDateConfigurationNeeded,
    /// Withdrawn by the vendor.
    Revoked,
    /// No collateral says.
    Unknown,
    /// The vendor publishes no versions (Nitro, TPM).
    NotApplicable,
}

impl TcbStatus {
    /// The status's name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::UpToDate => "up-to-date",
            Self::SwHardeningNeeded => "sw-hardening-needed",
            Self::ConfigurationNeeded => "configuration-needed",
            Self::ConfigurationAndSwHardeningNeeded => "configuration-and-sw-hardening-needed",
            Self::OutOfDate => "out-of-date",
            Self::OutOfDateConfigurationNeeded => "out-of-date-configuration-needed",
            Self::Revoked => "revoked",
            Self::Unknown => "unknown",
            Self::NotApplicable => "not-applicable",
        }
    }
}

impl fmt::Display for TcbStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The platform's firmware versions and what the vendor says of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TcbClaim {
    /// The vendor's word.
    pub status: TcbStatus,
    /// Advisories that apply, such as `INTEL-SA-00289`.
    pub advisories: Vec<String>,
    /// Component versions by name; those that are decimal numbers can be bounded by a policy.
    pub detail: BTreeMap<String, String>,
}

/// A dated thing that the verification used. Both ends belong to the range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Validity {
    /// What it is: `VCEK certificate`, `TCB info`, `PCK CRL`. Names of certificates, and no others, end with that word.
    pub what: String,
    /// First second in which it holds.
    pub not_before: UnixTime,
    /// Last second in which it holds.
    pub not_after: UnixTime,
}

impl Validity {
    /// Whether it is a certificate, by its name; all else is collateral.
    pub fn is_certificate(&self) -> bool {
        self.what.ends_with("certificate")
    }
}

/// What the evidence says, every signature verified up to a root of the store. Nothing judged yet: see
/// [`appraise`](crate::appraise).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Claims {
    /// What made the evidence.
    pub kind: Kind,
    /// Version of its format: `quote v4, TD 1.0`, `report v2`, `COSE_Sign1 document`.
    pub format: String,
    /// The root that vouches for it.
    pub root: Root,
    /// `Milan`, `Genoa`, `Turin` for AMD; the FMSPC in hexadecimal digits for Intel; nothing elsewhere.
    pub generation: Option<String>,
    /// Firmware versions.
    pub tcb: TcbClaim,
    /// Measurements by name: `mrenclave`, `mrsigner`, `mrtd`, `mrconfigid`, `mrowner`, `rtmr0` to `rtmr3`, `launch`,
    /// `host-data`, `id-key-digest`, `author-key-digest`, `pcr0` …
    pub measurements: BTreeMap<String, Bytes>,
    /// What the program asked to be vouched for: 64 bytes of SGX, TDX, SNP; user data of Nitro; qualifying data of a TPM.
    pub report_data: Bytes,
    /// Nitro's nonce.
    pub nonce: Option<Bytes>,
    /// Nitro's public key.
    pub public_key: Option<Bytes>,
    /// Whether a debugger may enter.
    pub debug: bool,
    /// Whether the guest may move to another machine, or a service TD is bound to it.
    pub migratable: Option<bool>,
    /// Whether hyperthreading is on, or allowed by the guest's policy.
    pub smt: Option<bool>,
    /// SNP: the privilege level that asked, 0 the highest.
    pub vmpl: Option<u32>,
    /// Whether a test root vouches for it.
    pub simulated: bool,
    /// Chip id, PPID, instance id, module id, product id, SVN …
    pub identity: BTreeMap<String, String>,
    /// Every dated thing used.
    pub validity: Vec<Validity>,
    /// The evidence's own date where it carries one (Nitro).
    pub issued_at: Option<UnixTime>,
    /// What a reader should know, such as that no revocation list was given.
    pub notes: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_json() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
        let statuses = [
            TcbStatus::UpToDate,
            TcbStatus::SwHardeningNeeded,
            TcbStatus::ConfigurationNeeded,
            TcbStatus::ConfigurationAndSwHardeningNeeded,
            TcbStatus::OutOfDate,
            TcbStatus::OutOfDateConfigurationNeeded,
            TcbStatus::Revoked,
            TcbStatus::Unknown,
            TcbStatus::NotApplicable,
        ];
        for status in statuses {
            assert_eq!(serde_json::to_value(status).unwrap(), status.name());
        }
    }

    #[test]
    fn bytes_are_hexadecimal_digits() {
        let bytes = Bytes::from([0xAB, 0x01]);
        assert_eq!(bytes.to_string(), "ab01");
        assert_eq!(Bytes::from_hex("AB01"), Some(bytes));
        for wrong in ["a", "0x01", "zz", "a b ", "+1"] {
            assert_eq!(Bytes::from_hex(wrong), None, "{wrong}");
        }
        assert!(Bytes::from([0; 4]).is_zero() && !Bytes::default().is_zero());
    }
}
