//! Nitro's form: a document in CBOR, signed as COSE_Sign1 by ES384 (aws-nitro-enclaves-nsm-api, `docs/attestation_process.md`; RFC 9052).

use crate::platform::PlatformError;
use p384::ecdsa::{Signature, signature::Signer};
use std::time::SystemTime;

/// Certificate of the module's key, and the test root that issued it.
const MODULE: &[u8] = include_bytes!("../../simulated/nitro-module.der");
const ROOT: &[u8] = include_bytes!("../../simulated/nitro-root.der");
/// The registers of an enclave: image, kernel and application are the program; the others stay as they were.
const REGISTERS: u64 = 16;
const OF_PROGRAM: u64 = 3;
/// The map {1: -35}: the algorithm, ES384.
const PROTECTED: [u8; 4] = [0xA1, 0x01, 0x38, 0x22];
const NULL: u8 = 0xF6;

/// Major types of CBOR (RFC 8949, section 3.1).
const NUMBER: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const LIST: u8 = 4;
const MAP: u8 = 5;

/// CBOR that is being written.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    /// The head of an item: its type, and its value or length in as few bytes as hold it.
    fn head(&mut self, major: u8, value: u64) -> &mut Self {
        let major = major << 5;
        match (value, u8::try_from(value), u16::try_from(value), u32::try_from(value)) {
            (0..24, Ok(value), ..) => self.0.push(major | value),
            (_, Ok(value), ..) => self.0.extend([major | 24, value]),
            (_, _, Ok(value), _) => self.wide(major | 25, &value.to_be_bytes()),
            (_, _, _, Ok(value)) => self.wide(major | 26, &value.to_be_bytes()),
            _ => self.wide(major | 27, &value.to_be_bytes()),
        }
        self
    }

    fn wide(&mut self, first: u8, value: &[u8]) {
        self.0.push(first);
        self.0.extend(value);
    }

    fn string(&mut self, major: u8, bytes: &[u8]) -> &mut Self {
        self.head(major, bytes.len() as u64).0.extend(bytes);
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.string(TEXT, text.as_bytes())
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.string(BYTES, bytes)
    }

    fn null(&mut self) -> &mut Self {
        self.0.push(NULL);
        self
    }
}

/// A document of an enclave that runs this program.
pub(super) fn evidence(
    measurement: &[u8; 48],
    report_data: &[u8; 64],
) -> Result<Vec<u8>, PlatformError> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
    let payload = document(measurement, report_data, now);
    let mut signed = Writer::default();
    // `Sig_structure`: context, protected header, no data from outside, payload.
    signed.head(LIST, 4).text("Signature1").bytes(&PROTECTED).bytes(&[]).bytes(&payload);
    let signature: Signature = super::key("nitro module")?.sign(&signed.0);
    let mut message = Writer::default();
    message
        .head(LIST, 4)
        .bytes(&PROTECTED)
        .head(MAP, 0)
        .bytes(&payload)
        .bytes(&signature.to_bytes());
    Ok(message.0)
}

fn document(measurement: &[u8; 48], report_data: &[u8; 64], now: u64) -> Vec<u8> {
    let mut document = Writer::default();
    document.head(MAP, 9);
    document.text("module_id").text("SIMULATED: protects nothing");
    document.text("digest").text("SHA384");
    document.text("timestamp").head(NUMBER, now);
    document.text("pcrs").head(MAP, REGISTERS);
    for register in 0..REGISTERS {
        let value = if register < OF_PROGRAM { measurement } else { &[0; 48] };
        document.head(NUMBER, register).bytes(value);
    }
    document.text("certificate").bytes(MODULE);
    document.text("cabundle").head(LIST, 1).bytes(ROOT);
    document.text("public_key").null();
    document.text("user_data").bytes(report_data);
    document.text("nonce").null();
    document.0
}
