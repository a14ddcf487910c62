//! Modular arithmetic on vectors of eight residues.

use std::arch::x86_64::*;

use crate::modulus::{MASK52, Modulus, ShoupFactor};

/// Residues in a vector.
pub(super) const LANES: usize = 8;

/// A constant multiplicand in every lane, or eight different ones.
#[derive(Clone, Copy)]
pub(super) struct Factor {
    pub(super) value: __m512i,
    pub(super) quotient: __m512i,
}

/// A modulus's constants in every lane.
#[derive(Clone, Copy)]
pub(super) struct Constants {
    pub(super) p: __m512i,
    pub(super) twice: __m512i,
    /// 2^52 − p: adding a multiple of it is subtracting one of p, modulo 2^52.
    pub(super) minus_p: __m512i,
    pub(super) mask: __m512i,
    barrett: __m512i,
    fold: Factor,
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(super) fn splat(x: u64) -> __m512i {
    _mm512_set1_epi64(x as i64)
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(super) fn factor(w: ShoupFactor) -> Factor {
    Factor { value: splat(w.value), quotient: splat(w.quotient) }
}

/// Eight words at `x`.
///
/// # Safety
/// `x` is valid for reading eight words.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(super) unsafe fn load(x: *const u64) -> __m512i {
    // SAFETY: the caller's promise; the load has no alignment requirement.
    unsafe { _mm512_loadu_si512(x.cast()) }
}

/// Writes eight words to `x`.
///
/// # Safety
/// `x` is valid for writing eight words.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
pub(super) unsafe fn store(x: *mut u64, value: __m512i) {
    // SAFETY: the caller's promise; the store has no alignment requirement.
    unsafe { _mm512_storeu_si512(x.cast(), value) }
}

/// The lanes that the last vector of `len` words fills.
#[inline]
pub(super) fn tail_mask(len: usize) -> __mmask8 {
    ((1u16 << (len % LANES)) - 1) as u8
}

impl Constants {
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    pub(super) fn new(m: &Modulus) -> Self {
        Self {
            p: splat(m.value()),
            twice: splat(2 * m.value()),
            minus_p: splat((1 << 52) - m.value()),
            mask: splat(MASK52),
            barrett: splat(m.barrett()),
            fold: factor(m.fold()),
        }
    }

    /// From [0, 2p) to [0, p): below p the difference wraps and loses the minimum.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    pub(super) fn correct(&self, x: __m512i) -> __m512i {
        _mm512_min_epu64(x, _mm512_sub_epi64(x, self.p))
    }

    /// From [0, 4p) to [0, p).
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    pub(super) fn correct4(&self, x: __m512i) -> __m512i {
        self.correct(_mm512_min_epu64(x, _mm512_sub_epi64(x, self.twice)))
    }

    /// The low 52 bits.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    pub(super) fn low(&self, x: __m512i) -> __m512i {
        _mm512_and_si512(x, self.mask)
    }

    /// `x + w·y` modulo 2^52, where the product is reduced to [0, 2p).
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    pub(super) fn add_product(&self, x: __m512i, y: __m512i, w: Factor) -> __m512i {
        let q = _mm512_madd52hi_epu64(_mm512_setzero_si512(), y, w.quotient);
        _mm512_madd52lo_epu64(_mm512_madd52lo_epu64(x, y, w.value), q, self.minus_p)
    }

    /// `w·y` modulo 2^52, reduced to [0, 2p).
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    pub(super) fn product(&self, y: __m512i, w: Factor) -> __m512i {
        self.add_product(_mm512_setzero_si512(), y, w)
    }

    /// `w·y` reduced to [0, p).
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    pub(super) fn exact_product(&self, y: __m512i, w: Factor) -> __m512i {
        self.correct(self.low(self.product(y, w)))
    }

    /// The low 52 bits of `x`, reduced to [0, 2p), modulo 2^52.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    pub(super) fn reduce_lazy(&self, x: __m512i) -> __m512i {
        let q = _mm512_madd52hi_epu64(_mm512_setzero_si512(), x, self.barrett);
        _mm512_madd52lo_epu64(x, q, self.minus_p)
    }

    /// The low 52 bits of `x`, reduced to [0, p).
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    pub(super) fn reduce(&self, x: __m512i) -> __m512i {
        self.correct(self.low(self.reduce_lazy(x)))
    }

    /// `low + 2^52·high` reduced to [0, p), where `high` stays below 2^52 with the carry of `low`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512ifma")]
    pub(super) fn reduce_sum(&self, low: __m512i, high: __m512i) -> __m512i {
        let high = _mm512_add_epi64(high, _mm512_srli_epi64::<52>(low));
        let sum = self.add_product(self.reduce_lazy(low), high, self.fold);
        self.correct4(self.low(sum))
    }
}
