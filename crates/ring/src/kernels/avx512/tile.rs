//! Products of rows of weights with groups of operands.
//!
//! A sum of single pairs waits for loads, and for the latency of its own accumulators. Here up to two rows and three groups go together, as
//! many as the register file has accumulators for: what is loaded of a weight serves all groups, what is loaded of an operand both rows.
//! The operands of one vector of coefficients stay in the first-level cache while all rows pass over them; weights come from memory
//! once, one vector ahead, and from the second-level cache for the groups after the first.

#![expect(
    clippy::needless_range_loop,
    reason = "sums behind an iterator's references are written to memory for every term"
)]

use std::arch::x86_64::*;
use std::ops::Range;

use super::vector::{Constants, LANES, load, store};
use crate::{
    kernels::{MAX_LAZY_TERMS, Tile},
    modulus::Modulus,
};

/// Groups that are multiplied at once.
const MOST_GROUPS: usize = 3;

/// Rows that are multiplied at once.
const MOST_ROWS: usize = 2;

/// Low and high sums of both components.
type Sums = [[__m512i; 2]; 2];

/// One vector of coefficients of some rows and groups.
struct Block<'a> {
    /// From the vector on, all rows' weights.
    rows: &'a [&'a [u64]],
    /// The operands of the groups, one after the other.
    operands: &'a [u64],
    terms: usize,
    /// The vector's place in the outputs.
    at: usize,
    /// Terms of the rows' next vector that are fetched meanwhile.
    next: Range<usize>,
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(super) fn tile(m: &Modulus, tile: Tile<'_, '_>) {
    let c = Constants::new(m);
    let Tile { rows, operands, terms, outs } = tile;
    // Words that one vector takes of a row and of a group.
    let (step, width) = (LANES * terms, 2 * LANES * terms);
    let groups = outs.len() / rows.len();
    let tiles = groups.div_ceil(MOST_GROUPS);
    for (vector, operands) in operands.chunks_exact(groups * width).enumerate() {
        let mut group = 0;
        for tile in 0..tiles {
            // As even as can be: 2 + 2, not 3 + 1.
            let several = (groups - group).div_ceil(tiles - tile);
            // Each pass over the rows fetches its share of the next vector's weights.
            let share = terms * tile / tiles..terms * (tile + 1) / tiles;
            let rows = rows.chunks(MOST_ROWS).zip(outs.chunks_mut(MOST_ROWS * groups));
            for (rows, outs) in rows {
                let from: [&[u64]; MOST_ROWS] = std::array::from_fn(|row| {
                    rows.get(row).map_or(&[][..], |r| &r[vector * step..])
                });
                let from = &from[..rows.len()];
                let goes_on = from.iter().all(|row| row.len() >= 2 * step);
                let block = Block {
                    rows: from,
                    operands: &operands[group * width..(group + several) * width],
                    terms,
                    at: vector * LANES,
                    next: if goes_on { share.clone() } else { 0..0 },
                };
                // The outputs of these groups, row by row.
                let mut outs = outs.chunks_exact_mut(groups);
                let mut outs: [&mut [[&mut [u64]; 2]]; MOST_ROWS] = std::array::from_fn(|_| {
                    outs.next().map_or(&mut [][..], |row| &mut row[group..group + several])
                });
                let outs = &mut outs[..rows.len()];
                // SAFETY: rows hold whole terms of this vector, and where they go on of another; operands are whole terms of
                // `several` groups; outputs, one for each group of each row, have words at `at`.
                unsafe {
                    match (rows.len(), several) {
                        (1, 1) => multiply::<1, 1>(&c, block, outs),
                        (1, 2) => multiply::<1, 2>(&c, block, outs),
                        (1, _) => multiply::<1, 3>(&c, block, outs),
                        (_, 1) => multiply::<2, 1>(&c, block, outs),
                        (_, 2) => multiply::<2, 2>(&c, block, outs),
                        (_, _) => multiply::<2, 3>(&c, block, outs),
                    }
                }
            }
            group += several;
        }
    }
}

/// `R` rows with `G` groups.
///
/// # Safety
/// The block has `R` rows with weights for all terms, and for another vector unless `next` is empty; operands for all terms of `G`
/// groups; and `outs` are `R` lists of `G` pairs of slices of `at + 8` or more words.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
unsafe fn multiply<const R: usize, const G: usize>(
    c: &Constants,
    block: Block<'_>,
    outs: &mut [&mut [[&mut [u64]; 2]]],
) {
    let Block { rows, operands, terms, at, next } = block;
    let rows: [*const u64; R] = std::array::from_fn(|row| rows[row].as_ptr());
    let operands = operands.as_ptr();
    let mut sums: [[Sums; G]; R] = [[[[_mm512_setzero_si512(); 2]; 2]; G]; R];
    // SAFETY: the caller's promise: every load and store is of a term below `terms` or at `at`. Fetching is a hint at any address.
    unsafe {
        for first in (0..terms).step_by(MAX_LAZY_TERMS) {
            if first > 0 {
                sums = sums.map(|sums| {
                    sums.map(|sums| {
                        sums.map(|[low, high]| [c.reduce_sum(low, high), _mm512_setzero_si512()])
                    })
                });
            }
            for term in first..terms.min(first + MAX_LAZY_TERMS) {
                let mut w = [_mm512_setzero_si512(); R];
                for row in 0..R {
                    w[row] = load(rows[row].add(term * LANES));
                }
                for group in 0..G {
                    let x = operands.add((group * terms + term) * 2 * LANES);
                    let x = [load(x), load(x.add(LANES))];
                    for row in 0..R {
                        sums[row][group] = accumulate(sums[row][group], w[row], x);
                    }
                }
                if term.wrapping_sub(next.start) < next.end - next.start {
                    for row in rows {
                        _mm_prefetch::<_MM_HINT_T1>(
                            row.wrapping_add((terms + term) * LANES).cast(),
                        );
                    }
                }
            }
        }
        for row in 0..R {
            for group in 0..G {
                for (component, out) in outs[row][group].iter_mut().enumerate() {
                    let [low, high] = sums[row][group][component];
                    store(out.as_mut_ptr().add(at), c.reduce_sum(low, high));
                }
            }
        }
    }
}

/// Adds the products of a weight with both components of an operand.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn accumulate([b, a]: Sums, w: __m512i, x: [__m512i; 2]) -> Sums {
    [
        [_mm512_madd52lo_epu64(b[0], w, x[0]), _mm512_madd52hi_epu64(b[1], w, x[0])],
        [_mm512_madd52lo_epu64(a[0], w, x[1]), _mm512_madd52hi_epu64(a[1], w, x[1])],
    ]
}
