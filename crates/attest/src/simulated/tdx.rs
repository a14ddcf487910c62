//! TDX's form: a quote of version 4 over a TD 1.0 ("Intel TDX DCAP Quoting Library API", appendix A.3).

use crate::platform::PlatformError;
use p256::ecdsa::{Signature, SigningKey, signature::Signer};
use sha2::{Digest, Sha256};

/// What follows the signature in its data: the attestation key, and how the test root vouches for it.
const KEY_DATA: &[u8] = include_bytes!("../../simulated/tdx-key-data.bin");
/// Version 4, a key over P-256, TDX; versions that are nobody's; Intel's id, which the form demands.
const HEADER: [u8; 28] = [
    4, 0, 2, 0, 0x81, 0, 0, 0, 0, 0, 0, 0, 0x93, 0x9A, 0x72, 0x33, 0xF7, 0x9C, 0x4C, 0xA9, 0x94,
    0x0A, 0x0D, 0xB3, 0x95, 0x7F, 0x06, 0x07,
];
const USER_DATA: [u8; 20] = *b"SIMULATED: PROTECTS ";
/// Components of the TDX module's version, as the test vendor's collateral lists them.
const TCB: [u8; 16] = [5, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// `TDX module` and its signer, the signer's attributes; the domain's attributes: SEPT_VE_DISABLE; XFAM: x87 and SSE.
const MODULE: [u8; 48] = [0x5E; 48];
const SIGNER: [u8; 48] = [0; 48];
const SIGNER_ATTRIBUTES: [u8; 8] = [0; 8];
const ATTRIBUTES: [u8; 8] = [0, 0, 0, 0x10, 0, 0, 0, 0];
const XFAM: [u8; 8] = [3, 0, 0, 0, 0, 0, 0, 0];
const NONE: [u8; 48] = [0; 48];

/// The attestation key of Intel's forms; its secret is no secret.
pub(super) fn key() -> Result<SigningKey, PlatformError> {
    let secret = Sha256::digest(b"adyton simulated platform: protects nothing: attestation");
    SigningKey::from_slice(&secret).map_err(|_| PlatformError::Damaged("simulated key"))
}

/// A quote of a domain that was built and booted from this program.
pub(super) fn evidence(
    measurement: &[u8; 48],
    report_data: &[u8; 64],
) -> Result<Vec<u8>, PlatformError> {
    let report: [&[u8]; 15] = [
        &TCB,
        &MODULE,
        &SIGNER,
        &SIGNER_ATTRIBUTES,
        &ATTRIBUTES,
        &XFAM,
        // MRTD; MRCONFIGID, MROWNER, MROWNERCONFIG; RTMR0 to 3.
        measurement,
        &NONE,
        &NONE,
        &NONE,
        measurement,
        &NONE,
        &NONE,
        &NONE,
        report_data,
    ];
    let mut quote = [HEADER.as_slice(), &USER_DATA, &report.concat()].concat();
    let signature: Signature = key()?.sign(&quote);
    let data = [signature.to_bytes().as_slice(), KEY_DATA].concat();
    quote.extend((data.len() as u32).to_le_bytes());
    quote.extend(data);
    Ok(quote)
}
