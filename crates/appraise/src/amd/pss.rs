//! RSASSA-PSS with SHA-384, MGF1 with SHA-384 and a salt of 48 bytes (RFC 8017): how AMD signs certificates and lists.

use crate::error::VerifyError;
use crate::pki::{Hash, PublicKey, Salt, Scheme};
use der::asn1::{BitString, ObjectIdentifier};
use x509_cert::spki::AlgorithmIdentifierOwned;

const RSASSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
/// `hashAlgorithm`, `maskGenAlgorithm` and `saltLength` of `RSASSA-PSS-params` (RFC 4055, section 3.1) as AMD writes them.
const PARAMETERS: [u8; 52] = [
    0xA0, 0x0F, 0x30, 0x0D, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05,
    0x00, 0xA1, 0x1C, 0x30, 0x1A, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x08,
    0x30, 0x0D, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0xA2,
    0x03, 0x02, 0x01, 0x30,
];
/// `trailerField` 1, the default: AMD writes it out in some certificates, against DER, and omits it in others.
const TRAILER: [u8; 5] = [0xA3, 0x03, 0x02, 0x01, 0x01];
/// The kind of every key that AMD signs certificates with.
const AUTHORITY_KEY: &str = "RSA 4096";

/// A key that signs certificates or revocation lists.
pub(super) struct AuthorityKey(PublicKey);

impl AuthorityKey {
    /// Reads a `SubjectPublicKeyInfo` in DER.
    ///
    /// # Errors
    /// [`VerifyError`] `malformed` unless it is an RSA key of 4096 bits.
    pub(super) fn read(key: &[u8]) -> Result<Self, VerifyError> {
        PublicKey::from_spki(key).filter(|key| key.name() == AUTHORITY_KEY).map(Self).ok_or_else(
            || VerifyError::malformed("the key of an AMD authority is not of RSA with 4096 bits"),
        )
    }

    /// Whether this key signed the message, with the algorithm that AMD uses and no other.
    pub(super) fn signed(
        &self,
        message: &[u8],
        algorithm: &AlgorithmIdentifierOwned,
        signature: &BitString,
    ) -> bool {
        let scheme = Scheme::RsaPss(Hash::Sha384, Salt::Digest);
        is_pss(algorithm)
            && signature.as_bytes().is_some_and(|bytes| self.0.verifies(scheme, message, bytes))
    }
}

fn is_pss(algorithm: &AlgorithmIdentifierOwned) -> bool {
    let rest = algorithm
        .parameters
        .as_ref()
        .and_then(|parameters| parameters.value().strip_prefix(PARAMETERS.as_slice()));
    algorithm.oid == RSASSA_PSS && rest.is_some_and(|rest| rest.is_empty() || rest == TRAILER)
}
