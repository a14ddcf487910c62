//! The inner loops in 64-bit integer arithmetic.

use std::ops::Range;

use super::{
    Checked, MAX_LAZY_TERMS, NttTables, PairTerm, SingleTerm, TILE_LANES, Tile,
    tables::{Fold, Twiddles},
};
use crate::modulus::{MASK52, Modulus, ShoupFactor};

pub(super) fn add_assign(m: &Modulus, x: &mut [u64], y: &[u64]) {
    for (x, &y) in x.iter_mut().zip(y) {
        *x = m.add(*x, y);
    }
}

pub(super) fn sub_assign(m: &Modulus, x: &mut [u64], y: &[u64]) {
    for (x, &y) in x.iter_mut().zip(y) {
        *x = m.sub(*x, y);
    }
}

pub(super) fn neg_assign(m: &Modulus, x: &mut [u64]) {
    for x in x {
        *x = m.neg(*x);
    }
}

pub(super) fn mul_assign(m: &Modulus, x: &mut [u64], y: &[u64]) {
    for (x, &y) in x.iter_mut().zip(y) {
        *x = m.mul(*x, y);
    }
}

pub(super) fn mul_add_assign(m: &Modulus, sum: &mut [u64], x: &[u64], y: &[u64]) {
    for ((sum, &x), &y) in sum.iter_mut().zip(x).zip(y) {
        *sum = m.add(*sum, m.mul(x, y));
    }
}

pub(super) fn scale_assign(m: &Modulus, x: &mut [u64], w: ShoupFactor) {
    for x in x {
        *x = m.mul_shoup(*x, w);
    }
}

pub(super) fn sub_scale(m: &Modulus, x: &[u64], y: &[u64], w: ShoupFactor, out: &mut [u64]) {
    for ((out, &x), &y) in out.iter_mut().zip(x).zip(y) {
        *out = m.mul_shoup(x + m.value() - y, w);
    }
}

pub(super) fn offset(x: &[u64], c: u64, out: &mut [u64]) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = x + c;
    }
}

pub(super) fn combine<const OWN: bool>(
    m: &Modulus,
    c: u64,
    f_own: u64,
    f: &[u64],
    x: &[&[u64]],
    out: &mut [u64],
) {
    for (i, out) in out.iter_mut().enumerate() {
        let mut sum = u128::from(c);
        if OWN {
            sum += u128::from(f_own) * u128::from(*out);
        }
        for (&f, x) in f.iter().zip(x) {
            sum += u128::from(f) * u128::from(x[i]);
        }
        *out = reduce_sum(m, sum);
    }
}

/// Reduces a sum of at most [`MAX_LAZY_TERMS`] products, each below 2^98.
#[inline]
fn reduce_sum(m: &Modulus, sum: u128) -> u64 {
    m.reduce_u128(sum)
}

/// Coefficients for which a sum of products keeps its accumulators at once: terms are the outer
/// loop, so that each operand is read in stretches of whole cache lines.
const BLOCK: usize = 64;

/// Runs `accumulate(sums, first coefficient, term)` over all terms, block by block, and writes the
/// reduced sums to `outs`.
#[inline]
fn dot<const OUTS: usize, const ADD: bool, T>(
    m: &Modulus,
    terms: Checked<'_, T>,
    mut outs: [&mut [u64]; OUTS],
    accumulate: impl Fn(&mut [[u128; BLOCK]; OUTS], usize, usize, &T),
) {
    let len = outs[0].len();
    for start in (0..len).step_by(BLOCK) {
        let width = BLOCK.min(len - start);
        let mut sums = [[0u128; BLOCK]; OUTS];
        if ADD {
            for (sums, out) in sums.iter_mut().zip(&outs) {
                for (sum, &x) in sums.iter_mut().zip(&out[start..start + width]) {
                    *sum = u128::from(x);
                }
            }
        }
        for group in terms.terms.chunks(MAX_LAZY_TERMS) {
            for term in group {
                accumulate(&mut sums, start, width, term);
            }
            for sum in sums.iter_mut().flat_map(|sums| &mut sums[..width]) {
                *sum = u128::from(reduce_sum(m, *sum));
            }
        }
        for (sums, out) in sums.iter().zip(&mut outs) {
            for (out, &sum) in out[start..start + width].iter_mut().zip(sums) {
                *out = sum as u64;
            }
        }
    }
}

