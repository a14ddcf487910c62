//! Quotes that dcap-qvl does not take as they are: SGX quotes of version 4 and 5, and trust domains with the MIGRATABLE attribute.
//!
//! Neither differs from what the crate takes in more than its signed part: an SGX quote of version 4 is one of version 3 with another number in
//! its header and the same signature data nested once more, one of version 5 has six bytes before its body besides; a migratable domain has one
//! bit of its attributes set, which is for a policy to judge. So the crate is given the form that it takes, with the **same** keys, signatures and
//! certificates, and the one signature over the signed part is checked over the bytes that were signed: [`Restoring`] puts them back right before
//! ECDSA sees them. Claims are read from the quote as it came. Everything else that the crate checks (collateral, PCK chain, revocation, the quoting
//! enclave and its identity, TCB levels, other attributes) does not look at what was changed; which QE identity goes with a quote depends on the TEE
//! type, not on the version (Intel's QuoteVerification library, `QuoteVerifier.cpp`).

use super::quote::{HEADER, Parsed};
use dcap_qvl::INTEL_QE_VENDOR_ID;
use dcap_qvl::config::{Config, CryptoProvider};
use dcap_qvl::configs::DefaultConfig;
use dcap_qvl::crypto::RustCryptoCrypto;
use dcap_qvl::quote::{AuthDataV3, Report};
use rustls_pki_types::{
    AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm as Algorithm,
};
use std::borrow::Cow;

/// Of a quote v5's body: type and length.
const BODY_HEAD: usize = 6;
/// Of a body: an SGX enclave's report.
const SGX_BODY: [u8; BODY_HEAD] = [1, 0, 0x80, 1, 0, 0];
/// Bytes of an SGX enclave's report.
const SGX_REPORT: usize = 384;
/// Where the byte of a TD's attributes that holds MIGRATABLE (bit 29) stands in its report, and the bit there.
const ATTRIBUTES: usize = 16 + 48 + 48 + 8 + 3;
const MIGRATABLE: u8 = 1 << 5;

/// What was done to a quote's signed part for the crate to take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Nothing.
    AsItCame,
    /// Version 4 of an SGX quote became 3.
    Sgx4,
    /// Version 5 became 3, and the body lost its type and length.
    Sgx5,
    /// MIGRATABLE was cleared in a quote v4.
    Migratable4,
    /// MIGRATABLE was cleared in a quote v5.
    Migratable5,
}

impl Form {
    /// What has to be done to this quote.
    pub(super) fn of(quote: &Parsed<'_>) -> Self {
        let version = quote.quote.header.version;
        let migratable =
            |attributes: [u8; 8]| attributes.get(3).is_some_and(|b| b & MIGRATABLE != 0);
        match &quote.quote.report {
            Report::SgxEnclave(_) if version == 4 => Self::Sgx4,
            Report::SgxEnclave(_) if version == 5 => Self::Sgx5,
            report => match report.as_td10() {
                Some(domain) if migratable(domain.td_attributes) && version == 4 => {
                    Self::Migratable4
                }
                Some(domain) if migratable(domain.td_attributes) => Self::Migratable5,
                _ => Self::AsItCame,
            },
        }
    }

    /// The quote as the crate takes it.
    pub(super) fn present<'a>(self, quote: &Parsed<'a>) -> Cow<'a, [u8]> {
        let bytes = quote.bytes;
        match self {
            Self::AsItCame => Cow::Borrowed(bytes),
            Self::Sgx4 | Self::Sgx5 => {
                let report = bytes.get(quote.quote.signed_length() - SGX_REPORT..);
                let report = report.and_then(|report| report.get(..SGX_REPORT)).unwrap_or_default();
                let header = bytes.get(2..HEADER).unwrap_or_default();
                let data = flat(quote.quote.auth_data.clone().into_v3());
                let length = u32::try_from(data.len()).unwrap_or(u32::MAX).to_le_bytes();
                Cow::Owned([&[3, 0], header, report, &length, &data].concat())
            }
            Self::Migratable4 | Self::Migratable5 => {
                let mut bytes = bytes.to_vec();
                self.toggle(&mut bytes);
                Cow::Owned(bytes)
            }
        }
    }

    /// The signed part as it came, if `message` is the signed part as it was presented.
    fn restore(self, message: &[u8]) -> Option<Vec<u8>> {
        let header = message.get(..HEADER)?;
        // Certificates, lists and JSON begin otherwise, and the quoting enclave's report is shorter than any signed part.
        (header.get(12..28)? == INTEL_QE_VENDOR_ID).then_some(())?;
        let (version, rest) = header.split_at_checked(2)?;
        let report = message.get(HEADER..)?;
        match self {
            Self::Sgx4 | Self::Sgx5 => {
                (version == [3, 0] && report.len() == SGX_REPORT).then_some(())?;
                Some(match self {
                    Self::Sgx4 => [&[4, 0], rest, report].concat(),
                    _ => [&[5, 0], rest, &SGX_BODY, report].concat(),
                })
            }
            Self::Migratable4 | Self::Migratable5 => {
                (report.len() > SGX_REPORT).then_some(())?;
                let mut restored = message.to_vec();
                self.toggle(&mut restored);
                Some(restored)
            }
            Self::AsItCame => None,
        }
    }

    /// Sets MIGRATABLE, or clears it.
    fn toggle(self, signed: &mut [u8]) {
        let head = if self == Self::Migratable5 { BODY_HEAD } else { 0 };
        if let Some(byte) = signed.get_mut(HEADER + head + ATTRIBUTES) {
            *byte ^= MIGRATABLE;
        }
    }
}

