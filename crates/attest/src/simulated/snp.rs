//! SEV-SNP's form: an attestation report of version 3 and the certificate table that a host hands out with it
//! (AMD 56860, section 7.3; AMD 56421, section 4.1.8.1), so that verifiers take the path of real evidence.

use crate::platform::PlatformError;
use p384::ecdsa::{Signature, signature::Signer};

/// Certificate of the chip's key and of the authority that signed it; the authority's root is the verifiers' test root.
const VCEK: &[u8] = include_bytes!("../../simulated/vcek.der");
const ASK: &[u8] = include_bytes!("../../simulated/ask.der");
const VCEK_ID: u128 = 0x63da_758d_e664_4564_adc5_f4b9_3be8_accd;
const ASK_ID: u128 = 0x4ab7_b379_bbac_4fe4_a02f_05ae_f327_c782;
/// Bytes of a table's entry: identifier, offset, length.
const ENTRY: usize = 24;

const REPORT: usize = 0x4A0;
const SIGNED: usize = 0x2A0;
/// Firmware versions as Milan lays them out; the VCEK's certificate says the same.
const TCB: [u8; 8] = [4, 0, 0, 0, 0, 0, 24, 219];
/// Debug off, hyperthreading and migration not allowed, ABI 0.31.
const GUEST_POLICY: u64 = 0x2_001F;

/// The chip's id: says what it is to whoever prints it.
fn chip_id() -> [u8; 64] {
    let mut id = [0; 64];
    for (byte, letter) in id.iter_mut().zip(b"SIMULATED CHIP: PROTECTS NOTHING") {
        *byte = *letter;
    }
    id
}

/// A report on this program, and the certificate table.
pub(super) fn evidence(
    measurement: &[u8; 48],
    report_data: &[u8; 64],
) -> Result<Vec<u8>, PlatformError> {
    Ok([report(measurement, report_data)?, table()].concat())
}

/// The certificates of the report's key and of the authority that signed it.
pub(super) fn certificates() -> Vec<u8> {
    [VCEK, ASK].concat()
}

/// A report on this program.
pub(super) fn report(
    measurement: &[u8; 48],
    report_data: &[u8; 64],
) -> Result<Vec<u8>, PlatformError> {
    let mut report = vec![0; REPORT];
    let fields: [(usize, &[u8]); 13] = [
        (0x00, &3u32.to_le_bytes()),
        (0x08, &GUEST_POLICY.to_le_bytes()),
        (0x34, &1u32.to_le_bytes()),
        (0x38, &TCB),
        (0x50, report_data),
        (0x90, measurement),
        (0x160, &[0xFF; 32]),
        (0x180, &TCB),
        // Family 25, model 1, stepping 1: Milan.
        (0x188, &[0x19, 0x01, 0x01]),
        (0x1A0, &chip_id()),
        (0x1E0, &TCB),
        (0x1F0, &TCB),
        // Firmware 1.55.0, current and committed.
        (0x1E8, &[0, 55, 1, 0, 0, 55, 1]),
    ];
    for (at, bytes) in fields {
        write(&mut report, at, bytes.iter());
    }
    let signature: Signature = super::key("chip")?.sign(report.get(..SIGNED).unwrap_or_default());
    let (r, s) = signature.split_bytes();
    write(&mut report, SIGNED, r.iter().rev());
    write(&mut report, SIGNED + 72, s.iter().rev());
    Ok(report)
}

fn write<'a>(report: &mut [u8], at: usize, bytes: impl Iterator<Item = &'a u8>) {
    for (to, from) in report.iter_mut().skip(at).zip(bytes) {
        *to = *from;
    }
}

fn table() -> Vec<u8> {
    let files = [(VCEK_ID, VCEK), (ASK_ID, ASK)];
    let mut offset = ENTRY * (files.len() + 1);
    let mut table = Vec::new();
    for (id, file) in files {
        table.extend(id.to_be_bytes());
        table.extend((offset as u32).to_le_bytes());
        table.extend((file.len() as u32).to_le_bytes());
        offset += file.len();
    }
    table.extend([0; ENTRY]);
    files.iter().for_each(|(_, file)| table.extend_from_slice(file));
    table
}
