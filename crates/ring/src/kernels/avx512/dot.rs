//! Sums of products with one reduction an output.
//!
//! Low and high halves of the products have accumulators of their own. A step works on two vectors of
//! coefficients, so that each operand is read by pairs of cache lines.

use std::arch::x86_64::*;

use super::vector::{Constants, LANES, splat, tail_mask};
use crate::{
    kernels::{Checked, MAX_LAZY_TERMS, PairTerm, SingleTerm},
    modulus::Modulus,
};

/// Low and high sums of `V` vectors.
type Sums<const V: usize> = [[__m512i; 2]; V];

/// Which words of all slices a step works on: `V` vectors from `start`, the lanes of `mask` in each.
#[derive(Clone, Copy)]
struct Step {
    start: usize,
    mask: __mmask8,
}

impl Step {
    /// The step's vectors of `x`.
    ///
    /// # Safety
    /// `x` holds the words of the step.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    unsafe fn load<const V: usize>(self, x: &[u64]) -> [__m512i; V] {
        debug_assert!(V == 1 || self.mask == 0xff);
        std::array::from_fn(|v| {
            // SAFETY: the caller's promise. V vectors are loaded whole, a single one by mask.
            unsafe {
                let x = x.as_ptr().add(self.start + v * LANES).cast();
                if V > 1 { _mm512_loadu_epi64(x) } else { _mm512_maskz_loadu_epi64(self.mask, x) }
            }
        })
    }

    /// Writes the step's vectors of `x`.
    ///
    /// # Safety
    /// `x` holds the words of the step.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    unsafe fn store<const V: usize>(self, x: &mut [u64], values: [__m512i; V]) {
        for (v, value) in values.into_iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe {
                let x = x.as_mut_ptr().add(self.start + v * LANES).cast();
                _mm512_mask_storeu_epi64(x, self.mask, value);
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn accumulate<const V: usize>(sums: &mut Sums<V>, x: &[__m512i; V], y: &[__m512i; V]) {
    for (([low, high], &x), &y) in sums.iter_mut().zip(x).zip(y) {
        *low = _mm512_madd52lo_epu64(*low, x, y);
        *high = _mm512_madd52hi_epu64(*high, x, y);
    }
}

/// A kind of term, as a sum's inner loop sees it.
trait Term<const OUTS: usize> {
    /// Adds the term's products to the sums of each output.
    ///
    /// # Safety
    /// The processor has the features; the slices hold the words of the step.
    unsafe fn accumulate<const V: usize>(&self, step: Step, sums: &mut [Sums<V>; OUTS]);
}

impl Term<3> for PairTerm<'_> {
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    unsafe fn accumulate<const V: usize>(&self, step: Step, sums: &mut [Sums<V>; 3]) {
        // SAFETY: the caller's promise.
        unsafe {
            let (b, a) = (step.load::<V>(self.b), step.load::<V>(self.a));
            let (b2, a2) = (step.load::<V>(self.b2), step.load::<V>(self.a2));
            accumulate(&mut sums[0], &b, &b2);
            accumulate(&mut sums[1], &a, &b2);
            accumulate(&mut sums[1], &b, &a2);
            accumulate(&mut sums[2], &a, &a2);
        }
    }
}

impl Term<2> for SingleTerm<'_> {
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    unsafe fn accumulate<const V: usize>(&self, step: Step, sums: &mut [Sums<V>; 2]) {
        // SAFETY: the caller's promise.
        unsafe {
            let w = step.load::<V>(self.w);
            accumulate(&mut sums[0], &w, &step.load::<V>(self.b));
            accumulate(&mut sums[1], &w, &step.load::<V>(self.a));
        }
    }
}

