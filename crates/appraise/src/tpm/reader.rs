//! Reads the TCG's structures: each number and string taken from the front, never beyond the end.

use crate::error::VerifyError;

/// What is left of a structure.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`, called `what` in errors.
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    /// What is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `length` bytes.
    ///
    /// # Errors
    /// [`VerifyError`] `truncated`, as all of these.
    pub(crate) fn bytes(&mut self, length: usize) -> Result<&'a [u8], VerifyError> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.truncated())?;
        self.rest = rest;
        Ok(bytes)
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], VerifyError> {
        let (array, rest) = self.rest.split_first_chunk().ok_or_else(|| self.truncated())?;
        self.rest = rest;
        Ok(*array)
    }

    /// One byte.
    pub(crate) fn u8(&mut self) -> Result<u8, VerifyError> {
        self.array().map(u8::from_be_bytes)
    }

    /// A big-endian number of 16 bits, as TPMs write them.
    pub(crate) fn be16(&mut self) -> Result<u16, VerifyError> {
        self.array().map(u16::from_be_bytes)
    }

    /// A big-endian number of 32 bits.
    pub(crate) fn be32(&mut self) -> Result<u32, VerifyError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A big-endian number of 64 bits.
    pub(crate) fn be64(&mut self) -> Result<u64, VerifyError> {
        self.array().map(u64::from_be_bytes)
    }

    /// A little-endian number of 16 bits, as firmware and tpm2-tools write them.
    pub(crate) fn le16(&mut self) -> Result<u16, VerifyError> {
        self.array().map(u16::from_le_bytes)
    }

    /// A little-endian number of 32 bits.
    pub(crate) fn le32(&mut self) -> Result<u32, VerifyError> {
        self.array().map(u32::from_le_bytes)
    }

    /// A string with its length of 16 bits before it (`TPM2B`), of at most `most` bytes.
    pub(crate) fn sized(&mut self, most: usize) -> Result<&'a [u8], VerifyError> {
        let length = usize::from(self.be16()?);
        if length > most {
            return Err(self.malformed("a string is longer than its kind can be"));
        }
        self.bytes(length)
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// [`VerifyError`] `malformed`.
    pub(crate) fn finish(self) -> Result<(), VerifyError> {
        match self.rest.is_empty() {
            true => Ok(()),
            false => Err(self.malformed("bytes are left over")),
        }
    }

    /// The error for what is wrong with this structure.
    pub(crate) fn malformed(&self, why: &str) -> VerifyError {
        VerifyError::malformed(format!("the {} is malformed: {why}", self.what))
    }

    fn truncated(&self) -> VerifyError {
        let what = format!("the {} is cut short", self.what);
        VerifyError::new("truncated", what, "fetch the file again, whole")
    }
}