/// Signature data as a quote v3 has it.
fn flat(data: AuthDataV3) -> Vec<u8> {
    let (own, certification) = (data.qe_auth_data.data, data.certification_data);
    let short = u16::try_from(own.len()).unwrap_or(u16::MAX).to_le_bytes();
    let length = u32::try_from(certification.body.data.len()).unwrap_or(u32::MAX).to_le_bytes();
    [
        data.ecdsa_signature.as_slice(),
        &data.ecdsa_attestation_key,
        &data.qe_report,
        &data.qe_report_signature,
        &short,
        &own,
        &certification.cert_type.to_le_bytes(),
        &length,
        &certification.body.data,
    ]
    .concat()
}

/// ECDSA over P-256 with SHA-256, and over the signed part of a quote as it came where it was presented otherwise.
#[derive(Debug)]
struct Restoring(Form);

impl Algorithm for Restoring {
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        RustCryptoCrypto::sig_algo().public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        RustCryptoCrypto::sig_algo().signature_alg_id()
    }

    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let restored = self.0.restore(message);
        let message = restored.as_deref().unwrap_or(message);
        RustCryptoCrypto::sig_algo().verify_signature(public_key, message, signature)
    }
}

/// The crate's own configuration, with the signature algorithm of one form.
macro_rules! configurations {
    ($($name:ident: $form:ident),*) => {$(
        pub(super) struct $name;

        impl CryptoProvider for $name {
            fn sig_algo() -> &'static dyn Algorithm {
                &Restoring(Form::$form)
            }

            fn sha256(data: &[u8]) -> [u8; 32] {
                RustCryptoCrypto::sha256(data)
            }

            fn sha384(data: &[u8]) -> [u8; 48] {
                RustCryptoCrypto::sha384(data)
            }
        }

        impl Config for $name {
            type X509 = <DefaultConfig as Config>::X509;
            type SigEncoder = <DefaultConfig as Config>::SigEncoder;
            type Crypto = Self;
        }
    )*};
}

configurations!(Sgx4: Sgx4, Sgx5: Sgx5, Migratable4: Migratable4, Migratable5: Migratable5);

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(name: &str) -> Vec<u8> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");
        std::fs::read(format!("{folder}/{name}")).unwrap()
    }

    #[test]
    fn what_the_crate_takes_is_presented_as_it_came() {
        for name in ["intel-sgx/sgx_quote_v3.bin", "intel-tdx/tdx_quote_v4.bin"] {
            let bytes = vector(name);
            let quote = Parsed::read(&bytes).unwrap();
            assert_eq!(Form::of(&quote), Form::AsItCame);
            assert_eq!(Form::AsItCame.present(&quote), quote.bytes);
        }
    }

    #[test]
    fn only_the_signed_part_is_restored_and_to_the_same_bytes() {
        let mut bytes = vector("intel-tdx/tdx_quote_v4.bin");
        bytes[HEADER + ATTRIBUTES] |= MIGRATABLE;
        let quote = Parsed::read(&bytes).unwrap();
        let form = Form::of(&quote);
        assert_eq!(form, Form::Migratable4);
        let signed = quote.quote.signed_length();
        let presented = form.present(&quote);
        assert_ne!(presented, quote.bytes);
        assert_eq!(form.restore(&presented[..signed]).unwrap(), bytes[..signed]);
        assert_eq!(form.restore(quote.quote.qe_report()), None);
        assert_eq!(form.restore(&vector("intel-tdx/tdx_quote_v4.collateral.json")), None);
        let certificate = dcap_qvl::intel::extract_cert_chain(&quote.quote).unwrap();
        assert_eq!(form.restore(&certificate[0]), None);
    }
}
