//! Secrets at rest in memory: seeds of 32 bytes, packed into locked regions.

use crate::os::{LockedRegion, REGION};
use zeroize::Zeroizing;

/// A secret seed, wiped when dropped.
pub(crate) type Seed = Zeroizing<[u8; 32]>;

/// Names a secret of a [`Vault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SecretId(usize);

/// Seeds in locked memory. It grows by a region at a time and never gives one back before its end.
pub(crate) struct Vault {
    regions: Vec<LockedRegion>,
    count: usize,
}

const PER_REGION: usize = REGION / 32;

impl Vault {
    /// An empty vault with one region.
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self { regions: vec![LockedRegion::new()?], count: 0 })
    }

    /// Whether every region is locked.
    pub(crate) fn is_locked(&self) -> bool {
        self.regions.iter().all(LockedRegion::is_locked)
    }

    /// Takes a copy of a seed.
    pub(crate) fn store(&mut self, seed: &[u8; 32]) -> std::io::Result<SecretId> {
        let id = SecretId(self.count);
        let (region, place) = (id.0 / PER_REGION, id.0 % PER_REGION);
        if region == self.regions.len() {
            self.regions.push(LockedRegion::new()?);
        }
        let target = self
            .regions
            .get_mut(region)
            .and_then(|region| region.bytes_mut().get_mut(place * 32..place * 32 + 32))
            .ok_or(std::io::ErrorKind::OutOfMemory)?;
        target.copy_from_slice(seed);
        self.count += 1;
        Ok(id)
    }

    /// A copy of a seed, wiped when dropped: for the moment of use. All zeros for an id of another vault.
    pub(crate) fn get(&self, id: SecretId) -> Seed {
        let (region, place) = (id.0 / PER_REGION, id.0 % PER_REGION);
        let mut seed = Zeroizing::new([0; 32]);
        let stored = self
            .regions
            .get(region)
            .and_then(|region| region.bytes().get(place * 32..place * 32 + 32));
        if let Some(stored) = stored {
            seed.copy_from_slice(stored);
        }
        seed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_come_back_over_many_regions() {
        let mut vault = Vault::new().unwrap();
        let seed = |i: usize| -> [u8; 32] { std::array::from_fn(|j| (i * 31 + j) as u8) };
        let ids: Vec<_> = (0..2 * PER_REGION + 3).map(|i| vault.store(&seed(i)).unwrap()).collect();
        for (i, &id) in ids.iter().enumerate() {
            assert_eq!(*vault.get(id), seed(i));
        }
    }
}
