//! Ed25519 over canonical statements.

use crate::ids::{array, from_hex};
use crate::limits::MAX_STATEMENT;
use crate::statement::{SelfSigned, Statement};
use crate::{WireError, proto, random_bytes};
use ed25519_dalek::{Signature, Signer};
use std::marker::PhantomData;
use zeroize::Zeroizing;

/// Number of the signature suite Ed25519 on the wire.
pub const ED25519: u32 = 1;

/// A public signing key of an owner or an enclave: its 32 bytes, checked when it is used.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(
    /// The compressed point.
    pub [u8; 32],
);

impl PublicKey {
    /// Reads a key from hexadecimal digits.
    ///
    /// # Errors
    /// [`WireError::Length`], or [`WireError::Statement`] for other characters.
    pub fn from_hex(text: &str) -> Result<Self, WireError> {
        Ok(Self(from_hex("public key", text)?))
    }

    /// Verifies by the strict rule of ed25519-dalek: no weak keys, no malleable signatures.
    ///
    /// # Errors
    /// [`WireError::PublicKey`] or [`WireError::Signature`].
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), WireError> {
        let key =
            ed25519_dalek::VerifyingKey::from_bytes(&self.0).map_err(|_| WireError::PublicKey)?;
        key.verify_strict(message, &Signature::from_bytes(signature))
            .map_err(|_| WireError::Signature)
    }
}

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// A secret signing key; wiped when dropped, shows nothing when printed.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// A fresh key.
    ///
    /// # Errors
    /// [`WireError::Entropy`].
    pub fn generate() -> Result<Self, WireError> {
        Ok(Self::from_seed(&Zeroizing::new(random_bytes()?)))
    }

    /// The key of a secret seed.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The secret seed, to be stored.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public key.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs plain bytes; statements are signed by [`Signed::new`].
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey(of {})", self.public_key())
    }
}

/// Canonical bytes of a statement `T` and a signature over them, not yet verified.
pub struct Signed<T> {
    statement: Vec<u8>,
    signature: [u8; 64],
    kind: PhantomData<fn() -> T>,
}

impl<T: Statement> Signed<T> {
    /// Signs a statement.
    pub fn new(statement: &T, key: &SigningKey) -> Self {
        let statement = statement.to_bytes();
        let signature = key.sign(&statement);
        Self { statement, signature, kind: PhantomData }
    }

    /// Verifies under `key`, then parses.
    ///
    /// # Errors
    /// [`WireError::PublicKey`], [`WireError::Signature`], or whatever the statement's parser finds.
    pub fn verify(&self, key: &PublicKey) -> Result<T, WireError> {
        key.verify(&self.statement, &self.signature)?;
        T::from_bytes(&self.statement)
    }

    /// Parses without verifying: for routing, and to find the key to verify with.
    ///
    /// # Errors
    /// Whatever the statement's parser finds.
    pub fn unverified(&self) -> Result<T, WireError> {
        T::from_bytes(&self.statement)
    }

    /// The canonical bytes that are signed.
    pub fn statement_bytes(&self) -> &[u8] {
        &self.statement
    }

    /// The signature.
    pub fn signature(&self) -> &[u8; 64] {
        &self.signature
    }

    /// Encodes statement and signature as a protobuf message, for storage or to be carried inside another.
    pub fn encode(&self) -> Vec<u8> {
        prost::Message::encode_to_vec(&self.to_proto())
    }

    /// Reads what [`encode`](Self::encode) wrote. The statement is parsed but its signature not verified.
    ///
    /// # Errors
    /// [`WireError`] for any malformed or unknown content.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        Self::from_proto(crate::message::strict(bytes, MAX_STATEMENT + 256)?)
    }

    pub(crate) fn to_proto(&self) -> proto::Signed {
        proto::Signed {
            suite: ED25519,
            statement: self.statement.clone(),
            signature: self.signature.to_vec(),
        }
    }

    pub(crate) fn from_proto(message: proto::Signed) -> Result<Self, WireError> {
        if message.suite != ED25519 {
            return Err(WireError::Suite(message.suite));
        }
        let length = message.statement.len();
        if length > MAX_STATEMENT {
            return Err(WireError::TooLarge { what: "statement", length, limit: MAX_STATEMENT });
        }
        let signed = Self {
            statement: message.statement,
            signature: array("signature", &message.signature)?,
            kind: PhantomData,
        };
        signed.unverified()?;
        Ok(signed)
    }
}

impl<T: SelfSigned> Signed<T> {
    /// Verifies under the key that the statement itself names.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_self(&self) -> Result<T, WireError> {
        let statement = self.unverified()?;
        statement.signer().verify(&self.statement, &self.signature)?;
        Ok(statement)
    }
}

// By hand: a derive would ask the same of T, which is only named.
impl<T> Clone for Signed<T> {
    fn clone(&self) -> Self {
        Self { statement: self.statement.clone(), signature: self.signature, kind: PhantomData }
    }
}

impl<T> PartialEq for Signed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.statement == other.statement && self.signature == other.signature
    }
}

impl<T: Statement> std::fmt::Debug for Signed<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signed<{}>({} bytes)", T::DOMAIN, self.statement.len())
    }
}
