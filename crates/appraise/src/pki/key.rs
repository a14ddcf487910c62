//! Public keys and the signatures that vendors make with them.

use der::oid::AssociatedOid;
use p256::ecdsa::signature::{Verifier, hazmat::PrehashVerifier};
use p256::pkcs8::{DecodePublicKey, EncodePublicKey};
use rsa::traits::PublicKeyParts;
use rsa::{pkcs1v15, pss};
use sha2::{Sha256, Sha384, Sha512};

/// RSA keys from 2048 bits (NIST SP 800-131A)…
const RSA_MIN_BITS: u32 = 2048;
/// … to 4096, which bounds the work.
const RSA_MAX_BITS: u32 = 4096;

/// Hash functions that a signature may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    /// The digest of `parts`, one after the other.
    pub(crate) fn digest<'a>(self, parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
        fn run<'a, D: sha2::Digest>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
            let mut hash = D::new();
            parts.into_iter().for_each(|part| hash.update(part));
            hash.finalize().to_vec()
        }
        match self {
            Self::Sha256 => run::<Sha256>(parts),
            Self::Sha384 => run::<Sha384>(parts),
            Self::Sha512 => run::<Sha512>(parts),
        }
    }

    /// Its name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
        }
    }
}

/// How a signature is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Ecdsa(Hash),
    RsaPkcs1(Hash),
    /// With a salt of the digest's length, or of any length where the signer may choose it (TPM 2.0 Part 1, B.7).
    RsaPss(Hash, Salt),
}

/// Which salt lengths RSASSA-PSS may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Salt {
    Digest,
    Any,
}

/// A public key of one of the supported kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PublicKey {
    P256(p256::PublicKey),
    P384(p384::PublicKey),
    Rsa(rsa::PublicKey),
}

impl PublicKey {
    /// A key from its `SubjectPublicKeyInfo` in DER. `None` for other kinds of keys, and for points off their curve.
    pub(crate) fn from_spki(der: &[u8]) -> Option<Self> {
        if let Ok(key) = p256::PublicKey::from_public_key_der(der) {
            return Some(Self::P256(key));
        }
        if let Ok(key) = p384::PublicKey::from_public_key_der(der) {
            return Some(Self::P384(key));
        }
        rsa::PublicKey::from_public_key_der(der).ok().and_then(Self::rsa)
    }

    /// A P-256 or P-384 key from its coordinates, big-endian, at most as long as the field's elements.
    pub(crate) fn from_point(x: &[u8], y: &[u8], bits: u32) -> Option<Self> {
        let length = match bits {
            256 => 32,
            384 => 48,
            _ => return None,
        };
        let mut point = vec![4];
        point.extend(left_padded(x, length)?);
        point.extend(left_padded(y, length)?);
        match bits {
            256 => p256::PublicKey::from_sec1_bytes(&point).ok().map(Self::P256),
            _ => p384::PublicKey::from_sec1_bytes(&point).ok().map(Self::P384),
        }
    }

    /// An RSA key of 2048 to 4096 bits from its modulus and exponent, big-endian.
    pub(crate) fn from_rsa(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let unsigned = |bytes: &[u8]| {
            let bits = u32::try_from(bytes.len()).ok()?.checked_mul(8)?;
            (bits <= RSA_MAX_BITS).then(|| rsa::BoxedUint::from_be_slice(bytes, bits).ok())?
        };
        rsa::PublicKey::new(unsigned(modulus)?, unsigned(exponent)?).ok().and_then(Self::rsa)
    }

    fn rsa(key: rsa::PublicKey) -> Option<Self> {
        (RSA_MIN_BITS..=RSA_MAX_BITS).contains(&key.n().bit_width()).then_some(Self::Rsa(key))
    }

    /// Its `SubjectPublicKeyInfo` in DER.
    pub(crate) fn to_spki(&self) -> Option<Vec<u8>> {
        let document = match self {
            Self::P256(key) => key.to_public_key_der(),
            Self::P384(key) => key.to_public_key_der(),
            Self::Rsa(key) => key.to_public_key_der(),
        };
        document.ok().map(der::Document::into_vec)
    }

