//! Buffers of residues aligned to cache lines, so that 512-bit loads never straddle two of them.
//!
//! A first-level cache holds only eight lines whose addresses agree modulo 4 KiB, and limbs are powers
//! of two long: sums over many polynomials that all begin at the same place of a page would evict their
//! own operands. Large buffers therefore begin at changing distances from where they were allocated.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

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

/// A buffer of `u64`, aligned to 64 bytes.
pub struct AlignedBuffer {
    lines: Vec<Line>,
    first: usize,
    len: usize,
    /// Where the memory goes when the buffer is dropped.
    home: Option<Arc<BufferPool>>,
}

/// Buffers that were used before and will be again: fresh pages cost as much as the transforms that fill them. It must not be used
/// for secrets, since contents stay, and it keeps about as much memory as was in use at once until it is dropped.
#[derive(Default)]
pub struct BufferPool(Mutex<BTreeMap<usize, Vec<Vec<Line>>>>);

impl BufferPool {
    /// A buffer of `len` words that hold anything. It comes back when it is dropped; its clones do not.
    #[must_use]
    pub fn lend(self: &Arc<Self>, len: usize) -> AlignedBuffer {
        let lines = len.div_ceil(8);
        // Up to twice as much memory serves too, so that what one level used is of use to the next.
        let found = self.with(|idle| {
            let mut fitting = idle.range_mut(lines..=2 * lines + PERIOD);
            fitting.find_map(|(_, buffers)| buffers.pop())
        });
        let home = Some(Arc::clone(self));
        match found {
            Some(buffer) => {
                let first = skew(lines).min(buffer.len() - lines);
                AlignedBuffer { lines: buffer, first, len, home }
            }
            None => {
                drop(self.give_up(lines));
                let mut buffer = AlignedBuffer::zeroed(len);
                buffer.home = home;
                buffer
            }
        }
    }

    /// Takes idle buffers, largest first, of about as many lines as are needed afresh: so the pool holds little more than was in use at once,
    /// whatever sizes were in use before.
    fn give_up(&self, lines: usize) -> Vec<Vec<Line>> {
        self.with(|idle| {
            let (mut given, mut count) = (Vec::new(), 0);
            while count < lines
                && let Some(mut largest) = idle.last_entry()
            {
                match largest.get_mut().pop() {
                    Some(buffer) => {
                        count += buffer.len();
                        given.push(buffer);
                    }
                    None => drop(largest.remove()),
                }
            }
            given
        })
    }

    fn with<R>(&self, act: impl FnOnce(&mut BTreeMap<usize, Vec<Vec<Line>>>) -> R) -> R {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl std::fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let idle = self.with(|idle| idle.values().map(Vec::len).sum::<usize>());
        write!(f, "BufferPool({idle} idle)")
    }
}

impl Drop for AlignedBuffer {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            let lines = std::mem::take(&mut self.lines);
            home.with(|idle| idle.entry(lines.len()).or_default().push(lines));
        }
    }
}

/// Lines by which a buffer of so many begins later than its memory.
fn skew(lines: usize) -> usize {
    match lines {
        0..LARGE => 0,
        _ => NEXT_SKEW.fetch_add(SKEW, Ordering::Relaxed) % PERIOD,
    }
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
        let first = skew(lines);
        Self { lines: bytemuck::zeroed_vec(first + lines), first, len, home: None }
    }

    /// A buffer holding a copy of `values`.
    #[must_use]
    pub fn from_slice(values: &[u64]) -> Self {
        // Whole aligned lines, as other buffers are, need not be zeroed before.
        let Ok(whole) = bytemuck::try_cast_slice::<u64, Line>(values) else {
            let mut buffer = Self::zeroed(values.len());
            buffer.copy_from_slice(values);
            return buffer;
        };
        let first = skew(whole.len());
        let mut lines = Vec::with_capacity(first + whole.len());
        lines.resize(first, Line::zeroed());
        lines.extend_from_slice(whole);
        Self { lines, first, len: values.len(), home: None }
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
    use super::{AlignedBuffer, BufferPool};
    use std::sync::Arc;

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
    fn lent_buffers_come_back() {
        let pool = Arc::new(BufferPool::default());
        let mut buffer = pool.lend(5000);
        assert!(buffer.iter().all(|&x| x == 0), "fresh memory");
        buffer.fill(7);
        let clone = buffer.clone();
        drop(buffer);
        assert_eq!(format!("{pool:?}"), "BufferPool(1 idle)");
        drop(clone);
        assert_eq!(format!("{pool:?}"), "BufferPool(1 idle)", "a clone has no home");
        for len in [4000, 5000, 3000] {
            let again = pool.lend(len);
            // It may begin a little earlier than the buffer that was filled.
            assert_eq!((again.len(), again[len - 1]), (len, 7), "the same memory");
            assert_eq!(again.as_ptr() as usize % 64, 0);
        }
        let (small, large) = (pool.lend(100), pool.lend(6000));
        assert_eq!((small[0], large[0]), (0, 0), "too large and too small a buffer do not serve");
        assert_eq!(format!("{pool:?}"), "BufferPool(0 idle)", "but make room");
    }

    #[test]
    fn clones_are_equal() {
        let words: Vec<u64> = (0..5000).collect();
        let buffer = AlignedBuffer::from_slice(&words);
        assert_eq!(*buffer, words[..]);
        assert_eq!(buffer.clone(), buffer);
    }
}
