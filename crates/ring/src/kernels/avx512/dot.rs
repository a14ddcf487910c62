//! Sums of products with one reduction an output.
//!
//! Low and high halves of the products have accumulators of their own. A step works on four vectors of coefficients (two where
//! there are three outputs), so that each operand is read by as many cache lines, and sums need not wait for each other. Sums go by value:
//! behind a reference the compiler writes every one of them to memory for every term.

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
                if V > 1 {
                    _mm512_storeu_epi64(x, value);
                } else {
                    _mm512_mask_storeu_epi64(x, self.mask, value);
                }
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn accumulate<const V: usize>(mut sums: Sums<V>, x: [__m512i; V], y: [__m512i; V]) -> Sums<V> {
    for v in 0..V {
        sums[v] = [
            _mm512_madd52lo_epu64(sums[v][0], x[v], y[v]),
            _mm512_madd52hi_epu64(sums[v][1], x[v], y[v]),
        ];
    }
    sums
}

/// A kind of term, as a sum's inner loop sees it.
trait Term<const OUTS: usize> {
    /// The sums of each output with the term's products.
    ///
    /// # Safety
    /// The processor has the features; the slices hold the words of the step.
    unsafe fn add<const V: usize>(&self, step: Step, sums: [Sums<V>; OUTS]) -> [Sums<V>; OUTS];
}

impl Term<3> for PairTerm<'_> {
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    unsafe fn add<const V: usize>(&self, step: Step, [bb, ab, aa]: [Sums<V>; 3]) -> [Sums<V>; 3] {
        // SAFETY: the caller's promise.
        unsafe {
            let (b, a) = (step.load::<V>(self.b), step.load::<V>(self.a));
            let (b2, a2) = (step.load::<V>(self.b2), step.load::<V>(self.a2));
            let ab = accumulate(accumulate(ab, a, b2), b, a2);
            [accumulate(bb, b, b2), ab, accumulate(aa, a, a2)]
        }
    }
}

impl Term<2> for SingleTerm<'_> {
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    unsafe fn add<const V: usize>(&self, step: Step, [b, a]: [Sums<V>; 2]) -> [Sums<V>; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            let w = step.load::<V>(self.w);
            [accumulate(b, w, step.load::<V>(self.b)), accumulate(a, w, step.load::<V>(self.a))]
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
    let zero = _mm512_setzero_si512();
    let mut sums: [Sums<V>; OUTS] = [[[zero; 2]; V]; OUTS];
    if ADD {
        for out in 0..OUTS {
            // SAFETY: the caller's promise.
            sums[out] = unsafe { step.load::<V>(outs[out]) }.map(|start| [start, zero]);
        }
    }
    let mut groups = terms.chunks(MAX_LAZY_TERMS).peekable();
    while let Some(group) = groups.next() {
        for term in group {
            // SAFETY: the caller's promise; this function has the features.
            sums = unsafe { term.add(step, sums) };
        }
        if groups.peek().is_some() {
            sums = sums.map(|sums| sums.map(|[low, high]| [c.reduce_sum(low, high), zero]));
        }
    }
    for out in 0..OUTS {
        let values = sums[out].map(|[low, high]| c.reduce_sum(low, high));
        // SAFETY: the caller's promise.
        unsafe { step.store::<V>(outs[out], values) };
    }
}

/// The whole sum, `V` vectors a step.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
fn dot<const OUTS: usize, const V: usize, const ADD: bool, T: Term<OUTS>>(
    m: &Modulus,
    terms: Checked<'_, T>,
    mut outs: [&mut [u64]; OUTS],
) {
    let c = Constants::new(m);
    let Checked { terms, len } = terms;
    // The terms' slices have this length by the type; the outputs had better have it too.
    let len = outs.iter().fold(len, |len, out| len.min(out.len()));
    let mut start = 0;
    while start + V * LANES <= len {
        let at = Step { start, mask: 0xff };
        // SAFETY: no slice is shorter than len, where every step ends at the latest.
        unsafe { step::<OUTS, V, ADD, T>(&c, terms, &mut outs, at) };
        start += V * LANES;
    }
    while start < len {
        let mask = if start + LANES <= len { 0xff } else { tail_mask(len) };
        // SAFETY: as above; the mask ends at len.
        unsafe { step::<OUTS, 1, ADD, T>(&c, terms, &mut outs, Step { start, mask }) };
        start += LANES;
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(super) fn dot3<const ADD: bool>(
    m: &Modulus,
    terms: Checked<'_, PairTerm<'_>>,
    outs: [&mut [u64]; 3],
) {
    dot::<3, 2, ADD, _>(m, terms, outs);
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(super) fn dot2<const ADD: bool>(
    m: &Modulus,
    terms: Checked<'_, SingleTerm<'_>>,
    outs: [&mut [u64]; 2],
) {
    dot::<2, 4, ADD, _>(m, terms, outs);
}

/// One step of a linear combination.
///
/// # Safety
/// `out` and all of `x` hold the words of the step.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
unsafe fn combine_step<const V: usize, const OWN: bool>(
    constants: &Constants,
    [c, f_own]: [__m512i; 2],
    (f, x): (&[u64], &[&[u64]]),
    out: &mut [u64],
    step: Step,
) {
    let mut sums: Sums<V> = [[c, _mm512_setzero_si512()]; V];
    if OWN {
        // SAFETY: the caller's promise.
        sums = accumulate(sums, [f_own; V], unsafe { step.load(out) });
    }
    for (&f, x) in f.iter().zip(x) {
        // SAFETY: the caller's promise.
        sums = accumulate(sums, [splat(f); V], unsafe { step.load(x) });
    }
    let values = sums.map(|[low, high]| constants.reduce_sum(low, high));
    // SAFETY: the caller's promise.
    unsafe { step.store(out, values) };
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
    let (constants, own) = (Constants::new(m), [splat(c), splat(f_own)]);
    let len = x.iter().fold(out.len(), |len, x| len.min(x.len()));
    let mut start = 0;
    while start + 4 * LANES <= len {
        let at = Step { start, mask: 0xff };
        // SAFETY: no slice is shorter than len, where every step ends at the latest.
        unsafe { combine_step::<4, OWN>(&constants, own, (f, x), out, at) };
        start += 4 * LANES;
    }
    while start < len {
        let mask = if start + LANES <= len { 0xff } else { tail_mask(len) };
        // SAFETY: as above; the mask ends at len.
        unsafe { combine_step::<1, OWN>(&constants, own, (f, x), out, Step { start, mask }) };
        start += LANES;
    }
}
