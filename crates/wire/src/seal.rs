//! HPKE (RFC 9180) in base mode with X-Wing: secrets to the enclave, results to a data owner.

use crate::limits::MAX_SEALED;
use crate::{WireError, proto, random_bytes};
use chacha20::ChaCha20Rng;
use chacha20::rand_core::SeedableRng;
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use zeroize::Zeroizing;

/// Number of the HPKE suite X-Wing, HKDF-SHA256, ChaCha20Poly1305 on the wire.
pub const X_WING: u32 = 1;
/// Length of a public key in bytes.
pub const PUBLIC_KEY_LENGTH: usize = 1216;
/// Length of an encapsulated key in bytes.
pub const ENCAPSULATION_LENGTH: usize = 1120;
/// Length of the authentication tag in bytes.
pub const TAG_LENGTH: usize = 16;

/// Ciphertext for the holder of one secret key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Encapsulated key, [`ENCAPSULATION_LENGTH`] bytes.
    pub encapsulation: Vec<u8>,
    /// Ciphertext, [`TAG_LENGTH`] bytes longer than the plaintext.
    pub ciphertext: Vec<u8>,
}

/// A public key to seal to, its bytes known to be a valid key.
#[derive(Clone, PartialEq, Eq)]
pub struct SealingKey(Vec<u8>, <XWing as Kem>::PublicKey);

impl SealingKey {
    /// Parses a public key.
    ///
    /// # Errors
    /// [`WireError::PublicKey`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        let key = <XWing as Kem>::PublicKey::from_bytes(bytes).map_err(|_| WireError::PublicKey)?;
        Ok(Self(bytes.to_vec(), key))
    }

    /// The key's [`PUBLIC_KEY_LENGTH`] bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Seals `plaintext`; `info` must be given again to open it, and so must `aad`.
    ///
    /// # Errors
    /// [`WireError::TooLarge`] above [`MAX_SEALED`], [`WireError::Entropy`] without random bytes.
    pub fn seal(&self, info: &[u8], aad: &[u8], plaintext: &[u8]) -> Result<Sealed, WireError> {
        let length = plaintext.len();
        if length > MAX_SEALED {
            return Err(WireError::TooLarge { what: "plaintext", length, limit: MAX_SEALED });
        }
        let mut rng = ChaCha20Rng::from_seed(random_bytes()?);
        let (encapsulation, ciphertext) = hpke::single_shot_seal_with_rng::<
            ChaCha20Poly1305,
            HkdfSha256,
            XWing,
        >(
            &OpModeS::Base, &self.1, info, plaintext, aad, &mut rng
        )
        .map_err(|_| WireError::PublicKey)?;
        Ok(Sealed { encapsulation: encapsulation.to_bytes().to_vec(), ciphertext })
    }
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id = crate::digest::sha256(&self.0);
        write!(f, "SealingKey(")?;
        id.iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, "…)")
    }
}

/// The secret key that opens what was sealed to its public key; wiped when dropped. It is stored as a seed of 32 bytes.
pub struct OpeningKey {
    seed: Zeroizing<[u8; 32]>,
    public: SealingKey,
}

impl OpeningKey {
    /// A fresh key.
    ///
    /// # Errors
    /// [`WireError::Entropy`].
    pub fn generate() -> Result<Self, WireError> {
        Self::from_seed(&Zeroizing::new(random_bytes()?))
    }

