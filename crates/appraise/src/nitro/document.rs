//! The attestation document: what the signed payload says, every field within the bounds of AWS's specification
//! (aws-nitro-enclaves-nsm-api, `docs/attestation_process.md`, "Verifying the root of trust").

use super::cbor;
use crate::error::VerifyError;
use ciborium::Value;
use std::collections::BTreeMap;

/// Bytes of a certificate, at most.
const MAX_CERTIFICATE: usize = 1024;
/// Certificates of the bundle, at most. AWS's have four or five.
const MAX_BUNDLE: usize = 16;
/// Bytes of the public key, the user data and the nonce, at most, each.
const MAX_USER_DATA: usize = 1024;
/// Bytes of the module's id, at most.
const MAX_MODULE_ID: usize = 256;
/// The last register.
const MAX_PCR: u64 = 31;

/// A document whose form is right. Nothing of it is verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) module_id: String,
    /// Milliseconds since 1970.
    pub(super) timestamp: u64,
    pub(super) digest: String,
    /// Registers by index, 0 to 31.
    pub(super) pcrs: BTreeMap<u64, Vec<u8>>,
    /// Of the key that signed the document, in DER.
    pub(super) certificate: Vec<u8>,
    /// The root first, then each one's issue, in DER.
    pub(super) bundle: Vec<Vec<u8>>,
    pub(super) public_key: Option<Vec<u8>>,
    pub(super) user_data: Option<Vec<u8>>,
    pub(super) nonce: Option<Vec<u8>>,
}

impl Document {
    /// Reads the payload.
    ///
    /// # Errors
    /// [`VerifyError`] `malformed`, `unsupported-format` for another digest.
    pub(super) fn read(payload: &[u8]) -> Result<Self, VerifyError> {
        if cbor::item_length(payload) != Some(payload.len()) {
            return Err(malformed(
                "its payload is not one well-formed CBOR item of a document's size",
            ));
        }
        let Ok(Value::Map(entries)) = ciborium::from_reader(payload) else {
            return Err(malformed("its payload is not a CBOR map"));
        };
        let mut fields = Fields::new(entries)?;
        let digest = text(fields.take("digest")?, 16, "digest")?;
        let document = Self {
            module_id: text(fields.take("module_id")?, MAX_MODULE_ID, "module_id")?,
            timestamp: timestamp(&fields.take("timestamp")?)?,
            pcrs: registers(fields.take("pcrs")?, register_length(&digest)?)?,
            digest,
            certificate: bytes(fields.take("certificate")?, 1..=MAX_CERTIFICATE, "certificate")?,
            bundle: bundle(fields.take("cabundle")?)?,
            public_key: fields.optional("public_key")?,
            user_data: fields.optional("user_data")?,
            nonce: fields.optional("nonce")?,
        };
        fields.finish()?;
        Ok(document)
    }

    /// Whether the enclave runs in debug mode: the hypervisor then leaves the registers of its image at zero.
    pub(super) fn debug(&self) -> bool {
        (0..=2).all(|index| self.pcrs.get(&index).is_none_or(|value| value.iter().all(|&b| b == 0)))
    }
}

fn malformed(what: &str) -> VerifyError {
    VerifyError::malformed(format!("the Nitro document is malformed: {what}"))
}

/// The map's entries by name; each is taken once, and none may be left.
struct Fields(BTreeMap<String, Value>);

impl Fields {
    fn new(entries: Vec<(Value, Value)>) -> Result<Self, VerifyError> {
        let mut fields = BTreeMap::new();
        for (name, value) in entries {
            let Value::Text(name) = name else {
                return Err(malformed("a field's name is not text"));
            };
            if fields.insert(name, value).is_some() {
                return Err(malformed("a field appears twice"));
            }
        }
        Ok(Self(fields))
    }

    fn take(&mut self, name: &str) -> Result<Value, VerifyError> {
        self.0.remove(name).ok_or_else(|| malformed(&format!("it has no {name}")))
    }

    /// A field of user's bytes: absent, null, or present.
    fn optional(&mut self, name: &str) -> Result<Option<Vec<u8>>, VerifyError> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => bytes(value, 0..=MAX_USER_DATA, name).map(Some),
        }
    }

    fn finish(self) -> Result<(), VerifyError> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(malformed("it has a field that the specification does not know")),
        }
    }
}

fn text(value: Value, longest: usize, name: &str) -> Result<String, VerifyError> {
    match value {
        Value::Text(text) if (1..=longest).contains(&text.len()) => Ok(text),
        _ => Err(malformed(&format!("{name} is not text of 1 to {longest} bytes"))),
    }
}

fn bytes(
    value: Value,
    lengths: std::ops::RangeInclusive<usize>,
    name: &str,
) -> Result<Vec<u8>, VerifyError> {
    match value {
        Value::Bytes(bytes) if lengths.contains(&bytes.len()) => Ok(bytes),
        _ => {
            let (least, most) = lengths.into_inner();
            Err(malformed(&format!("{name} is not {least} to {most} bytes")))
        }
    }
}

fn unsigned(value: &Value) -> Option<u64> {
    value.as_integer().and_then(|number| u64::try_from(number).ok())
}

fn timestamp(value: &Value) -> Result<u64, VerifyError> {
    unsigned(value)
        .filter(|&milliseconds| milliseconds > 0)
        .ok_or_else(|| malformed("timestamp is not a positive integer"))
}

/// Bytes of a register, by the digest that fills it.
fn register_length(digest: &str) -> Result<usize, VerifyError> {
    match digest {
        "SHA256" => Ok(32),
        "SHA384" => Ok(48),
        "SHA512" => Ok(64),
        _ => Err(VerifyError::new(
            "unsupported-format",
            "the Nitro document's registers use a digest that is not supported",
            "supported are SHA256, SHA384 and SHA512",
        )),
    }
}

fn registers(value: Value, length: usize) -> Result<BTreeMap<u64, Vec<u8>>, VerifyError> {
    let Value::Map(entries) = value else { return Err(malformed("pcrs is not a map")) };
    let mut registers = BTreeMap::new();
    for (index, value) in entries {
        let index = unsigned(&index)
            .filter(|&index| index <= MAX_PCR)
            .ok_or_else(|| malformed("a register's index is not 0 to 31"))?;
        let value = bytes(value, length..=length, &format!("pcr{index}"))?;
        if registers.insert(index, value).is_some() {
            return Err(malformed("a register appears twice"));
        }
    }
    match registers.is_empty() {
        true => Err(malformed("it has no registers")),
        false => Ok(registers),
    }
}

fn bundle(value: Value) -> Result<Vec<Vec<u8>>, VerifyError> {
    match value {
        Value::Array(items) if (1..=MAX_BUNDLE).contains(&items.len()) => items
            .into_iter()
            .map(|item| bytes(item, 1..=MAX_CERTIFICATE, "a certificate of cabundle"))
            .collect(),
        _ => Err(malformed(&format!("cabundle is not 1 to {MAX_BUNDLE} certificates"))),
    }
}
