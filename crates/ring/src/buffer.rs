//! Buffers of residues aligned to cache lines, so that 512-bit loads never straddle two of them.
//!
//! A first-level cache holds only eight lines whose addresses agree modulo 4 KiB, and limbs are powers
//! of two long: sums over many polynomials that all begin at the same place of a page would evict their
//! own operands. Large buffers therefore begin at changing distances from where they were allocated.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytemuck::{Pod, Zeroable};
use zeroize::Zeroize;

/// One cache line of eight residues.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u64; 8]);

/// Lines in 4 KiB, the period of the cache's sets.
const PERIOD: usize = 64;

/// Lines by which one large buffer begins later than the one before; odd, so that every place of the
/// period is used.
const SKEW: usize = 5;

/// Buffers of fewer lines are not skewed.
const LARGE: usize = 4 * PERIOD;

/// Counts large buffers; the order in which threads get their skew does not matter.
static NEXT_SKEW: AtomicUsize = AtomicUsize::new(0);

/// A zero-initialized buffer of `u64`, aligned to 64 bytes.
pub struct AlignedBuffer {
    lines: Vec<Line>,
    first: usize,
    len: usize,
}

impl Clone for AlignedBuffer {
    fn clone(&self) -> Self {
        Self::from_slice(self)
    }
}

impl AlignedBuffer {
    /// A buffer of `len` zeros.
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        let lines = len.div_ceil(8);
        let first =
            if lines < LARGE { 0 } else { NEXT_SKEW.fetch_add(SKEW, Ordering::Relaxed) % PERIOD };
        Self { lines: bytemuck::zeroed_vec(first + lines), first, len }
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
        &bytemuck::cast_slice(&self.lines[self.first..])[..self.len]
    }
}

impl std::ops::DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u64] {
        let (first, len) = (self.first, self.len);
        &mut bytemuck::cast_slice_mut(&mut self.lines[first..])[..len]
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
        for len in [0, 1, 7, 8, 9, 1000, 2047, 2048, 2049, 9000] {
            let buffer = AlignedBuffer::zeroed(len);
            assert_eq!(buffer.len(), len);
            assert_eq!(buffer.as_ptr() as usize % 64, 0);
            assert!(buffer.iter().all(|&x| x == 0));
        }
    }

    #[test]
    fn large_buffers_begin_at_different_sets() {
        let mut sets: Vec<usize> = (0..32)
            .map(|_| AlignedBuffer::zeroed(1 << 16))
            .collect::<Vec<_>>()
            .iter()
            .map(|buffer| buffer.as_ptr() as usize % 4096)
            .collect();
        sets.sort_unstable();
        sets.dedup();
        // Other tests allocate meanwhile, so some may coincide.
        assert!(sets.len() > 8, "{sets:?}");
    }

    #[test]
    fn clones_are_equal() {
        let words: Vec<u64> = (0..5000).collect();
        let buffer = AlignedBuffer::from_slice(&words);
        assert_eq!(*buffer, words[..]);
        assert_eq!(buffer.clone(), buffer);
    }
}
