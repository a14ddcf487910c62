//! A TPM quote in one file: the parts that tpm2-tools writes, together in JSON.
//!
//! ```json
//! {"message": "base64 of quote.msg", "signature": "base64 of quote.sig", "pcrs": "base64 of quote.pcrs",
//!  "ak": "-----BEGIN PUBLIC KEY-----…", "certificates": ["-----BEGIN CERTIFICATE-----…"]}
//! ```
//!
//! `pcrs` may instead be a list of hexadecimal values in the quote's order, or be left out; so may `certificates`.

use super::pcrs::Values;
use super::quote::Quote;
use crate::error::VerifyError;
use crate::text;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Bytes of a bundle, at most; `MAX_REGISTERS` values of its list.
const MAX_BUNDLE: usize = 1 << 18;
const MAX_REGISTERS: usize = 4 * 32;
const MAX_CERTIFICATES: usize = 16;

/// The parts, as text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bundle {
    message: String,
    signature: String,
    pcrs: Option<Pcrs>,
    pub(super) ak: String,
    #[serde(default)]
    certificates: Vec<String>,
}

/// The fields that tell a bundle.
#[derive(Deserialize)]
struct Required {
    #[serde(rename = "message")]
    _message: IgnoredAny,
    #[serde(rename = "signature")]
    _signature: IgnoredAny,
    #[serde(rename = "ak")]
    _ak: IgnoredAny,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Pcrs {
    File(String),
    List(Vec<String>),
}

impl Bundle {
    /// Whether the bytes are JSON with a bundle's required fields.
    pub(super) fn recognise(bytes: &[u8]) -> bool {
        bytes.trim_ascii_start().first() == Some(&b'{')
            && serde_json::from_slice::<Required>(bytes).is_ok()
    }

    /// Reads a bundle.
    ///
    /// # Errors
    /// [`VerifyError`] `malformed`, `too-large`.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, VerifyError> {
        let too_large = || {
            VerifyError::new(
                "too-large",
                "the TPM quote's bundle is larger than any quote's",
                "give the parts of one quote alone",
            )
        };
        if bytes.len() > MAX_BUNDLE {
            return Err(too_large());
        }
        let bundle: Self = serde_json::from_slice(bytes)
            .map_err(|error| malformed(&format!("it is not the JSON of one ({error})")))?;
        let registers = match &bundle.pcrs {
            Some(Pcrs::List(values)) => values.len(),
            _ => 0,
        };
        if registers > MAX_REGISTERS || bundle.certificates.len() > MAX_CERTIFICATES {
            return Err(too_large());
        }
        Ok(bundle)
    }

    /// `TPMS_ATTEST`.
    pub(super) fn message(&self) -> Result<Vec<u8>, VerifyError> {
        text::binary(&self.message).ok_or_else(|| malformed("its message is not base64"))
    }

    /// `TPMT_SIGNATURE`.
    pub(super) fn signature(&self) -> Result<Vec<u8>, VerifyError> {
        text::binary(&self.signature).ok_or_else(|| malformed("its signature is not base64"))
    }

    /// The register values, where they are given.
    pub(super) fn values(&self, quote: &Quote) -> Result<Option<Values>, VerifyError> {
        let values = match &self.pcrs {
            None => return Ok(None),
            // Base64 has no colon, and YAML has one in every line.
            Some(Pcrs::File(text)) if text.contains(':') => Values::read(text.as_bytes(), quote)?,
            Some(Pcrs::File(text)) => {
                let file = text::binary(text).ok_or_else(|| malformed("its pcrs are not base64"));
                Values::read(&file?, quote)?
            }
            Some(Pcrs::List(values)) => {
                let values: Option<_> = values.iter().map(|value| text::hex(value)).collect();
                Values::in_order(values.ok_or_else(|| malformed("a register is not hexadecimal"))?)
            }
        };
        Ok(Some(values))
    }

    /// The certificates, each a file of PEM or DER.
    pub(super) fn certificates(&self) -> Result<Vec<Vec<u8>>, VerifyError> {
        let file = |text: &String| match text.contains("-----BEGIN") {
            true => Some(text.as_bytes().to_vec()),
            false => text::binary(text),
        };
        let files: Option<_> = self.certificates.iter().map(file).collect();
        files.ok_or_else(|| malformed("a certificate is neither PEM nor base64"))
    }
}

fn malformed(why: &str) -> VerifyError {
    VerifyError::malformed(format!("the TPM quote's bundle is malformed: {why}"))
}
