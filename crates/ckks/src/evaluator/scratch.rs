//! Scratch memory, kept between calls: fresh pages cost as much as the transforms that fill them.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

use adyton_ring::AlignedBuffer;

/// Buffers by length. They hold nothing secret: evaluators see ciphertexts only.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<BTreeMap<usize, Vec<AlignedBuffer>>>);

/// A buffer on loan, with whatever its last user left in it.
#[derive(Debug)]
pub(super) struct Lent<'p> {
    pool: &'p Pool,
    buffer: AlignedBuffer,
}

impl Pool {
    /// A buffer of `words` words.
    pub(super) fn lend(&self, words: usize) -> Lent<'_> {
        let pooled = self.with(|buffers| buffers.get_mut(&words).and_then(Vec::pop));
        let buffer = pooled.unwrap_or_else(|| AlignedBuffer::zeroed(words));
        Lent { pool: self, buffer }
    }

    fn with<R>(&self, act: impl FnOnce(&mut BTreeMap<usize, Vec<AlignedBuffer>>) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let buffer = std::mem::replace(&mut self.buffer, AlignedBuffer::zeroed(0));
        self.pool.with(|buffers| buffers.entry(buffer.len()).or_default().push(buffer));
    }
}

impl Deref for Lent<'_> {
    type Target = [u64];
    fn deref(&self) -> &[u64] {
        &self.buffer
    }
}

impl DerefMut for Lent<'_> {
    fn deref_mut(&mut self) -> &mut [u64] {
        &mut self.buffer
    }
}
