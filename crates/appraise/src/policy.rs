//! What an owner accepts: data, versioned, hashed. The empty policy accepts nothing.

mod explain;
mod template;

pub(crate) use template::decimal;

use crate::claims::{Bytes, Digest, Kind, TcbStatus};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Bytes of a policy file, at most.
pub const MAX_POLICY: usize = 1 << 20;
/// In a list of generations: every one of them.
pub const ANY: &str = "any";

/// What an owner accepts.
///
/// As JSON, unknown fields are errors. Lists are sets: their order and repetitions mean nothing, and the canonical form sorts
/// them. What a policy does not name is refused; the fields of [`Rule`] say so each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    version: Version,
    /// Rules by kind; a kind without a rule is refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub accept: BTreeMap<Kind, Rule>,
    /// Accepted evidence that expires within this many seconds carries a warning.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub warn_before_expiry_seconds: u64,
}

/// What is accepted of one kind of evidence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Accepted roots, each by the SHA-256 of its `SubjectPublicKeyInfo` (64 hexadecimal digits) or by its name in the trust store.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roots: Vec<String>,
    /// Accepted generations, or [`ANY`]; of kinds that have none, nothing needs naming.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub generations: Vec<String>,
    /// Accepted values of measurements, by the measurement's name. What identifies the program must be named
    /// ([`identifying`]); other measurements are held to their values where named.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub measurements: BTreeMap<String, Vec<Bytes>>,
    /// Accepted TCB statuses. Where the vendor publishes none (`not-applicable`), nothing needs naming; `revoked` is
    /// refused even where it is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tcb_statuses: Vec<TcbStatus>,
    /// Accepted advisories; evidence to which another applies is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advisories: Vec<String>,
    /// Least values of component versions and of numbers in the identity, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub minimum: BTreeMap<String, u64>,
    /// What is accepted although it weakens the protection.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Allowance>,
    /// Accepted privilege levels of SNP; of other kinds, nothing needs naming.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vmpl: Vec<u32>,
    /// Accepted report data; shorter values are followed by zeros. Unchecked where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub report_data: Vec<Bytes>,
    /// Accepted values of the identity's fields, such as `chip-id` or `ppid`. A field is unchecked unless named.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub identity: BTreeMap<String, Vec<String>>,
    /// Collateral (all dated things that are no certificates) issued longer ago than this is refused. Unbounded without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_collateral_age_seconds: Option<u64>,
    /// Evidence that carries no date, or one longer ago than this, is refused. Unchecked without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_evidence_age_seconds: Option<u64>,
}

/// What weakens the protection and is refused unless named.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Allowance {
    /// A debugger may enter.
    Debug,
    /// A test root vouches, which anybody may hold.
    Simulated,
    /// The guest may move to another machine, or has a service TD.
    Migratable,
    /// Hyperthreading is on or allowed.
    Smt,
    /// Processor packages may be added to the platform.
    DynamicPlatform,
    /// The platform's keys are kept by Intel's registration service.
    CachedKeys,
    /// What identifies the program is all zero.
    ZeroMeasurements,
    /// Collateral past its date, as long as it is not older than `max_collateral_age_seconds`, which must be given.
    ExpiredCollateral,
}

impl Allowance {
    /// Every allowance.
    pub const ALL: [Self; 8] = [
        Self::Debug,
        Self::Simulated,
        Self::Migratable,
        Self::Smt,
        Self::DynamicPlatform,
        Self::CachedKeys,
        Self::ZeroMeasurements,
        Self::ExpiredCollateral,
    ];

    /// Its name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Simulated => "simulated",
            Self::Migratable => "migratable",
            Self::Smt => "smt",
            Self::DynamicPlatform => "dynamic-platform",
            Self::CachedKeys => "cached-keys",
            Self::ZeroMeasurements => "zero-measurements",
            Self::ExpiredCollateral => "expired-collateral",
        }
    }
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The version of the policy's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version;

const VERSION: u32 = 1;

impl Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(VERSION)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            VERSION => Ok(Self),
            other => Err(serde::de::Error::custom(format!(
                "the policy is of version {other}, known is {VERSION}"
            ))),
        }
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Why a file is no policy.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// More bytes than [`MAX_POLICY`].
    #[error("the policy is longer than {MAX_POLICY} bytes")]
    TooLarge,
    /// Not JSON of the policy's form; the text tells the place.
    #[error("the policy is malformed")]
    Malformed(#[from] serde_json::Error),
}

impl Default for Policy {
    fn default() -> Self {
        Self { version: Version, accept: BTreeMap::new(), warn_before_expiry_seconds: 0 }
    }
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// [`PolicyError`] for anything but this version's form, unknown fields included.
    pub fn from_json(bytes: &[u8]) -> Result<Self, PolicyError> {
        if bytes.len() > MAX_POLICY {
            return Err(PolicyError::TooLarge);
        }
        Ok(serde_json::from_slice(bytes)?)
    }

    /// The same policy with every list sorted and without repetitions.
    #[must_use]
    pub fn canonical(&self) -> Self {
        let mut policy = self.clone();
        policy.accept.values_mut().for_each(Rule::canonicalise);
        policy
    }

    /// The canonical form in JSON without white space: what [`hash`](Self::hash) hashes.
    ///
    /// # Errors
    /// [`PolicyError`] never in practice: every part of a policy has a form in JSON.
    pub fn to_canonical_json(&self) -> Result<Vec<u8>, PolicyError> {
        Ok(serde_json::to_vec(&self.canonical())?)
    }

    /// SHA-256 of the canonical form: the policy's name where it must be named.
    ///
    /// # Errors
    /// As [`to_canonical_json`](Self::to_canonical_json).
    pub fn hash(&self) -> Result<Digest, PolicyError> {
        self.to_canonical_json().map(|json| Digest::of(&json))
    }
}

fn sorted<T: Ord>(list: &mut Vec<T>) {
    list.sort();
    list.dedup();
}

impl Rule {
    fn canonicalise(&mut self) {
        sorted(&mut self.roots);
        sorted(&mut self.generations);
        self.measurements.values_mut().for_each(sorted);
        sorted(&mut self.tcb_statuses);
        sorted(&mut self.advisories);
        sorted(&mut self.allow);
        sorted(&mut self.vmpl);
        sorted(&mut self.report_data);
        self.identity.values_mut().for_each(sorted);
    }

    /// Whether the rule names this allowance.
    pub fn allows(&self, allowance: Allowance) -> bool {
        self.allow.contains(&allowance)
    }
}

/// The measurements that identify a kind's program, in groups: of each group at least one must be named by a rule. A `*` at
/// the end stands for any name that goes on.
///
/// A TDX domain's `mrtd` and an Azure VM's launch measurement cover the firmware; what was booted stands in registers.
pub fn identifying(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Sgx => &["mrenclave"],
        Kind::Tdx => &["mrtd", "rtmr*"],
        Kind::SevSnp => &["launch"],
        Kind::Nitro => &["pcr0"],
        Kind::AzureSnp => &["launch", "pcr*"],
        Kind::AzureTdx => &["mrtd", "pcr*"],
        Kind::Tpm => &["pcr*"],
    }
}

/// Whether `name` is of a group of [`identifying`].
pub fn is_of(group: &str, name: &str) -> bool {
    group.strip_suffix('*').map_or(name == group, |start| name.starts_with(start))
}

#[cfg(test)]
mod tests;
