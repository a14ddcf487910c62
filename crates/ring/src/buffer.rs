//! Buffers of residues aligned to cache lines, so that 512-bit loads never straddle two of them.

use bytemuck::{Pod, Zeroable};
use zeroize::Zeroize;

/// One cache line of eight residues.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u64; 8]);

/// A zero-initialized buffer of `u64`, aligned to 64 bytes.
#[derive(Clone)]
pub struct AlignedBuffer {
    lines: Vec<Line>,
    len: usize,
}

impl AlignedBuffer {
    /// A buffer of `len` zeros.
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        Self { lines: bytemuck::zeroed_vec(len.div_ceil(8)), len }
    }

    /// A buffer holding a copy of `values`.
    #[must_use]
    pub fn from_slice(values: &[u64]) -> Self {
        let mut buffer = Self::zeroed(values.len());
        buffer.copy_from_slice(values);
        buffer
    }
}

impl std::ops::Deref for AlignedBuffer {
    type Target = [u64];
    fn deref(&self) -> &[u64] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }
}

impl std::ops::DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u64] {
        let len = self.len;
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..len]
    }
}

impl Zeroize for AlignedBuffer {
    fn zeroize(&mut self) {
        let words: &mut [u64] = &mut *self;
        words.zeroize();
    }
}

impl PartialEq for AlignedBuffer {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for AlignedBuffer {}

impl std::fmt::Debug for AlignedBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Contents may be secret key material.
        write!(f, "AlignedBuffer({} words)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::AlignedBuffer;

    #[test]
    fn aligned_zeroed_and_of_any_length() {
        for len in [0, 1, 7, 8, 9, 1000] {
            let buffer = AlignedBuffer::zeroed(len);
            assert_eq!(buffer.len(), len);
            assert_eq!(buffer.as_ptr() as usize % 64, 0);
            assert!(buffer.iter().all(|&x| x == 0));
        }
    }
}
