//! Azure's form: a vTPM's quote, and the paravisor's report over the vTPM's key that the hardware vouches for, in JSON.
//!
//! The program stands in a register alone; what the hardware measured is the paravisor.

use crate::platform::PlatformError;
use crate::tpm::{COUNT, hex};
use adyton_wire::digest;
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::signature::{SignatureEncoding, Signer};
use sha2::{Digest, Sha256, Sha384};

/// The vTPM's key, whose secret is in this file and no secret; and the claims that name it.
const KEY: &[u8] = include_bytes!("../../simulated/vtpm-key.pk8");
const RUNTIME: &[u8] = include_bytes!("../../simulated/azure-runtime.json");
/// What the hardware measured: verifiers' policies for the simulated platform know it by the same words.
const PARAVISOR: &str = "adyton simulated paravisor: protects nothing";

const MAGIC: &[u8] = b"HCLA";
const VERSION: u32 = 2;
const REQUEST_REPORT: u32 = 2;
const RUNTIME_VERSION: u32 = 1;
const ON_SNP: u32 = 2;
const ON_TDX: u32 = 4;
const HASH_SHA256: u32 = 1;
/// Bytes before the hardware's report, of it, and before the claims after it.
const HEADER: usize = 0x20;
const HARDWARE: usize = 0x4A0;
const RUNTIME_HEADER: usize = 20;
/// Where a TDREPORT has its report data.
const TDREPORT_DATA: usize = 128;
const SHA256: u16 = 0x000B;

/// Evidence of a program that was booted on a paravisor under SEV-SNP.
pub(super) fn on_snp(
    measurement: &[u8; 48],
    report_data: &[u8; 64],
) -> Result<Vec<u8>, PlatformError> {
    let report = super::snp::report(&paravisor(), &vouched())?;
    let vcek = hex(&super::snp::certificates());
    json(measurement, report_data, (ON_SNP, &report), &format!("\"vcek\":\"{vcek}\""))
}

/// Evidence of a program that was booted on a paravisor under TDX.
pub(super) fn on_tdx(
    measurement: &[u8; 48],
    report_data: &[u8; 64],
) -> Result<Vec<u8>, PlatformError> {
    // Of a TDREPORT verifiers read the report data alone: only its own machine can verify it, and the quote stands in for it.
    let mut report = vec![0; HARDWARE];
    report.iter_mut().skip(TDREPORT_DATA).zip(vouched()).for_each(|(to, from)| *to = from);
    let quote = hex(&super::tdx::evidence(&paravisor(), &vouched())?);
    json(measurement, report_data, (ON_TDX, &report), &format!("\"td_quote\":\"{quote}\""))
}

/// The paravisor's measurement.
fn paravisor() -> [u8; 48] {
    Sha384::digest(PARAVISOR).into()
}

/// The report data that the hardware vouches for: SHA-256 of the claims, and zeros.
fn vouched() -> [u8; 64] {
    let mut data = [0; 64];
    data.iter_mut().zip(Sha256::digest(RUNTIME)).for_each(|(to, from)| *to = from);
    data
}

/// The paravisor's report, the vTPM's quote, and what verifies the hardware's report.
fn json(
    measurement: &[u8; 48],
    report_data: &[u8; 64],
    hardware: (u32, &[u8]),
    beside: &str,
) -> Result<Vec<u8>, PlatformError> {
    let (report, quote) = (hex(&paravisors_report(hardware)), quote(measurement, report_data)?);
    Ok(format!("{{\"hcl_report\":\"{report}\",\"tpm_quote\":{quote},{beside}}}").into_bytes())
}

/// What stands in the vTPM's index 0x01400001.
fn paravisors_report((kind, hardware): (u32, &[u8])) -> Vec<u8> {
    let runtime = RUNTIME.len();
    let words =
        |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
    let whole = HEADER + HARDWARE + RUNTIME_HEADER + runtime;
    let header = words(&[VERSION, whole as u32, REQUEST_REPORT, 0, 0, 0, 0]);
    let (data, runtime) = ((RUNTIME_HEADER + runtime) as u32, runtime as u32);
    let claims = words(&[data, RUNTIME_VERSION, kind, HASH_SHA256, runtime]);
    [MAGIC, &header, hardware, &claims, RUNTIME].concat()
}

/// The vTPM's quote of the program in the boot loader's register, in JSON.
fn quote(measurement: &[u8; 48], report_data: &[u8; 64]) -> Result<String, PlatformError> {
    let key = SigningKey::<Sha256>::from_pkcs8_der(KEY)
        .map_err(|_| PlatformError::Damaged("simulated key"))?;
    let mut registers = vec![[0; 32]; COUNT];
    if let Some(register) = registers.get_mut(super::tpm::OF_PROGRAM) {
        *register = super::short(measurement);
    }
    let name = [SHA256.to_be_bytes().as_slice(), &Sha256::digest(RUNTIME)].concat();
    let values = (SHA256, &*Sha256::digest(registers.concat()));
    let message = super::tpm::message(&name, &digest::sha256(report_data), values);
    let signature = hex(&key.sign(&message).to_vec());
    let registers: Vec<String> =
        registers.iter().map(|value| format!("\"{}\"", hex(value))).collect();
    Ok(format!(
        "{{\"message\":\"{}\",\"signature\":\"{signature}\",\"pcrs\":[{}]}}",
        hex(&message),
        registers.join(",")
    ))
}
