//! Loops that do nothing but multiply, or read.

use std::arch::x86_64::*;
use std::hint::black_box;

use super::vector::{LANES, load, splat};

/// Sums under way: with latency 4 and two instructions a cycle, eight would do.
const SUMS: usize = 12;

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(super) fn multiply_accumulate(rounds: u64, mix: &mut u64) {
    let x = black_box(splat(0x3fff_ffff_ffc5));
    let y = black_box(splat(0x2bcd_ef01_2345));
    let mut sums = [[_mm512_setzero_si512(); 2]; SUMS];
    for _ in 0..rounds {
        for [low, high] in &mut sums {
            *low = _mm512_madd52lo_epu64(*low, x, y);
            *high = _mm512_madd52hi_epu64(*high, x, y);
        }
    }
    let sum =
        sums.iter().flatten().fold(_mm512_setzero_si512(), |sum, &x| _mm512_add_epi64(sum, x));
    *mix = _mm512_reduce_add_epi64(sum) as u64;
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(super) fn read(words: &[u64], mix: &mut u64) {
    const LINES: usize = 8;
    let mut sums = [_mm512_setzero_si512(); LINES];
    let mut pieces = words.chunks_exact(LINES * LANES);
    for piece in &mut pieces {
        for (line, sum) in sums.iter_mut().enumerate() {
            // SAFETY: a piece holds LINES vectors.
            let line = unsafe { load(piece.as_ptr().add(line * LANES)) };
            *sum = _mm512_add_epi64(*sum, line);
        }
    }
    let sum = sums.iter().fold(_mm512_setzero_si512(), |sum, &x| _mm512_add_epi64(sum, x));
    let rest = pieces.remainder().iter().fold(0, |sum: u64, &word| sum.wrapping_add(word));
    *mix = rest.wrapping_add(_mm512_reduce_add_epi64(sum) as u64);
}