    /// Its kind in reports: `ECDSA P-256`, `RSA 2048`.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::P256(_) => "ECDSA P-256".to_owned(),
            Self::P384(_) => "ECDSA P-384".to_owned(),
            Self::Rsa(key) => format!("RSA {}", key.n().bit_width()),
        }
    }

    /// Bytes of each of the two numbers of an ECDSA signature; `None` for RSA.
    pub(crate) fn scalar_length(&self) -> Option<usize> {
        match self {
            Self::P256(_) => Some(32),
            Self::P384(_) => Some(48),
            Self::Rsa(_) => None,
        }
    }

    /// Whether `signature` over `message` is this key's. An ECDSA signature is its two numbers, one after the other, in
    /// [`scalar_length`](Self::scalar_length) bytes each.
    pub(crate) fn verifies(&self, scheme: Scheme, message: &[u8], signature: &[u8]) -> bool {
        match (self, scheme) {
            (Self::P256(key), Scheme::Ecdsa(hash)) => p256::ecdsa::Signature::from_slice(signature)
                .and_then(|signature| {
                    let key = p256::ecdsa::VerifyingKey::from(key);
                    key.verify_prehash(&hash.digest([message]), &signature)
                })
                .is_ok(),
            (Self::P384(key), Scheme::Ecdsa(hash)) => p384::ecdsa::Signature::from_slice(signature)
                .and_then(|signature| {
                    let key = p384::ecdsa::VerifyingKey::from(key);
                    key.verify_prehash(&hash.digest([message]), &signature)
                })
                .is_ok(),
            (Self::Rsa(key), Scheme::RsaPkcs1(hash)) => match hash {
                Hash::Sha256 => pkcs1::<Sha256>(key, message, signature),
                Hash::Sha384 => pkcs1::<Sha384>(key, message, signature),
                Hash::Sha512 => pkcs1::<Sha512>(key, message, signature),
            },
            (Self::Rsa(key), Scheme::RsaPss(hash, salt)) => match hash {
                Hash::Sha256 => pss::<Sha256>(key, salt, message, signature),
                Hash::Sha384 => pss::<Sha384>(key, salt, message, signature),
                Hash::Sha512 => pss::<Sha512>(key, salt, message, signature),
            },
            (Self::P256(_) | Self::P384(_), Scheme::RsaPkcs1(_) | Scheme::RsaPss(..))
            | (Self::Rsa(_), Scheme::Ecdsa(_)) => false,
        }
    }

    /// Bytes of the modulus, and of a signature, of RSA.
    pub(crate) fn modulus_length(&self) -> Option<usize> {
        match self {
            Self::P256(_) | Self::P384(_) => None,
            Self::Rsa(key) => Some(key.size()),
        }
    }

    /// The numbers of an ECDSA signature in DER, in the form that [`verifies`](Self::verifies) takes.
    pub(crate) fn scalars_of_der(&self, signature: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::P256(_) => {
                p256::ecdsa::Signature::from_der(signature).ok().map(|s| s.to_bytes().to_vec())
            }
            Self::P384(_) => {
                p384::ecdsa::Signature::from_der(signature).ok().map(|s| s.to_bytes().to_vec())
            }
            Self::Rsa(_) => None,
        }
    }

    /// As [`verifies`](Self::verifies), with an ECDSA signature in DER as certificates carry it.
    pub(crate) fn verifies_der(&self, scheme: Scheme, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::P256(_) | Self::P384(_) => self
                .scalars_of_der(signature)
                .is_some_and(|scalars| self.verifies(scheme, message, &scalars)),
            Self::Rsa(_) => self.verifies(scheme, message, signature),
        }
    }
}

/// `number`, big-endian, in exactly `length` bytes.
pub(crate) fn left_padded(number: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut padded = vec![0; length.checked_sub(number.len())?];
    padded.extend_from_slice(number);
    Some(padded)
}

fn pkcs1<D>(key: &rsa::PublicKey, message: &[u8], signature: &[u8]) -> bool
where
    D: sha2::Digest + AssociatedOid,
    pkcs1v15::VerifyingKey<D>: Verifier<pkcs1v15::Signature>,
{
    pkcs1v15::Signature::try_from(signature)
        .and_then(|signature| {
            pkcs1v15::VerifyingKey::<D>::new(key.clone()).verify(message, &signature)
        })
        .is_ok()
}

fn pss<D>(key: &rsa::PublicKey, salt: Salt, message: &[u8], signature: &[u8]) -> bool
where
    D: sha2::Digest,
    pss::VerifyingKey<D>: Verifier<pss::Signature>,
{
    let key = match salt {
        Salt::Digest => pss::VerifyingKey::<D>::new(key.clone()),
        Salt::Any => pss::VerifyingKey::<D>::new_with_auto_salt_len(key.clone()),
    };
    pss::Signature::try_from(signature)
        .and_then(|signature| key.verify(message, &signature))
        .is_ok()
}
