//! What comes from an Azure machine: the paravisor's report alone, or JSON with a vTPM quote beside it.

use crate::error::VerifyError;
use crate::text;
use serde::Deserialize;
use std::borrow::Cow;

/// PCRs of a vTPM's SHA-256 bank.
const MAX_PCRS: usize = 24;

/// Evidence of an Azure machine. In JSON, bytes are text (hexadecimal digits or base64) or arrays of numbers.
#[derive(Deserialize)]
pub(super) struct Bundle {
    /// The vTPM's index 0x01400001.
    #[serde(alias = "report")]
    hcl_report: Binary,
    /// A quote by the vTPM's attestation key, RSASSA with SHA-256.
    #[serde(alias = "quote")]
    tpm_quote: Option<TpmQuote>,
    /// TDX: the quote that the machine's metadata service made of its TDREPORT.
    td_quote: Option<Binary>,
    /// SNP: the certificate of the report's key, PEM or DER.
    vcek: Option<Binary>,
}

/// A TPM quote in its parts.
#[derive(Deserialize)]
pub(super) struct TpmQuote {
    message: Binary,
    signature: Binary,
    /// Values of the quoted registers, in the quote's order.
    #[serde(default)]
    pcrs: Vec<Binary>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Binary {
    Text(String),
    Octets(Vec<u8>),
}

fn malformed(what: &str) -> VerifyError {
    VerifyError::malformed(format!("the Azure evidence has {what} that is not of its form"))
}

impl Binary {
    fn bytes(&self, what: &str) -> Result<Cow<'_, [u8]>, VerifyError> {
        match self {
            Self::Octets(octets) => Ok(octets.into()),
            Self::Text(text) if text.contains("-----BEGIN") => Ok(text.as_bytes().into()),
            Self::Text(text) => text::binary(text).map(Cow::from).ok_or_else(|| malformed(what)),
        }
    }
}

impl Bundle {
    /// Reads JSON, or takes bytes as the paravisor's report.
    ///
    /// # Errors
    /// [`VerifyError`] `malformed`.
    pub(super) fn read(evidence: &[u8]) -> Result<Self, VerifyError> {
        if evidence.trim_ascii_start().starts_with(b"{") {
            return serde_json::from_slice(evidence).map_err(|_| malformed("JSON"));
        }
        let hcl_report = Binary::Octets(evidence.to_vec());
        Ok(Self { hcl_report, tpm_quote: None, td_quote: None, vcek: None })
    }

    /// The paravisor's report.
    ///
    /// # Errors
    /// [`VerifyError`] `malformed`.
    pub(super) fn hcl(&self) -> Result<Cow<'_, [u8]>, VerifyError> {
        self.hcl_report.bytes("a paravisor's report")
    }

    /// The certificate of the SNP report's key, where it is there.
    ///
    /// # Errors
    /// [`VerifyError`] `malformed`.
    pub(super) fn certificate(&self) -> Result<Option<Vec<u8>>, VerifyError> {
        self.vcek.as_ref().map(|file| file.bytes("a VCEK").map(Cow::into_owned)).transpose()
    }

    /// The TD quote, where it is there.
    ///
    /// # Errors
    /// [`VerifyError`] `malformed`.
    pub(super) fn td_quote(&self) -> Result<Option<Cow<'_, [u8]>>, VerifyError> {
        self.td_quote.as_ref().map(|quote| quote.bytes("a TD quote")).transpose()
    }

    /// The vTPM's quote, where it is there.
    pub(super) fn tpm_quote(&self) -> Option<&TpmQuote> {
        self.tpm_quote.as_ref()
    }
}

impl TpmQuote {
    /// What the vTPM signed.
    ///
    /// # Errors
    /// [`VerifyError`] `malformed`.
    pub(super) fn message(&self) -> Result<Cow<'_, [u8]>, VerifyError> {
        self.message.bytes("a TPM quote")
    }

    /// The vTPM's signature.
    ///
    /// # Errors
    /// [`VerifyError`] `malformed`.
    pub(super) fn signature(&self) -> Result<Cow<'_, [u8]>, VerifyError> {
        self.signature.bytes("a TPM quote's signature")
    }

    /// Values of the quoted registers; none where none came along.
    ///
    /// # Errors
    /// [`VerifyError`] `malformed`.
    pub(super) fn pcrs(&self) -> Result<Option<Vec<Vec<u8>>>, VerifyError> {
        if self.pcrs.len() > MAX_PCRS {
            return Err(malformed("a list of register values"));
        }
        let values =
            self.pcrs.iter().map(|pcr| pcr.bytes("a register's value").map(Cow::into_owned));
        values.collect::<Result<Vec<_>, _>>().map(|list| (!list.is_empty()).then_some(list))
    }
}
