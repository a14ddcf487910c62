//! A TPM's form: a quote of its registers by a key over P-384 (TPM 2.0 Library, Part 2, 10.12), in the bundle that the provider of real ones makes.

use crate::platform::PlatformError;
use crate::tpm::command::Command;
use crate::tpm::{self, COUNT, ECC, ECDSA, NULL, REGISTERS, SIGNING};
use adyton_wire::digest;
use p384::ecdsa::{Signature, SigningKey, signature::Signer};
use sha2::{Digest, Sha384};

/// `TPM_GENERATED_VALUE`, `TPM_ST_ATTEST_QUOTE`.
const GENERATED: u32 = 0xFF54_4347;
const QUOTE: u16 = 0x8018;
const SHA384: u16 = 0x000C;
const P384: u16 = 0x0004;
/// The register of the boot loader's program.
pub(super) const OF_PROGRAM: usize = 4;
const FIRMWARE: [u8; 8] = *b"SIMULATE";

/// A quote of a machine that booted this program.
pub(super) fn evidence(
    measurement: &[u8; 48],
    report_data: &[u8; 64],
) -> Result<Vec<u8>, PlatformError> {
    let key = super::key("tpm")?;
    let mut registers = vec![vec![0; 48]; COUNT];
    if let Some(register) = registers.get_mut(OF_PROGRAM) {
        *register = measurement.to_vec();
    }
    let public = public(&key);
    let name = [SHA384.to_be_bytes().as_slice(), &Sha384::digest(&public)].concat();
    let values = (SHA384, &*Sha384::digest(registers.concat()));
    let message = message(&name, &digest::sha256(report_data), values);
    let made: Signature = key.sign(&message);
    let (r, s) = made.split_bytes();
    let mut signature = Command::part();
    signature.be16(ECDSA).be16(SHA384).sized(&r).sized(&s);
    let mut sized = Command::part();
    sized.sized(&public);
    Ok(tpm::bundle(&message, &signature.finish(), &sized.finish(), &registers))
}

/// `TPMT_PUBLIC`.
fn public(key: &SigningKey) -> Vec<u8> {
    let point = key.verifying_key().to_sec1_point(false);
    let (x, y) =
        point.as_bytes().get(1..).unwrap_or_default().split_at_checked(48).unwrap_or_default();
    let mut public = Command::part();
    public.be16(ECC).be16(SHA384).be32(SIGNING).sized(&[]);
    public.be16(NULL).be16(ECDSA).be16(SHA384).be16(P384).be16(NULL).sized(x).sized(y);
    public.finish()
}

/// `TPMS_ATTEST` over a quote's information: the key's name, the qualifying data, the bank and the digest of its registers.
pub(super) fn message(name: &[u8], data: &[u8], (bank, registers): (u16, &[u8])) -> Vec<u8> {
    let mut message = Command::part();
    message.be32(GENERATED).be16(QUOTE).sized(name).sized(data);
    // Clock, resets, restarts; a clock that was never set back; firmware.
    message.raw(&[0; 16]).raw(&[1]).raw(&FIRMWARE);
    message.be32(1).be16(bank).raw(&[3]).raw(&REGISTERS).sized(registers);
    message.finish()
}
