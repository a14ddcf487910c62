//! Binary building blocks: a bounds-checked reader and the header that every stored or sent object begins with.
//!
//! All integers are little-endian. Decoders are strict: a byte too few, a byte too many, a value that its canonical encoder
//! would not have written, or a header for other parameters is an error, never a guess.

use thiserror::Error;

/// First four bytes of every object.
pub const MAGIC: [u8; 4] = *b"ADYT";

/// Version of the binary formats of this crate.
pub const FORMAT_VERSION: u8 = 2;

/// Length of an object's header in bytes: magic, version, kind, parameter digest.
pub const HEADER_LEN: usize = 4 + 1 + 1 + 32;

/// Why bytes were refused.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// The input ended before the object did.
    #[error("input ends after {have} bytes where {need} were needed")]
    Truncated {
        /// Bytes that were needed from the current position.
        need: usize,
        /// Bytes that were left there.
        have: usize,
    },
    /// The object ended before the input did.
    #[error("{0} bytes left over after the object")]
    TrailingBytes(usize),
    /// The first four bytes are not [`MAGIC`].
    #[error("not an Adyton object")]
    BadMagic,
    /// A format version that this build does not read.
    #[error("format version {0} is not supported")]
    UnsupportedVersion(u8),
    /// Another kind of object than was asked for.
    #[error("expected a {expected:?}, found kind {found}")]
    WrongKind {
        /// The kind that was asked for.
        expected: ObjectKind,
        /// The kind byte that was found.
        found: u8,
    },
    /// The object belongs to other parameters.
    #[error("the object belongs to other parameters")]
    WrongParameters,
    /// The ciphertext is encrypted under a key of another role.
    #[error("expected role {expected:?}, found role byte {found}")]
    WrongRole {
        /// The role that was asked for.
        expected: crate::Role,
        /// The role byte that was found.
        found: u8,
    },
    /// A level that the parameters do not have, or where no evaluation key may exist.
    #[error("level {0} does not exist here")]
    BadLevel(u8),
    /// A field holds a value that no encoder writes.
    #[error("{0} is not in canonical form")]
    NotCanonical(&'static str),
    /// A residue is not below its prime.
    #[error("a residue is not below its prime {prime}")]
    ResidueTooLarge {
        /// The prime.
        prime: u64,
    },
}

/// What an encoded object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum ObjectKind {
    /// A degree-1 ciphertext with both polynomials.
    Ciphertext = 1,
    /// A degree-1 ciphertext whose second polynomial is a seed.
    SeededCiphertext = 2,
    /// An encoded, unencrypted vector.
    Plaintext = 3,
    /// An evaluation key whose uniform halves are a seed.
    EvaluationKey = 4,
    /// A public encryption key.
    PublicKey = 5,
}

/// Appends the header of an object of `kind` under the parameters with `digest`.
pub fn write_header(out: &mut Vec<u8>, kind: ObjectKind, digest: &[u8; 32]) {
    out.extend_from_slice(&MAGIC);
    out.push(FORMAT_VERSION);
    out.push(kind as u8);
    out.extend_from_slice(digest);
}

/// A cursor over untrusted bytes. No method allocates or reads past the end.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when fewer are left.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (head, tail) = self
            .rest
            .split_at_checked(len)
            .ok_or(DecodeError::Truncated { need: len, have: self.rest.len() })?;
        self.rest = tail;
        Ok(head)
    }

    /// The next `LEN` bytes as an array.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] when fewer are left.
    pub fn array<const LEN: usize>(&mut self) -> Result<[u8; LEN], DecodeError> {
        let (head, tail) = self
            .rest
            .split_first_chunk::<LEN>()
            .ok_or(DecodeError::Truncated { need: LEN, have: self.rest.len() })?;
        self.rest = tail;
        Ok(*head)
    }

    /// One byte.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] at the end of the input.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    /// A 16-bit two's-complement integer.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] at the end of the input.
    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        Ok(i16::from_le_bytes(self.array()?))
    }

    /// A 32-bit integer.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] at the end of the input.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// A 64-bit integer.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`] at the end of the input.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Reads a header and checks it against the kind and parameters that are expected here.
    ///
    /// # Errors
    /// [`DecodeError`] naming the first field that differs.
    pub fn header(&mut self, kind: ObjectKind, digest: &[u8; 32]) -> Result<(), DecodeError> {
        if self.array::<4>()? != MAGIC {
            return Err(DecodeError::BadMagic);
        }
        let version = self.u8()?;
        if version != FORMAT_VERSION {
            return Err(DecodeError::UnsupportedVersion(version));
        }
        let found = self.u8()?;
        if found != kind as u8 {
            return Err(DecodeError::WrongKind { expected: kind, found });
        }
        if self.array::<32>()? != *digest {
            return Err(DecodeError::WrongParameters);
        }
        Ok(())
    }

    /// Bytes not yet read.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Ends the decoding: every byte must have been read.
    ///
    /// # Errors
    /// [`DecodeError::TrailingBytes`] otherwise.
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::TrailingBytes(self.rest.len())) }
    }
}
