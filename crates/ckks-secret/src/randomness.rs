//! Where fresh seeds come from.

use adyton_ckks::Seed;
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The operating system gave no random bytes.
#[derive(Debug, Error)]
#[error("the operating system's random source failed: {0}")]
pub struct EntropyError(#[from] getrandom::Error);

/// A generator of seeds: BLAKE3 keyed by a secret seed, over a counter.
///
/// Everything random in this crate comes from here, two seeds an encryption: a public one for the uniform half, a secret one for the
/// noise. **Two generators with the same seed must never serve the same secret key**: reused noise reveals plaintexts.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Randomness {
    key: Seed,
    counter: u64,
}

impl Randomness {
    /// A generator seeded by the operating system.
    ///
    /// # Errors
    /// [`EntropyError`] when the operating system has no randomness to give.
    pub fn from_os() -> Result<Self, EntropyError> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(key.as_mut())?;
        Ok(Self::from_seed(&key))
    }

    /// A generator that repeats itself for equal seeds: for reproducible tests, and for callers with their own entropy.
    #[must_use]
    pub fn from_seed(seed: &Seed) -> Self {
        Self { key: *seed, counter: 0 }
    }

    /// The next seed.
    pub fn seed(&mut self) -> Zeroizing<Seed> {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(b"adyton/ckks-secret/randomness/1");
        hasher.update(&self.counter.to_le_bytes());
        // 2^64 seeds are out of reach, so the counter never repeats.
        self.counter = self.counter.wrapping_add(1);
        let mut seed = Zeroizing::new([0; 32]);
        let mut output = hasher.finalize_xof();
        output.fill(seed.as_mut());
        output.zeroize();
        hasher.zeroize();
        seed
    }

    /// An independent generator, for another thread.
    pub fn fork(&mut self) -> Self {
        Self::from_seed(&self.seed())
    }
}

impl std::fmt::Debug for Randomness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Randomness")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_differ_and_repeat_only_with_the_seed() {
        let mut first = Randomness::from_seed(&[1; 32]);
        let mut again = Randomness::from_seed(&[1; 32]);
        let mut other = Randomness::from_seed(&[2; 32]);
        let seed = first.seed();
        assert_eq!(*seed, *again.seed());
        assert_ne!(*seed, *other.seed());
        assert_ne!(*seed, *first.seed());
        assert_ne!(*first.fork().seed(), *again.seed());
        let os = [Randomness::from_os(), Randomness::from_os()].map(|r| r.unwrap().seed());
        assert_ne!(*os[0], *os[1]);
    }
}