#[inline]
fn multiply_add(sums: &mut [u128; BLOCK], x: &[u64], y: &[u64]) {
    for ((sum, &x), &y) in sums.iter_mut().zip(x).zip(y) {
        *sum += u128::from(x) * u128::from(y);
    }
}

pub(super) fn interleave(limbs: &[&[u64]], block: Range<usize>, out: &mut [u64]) {
    let vectors = limbs.len() * TILE_LANES;
    for (number, limb) in limbs.iter().enumerate() {
        let words = limb[block.clone()].chunks_exact(TILE_LANES);
        for (words, out) in words.zip(out.chunks_exact_mut(vectors)) {
            out[number * TILE_LANES..(number + 1) * TILE_LANES].copy_from_slice(words);
        }
    }
}

pub(super) fn tile(m: &Modulus, tile: Tile<'_, '_>) {
    let Tile { rows, operands, terms, outs } = tile;
    let groups = outs.len() / rows.len();
    let (step, width) = (TILE_LANES * terms, 2 * TILE_LANES * terms);
    for (vector, operands) in operands.chunks_exact(groups * width).enumerate() {
        let at = vector * TILE_LANES;
        for (row, outs) in rows.iter().zip(outs.chunks_exact_mut(groups)) {
            let weights = &row[vector * step..(vector + 1) * step];
            for (operands, outs) in operands.chunks_exact(width).zip(outs) {
                let outs = outs.each_mut().map(|out| &mut out[at..at + TILE_LANES]);
                let operands = operands.chunks_exact(2 * TILE_LANES);
                let terms: Vec<SingleTerm<'_>> = weights
                    .chunks_exact(TILE_LANES)
                    .zip(operands.map(|operand| operand.split_at(TILE_LANES)))
                    .map(|(w, (b, a))| SingleTerm { w, b, a })
                    .collect();
                dot2::<false>(m, Checked { terms: &terms, len: TILE_LANES }, outs);
            }
        }
    }
}

pub(super) fn dot3<const ADD: bool>(
    m: &Modulus,
    terms: Checked<'_, PairTerm<'_>>,
    outs: [&mut [u64]; 3],
) {
    dot::<3, ADD, _>(m, terms, outs, |sums, start, width, term| {
        let range = start..start + width;
        let (b, a) = (&term.b[range.clone()], &term.a[range.clone()]);
        let (b2, a2) = (&term.b2[range.clone()], &term.a2[range]);
        multiply_add(&mut sums[0], b, b2);
        multiply_add(&mut sums[1], a, b2);
        multiply_add(&mut sums[1], b, a2);
        multiply_add(&mut sums[2], a, a2);
    });
}

pub(super) fn dot2<const ADD: bool>(
    m: &Modulus,
    terms: Checked<'_, SingleTerm<'_>>,
    outs: [&mut [u64]; 2],
) {
    dot::<2, ADD, _>(m, terms, outs, |sums, start, width, term| {
        let range = start..start + width;
        let w = &term.w[range.clone()];
        multiply_add(&mut sums[0], w, &term.b[range.clone()]);
        multiply_add(&mut sums[1], w, &term.a[range]);
    });
}

pub(super) fn permute(source: &[u32], x: &[u64], out: &mut [u64]) {
    for (out, &source) in out.iter_mut().zip(source) {
        *out = x[source as usize];
    }
}

/// Cooley–Tukey butterflies without a conditional subtraction: each takes Y to T = w·Y in [0, 2p) and
/// gives X + T and X − T; an offset of 2p a layer, added once to the first half of the inputs, keeps
/// every difference non-negative. [`crate::max_prime`] keeps every sum below 2^52.
pub(super) fn forward(tables: &NttTables, x: &mut [u64]) {
    let m = &tables.modulus;
    let n = x.len();
    if let Some(fold) = &tables.fold {
        fold_in(m, fold, x);
    }
    let offset = 2 * m.value() * u64::from(tables.log_n);
    for x in &mut x[..n / 2] {
        *x += offset;
    }
    let mut half = n / 2;
    while half > 0 {
        let nodes = n / (2 * half);
        for (node, block) in x.chunks_exact_mut(2 * half).enumerate() {
            let w = tables.forward.get(nodes + node);
            let (left, right) = block.split_at_mut(half);
            for (x, y) in left.iter_mut().zip(right) {
                debug_assert!(*x <= MASK52 && *y <= MASK52);
                let t = m.mul_shoup_lazy(*y, w);
                *y = *x - t;
                *x += t;
            }
        }
        half /= 2;
    }
    for x in x.iter_mut() {
        *x = m.correct(m.reduce_lazy(*x));
    }
    transpose_blocks(x);
}

