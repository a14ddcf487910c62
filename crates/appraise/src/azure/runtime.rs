//! The runtime claims: JSON that the paravisor wrote, with the vTPM's attestation key.

use crate::claims::Bytes;
use crate::error::VerifyError;
use crate::pki::PublicKey;
use crate::text;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Name of the attestation key among the keys.
const ATTESTATION_KEY: &str = "HCLAkPub";

/// What is read of the runtime claims; the digest covers all of them.
#[derive(Deserialize)]
pub(super) struct Runtime {
    keys: Vec<Key>,
    #[serde(rename = "vm-configuration", default)]
    configuration: BTreeMap<String, serde_json::Value>,
    #[serde(rename = "user-data")]
    user_data: Option<String>,
}

/// A key (RFC 7517); of RSA, the modulus `n` and the exponent `e`.
#[derive(Deserialize)]
struct Key {
    kid: String,
    kty: String,
    n: Option<String>,
    e: Option<String>,
}

impl Runtime {
    /// Reads the runtime claims.
    ///
    /// # Errors
    /// [`VerifyError`] `malformed`.
    pub(super) fn read(json: &[u8]) -> Result<Self, VerifyError> {
        serde_json::from_slice(json)
            .map_err(|_| VerifyError::malformed("the runtime claims are not of Azure's form"))
    }

    /// The vTPM's attestation key.
    ///
    /// # Errors
    /// [`VerifyError`] `malformed` unless there is exactly one, of RSA with 2048 to 4096 bits.
    pub(super) fn attestation_key(&self) -> Result<PublicKey, VerifyError> {
        let mut keys = self.keys.iter().filter(|key| key.kid == ATTESTATION_KEY);
        let key = keys.next().filter(|key| key.kty == "RSA");
        let number = |text: &Option<String>| text.as_deref().and_then(text::base64);
        match (key, keys.next()) {
            (Some(key), None) => number(&key.n)
                .zip(number(&key.e))
                .and_then(|(modulus, exponent)| PublicKey::from_rsa(&modulus, &exponent)),
            _ => None,
        }
        .ok_or_else(|| VerifyError::malformed("the runtime claims name no attestation key of RSA"))
    }

    /// Bytes that a program of the virtual machine had bound into the report (the vTPM's index 0x01400002).
    ///
    /// # Errors
    /// [`VerifyError`] `malformed` where they are not 64.
    pub(super) fn user_data(&self) -> Result<Option<Bytes>, VerifyError> {
        self.user_data
            .as_deref()
            .map(|text| Bytes::from_hex(text).filter(|bytes| bytes.0.len() == 64))
            .map(|bytes| {
                bytes.ok_or_else(|| VerifyError::malformed("the user data are not 64 bytes"))
            })
            .transpose()
    }

    /// The machine's configuration, by name: `vm.secure-boot`, `vm.vmUniqueId` …
    pub(super) fn configuration(&self) -> impl Iterator<Item = (String, String)> {
        self.configuration.iter().map(|(name, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (format!("vm.{name}"), value)
        })
    }
}
