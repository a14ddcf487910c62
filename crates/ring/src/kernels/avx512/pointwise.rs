//! Loops over single residues.

use std::arch::x86_64::*;

use super::vector::{Constants, LANES, factor, load, splat, store, tail_mask};
use crate::modulus::{Modulus, ShoupFactor};

/// `own = f(own, inputs)` vector by vector, the last one by mask; slices are cut to the shortest.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn zip<const K: usize>(
    own: &mut [u64],
    inputs: [&[u64]; K],
    f: impl Fn(__m512i, [__m512i; K]) -> __m512i,
) {
    let len = inputs.iter().fold(own.len(), |len, input| len.min(input.len()));
    let own = own.as_mut_ptr();
    let full = len - len % LANES;
    for i in (0..full).step_by(LANES) {
        // SAFETY: i + LANES ≤ len, which no slice is shorter than.
        unsafe {
            let values = inputs.map(|input| load(input.as_ptr().add(i)));
            store(own.add(i), f(load(own.add(i)), values));
        }
    }
    if full < len {
        let mask = tail_mask(len);
        // SAFETY: the mask selects the lanes from full to len, which no slice is shorter than.
        unsafe {
            let values =
                inputs.map(|input| _mm512_maskz_loadu_epi64(mask, input.as_ptr().add(full).cast()));
            let value = f(_mm512_maskz_loadu_epi64(mask, own.add(full).cast()), values);
            _mm512_mask_storeu_epi64(own.add(full).cast(), mask, value);
        }
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(super) fn add_assign(m: &Modulus, x: &mut [u64], y: &[u64]) {
    let c = Constants::new(m);
    zip(x, [y], |x, [y]| c.correct(_mm512_add_epi64(x, y)));
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(super) fn sub_assign(m: &Modulus, x: &mut [u64], y: &[u64]) {
    let c = Constants::new(m);
    zip(x, [y], |x, [y]| {
        // A negative difference is a huge number, and the minimum takes the one with p added.
        let difference = _mm512_sub_epi64(x, y);
        _mm512_min_epu64(difference, _mm512_add_epi64(difference, c.p))
    });
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(super) fn neg_assign(m: &Modulus, x: &mut [u64]) {
    let c = Constants::new(m);
    zip(x, [], |x, []| c.correct(_mm512_sub_epi64(c.p, x)));
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(super) fn mul_assign(m: &Modulus, x: &mut [u64], y: &[u64]) {
    let c = Constants::new(m);
    let zero = _mm512_setzero_si512();
    zip(x, [y], |x, [y]| {
        c.reduce_sum(_mm512_madd52lo_epu64(zero, x, y), _mm512_madd52hi_epu64(zero, x, y))
    });
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(super) fn mul_add_assign(m: &Modulus, sum: &mut [u64], x: &[u64], y: &[u64]) {
    let c = Constants::new(m);
    let zero = _mm512_setzero_si512();
    zip(sum, [x, y], |sum, [x, y]| {
        c.reduce_sum(_mm512_madd52lo_epu64(sum, x, y), _mm512_madd52hi_epu64(zero, x, y))
    });
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(super) fn scale_assign(m: &Modulus, x: &mut [u64], w: ShoupFactor) {
    let (c, w) = (Constants::new(m), factor(w));
    zip(x, [], |x, []| c.exact_product(x, w));
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(super) fn sub_scale(m: &Modulus, x: &[u64], y: &[u64], w: ShoupFactor, out: &mut [u64]) {
    let (c, w) = (Constants::new(m), factor(w));
    zip(out, [x, y], |_, [x, y]| c.exact_product(_mm512_sub_epi64(_mm512_add_epi64(x, c.p), y), w));
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(super) fn offset(x: &[u64], c: u64, out: &mut [u64]) {
    let c = splat(c);
    zip(out, [x], |_, [x]| _mm512_add_epi64(x, c));
}