/// One step of a sum.
///
/// # Safety
/// The slices of all terms and outputs hold the words of the step.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
unsafe fn step<const OUTS: usize, const V: usize, const ADD: bool, T: Term<OUTS>>(
    c: &Constants,
    terms: &[T],
    outs: &mut [&mut [u64]; OUTS],
    step: Step,
) {
    let mut sums: [Sums<V>; OUTS] = [[[_mm512_setzero_si512(); 2]; V]; OUTS];
    if ADD {
        for (sums, out) in sums.iter_mut().zip(outs.iter()) {
            // SAFETY: the caller's promise.
            let start = unsafe { step.load::<V>(out) };
            for (sum, start) in sums.iter_mut().zip(start) {
                sum[0] = start;
            }
        }
    }
    let mut groups = terms.chunks(MAX_LAZY_TERMS).peekable();
    while let Some(group) = groups.next() {
        for term in group {
            // SAFETY: the caller's promise; this function has the features.
            unsafe { term.accumulate(step, &mut sums) };
        }
        if groups.peek().is_some() {
            for [low, high] in sums.iter_mut().flatten() {
                (*low, *high) = (c.reduce_sum(*low, *high), _mm512_setzero_si512());
            }
        }
    }
    for (sums, out) in sums.iter().zip(outs) {
        let values = std::array::from_fn(|v| c.reduce_sum(sums[v][0], sums[v][1]));
        // SAFETY: the caller's promise.
        unsafe { step.store::<V>(out, values) };
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn dot<const OUTS: usize, const ADD: bool, T: Term<OUTS>>(
    m: &Modulus,
    terms: Checked<'_, T>,
    mut outs: [&mut [u64]; OUTS],
) {
    let c = Constants::new(m);
    let Checked { terms, len } = terms;
    // The terms' slices have this length by the type; the outputs had better have it too.
    let len = outs.iter().fold(len, |len, out| len.min(out.len()));
    let mut start = 0;
    while start + 2 * LANES <= len {
        let at = Step { start, mask: 0xff };
        // SAFETY: no slice is shorter than len, where every step ends at the latest.
        unsafe { step::<OUTS, 2, ADD, T>(&c, terms, &mut outs, at) };
        start += 2 * LANES;
    }
    if start + LANES <= len {
        let at = Step { start, mask: 0xff };
        // SAFETY: as above.
        unsafe { step::<OUTS, 1, ADD, T>(&c, terms, &mut outs, at) };
        start += LANES;
    }
    if start < len {
        let at = Step { start, mask: tail_mask(len) };
        // SAFETY: as above; the mask ends at len.
        unsafe { step::<OUTS, 1, ADD, T>(&c, terms, &mut outs, at) };
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(super) fn dot3<const ADD: bool>(
    m: &Modulus,
    terms: Checked<'_, PairTerm<'_>>,
    outs: [&mut [u64]; 3],
) {
    dot::<3, ADD, _>(m, terms, outs);
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(super) fn dot2<const ADD: bool>(
    m: &Modulus,
    terms: Checked<'_, SingleTerm<'_>>,
    outs: [&mut [u64]; 2],
) {
    dot::<2, ADD, _>(m, terms, outs);
}

/// `out = c + f_own·out + Σ f_k·x_k`, the second term only if `OWN`.
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(super) fn combine<const OWN: bool>(
    m: &Modulus,
    c: u64,
    f_own: u64,
    f: &[u64],
    x: &[&[u64]],
    out: &mut [u64],
) {
    let (constants, c, f_own) = (Constants::new(m), splat(c), splat(f_own));
    let len = x.iter().fold(out.len(), |len, x| len.min(x.len()));
    for start in (0..len).step_by(LANES) {
        let mask = if start + LANES <= len { 0xff } else { tail_mask(len) };
        let at = Step { start, mask };
        let mut sums: Sums<1> = [[c, _mm512_setzero_si512()]];
        if OWN {
            // SAFETY: the mask keeps the step within len, which no slice is shorter than.
            accumulate(&mut sums, &[f_own], &unsafe { at.load(out) });
        }
        for (&f, x) in f.iter().zip(x) {
            // SAFETY: as above.
            accumulate(&mut sums, &[splat(f)], &unsafe { at.load(x) });
        }
        let [[low, high]] = sums;
        // SAFETY: as above.
        unsafe { at.store(out, [constants.reduce_sum(low, high)]) };
    }
}
