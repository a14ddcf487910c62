//! Arithmetic modulo one prime of at most 46 bits.
//!
//! All precomputed quotients are scaled by 2^52, the width of the AVX-512 IFMA multiplier, so that
//! the portable and the vector kernels share every constant.

use crate::{MAX_PRIME_BITS, RingError, primes::is_prime};

/// Mask of the low 52 bits.
pub(crate) const MASK52: u64 = (1 << 52) - 1;

/// A constant multiplicand `w` with its quotient ⌊w·2^52 / p⌋ (Shoup's trick; Harvey, "Faster
/// arithmetic for number-theoretic transforms", 2014, section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShoupFactor {
    /// The multiplicand, in `[0, p)`.
    pub value: u64,
    /// ⌊value·2^52 / p⌋, below 2^52.
    pub quotient: u64,
}

/// A prime modulus `p < 2^46` and its reduction constants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Modulus {
    value: u64,
    /// ⌊2^52 / p⌋.
    barrett: u64,
    /// 2^52 mod p, folds the high half of a double-width sum.
    fold: ShoupFactor,
}

impl Modulus {
    /// A modulus with the odd prime value `p`.
    ///
    /// # Errors
    /// [`RingError::NotPrime`] unless `p` is an odd prime, [`RingError::PrimeTooLarge`] from 2^46 on.
    pub fn new(p: u64) -> Result<Self, RingError> {
        let max = (1 << MAX_PRIME_BITS) - 1;
        if p > max {
            return Err(RingError::PrimeTooLarge { prime: p, max });
        }
        if p < 3 || !is_prime(p) {
            return Err(RingError::NotPrime(p));
        }
        let fold = (1 << 52) % p;
        Ok(Self { value: p, barrett: (1 << 52) / p, fold: shoup_factor(fold, p) })
    }

    /// The prime.
    #[inline]
    #[must_use]
    pub fn value(&self) -> u64 {
        self.value
    }

    /// Bits needed for one residue: ⌈log2 p⌉.
    #[must_use]
    pub fn bits(&self) -> u32 {
        64 - (self.value - 1).leading_zeros()
    }

    /// ⌊2^52 / p⌋, the quotient of the Barrett reduction.
    #[inline]
    #[must_use]
    pub fn barrett(&self) -> u64 {
        self.barrett
    }

    /// 2^52 mod p as a constant multiplicand.
    #[inline]
    #[must_use]
    pub fn fold(&self) -> ShoupFactor {
        self.fold
    }

    /// `x mod p` for any `x`, without a branch on it.
    #[inline]
    #[must_use]
    pub fn reduce(&self, x: u64) -> u64 {
        self.correct4(self.mul_shoup_lazy(x >> 52, self.fold) + self.reduce_lazy(x & MASK52))
    }

    /// `x mod p` plus 0 or p, for `x < 2^52`.
    #[inline]
    #[must_use]
    pub(crate) fn reduce_lazy(&self, x: u64) -> u64 {
        let q = ((u128::from(x) * u128::from(self.barrett)) >> 52) as u64;
        x - q * self.value
    }

    /// `x mod p` for any signed `x`, without a branch on its sign.
    #[inline]
    #[must_use]
    pub fn reduce_i64(&self, x: i64) -> u64 {
        let magnitude = self.reduce(x.unsigned_abs());
        let negated = self.neg(magnitude);
        let mask = (x >> 63) as u64;
        (magnitude & !mask) | (negated & mask)
    }

    /// `x mod p` for any signed `x`, without a branch on its sign.
    #[must_use]
    pub fn reduce_i128(&self, x: i128) -> u64 {
        let magnitude = self.reduce_u128(x.unsigned_abs());
        let negated = self.neg(magnitude);
        let mask = (x >> 127) as u64;
        (magnitude & !mask) | (negated & mask)
    }

    /// `x mod p` for any `x`.
    #[inline]
    #[must_use]
    pub fn reduce_u128(&self, x: u128) -> u64 {
        let low = (x as u64) & MASK52;
        let middle = ((x >> 52) as u64) & MASK52;
        let high = (x >> 104) as u64;
        let upper = self.mul_shoup_lazy(high, self.fold) + self.reduce_lazy(middle);
        self.correct4(self.mul_shoup_lazy(upper, self.fold) + self.reduce_lazy(low))
    }

    /// From `[0, 2p)` to `[0, p)`.
    #[inline]
    #[must_use]
    pub(crate) fn correct(&self, x: u64) -> u64 {
        // The difference wraps to a huge value exactly when x < p: a minimum instead of a branch.
        x.min(x.wrapping_sub(self.value))
    }

    /// From `[0, 4p)` to `[0, p)`.
    #[inline]
    #[must_use]
    pub(crate) fn correct4(&self, x: u64) -> u64 {
        self.correct(x.min(x.wrapping_sub(2 * self.value)))
    }

    /// `x + y mod p` of residues in `[0, p)`.
    #[inline]
    #[must_use]
    pub fn add(&self, x: u64, y: u64) -> u64 {
        self.correct(x + y)
    }

    /// `x − y mod p` of residues in `[0, p)`.
    #[inline]
    #[must_use]
    pub fn sub(&self, x: u64, y: u64) -> u64 {
        self.correct(x + self.value - y)
    }

    /// `−x mod p` of a residue in `[0, p)`.
    #[inline]
    #[must_use]
    pub fn neg(&self, x: u64) -> u64 {
        self.correct(self.value - x)
    }

