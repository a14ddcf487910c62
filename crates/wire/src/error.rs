//! Errors of decoding, signing and sealing.

/// Why bytes are not a message, a statement does not verify, or a secret does not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A frame or field is longer than its limit.
    #[error("{what} has {length} bytes, more than the {limit} allowed")]
    TooLarge {
        /// What was too long.
        what: &'static str,
        /// Length given.
        length: usize,
        /// Largest length allowed.
        limit: usize,
    },
    /// A field of fixed length has another.
    #[error("{what} has {length} bytes where {expected} were expected")]
    Length {
        /// The field.
        what: &'static str,
        /// Length given.
        length: usize,
        /// Length expected.
        expected: usize,
    },
    /// Not a protobuf message of the expected type, or one with unknown or repeated fields.
    #[error("malformed protobuf message")]
    Protobuf,
    /// A message lacks a field that it needs.
    #[error("the message lacks {0}")]
    Missing(&'static str),
    /// Canonical bytes that break the format or a field's range.
    #[error("malformed statement: {0}")]
    Statement(&'static str),
    /// A signature or HPKE suite that this version does not know.
    #[error("unknown suite {0}")]
    Suite(u32),
    /// A public key that is no valid point, or a weak one.
    #[error("invalid public key")]
    PublicKey,
    /// The signature does not verify.
    #[error("the signature does not verify")]
    Signature,
    /// The sealed secret does not open: another key, other ids, or altered bytes.
    #[error("the sealed secret does not open")]
    Unsealed,
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    Entropy,
}
