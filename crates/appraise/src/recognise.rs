//! What format bytes are of, told by their content.

use crate::claims::Kind;
use crate::error::VerifyError;
use crate::{amd, azure, intel, nitro, text, tpm};
use serde_json::Value;

/// Bytes of a file of evidence, at most. The largest formats (a vTPM bundle with its event log) stay far below.
pub const MAX_EVIDENCE: usize = 1 << 22;
/// JSON within JSON, and text within text, that is opened.
const MAX_DEPTH: usize = 4;

/// Evidence whose format is known: the bytes that the format's own parser takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognised {
    /// What made it.
    pub kind: Kind,
    /// The evidence, out of its wrapper.
    pub bytes: Vec<u8>,
    /// Certificates that the wrapper carried beside it, PEM or DER.
    pub certificates: Vec<Vec<u8>>,
}

/// Fields under which clouds and libraries wrap evidence, as text in hexadecimal digits or base64 or as JSON again.
const EVIDENCE_FIELDS: [&str; 14] = [
    "quote",
    "td_quote",
    "tdQuote",
    "raw_quote",
    "rawQuote",
    "attestation_report",
    "attestationReport",
    "attestation_doc",
    "attestation_document",
    "document",
    "report",
    "evidence",
    "attestation",
    "data",
];
/// Fields under which they hand out certificates.
const CERTIFICATE_FIELDS: [&str; 9] = [
    "vcek",
    "vlek",
    "vcekCert",
    "vcek_cert",
    "certificateChain",
    "certificate_chain",
    "cert_chain",
    "certificates",
    "certs",
];

/// Recognises evidence: a raw SGX or TDX quote, an SNP report, a Nitro document, a TPM quote bundle, any of these as
/// hexadecimal digits or base64, or within the JSON that clouds hand out.
///
/// # Errors
/// [`VerifyError`] `unsupported-format`, `too-large`.
pub fn recognise(evidence: &[u8]) -> Result<Recognised, VerifyError> {
    if evidence.len() > MAX_EVIDENCE {
        return Err(VerifyError::new(
            "too-large",
            format!("the evidence is longer than {MAX_EVIDENCE} bytes"),
            "no known format is; give the evidence alone",
        ));
    }
    open(evidence, MAX_DEPTH).ok_or_else(|| {
        VerifyError::new(
            "unsupported-format",
            "the bytes are of no known format",
            "known are: SGX and TDX quotes, SNP reports, Nitro documents, TPM 2.0 quote bundles, Azure's vTPM bundles, raw, \
             as text (hex, base64) or within JSON",
        )
    })
}

fn open(bytes: &[u8], depth: usize) -> Option<Recognised> {
    if let Some(kind) = kind_of(bytes) {
        return Some(Recognised { kind, bytes: bytes.to_vec(), certificates: Vec::new() });
    }
    let depth = depth.checked_sub(1)?;
    let text = std::str::from_utf8(bytes).ok()?;
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => unwrap(&fields, depth),
        Ok(Value::String(text)) => open(&text::binary(&text)?, depth),
        _ => open(&text::binary(text)?, depth),
    }
}

/// The first field that holds evidence; certificates beside it go along.
fn unwrap(fields: &serde_json::Map<String, Value>, depth: usize) -> Option<Recognised> {
    let mut found = EVIDENCE_FIELDS.iter().find_map(|name| {
        let inner = match fields.get(*name)? {
            Value::String(text) => text.as_bytes().to_vec(),
            Value::Array(numbers) => octets(numbers)?,
            object @ Value::Object(_) => serde_json::to_vec(object).ok()?,
            _ => return None,
        };
        open(&inner, depth)
    })?;
    let texts = CERTIFICATE_FIELDS.iter().filter_map(|name| fields.get(*name));
    for field in texts {
        let listed = match field {
            Value::Array(list) if octets(list).is_none() => list.as_slice(),
            one => std::slice::from_ref(one),
        };
        found.certificates.extend(listed.iter().filter_map(certificate));
    }
    Some(found)
}

fn certificate(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) if text.contains("-----BEGIN") => Some(text.as_bytes().to_vec()),
        Value::String(text) => text::binary(text),
        Value::Array(numbers) => octets(numbers),
        _ => None,
    }
}

/// Bytes written as an array of numbers.
fn octets(numbers: &[Value]) -> Option<Vec<u8>> {
    numbers.iter().map(|n| n.as_u64().and_then(|n| u8::try_from(n).ok())).collect()
}

/// The kind of bytes that are in their format's own form. Azure's bundles hold a TPM quote, so they are asked before it.
fn kind_of(bytes: &[u8]) -> Option<Kind> {
    intel::recognise(bytes)
        .or_else(|| azure::recognise(bytes))
        .or_else(|| amd::recognise(bytes).then_some(Kind::SevSnp))
        .or_else(|| nitro::recognise(bytes).then_some(Kind::Nitro))
        .or_else(|| tpm::recognise(bytes).then_some(Kind::Tpm))
}
