//! `TPMT_SIGNATURE` (TPM 2.0 Library, Part 2, 11.3.4).

use super::bank::Bank;
use super::reader::Reader;
use crate::error::VerifyError;
use crate::pki::{Hash, PublicKey, Salt, Scheme, left_padded};

const RSASSA: u16 = 0x0014;
const RSAPSS: u16 = 0x0016;
const ECDSA: u16 = 0x0018;
/// Bytes of an RSA signature, at most.
const MAX_RSA: usize = 512;
/// Bytes of one number of an ECDSA signature, at most.
const MAX_SCALAR: usize = 66;

/// A signature and how it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) scheme: Scheme,
    pub(super) hash: Hash,
    /// As [`PublicKey::verifies`] takes it.
    pub(super) value: Vec<u8>,
}

impl Signature {
    /// Reads a signature for `key`: the TPM's structure, or without it (RSASSA with SHA-256 of the modulus's length, or ECDSA with
    /// SHA-256 in DER).
    ///
    /// # Errors
    /// [`VerifyError`] `malformed`, `truncated`, `unsupported-format`, and `bad-signature` for one that this key cannot have made.
    pub(super) fn read(bytes: &[u8], key: &PublicKey) -> Result<Self, VerifyError> {
        match Self::plain(bytes, key) {
            Some(signature) => Ok(signature),
            None => Self::structured(bytes, key),
        }
    }

    fn plain(bytes: &[u8], key: &PublicKey) -> Option<Self> {
        let hash = Hash::Sha256;
        let (scheme, value) = match key.modulus_length() {
            Some(length) if bytes.len() == length => (Scheme::RsaPkcs1(hash), bytes.to_vec()),
            Some(_) => return None,
            None => (Scheme::Ecdsa(hash), key.scalars_of_der(bytes)?),
        };
        Some(Self { scheme, hash, value })
    }

    fn structured(bytes: &[u8], key: &PublicKey) -> Result<Self, VerifyError> {
        let mut reader = Reader::new(bytes, "TPM quote's signature");
        let algorithm = reader.be16()?;
        let hash = reader.be16()?;
        let hash = Bank::from_algorithm(hash).and_then(Bank::hash).ok_or_else(|| {
            VerifyError::new(
                "unsupported-format",
                format!("the TPM quote is signed with the hash algorithm {hash:#06x}"),
                "supported are SHA-256, SHA-384 and SHA-512",
            )
        })?;
        let (scheme, value) = match algorithm {
            RSASSA => (Scheme::RsaPkcs1(hash), reader.sized(MAX_RSA)?.to_vec()),
            // The TPM salts as long as the key allows, in FIPS mode as long as the digest.
            RSAPSS => (Scheme::RsaPss(hash, Salt::Any), reader.sized(MAX_RSA)?.to_vec()),
            ECDSA => {
                let (r, s) = (reader.sized(MAX_SCALAR)?, reader.sized(MAX_SCALAR)?);
                let length = key.scalar_length().ok_or_else(another_key)?;
                let [r, s] = [r, s].map(|scalar| left_padded(scalar, length));
                let (Some(r), Some(s)) = (r, s) else { return Err(another_key()) };
                (Scheme::Ecdsa(hash), [r, s].concat())
            }
            other => {
                return Err(VerifyError::new(
                    "unsupported-format",
                    format!("the TPM quote is signed by the unknown algorithm {other:#06x}"),
                    "supported are RSASSA, RSAPSS and ECDSA",
                ));
            }
        };
        reader.finish()?;
        Ok(Self { scheme, hash, value })
    }
}

fn another_key() -> VerifyError {
    VerifyError::new(
        "bad-signature",
        "the TPM quote's signature is of another kind than the key",
        "give the public key that made the quote",
    )
}