    /// The key of a secret seed.
    ///
    /// # Errors
    /// None in practice: every seed is a key.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, WireError> {
        let secret = secret_key(seed)?;
        let public = <XWing as Kem>::sk_to_pk(&secret);
        let bytes = public.to_bytes().to_vec();
        Ok(Self { seed: Zeroizing::new(*seed), public: SealingKey(bytes, public) })
    }

    /// The secret seed, to be stored.
    pub fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// The public key.
    pub fn public_key(&self) -> &SealingKey {
        &self.public
    }

    /// Opens what was sealed with the same `info` and `aad`.
    ///
    /// # Errors
    /// [`WireError::Unsealed`] for anything else.
    pub fn open(
        &self,
        info: &[u8],
        aad: &[u8],
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, WireError> {
        let encapsulation = <XWing as Kem>::EncappedKey::from_bytes(&sealed.encapsulation)
            .map_err(|_| WireError::Unsealed)?;
        hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, XWing>(
            &OpModeR::Base,
            &secret_key(&self.seed)?,
            &encapsulation,
            info,
            &sealed.ciphertext,
            aad,
        )
        .map(Zeroizing::new)
        .map_err(|_| WireError::Unsealed)
    }
}

impl std::fmt::Debug for OpeningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpeningKey(of {:?})", self.public)
    }
}

fn secret_key(seed: &[u8; 32]) -> Result<<XWing as Kem>::PrivateKey, WireError> {
    <XWing as Kem>::PrivateKey::from_bytes(seed).map_err(|_| WireError::PublicKey)
}

impl Sealed {
    pub(crate) fn to_proto(&self) -> proto::Sealed {
        proto::Sealed {
            suite: X_WING,
            encapsulation: self.encapsulation.clone(),
            ciphertext: self.ciphertext.clone(),
        }
    }

    pub(crate) fn from_proto(message: proto::Sealed) -> Result<Self, WireError> {
        if message.suite != X_WING {
            return Err(WireError::Suite(message.suite));
        }
        let length = message.encapsulation.len();
        if length != ENCAPSULATION_LENGTH {
            let (what, expected) = ("encapsulation", ENCAPSULATION_LENGTH);
            return Err(WireError::Length { what, length, expected });
        }
        let (length, limit) = (message.ciphertext.len(), MAX_SEALED + TAG_LENGTH);
        if length > limit {
            return Err(WireError::TooLarge { what: "ciphertext", length, limit });
        }
        Ok(Self { encapsulation: message.encapsulation, ciphertext: message.ciphertext })
    }

    /// SHA-256 over suite, encapsulation and ciphertext: what a receipt names.
    pub fn digest(&self) -> [u8; 32] {
        crate::digest::tagged(
            "adyton/v1/sealed",
            &[&X_WING.to_le_bytes(), &self.encapsulation, &self.ciphertext],
        )
    }

    /// Encodes for storage or to be carried inside another message.
    pub fn encode(&self) -> Vec<u8> {
        prost::Message::encode_to_vec(&self.to_proto())
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// [`WireError`] for any malformed or unknown content.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        Self::from_proto(crate::message::strict(bytes, MAX_SEALED + 4096)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_the_same_context_only() {
        let key = OpeningKey::generate().unwrap();
        let again = OpeningKey::from_seed(key.seed()).unwrap();
        assert_eq!(again.public_key(), key.public_key());
        let public = SealingKey::from_bytes(key.public_key().as_bytes()).unwrap();
        let sealed = public.seal(b"info", b"aad", b"secret").unwrap();
        assert_eq!(sealed.encapsulation.len(), ENCAPSULATION_LENGTH);
        assert_eq!(sealed.ciphertext.len(), 6 + TAG_LENGTH);
        assert_eq!(public.as_bytes().len(), PUBLIC_KEY_LENGTH);
        assert_eq!(again.open(b"info", b"aad", &sealed).unwrap().as_slice(), b"secret");
        assert!(key.open(b"other", b"aad", &sealed).is_err());
        assert!(key.open(b"info", b"other", &sealed).is_err());
        let other = OpeningKey::generate().unwrap();
        assert!(other.open(b"info", b"aad", &sealed).is_err());
        let mut bent = sealed.clone();
        bent.ciphertext[0] ^= 1;
        assert!(key.open(b"info", b"aad", &bent).is_err());
        assert_eq!(Sealed::decode(&sealed.encode()).unwrap(), sealed);
    }
}
