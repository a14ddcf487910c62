//! Permutations of slots that automorphisms are.
//!
//! With slots numbered by t, the exponent of their evaluation point being 1 + (M/N)·t (see
//! [`super::tables`]), X → X^g takes slot t from slot g·t + k modulo N.

#[cfg(target_arch = "x86_64")]
use super::avx512;
use super::{
    Backend, portable,
    tables::{reverse_bits, slot_to_leaf},
};

/// t ← `multiplier`·t + `addend` modulo 2^`log_n`, the multiplier odd.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Affine {
    pub(crate) log_n: u8,
    pub(crate) multiplier: usize,
    pub(crate) addend: usize,
}

impl Affine {
    pub(crate) fn source(self, t: usize) -> usize {
        (self.multiplier * t + self.addend) & ((1 << self.log_n) - 1)
    }

    fn source_slot(self, slot: usize) -> usize {
        let t = reverse_bits(slot_to_leaf(self.log_n, slot), self.log_n);
        slot_to_leaf(self.log_n, reverse_bits(self.source(t), self.log_n))
    }
}

/// A permutation in the form that a kernel takes.
#[derive(Debug, Clone)]
pub(crate) enum Permutation {
    /// Slot k comes from slot `.0[k]`.
    Slots(Box<[u32]>),
    /// Block by block, with vectors.
    #[cfg(target_arch = "x86_64")]
    Blocks(avx512::Avx512, Box<avx512::BlockPermutation>),
}

impl Permutation {
    pub(crate) fn new(backend: Backend, affine: Affine) -> Self {
        match backend {
            #[cfg(target_arch = "x86_64")]
            Backend::Avx512(proof) if affine.log_n >= 6 => {
                Self::Blocks(proof, Box::new(avx512::BlockPermutation::new(affine)))
            }
            _ => {
                let slots = 0..1usize << affine.log_n;
                Self::Slots(slots.map(|slot| affine.source_slot(slot) as u32).collect())
            }
        }
    }

    /// `out` is `x` permuted, both of the length that the permutation was made for.
    pub(crate) fn apply(&self, x: &[u64], out: &mut [u64]) {
        match self {
            Self::Slots(source) => portable::permute(source, x, out),
            #[cfg(target_arch = "x86_64")]
            Self::Blocks(proof, blocks) => avx512::permute(*proof, blocks, x, out),
        }
    }
}