    /// `x·y mod p` for `x, y < 2^52`.
    #[inline]
    #[must_use]
    pub fn mul(&self, x: u64, y: u64) -> u64 {
        let product = u128::from(x) * u128::from(y);
        let low = (product as u64) & MASK52;
        let high = (product >> 52) as u64;
        self.correct4(self.mul_shoup_lazy(high, self.fold) + self.reduce_lazy(low))
    }

    /// Precomputes the constant multiplicand `w` (any value; reduced first).
    #[must_use]
    pub fn shoup(&self, w: u64) -> ShoupFactor {
        shoup_factor(self.reduce(w), self.value)
    }

    /// `w·y mod p` plus 0 or p, for any `y < 2^52`.
    #[inline]
    #[must_use]
    pub(crate) fn mul_shoup_lazy(&self, y: u64, w: ShoupFactor) -> u64 {
        // ⌊(w'·2^12)·y / 2^64⌋ = ⌊w'·y / 2^52⌋: one multiplication's high word.
        let q = ((u128::from(w.quotient << 12) * u128::from(y)) >> 64) as u64;
        w.value.wrapping_mul(y).wrapping_sub(q.wrapping_mul(self.value))
    }

    /// `w·y mod p` for any `y < 2^52`.
    #[inline]
    #[must_use]
    pub fn mul_shoup(&self, y: u64, w: ShoupFactor) -> u64 {
        self.correct(self.mul_shoup_lazy(y, w))
    }

    /// `x^e mod p`.
    #[must_use]
    pub fn pow(&self, x: u64, mut e: u64) -> u64 {
        let mut base = self.reduce(x);
        let mut result = 1;
        while e > 0 {
            if e & 1 == 1 {
                result = self.mul(result, base);
            }
            base = self.mul(base, base);
            e >>= 1;
        }
        result
    }

    /// `x⁻¹ mod p`; 0 for multiples of p, which have none.
    #[must_use]
    pub fn inv(&self, x: u64) -> u64 {
        self.pow(x, self.value - 2)
    }

    /// The centred representative of a residue, in `[−(p−1)/2, (p−1)/2]`.
    #[inline]
    #[must_use]
    pub fn centre(&self, x: u64) -> i64 {
        let wrap = 0u64.wrapping_sub(u64::from(x > self.value / 2));
        (x as i64) - ((self.value & wrap) as i64)
    }
}

fn shoup_factor(w: u64, p: u64) -> ShoupFactor {
    ShoupFactor { value: w, quotient: ((u128::from(w) << 52) / u128::from(p)) as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn primes() -> Vec<u64> {
        let mut primes = vec![3, 5, 97, 65_537, 12_289];
        for bits in 3..=46u32 {
            let top = (1u64 << bits) - 1;
            primes.extend((1..=top).rev().filter(|&n| is_prime(n)).take(2));
            primes.extend((1 << (bits - 1)..top).find(|&n| n > 2 && is_prime(n)));
        }
        primes
    }

    fn check(p: u64, x: u64, y: u64, wide: u128) {
        let m = Modulus::new(p).unwrap();
        let p128 = u128::from(p);
        assert_eq!(m.reduce(x), x % p);
        assert_eq!(u128::from(m.reduce_u128(wide)), wide % p128);
        assert_eq!(
            i128::from(m.reduce_i128(wide as i128)),
            (wide as i128).rem_euclid(p128 as i128)
        );
        assert_eq!(
            i128::from(m.reduce_i64(x as i64)),
            i128::from(x as i64).rem_euclid(p128 as i128)
        );
        let (a, b) = (x % p, y % p);
        assert_eq!(u128::from(m.mul(a, b)), u128::from(a) * u128::from(b) % p128);
        assert_eq!(m.add(a, b), (a + b) % p);
        assert_eq!(m.sub(a, b), (a + p - b) % p);
        assert_eq!(m.neg(a), (p - a) % p);
        let any = y & MASK52;
        assert_eq!(
            u128::from(m.mul_shoup(any, m.shoup(a))),
            u128::from(a) * u128::from(any) % p128
        );
        assert!(m.mul_shoup_lazy(any, m.shoup(a)) < 2 * p);
        if a != 0 {
            assert_eq!(m.mul(a, m.inv(a)), 1);
        }
        assert_eq!(m.reduce_i64(m.centre(a)), a);
        assert!(m.centre(a).unsigned_abs() <= p / 2);
    }

    #[test]
    fn edges_of_every_bit_length() {
        for p in primes() {
            for x in [0, 1, p - 1, p, p + 1, 2 * p - 1, MASK52, MASK52 + 1, u64::MAX] {
                for y in [0, 1, p - 1, MASK52, u64::MAX] {
                    for wide in [0, 1, u128::MAX, u128::MAX << 52, u128::from(p) - 1] {
                        check(p, x, y, wide);
                    }
                }
            }
        }
    }

    #[test]
    fn composites_and_large_primes_are_refused() {
        assert_eq!(Modulus::new(1 << 40), Err(RingError::NotPrime(1 << 40)));
        assert_eq!(Modulus::new(2), Err(RingError::NotPrime(2)));
        assert!(matches!(Modulus::new((1 << 46) + 1), Err(RingError::PrimeTooLarge { .. })));
    }

    proptest! {
        #[test]
        fn agrees_with_wide_arithmetic(i in 0usize..130, x: u64, y: u64, wide: u128) {
            let primes = primes();
            check(primes[i % primes.len()], x, y, wide);
        }
    }
}
