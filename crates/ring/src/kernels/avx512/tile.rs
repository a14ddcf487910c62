//! Products of rows of weights with groups of operands.
//!
//! Sums of single pairs wait for loads: four vectors for eight multiplications. Here two or three groups share what is loaded of
//! a weight, as many as the register file has accumulators for. Their operands of one vector of coefficients stay in the first-level
//! cache while all rows pass over them; weights come from memory once, one vector ahead, and from the second-level cache for the
//! groups after the first.

use std::arch::x86_64::*;
use std::ops::Range;

use super::vector::{Constants, LANES, load, store};
use crate::{
    kernels::{MAX_LAZY_TERMS, Tile},
    modulus::Modulus,
};

/// Groups that the register file has accumulators for.
const MOST_GROUPS: usize = 3;

/// Low and high sums of a row's components.
type Sums<const OUTS: usize> = [[__m512i; 2]; OUTS];

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(super) fn tile<const OUTS: usize>(m: &Modulus, tile: Tile<'_, '_, OUTS>) {
    let c = Constants::new(m);
    let Tile { rows, operands, terms, outs } = tile;
    // Words that one vector takes of a row and of a group.
    let (step, width) = (OUTS / 2 * LANES * terms, 2 * LANES * terms);
    let groups = outs.len() / rows.len();
    let vectors = operands.chunks_exact(groups * width);
    let tiles = groups.div_ceil(MOST_GROUPS);
    for (vector, operands) in vectors.enumerate() {
        let (at, start) = (vector * LANES, vector * step);
        let mut group = 0;
        for tile in 0..tiles {
            // As even as can be: 2 + 2, not 3 + 1.
            let several = (groups - group).div_ceil(tiles - tile);
            let x = &operands[group * width..(group + several) * width];
            // Each pass over the rows fetches its share of the next vector's weights.
            let share = terms * tile / tiles..terms * (tile + 1) / tiles;
            for (row, outs) in rows.iter().zip(outs.chunks_exact_mut(groups)) {
                let (weights, next) = row[start..].split_at(step);
                let next = if next.is_empty() { 0..0 } else { share.clone() };
                let outs = &mut outs[group..group + several];
                // SAFETY: `weights` and `x` are whole terms, as many for each output, outputs have words at `at`, and if
                // the row goes on it does so for another vector.
                unsafe {
                    match several {
                        1 => multiply::<1, OUTS>(&c, weights, x, next, at, outs),
                        2 => multiply::<2, OUTS>(&c, weights, x, next, at, outs),
                        _ => multiply::<3, OUTS>(&c, weights, x, next, at, outs),
                    }
                }
            }
            group += several;
        }
    }
}

/// One vector of coefficients of one row with `G` groups. Meanwhile the terms `next` of the row's next vector are fetched.
///
/// # Safety
/// `weights` are whole terms, `x` has as many for each group, and `outs` are `G` times slices of `at + 8` or more words.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
unsafe fn multiply<const G: usize, const OUTS: usize>(
    c: &Constants,
    weights: &[u64],
    x: &[u64],
    next: Range<usize>,
    at: usize,
    outs: &mut [[&mut [u64]; OUTS]],
) {
    let parts = OUTS / 2;
    let terms = weights.len() / (parts * LANES);
    let mut sums: [Sums<OUTS>; G] = [[[_mm512_setzero_si512(); 2]; OUTS]; G];
    // SAFETY: the caller's promise: every load and store is of a term below `terms` or at `at`. Fetching is a hint at any address.
    unsafe {
        for first in (0..terms).step_by(MAX_LAZY_TERMS) {
            if first > 0 {
                for [low, high] in sums.iter_mut().flatten() {
                    (*low, *high) = (c.reduce_sum(*low, *high), _mm512_setzero_si512());
                }
            }
            for term in first..terms.min(first + MAX_LAZY_TERMS) {
                let weight = weights.as_ptr().add(term * parts * LANES);
                let w: [__m512i; 2] = [load(weight), load(weight.add((parts - 1) * LANES))];
                for (group, sums) in sums.iter_mut().enumerate() {
                    let x = x.as_ptr().add((group * terms + term) * 2 * LANES);
                    accumulate(sums, &w[..parts], [load(x), load(x.add(LANES))]);
                }
                if next.contains(&term) {
                    let next = weight.wrapping_add(weights.len());
                    _mm_prefetch::<_MM_HINT_T1>(next.cast());
                    _mm_prefetch::<_MM_HINT_T1>(next.wrapping_add((parts - 1) * LANES).cast());
                }
            }
        }
        for (sums, outs) in sums.iter().zip(outs) {
            for ([low, high], out) in sums.iter().zip(outs) {
                store(out.as_mut_ptr().add(at), c.reduce_sum(*low, *high));
            }
        }
    }
}

/// The products of a weight's components with both of an operand.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn accumulate<const OUTS: usize>(sums: &mut Sums<OUTS>, w: &[__m512i], x: [__m512i; 2]) {
    let products = x.into_iter().flat_map(|x| w.iter().map(move |&w| (w, x)));
    for ([low, high], (w, x)) in sums.iter_mut().zip(products) {
        *low = _mm512_madd52lo_epu64(*low, w, x);
        *high = _mm512_madd52hi_epu64(*high, w, x);
    }
}
