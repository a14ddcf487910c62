//! The memory budget: running jobs and the caches of expanded weights and keys share one number of bytes.
//!
//! A job asks once for everything that it needs ([`Memory::admit`]) and holds it in a [`Lease`]. What is cached already
//! costs nothing; what is cached and unused makes room, least recently used first. If there is still no room the job
//! waits, in order of arrival. A job never holds a part while it waits for another, so two jobs cannot block each other.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OnceCell};

/// What `bytes` bytes of polynomials take of the machine's memory: the allocator rounds sizes up to its classes and keeps free
/// pages. Measured with the allocator of `adyton-host`, on the shipped networks, batches of 1 to 8 groups: 8 to 14 %.
pub const fn with_overhead(bytes: u64) -> u64 {
    bytes.saturating_add(bytes / 7)
}

/// Asked for more than the whole budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("needs {needed} bytes of memory, the budget is {capacity}")]
pub struct TooLarge {
    /// Bytes that the job needs at once.
    pub needed: u64,
    /// The whole budget in bytes.
    pub capacity: u64,
}

/// A byte budget with a cache of values `V` by key `K` inside.
#[derive(Debug)]
pub struct Memory<K, V> {
    capacity: u64,
    state: Mutex<State<K, V>>,
    /// Makes admissions first come, first served.
    gate: tokio::sync::Mutex<()>,
    freed: Notify,
}

#[derive(Debug)]
struct State<K, V> {
    used: u64,
    clock: u64,
    entries: HashMap<K, Entry<V>>,
}

#[derive(Debug)]
struct Entry<V> {
    cell: Arc<OnceCell<V>>,
    bytes: u64,
    last_used: u64,
    pins: usize,
}

impl<K: Copy + Eq + Hash, V> Memory<K, V> {
    /// A budget of `capacity` bytes with nothing in it.
    pub fn new(capacity: u64) -> Self {
        let state = State { used: 0, clock: 0, entries: HashMap::new() };
        Self {
            capacity,
            state: Mutex::new(state),
            gate: tokio::sync::Mutex::new(()),
            freed: Notify::new(),
        }
    }

    /// The whole budget in bytes.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Bytes reserved or cached now.
    pub fn used(&self) -> u64 {
        self.lock().used
    }

    /// Whether a job that needs so many bytes, cached ones included, can ever run.
    ///
    /// # Errors
    /// [`TooLarge`] when it needs more than the whole budget.
    pub fn fits(&self, needed: u64) -> Result<(), TooLarge> {
        if needed > self.capacity {
            return Err(TooLarge { needed, capacity: self.capacity });
        }
        Ok(())
    }

    /// Waits until `working` bytes and the entries in `cached` (key, bytes) fit, then holds them. `waits` is called
    /// once if there is no room at first.
    ///
    /// # Errors
    /// [`TooLarge`] when the job needs more than the whole budget.
    pub async fn admit(
        self: &Arc<Self>,
        cached: &[(K, u64)],
        working: u64,
        waits: impl FnOnce(),
    ) -> Result<Lease<K, V>, TooLarge> {
        self.fits(cached.iter().fold(working, |sum, (_, bytes)| sum.saturating_add(*bytes)))?;
        let _turn = self.gate.lock().await;
        let mut waits = Some(waits);
        loop {
            // Registered before the attempt, so that room made between attempt and wait is not missed.
            let freed = self.freed.notified();
            if let Some(lease) = self.try_admit(cached, working) {
                return Ok(lease);
            }
            if let Some(waits) = waits.take() {
                waits();
            }
            freed.await;
        }
    }

    fn try_admit(self: &Arc<Self>, cached: &[(K, u64)], working: u64) -> Option<Lease<K, V>> {
        let mut state = self.lock();
        let missing: u64 = cached
            .iter()
            .filter(|(key, _)| !state.entries.contains_key(key))
            .map(|(_, bytes)| *bytes)
            .sum();
        let wanted = working + missing;
        // What this job is about to use must not be what makes room for it.
        let keep: Vec<K> = cached.iter().map(|(key, _)| *key).collect();
        state.evict_until(self.capacity.saturating_sub(wanted), &keep);
        if state.used + wanted > self.capacity {
            return None;
        }
        state.used += wanted;
        state.clock += 1;
        let clock = state.clock;
        let mut cells = Vec::with_capacity(cached.len());
        for (key, bytes) in cached {
            let entry = state.entries.entry(*key).or_insert_with(|| Entry {
                cell: Arc::new(OnceCell::new()),
                bytes: *bytes,
                last_used: clock,
                pins: 0,
            });
            entry.pins += 1;
            entry.last_used = clock;
            cells.push(Arc::clone(&entry.cell));
        }
        Some(Lease { memory: Arc::clone(self), keys: keep, cells, working })
    }

