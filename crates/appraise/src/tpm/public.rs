//! The attestation key: PEM, DER, or the TPM's own `TPM2B_PUBLIC` (TPM 2.0 Library, Part 2, 12.2).

use super::reader::Reader;
use crate::error::VerifyError;
use crate::pki::PublicKey;
use crate::text;

const RSA: u16 = 0x0001;
const ECC: u16 = 0x0023;
const NULL: u16 = 0x0010;
const ECDAA: u16 = 0x001a;
const P256: u16 = 0x0003;
const P384: u16 = 0x0004;
const MAX_DIGEST: usize = 64;
const MAX_RSA: usize = 512;
const MAX_COORDINATE: usize = 66;
/// Exponent of a key whose template says 0.
const DEFAULT_EXPONENT: u32 = 65537;
/// `TPMA_OBJECT`: signs nothing from outside that begins like the TPM's own statements …
const RESTRICTED: u32 = 1 << 16;
/// … cannot decrypt …
const DECRYPT: u32 = 1 << 17;
/// … and signs.
const SIGN: u32 = 1 << 18;

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

/// Reads a key from text: PEM, or base64 or hexadecimal digits of DER or `TPM2B_PUBLIC`.
///
/// # Errors
/// [`VerifyError`] `malformed`, `unsupported-format`.
pub(super) fn read_text(key: &str) -> Result<PublicKey, VerifyError> {
    let body = key.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END));
    let bytes = match body {
        Some((body, _)) => text::base64(body),
        None => text::binary(key),
    };
    read(&bytes.ok_or_else(|| unsupported("it is neither PEM nor base64"))?)
}

fn read(bytes: &[u8]) -> Result<PublicKey, VerifyError> {
    match bytes.first() {
        // A sequence in DER; a TPM2B_PUBLIC this long (0x30..) would exceed every key.
        Some(0x30) => {
            PublicKey::from_spki(bytes).ok_or_else(|| unsupported("it is not of a supported kind"))
        }
        _ => read_structure(bytes),
    }
}

fn unsupported(why: &str) -> VerifyError {
    VerifyError::new(
        "unsupported-format",
        format!("the TPM's attestation key cannot be read: {why}"),
        "supported are RSA of 2048 to 4096 bits, P-256 and P-384, as PEM, DER or TPM2B_PUBLIC",
    )
}

fn read_structure(bytes: &[u8]) -> Result<PublicKey, VerifyError> {
    const WHAT: &str = "TPM's attestation key";
    let mut outer = Reader::new(bytes, WHAT);
    let mut reader = Reader::new(outer.sized(usize::from(u16::MAX))?, WHAT);
    outer.finish()?;
    let kind = reader.be16()?;
    let _name_algorithm = reader.be16()?;
    let attributes = reader.be32()?;
    if attributes & (RESTRICTED | DECRYPT | SIGN) != RESTRICTED | SIGN {
        return Err(VerifyError::new(
            "untrusted-root",
            "the TPM's key is no attestation key: it is not restricted to signing what the TPM made itself",
            "create it with the attributes restricted and sign (tpm2_createak does)",
        ));
    }
    let _policy = reader.sized(MAX_DIGEST)?;
    if reader.be16()? != NULL {
        return Err(reader.malformed("a signing key has a symmetric algorithm"));
    }
    let scheme = reader.be16()?;
    if scheme != NULL {
        let _hash = reader.be16()?;
    }
    let key = match kind {
        RSA => {
            let _bits = reader.be16()?;
            let exponent = match reader.be32()? {
                0 => DEFAULT_EXPONENT,
                exponent => exponent,
            };
            PublicKey::from_rsa(reader.sized(MAX_RSA)?, &exponent.to_be_bytes())
        }
        ECC if scheme != ECDAA => {
            let bits = match reader.be16()? {
                P256 => 256,
                P384 => 384,
                _ => return Err(unsupported("its curve is neither P-256 nor P-384")),
            };
            if reader.be16()? != NULL {
                return Err(reader.malformed("a signing key has a key derivation"));
            }
            let x = reader.sized(MAX_COORDINATE)?;
            PublicKey::from_point(x, reader.sized(MAX_COORDINATE)?, bits)
        }
        _ => return Err(unsupported("it is neither RSA nor ECDSA")),
    };
    reader.finish()?;
    key.ok_or_else(|| unsupported("its numbers are no key"))
}
