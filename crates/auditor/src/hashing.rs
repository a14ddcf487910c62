//! Reading an object while taking its digest.

use std::io::{self, Read};

use adyton_wire::ObjectId;
use adyton_wire::digest::ObjectHasher;

use crate::AuditError;

/// Passes bytes on and takes their digest.
pub(crate) struct Hashing<R> {
    inner: R,
    hasher: ObjectHasher,
}

impl<R: Read> Hashing<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, hasher: ObjectHasher::default() }
    }

    /// Reads what is left, so that nothing is, and holds the digest against `object`.
    pub(crate) fn finish(mut self, what: &'static str, object: ObjectId) -> Result<(), AuditError> {
        io::copy(&mut self, &mut io::sink()).map_err(|source| AuditError::Read { what, source })?;
        if self.hasher.finish() == object { Ok(()) } else { Err(AuditError::Object { what }) }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}
