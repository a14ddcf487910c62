//! SGX's form: a quote of version 3 ("Intel SGX ECDSA QuoteLibReference DCAP API", appendix A.4).

use crate::platform::PlatformError;
use p256::ecdsa::{Signature, signature::Signer};

/// What follows the signature in its data: the attestation key, and how the test root vouches for it.
const KEY_DATA: &[u8] = include_bytes!("../../simulated/sgx-key-data.bin");
/// Version 3, a key over P-256; versions that are nobody's; Intel's id, which the form demands.
const HEADER: [u8; 28] = [
    3, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x93, 0x9A, 0x72, 0x33, 0xF7, 0x9C, 0x4C, 0xA9, 0x94, 0x0A,
    0x0D, 0xB3, 0x95, 0x7F, 0x06, 0x07,
];
const USER_DATA: [u8; 20] = *b"SIMULATED: PROTECTS ";
/// Components of the processor's version, as the test vendor's collateral lists them.
const CPU_SVN: [u8; 16] = [2, 2, 2, 2, 3, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0];
/// MISCSELECT and what is reserved after it.
const NONE: [u8; 32] = [0; 32];
/// Initialised, 64 bit, not in debug mode; x87 and SSE.
const ATTRIBUTES: [u8; 16] = [5, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0];
const SIGNER: [u8; 32] = *b"SIMULATED SIGNER: NOBODY AT ALL.";

/// A quote of an enclave that was built from this program.
pub(super) fn evidence(
    measurement: &[u8; 48],
    report_data: &[u8; 64],
) -> Result<Vec<u8>, PlatformError> {
    let enclave = super::short(measurement);
    let report: [&[u8]; 9] = [
        &CPU_SVN,
        &NONE,
        &ATTRIBUTES,
        &enclave,
        &NONE,
        &SIGNER,
        // Reserved; product and version 0; reserved.
        &[0; 96],
        &[0; 64],
        report_data,
    ];
    let mut quote = [HEADER.as_slice(), &USER_DATA, &report.concat()].concat();
    let signature: Signature = super::tdx::key()?.sign(&quote);
    let data = [signature.to_bytes().as_slice(), KEY_DATA].concat();
    quote.extend((data.len() as u32).to_le_bytes());
    quote.extend(data);
    Ok(quote)
}
