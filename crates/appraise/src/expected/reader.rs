//! Fields at places of a file, none of them beyond its end.

use super::ImageError;

/// A file and what it is called in errors.
#[derive(Clone, Copy)]
pub(super) struct Image<'a> {
    file: &'static str,
    bytes: &'a [u8],
}

impl<'a> Image<'a> {
    pub(super) fn new(file: &'static str, bytes: &'a [u8]) -> Self {
        Self { file, bytes }
    }

    pub(super) fn wrong(&self, problem: impl Into<String>) -> ImageError {
        ImageError::new(self.file, problem)
    }

    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(super) fn slice(&self, at: usize, length: usize) -> Result<&'a [u8], ImageError> {
        let found = self.bytes.get(at..).and_then(|rest| rest.get(..length));
        found.ok_or_else(|| {
            let ends = self.bytes.len();
            self.wrong(format!("ends at byte {ends}, within the {length} bytes from {at}"))
        })
    }

    pub(super) fn array<const N: usize>(&self, at: usize) -> Result<[u8; N], ImageError> {
        let mut array = [0; N];
        array.copy_from_slice(self.slice(at, N)?);
        Ok(array)
    }

    pub(super) fn le16(&self, at: usize) -> Result<u16, ImageError> {
        self.array(at).map(u16::from_le_bytes)
    }

    pub(super) fn le32(&self, at: usize) -> Result<u32, ImageError> {
        self.array(at).map(u32::from_le_bytes)
    }
}
