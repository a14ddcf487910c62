//! The inner loops on 512-bit vectors with 52-bit multiply-accumulate.
//!
//! `vpmadd52luq` and `vpmadd52huq` multiply the low 52 bits of two lanes and add the low or high half of
//! the product to a 64-bit lane. Multiplicands may carry anything above bit 51, so values that are
//! right modulo 2^52 and known to be below 2^52 need no mask until they are compared or stored.
//!
//! All functions of the submodules need the features that [`Avx512`] stands for; [`entries`] is the only
//! place that calls them from outside.

#![expect(
    unsafe_code,
    reason = "vector intrinsics: loads, stores and the entry by detected features"
)]

mod dot;
mod interleave;
mod ntt;
mod permute;
mod pointwise;
mod roofline;
mod tile;
mod vector;

use std::ops::Range;

use super::{Checked, NttTables, PairTerm, SingleTerm, Tile};
use crate::modulus::{Modulus, ShoupFactor};

pub(crate) use ntt::LaneTwiddles;
pub(crate) use permute::BlockPermutation;

/// Proof that this processor has AVX-512 F, DQ, VL and IFMA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Avx512(());

impl Avx512 {
    pub(crate) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512ifma");
        found.then_some(Self(()))
    }
}

macro_rules! entries {
    ($($module:ident::$name:ident $([$flag:ident])? ($($argument:ident: $type:ty),*);)*) => {$(
        #[inline]
        pub(super) fn $name $(<const $flag: bool>)? (_: Avx512, $($argument: $type),*) {
            // SAFETY: an `Avx512` exists only where the processor has the features.
            unsafe { $module::$name $(::<$flag>)? ($($argument),*) }
        }
    )*};
}

entries! {
    pointwise::add_assign(m: &Modulus, x: &mut [u64], y: &[u64]);
    pointwise::sub_assign(m: &Modulus, x: &mut [u64], y: &[u64]);
    pointwise::neg_assign(m: &Modulus, x: &mut [u64]);
    pointwise::mul_assign(m: &Modulus, x: &mut [u64], y: &[u64]);
    pointwise::mul_add_assign(m: &Modulus, sum: &mut [u64], x: &[u64], y: &[u64]);
    pointwise::scale_assign(m: &Modulus, x: &mut [u64], w: ShoupFactor);
    pointwise::sub_scale(m: &Modulus, x: &[u64], y: &[u64], w: ShoupFactor, out: &mut [u64]);
    pointwise::offset(x: &[u64], c: u64, out: &mut [u64]);
    permute::permute(permutation: &BlockPermutation, x: &[u64], out: &mut [u64]);
    dot::combine[OWN](m: &Modulus, c: u64, f_own: u64, f: &[u64], x: &[&[u64]], out: &mut [u64]);
    dot::dot3[ADD](m: &Modulus, terms: Checked<'_, PairTerm<'_>>, outs: [&mut [u64]; 3]);
    dot::dot2[ADD](m: &Modulus, terms: Checked<'_, SingleTerm<'_>>, outs: [&mut [u64]; 2]);
    interleave::interleave(limbs: &[&[u64]], block: Range<usize>, out: &mut [u64]);
    tile::tile(m: &Modulus, tile: Tile<'_, '_>);
    roofline::multiply_accumulate(rounds: u64, mix: &mut u64);
    roofline::read(words: &[u64], mix: &mut u64);
    ntt::forward(tables: &NttTables, x: &mut [u64]);
    ntt::inverse(tables: &NttTables, x: &mut [u64]);
}