    fn lock(&self) -> MutexGuard<'_, State<K, V>> {
        // No code panics while it holds the lock, and the counters are valid between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Copy + Eq + Hash, V> State<K, V> {
    /// Drops unpinned entries, least recently used first, until at most `target` bytes are used.
    fn evict_until(&mut self, target: u64, keep: &[K]) {
        while self.used > target {
            let oldest = self
                .entries
                .iter()
                .filter(|(key, entry)| entry.pins == 0 && !keep.contains(key))
                .min_by_key(|(_, entry)| entry.last_used)
                .map(|(key, _)| *key);
            let Some(entry) = oldest.and_then(|key| self.entries.remove(&key)) else { return };
            self.used -= entry.bytes;
        }
    }
}

/// Memory held by one job; given back when dropped. Cached values stay in the cache.
#[derive(Debug)]
pub struct Lease<K: Copy + Eq + Hash, V> {
    memory: Arc<Memory<K, V>>,
    keys: Vec<K>,
    cells: Vec<Arc<OnceCell<V>>>,
    working: u64,
}

impl<K: Copy + Eq + Hash, V> Lease<K, V> {
    /// The cells of the cached values, in the order in which they were asked for. An empty one is to be filled by the
    /// job; `OnceCell` lets one job fill it while others wait.
    pub fn cells(&self) -> &[Arc<OnceCell<V>>] {
        &self.cells
    }
}

impl<K: Copy + Eq + Hash, V> Drop for Lease<K, V> {
    fn drop(&mut self) {
        let mut state = self.memory.lock();
        state.used -= self.working;
        for key in &self.keys {
            let Some(entry) = state.entries.get_mut(key) else { continue };
            entry.pins -= 1;
            // Loading failed: there is nothing to keep.
            if entry.pins == 0 && !entry.cell.initialized() {
                let bytes = entry.bytes;
                state.entries.remove(key);
                state.used -= bytes;
            }
        }
        drop(state);
        self.memory.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn fill(lease: &Lease<u8, u32>, value: u32) {
        for cell in lease.cells() {
            cell.get_or_init(|| async { value }).await;
        }
    }

    #[tokio::test]
    async fn cached_values_stay_and_cost_nothing_again() {
        let memory = Arc::new(Memory::<u8, u32>::new(100));
        let lease = memory.admit(&[(1, 60)], 40, || ()).await.unwrap();
        fill(&lease, 7).await;
        assert_eq!(memory.used(), 100);
        drop(lease);
        assert_eq!(memory.used(), 60);
        let again = memory.admit(&[(1, 60)], 40, || ()).await.unwrap();
        assert_eq!(again.cells()[0].get(), Some(&7));
    }

    #[tokio::test]
    async fn the_least_recently_used_makes_room() {
        let memory = Arc::new(Memory::<u8, u32>::new(100));
        for key in [1, 2] {
            fill(&memory.admit(&[(key, 50)], 0, || ()).await.unwrap(), u32::from(key)).await;
        }
        drop(memory.admit(&[(1, 50)], 0, || ()).await.unwrap());
        drop(memory.admit(&[], 50, || ()).await.unwrap());
        let one = memory.admit(&[(1, 50)], 0, || ()).await.unwrap();
        assert_eq!(one.cells()[0].get(), Some(&1));
        let two = memory.admit(&[(2, 50)], 0, || ()).await.unwrap();
        assert_eq!(two.cells()[0].get(), None);
    }

    #[tokio::test]
    async fn jobs_wait_and_are_woken() {
        let memory = Arc::new(Memory::<u8, u32>::new(100));
        let first = memory.admit(&[], 80, || ()).await.unwrap();
        let other = Arc::clone(&memory);
        let (told, waits) = tokio::sync::oneshot::channel();
        let second = tokio::spawn(async move {
            other.admit(&[(1, 30)], 0, || told.send(()).unwrap()).await.map(|_| ())
        });
        waits.await.unwrap();
        assert!(!second.is_finished());
        drop(first);
        tokio::time::timeout(Duration::from_secs(5), second).await.unwrap().unwrap().unwrap();
        // Its cell was never filled, so nothing stays.
        assert_eq!(memory.used(), 0);
    }

    #[tokio::test]
    async fn more_than_everything_is_refused_at_once() {
        let memory = Arc::new(Memory::<u8, u32>::new(100));
        let error = memory.admit(&[(1, 60)], 41, || ()).await.unwrap_err();
        assert_eq!(error, TooLarge { needed: 101, capacity: 100 });
        assert_eq!(memory.used(), 0);
    }

    #[tokio::test]
    async fn pinned_values_are_not_evicted() {
        let memory = Arc::new(Memory::<u8, u32>::new(100));
        let held = memory.admit(&[(1, 60)], 0, || ()).await.unwrap();
        fill(&held, 1).await;
        let waiting = memory.admit(&[], 50, || ());
        assert!(tokio::time::timeout(Duration::from_millis(50), waiting).await.is_err());
        assert_eq!(held.cells()[0].get(), Some(&1));
    }
}
