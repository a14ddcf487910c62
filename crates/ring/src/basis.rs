//! Lists of primes.

use std::sync::Arc;

use crate::RingError;

/// Identifies a ring by its kind, degree and primes, so that operands of different rings are told
/// apart.
pub(crate) type RingId = [u8; 16];

/// An ordered list of distinct primes of one ring, by index; cheap to clone.
///
/// Made by [`Ring::basis`](crate::Ring::basis), which checks the indices. Two bases are equal if they
/// name the same primes of equal rings in the same order.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Basis {
    pub(crate) ring: RingId,
    indices: Arc<[u8]>,
}

impl std::fmt::Debug for Basis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Basis{:?}", self.indices)
    }
}

impl Basis {
    /// A basis of indices that the caller has checked.
    pub(crate) fn new(ring: RingId, indices: impl Into<Arc<[u8]>>) -> Self {
        Self { ring, indices: indices.into() }
    }

    /// Number of primes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether the basis names no prime.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// The indices, in order, into the ring's primes.
    #[must_use]
    pub fn indices(&self) -> &[u8] {
        &self.indices
    }

    /// The indices in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.indices.iter().map(|&index| usize::from(index))
    }

    /// Which limb belongs to the prime with index `prime`.
    #[must_use]
    pub fn position(&self, prime: usize) -> Option<usize> {
        self.iter().position(|index| index == prime)
    }

    /// Whether the basis has the prime with index `prime`.
    #[must_use]
    pub fn contains(&self, prime: usize) -> bool {
        self.position(prime).is_some()
    }

    /// This basis followed by those primes of `other` that it lacks.
    ///
    /// # Errors
    /// [`RingError::RingMismatch`].
    pub fn union(&self, other: &Self) -> Result<Self, RingError> {
        self.check_ring(other)?;
        let mut indices = self.indices.to_vec();
        indices.extend(other.indices.iter().filter(|index| !self.indices.contains(index)));
        Ok(Self::new(self.ring, indices))
    }

    /// The primes of this basis that `other` lacks, in this basis's order.
    ///
    /// # Errors
    /// [`RingError::RingMismatch`].
    pub fn difference(&self, other: &Self) -> Result<Self, RingError> {
        self.check_ring(other)?;
        let kept = self.indices.iter().filter(|index| !other.indices.contains(index));
        Ok(Self::new(self.ring, kept.copied().collect::<Vec<_>>()))
    }

    pub(crate) fn check_ring(&self, other: &Self) -> Result<(), RingError> {
        if self.ring == other.ring { Ok(()) } else { Err(RingError::RingMismatch) }
    }

    /// Fails unless `other` is this basis.
    pub(crate) fn check_same(&self, other: &Self) -> Result<(), RingError> {
        if self == other {
            return Ok(());
        }
        self.check_ring(other)?;
        Err(RingError::BasisMismatch { left: format!("{self:?}"), right: format!("{other:?}") })
    }
}