/// Gentleman–Sande butterflies (X + Y, (X − Y)·w). Sums double their bound in a layer, products
/// are below 2p: six layers of sums, from p to 64p, would reach 2^52, so sums are reduced at every
/// fourth layer.
pub(super) fn inverse(tables: &NttTables, x: &mut [u64]) {
    let m = &tables.modulus;
    let n = x.len();
    transpose_blocks(x);
    let mut bound = 2 * m.value();
    let mut half = 1;
    while half < n {
        let reduce = bound >= 16 * m.value();
        butterflies_inverse(m, &tables.inverse, x, half, bound, reduce);
        bound = if reduce { 2 * m.value() } else { 2 * bound };
        half *= 2;
    }
    match &tables.fold {
        None => scale_assign(m, x, tables.inverse_degree),
        Some(fold) => {
            fold_out(m, fold, x);
            x[0] = m.mul_shoup(x[0], tables.inverse_degree);
        }
    }
}

fn butterflies_inverse(
    m: &Modulus,
    twiddles: &Twiddles,
    x: &mut [u64],
    half: usize,
    bound: u64,
    reduce: bool,
) {
    let nodes = x.len() / (2 * half);
    for (node, block) in x.chunks_exact_mut(2 * half).enumerate() {
        let w = twiddles.get(nodes + node);
        let (left, right) = block.split_at_mut(half);
        for (x, y) in left.iter_mut().zip(right) {
            let sum = *x + *y;
            debug_assert!(sum <= MASK52 && *y <= bound);
            *y = m.mul_shoup_lazy(*x + bound - *y, w);
            *x = if reduce { m.reduce_lazy(sum) } else { sum };
        }
    }
}

/// b_j = a_j − i·a_{N−j}, left in [0, a_j + 2p).
fn fold_in(m: &Modulus, fold: &Fold, x: &mut [u64]) {
    let n = x.len();
    for j in 1..=n / 2 {
        let (low, high) = (x[j], x[n - j]);
        x[j] = low + m.mul_shoup_lazy(high, fold.minus_i);
        x[n - j] = high + m.mul_shoup_lazy(low, fold.minus_i);
    }
}

/// a_j = (b_j + i·b_{N−j})/2, times N⁻¹: with s and d the sum and the difference of b_j and b_{N−j} this
/// is S + D, and a_{N−j} is S − D, for S = (1 + i)/4·s and D = (1 − i)/4·d. Arguments are below 32p.
fn fold_out(m: &Modulus, fold: &Fold, x: &mut [u64]) {
    let n = x.len();
    let bound = 32 * m.value();
    let [sum, difference] = fold.unfold;
    for j in 1..=n / 2 {
        let (low, high) = (x[j], x[n - j]);
        let s = m.mul_shoup_lazy(low + high, sum);
        let d = m.mul_shoup_lazy(low + bound - high, difference);
        x[n - j] = m.correct4(s + 2 * m.value() - d);
        x[j] = m.correct4(s + d);
    }
}

/// Transposes each block of 64 as an 8×8 matrix; see [`super::tables`] on the order of slots.
fn transpose_blocks(x: &mut [u64]) {
    for block in x.chunks_exact_mut(64) {
        for row in 0..8 {
            for column in 0..row {
                block.swap(8 * row + column, 8 * column + row);
            }
        }
    }
}

/// Products into four sums of 128 bits, from operands that the compiler must take for new in every round.
pub(super) fn multiply_accumulate(rounds: u64, mix: &mut u64) {
    let mut sums = [0u128; 4];
    let mut x: [u64; 24] = std::array::from_fn(|i| 0x3fff_ffff_ffc5 - i as u64);
    let y: [u64; 4] = std::hint::black_box([3, 5, 7, 11].map(|factor| 0x0555_ef01_2345 * factor));
    for _ in 0..rounds {
        x = std::hint::black_box(x);
        for x in x {
            for (sum, y) in sums.iter_mut().zip(y) {
                *sum = sum.wrapping_add(u128::from(x) * u128::from(y));
            }
        }
    }
    *mix = sums.iter().fold(0, |mix, &sum| mix ^ sum as u64 ^ (sum >> 64) as u64);
}

pub(super) fn read(words: &[u64], mix: &mut u64) {
    *mix = words.iter().fold(0, |sum, &word| sum.wrapping_add(word));
}
