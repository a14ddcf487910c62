//! A quote's form: what must hold of its lengths before anything is verified.

use crate::claims::Kind;
use crate::error::VerifyError;
use dcap_qvl::quote::{AuthData, Quote};

/// Bytes of a quote, at most; those seen have about 5,000.
const MAX_QUOTE: usize = 1 << 17;
pub(super) const HEADER: usize = 48;
/// Signature, attestation key.
const KEYED: usize = 64 + 64;
/// The quoting enclave's report, its signature, and the length of its data.
const QE_REPORT: usize = 384 + 64 + 2;
/// Type and length of certification data.
const TYPED: usize = 2 + 4;
/// Certification data of a quote v4 and v5 hold the quoting enclave's report.
const QE_REPORT_DATA: u16 = 6;
const TDX: u32 = 0x81;

/// A quote whose parts fill it exactly.
pub(super) struct Parsed<'a> {
    /// The quote without padding.
    pub(super) bytes: &'a [u8],
    /// Its parts.
    pub(super) quote: Quote,
}

fn little_endian(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}

/// Kind by the header: version up to 255, a known key type's byte, the TEE type, and Intel's vendor id.
pub(super) fn recognise(bytes: &[u8]) -> Option<Kind> {
    let header = bytes.get(..HEADER)?;
    (header.get(12..28)? == dcap_qvl::INTEL_QE_VENDOR_ID).then_some(())?;
    match little_endian(header, 4)? {
        0 => Some(Kind::Sgx),
        TDX => Some(Kind::Tdx),
        _ => None,
    }
}

impl<'a> Parsed<'a> {
    /// Reads a quote.
    ///
    /// # Errors
    /// `too-large`, `unsupported-version`, `truncated`, `malformed`.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, VerifyError> {
        if bytes.len() > MAX_QUOTE {
            return Err(VerifyError::new(
                "too-large",
                format!("the quote is longer than {MAX_QUOTE} bytes"),
                "give the quote alone",
            ));
        }
        let first = little_endian(bytes, 0).unwrap_or(0);
        let (version, key) = (first & 0xffff, first >> 16);
        let tdx = recognise(bytes) == Some(Kind::Tdx);
        if !matches!((tdx, version), (false, 3..=5) | (true, 4 | 5)) {
            return Err(VerifyError::new(
                "unsupported-version",
                format!("the quote is of version {version}"),
                "known are versions 3, 4 and 5 for SGX, 4 and 5 for TDX",
            ));
        }
        if key != 2 {
            return Err(VerifyError::new(
                "unsupported-version",
                format!("the quote's attestation key is of type {key}"),
                "known is type 2, ECDSA over P-256",
            ));
        }
        let quote = Quote::parse(bytes).map_err(|error| {
            VerifyError::new(
                "truncated",
                format!("the quote cannot be read: {error}"),
                "give the whole quote, raw",
            )
        })?;
        // A quote v5 tells the kind of its body twice.
        if quote.report.is_sgx() == tdx {
            return Err(VerifyError::malformed(
                "the quote's body is not of the kind that its header names",
            ));
        }
        let auth = auth_length(&quote)?;
        let end = quote.signed_length().saturating_add(4).saturating_add(auth);
        let declared = little_endian(bytes, quote.signed_length());
        if declared.and_then(|n| usize::try_from(n).ok()) != Some(auth) {
            return Err(VerifyError::malformed("the quote's signature data has bytes left over"));
        }
        let (bytes, padding) = bytes
            .split_at_checked(end)
            .ok_or_else(|| VerifyError::malformed("the quote ends within its signature data"))?;
        if padding.iter().any(|&byte| byte != 0) {
            return Err(VerifyError::malformed("bytes other than zero follow the quote"));
        }
        Ok(Self { bytes, quote })
    }
}

/// Bytes that the parts of the signature data take.
fn auth_length(quote: &Quote) -> Result<usize, VerifyError> {
    match &quote.auth_data {
        AuthData::V3(data) => {
            let tail = data.qe_auth_data.data.len() + data.certification_data.body.data.len();
            Ok(KEYED + QE_REPORT + TYPED + tail)
        }
        AuthData::V4(data) => {
            let (outer, inner) = (&data.certification_data, &data.qe_report_data);
            if outer.cert_type != QE_REPORT_DATA {
                return Err(VerifyError::malformed(format!(
                    "the quote's certification data is of type {}, not {QE_REPORT_DATA}",
                    outer.cert_type
                )));
            }
            let tail = inner.qe_auth_data.data.len() + inner.certification_data.body.data.len();
            if QE_REPORT + TYPED + tail != outer.body.data.len() {
                return Err(VerifyError::malformed(
                    "the quote's certification data has bytes left over",
                ));
            }
            Ok(KEYED + TYPED + outer.body.data.len())
        }
    }
}
