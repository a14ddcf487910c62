//! SGX's SIGSTRUCT (Intel SDM, volume 3D, 36.14): what the signer of an enclave states of it. The processor starts the enclave only
//! if it measures to MRENCLAVE. Whether the files at hand do is not seen here.

use super::ImageError;
use super::reader::Image;
use crate::Bytes;
use crate::pki::{Hash, PublicKey, Scheme};
use sha2::{Digest, Sha256};

const LENGTH: usize = 1808;
const HEADERS: [(usize, [u8; 16]); 2] = [
    (0, [6, 0, 0, 0, 0xE1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]),
    (24, [1, 1, 0, 0, 0x60, 0, 0, 0, 0x60, 0, 0, 0, 1, 0, 0, 0]),
];
/// RSA-3072.
const MODULUS: (usize, usize) = (128, 384);
const EXPONENT: usize = 512;
const SIGNATURE: (usize, usize) = (516, 384);
/// What is signed: the head, and the body.
const SIGNED: [(usize, usize); 2] = [(0, 128), (900, 128)];
const ATTRIBUTES: usize = 928;
const ATTRIBUTE_MASK: usize = 944;
const DEBUG: u64 = 1 << 1;

/// What a signer states, its signature verified.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SigstructMeasurement {
    /// Measurement of the enclave.
    pub mrenclave: Bytes,
    /// Digest of the signer's key.
    pub mrsigner: Bytes,
    /// Product, as the signer numbers them.
    pub isv_prod_id: u16,
    /// Security version of the product.
    pub isv_svn: u16,
    /// `ATTRIBUTES`: flags and XFRM, eight bytes each.
    pub attributes: Bytes,
    /// Which bits of them are enforced.
    pub attribute_mask: Bytes,
    /// Whether an enclave under this structure may be started with DEBUG: set, or left to whoever starts it.
    pub debug_possible: bool,
    /// `MISCSELECT`.
    pub misc_select: u32,
    /// When it was signed, `yyyymmdd`, as the signer says.
    pub date: String,
}

/// Reads a structure and verifies its signature by the key that it carries.
///
/// # Errors
/// [`ImageError`] for another length or form, and for a signature that does not verify.
pub fn measure(bytes: &[u8]) -> Result<SigstructMeasurement, ImageError> {
    let file = Image::new("SIGSTRUCT", bytes);
    if bytes.len() != LENGTH {
        return Err(file.wrong(format!("has {} bytes; {LENGTH} would be right", bytes.len())));
    }
    for (at, header) in HEADERS {
        if file.array(at)? != header {
            return Err(file.wrong("lacks Intel's fixed header; name the .sig of gramine-sgx-sign"));
        }
    }
    verify(file)?;
    let flags = |at| file.array(at).map(u64::from_le_bytes);
    let (attributes, mask) = (flags(ATTRIBUTES)?, flags(ATTRIBUTE_MASK)?);
    Ok(SigstructMeasurement {
        mrenclave: Bytes::from(file.array::<32>(960)?),
        mrsigner: Bytes::from(<[u8; 32]>::from(Sha256::digest(file.slice(MODULUS.0, MODULUS.1)?))),
        isv_prod_id: file.le16(1024)?,
        isv_svn: file.le16(1026)?,
        attributes: Bytes::from(file.array::<16>(ATTRIBUTES)?),
        attribute_mask: Bytes::from(file.array::<16>(ATTRIBUTE_MASK)?),
        debug_possible: attributes & DEBUG != 0 || mask & DEBUG == 0,
        misc_select: file.le32(900)?,
        date: format!("{:08x}", file.le32(20)?),
    })
}

/// RSA numbers stand with their lowest byte first, and the exponent is 3.
fn verify(file: Image<'_>) -> Result<(), ImageError> {
    if file.le32(EXPONENT)? != 3 {
        return Err(file.wrong("has another public exponent than 3"));
    }
    let reversed = |(at, length)| {
        file.slice(at, length).map(|bytes| bytes.iter().rev().copied().collect::<Vec<u8>>())
    };
    let key = PublicKey::from_rsa(&reversed(MODULUS)?, &[3])
        .ok_or_else(|| file.wrong("has a modulus that is none of RSA-3072"))?;
    let mut signed = Vec::new();
    for (at, length) in SIGNED {
        signed.extend_from_slice(file.slice(at, length)?);
    }
    let signature = reversed(SIGNATURE)?;
    if key.verifies(Scheme::RsaPkcs1(Hash::Sha256), &signed, &signature) {
        Ok(())
    } else {
        Err(file
            .wrong("has a signature that its own key did not make: it was changed after signing"))
    }
}
