//! Exact scales.
//!
//! The scale of a ciphertext is a product of powers of two (what the encoder chose) and of powers of ciphertext primes (what
//! rescaling divided by). Keeping it as that product makes equality exact: two scales match or they do not, and there is no drift.

use crate::codec::{DecodeError, Reader};

/// Largest number of different primes in a scale; programs stay far below it.
const MAX_FACTORS: usize = 255;

/// `2^e · Π p^k` with integer exponents, in canonical form: primes ascending, no zero exponent.
///
/// Equality is structural, which for distinct odd primes is equality of numbers. Exponents saturate at the ends of `i16`, thousands of
/// bits beyond any modulus.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scale {
    log2: i16,
    factors: Vec<(u64, i16)>,
}

impl Scale {
    /// The scale 1.
    #[must_use]
    pub fn one() -> Self {
        Self::default()
    }

    /// The scale `2^exponent`.
    #[must_use]
    pub fn pow2(exponent: i16) -> Self {
        Self { log2: exponent, factors: Vec::new() }
    }

    /// The scale `prime`. Powers of two go through [`Scale::pow2`]; `prime` should be an odd prime (a modulus of the parameters).
    #[must_use]
    pub fn prime(prime: u64) -> Self {
        Self { log2: 0, factors: vec![(prime, 1)] }
    }

    /// The product of primes, repetitions allowed.
    #[must_use]
    pub fn product(primes: impl IntoIterator<Item = u64>) -> Self {
        primes.into_iter().fold(Self::one(), |scale, prime| scale.mul(&Self::prime(prime)))
    }

    /// The product of two scales.
    #[must_use]
    pub fn mul(&self, other: &Self) -> Self {
        self.combine(other, i16::saturating_add)
    }

    /// The quotient of two scales.
    #[must_use]
    pub fn div(&self, other: &Self) -> Self {
        self.combine(other, i16::saturating_sub)
    }

    /// The square of a scale.
    #[must_use]
    pub fn square(&self) -> Self {
        self.mul(self)
    }

    /// The power of two in this scale.
    #[must_use]
    pub fn exponent_of_two(&self) -> i16 {
        self.log2
    }

    /// The odd primes in this scale with their exponents, ascending.
    #[must_use]
    pub fn factors(&self) -> &[(u64, i16)] {
        &self.factors
    }

    /// The nearest-but-few-ulp `f64`, the same on every machine. Overflows to infinity or zero only where `f64` itself does.
    #[must_use]
    pub fn to_f64(&self) -> f64 {
        // Multiply with the exponent kept apart, so that a large p^k in numerator and denominator cannot overflow on the way.
        let mut mantissa = 1.0f64;
        let mut exponent = i32::from(self.log2);
        for &(prime, power) in &self.factors {
            for _ in 0..power.unsigned_abs() {
                let factor = prime as f64;
                mantissa = if power > 0 { mantissa * factor } else { mantissa / factor };
                let (fraction, shift) = split_exponent(mantissa);
                mantissa = fraction;
                exponent += shift;
            }
        }
        // Two steps, so that a subnormal intermediate power does not spoil a representable result.
        let half = exponent / 2;
        mantissa * pow2_f64(half) * pow2_f64(exponent - half)
    }

    /// Base-2 logarithm, for estimates and display.
    #[must_use]
    pub fn log2(&self) -> f64 {
        self.factors
            .iter()
            .map(|&(prime, power)| f64::from(power) * (prime as f64).log2())
            .sum::<f64>()
            + f64::from(self.log2)
    }

    /// Appends the canonical encoding: exponent of two (i16), number of primes (u8), then prime (u64) and exponent (i16) each.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.log2.to_le_bytes());
        // Canonical scales come from at most 255 primes: parameters have no more.
        out.push(u8::try_from(self.factors.len()).unwrap_or(u8::MAX));
        for (prime, power) in self.factors.iter().take(MAX_FACTORS) {
            out.extend_from_slice(&prime.to_le_bytes());
            out.extend_from_slice(&power.to_le_bytes());
        }
    }

    /// Length of the encoding in bytes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        3 + 10 * self.factors.len().min(MAX_FACTORS)
    }

    /// Reads what [`Scale::encode_into`] wrote.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`], or [`DecodeError::NotCanonical`] for unsorted, even or repeated primes and zero exponents.
    pub fn decode_from(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let log2 = reader.i16()?;
        let count = reader.u8()?;
        let mut factors: Vec<(u64, i16)> = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let (prime, power) = (reader.u64()?, reader.i16()?);
            let ascending = factors.last().is_none_or(|&(last, _)| last < prime);
            if !ascending || prime < 3 || prime % 2 == 0 || power == 0 {
                return Err(DecodeError::NotCanonical("scale"));
            }
            factors.push((prime, power));
        }
        Ok(Self { log2, factors })
    }

    fn combine(&self, other: &Self, join: fn(i16, i16) -> i16) -> Self {
        let mut factors = Vec::with_capacity(self.factors.len() + other.factors.len());
        let (mut left, mut right) =
            (self.factors.iter().peekable(), other.factors.iter().peekable());
        loop {
            let (prime, power) = match (left.peek(), right.peek()) {
                (None, None) => break,
                (Some(&&(p, k)), Some(&&(q, l))) if p == q => {
                    left.next();
                    right.next();
                    (p, join(k, l))
                }
                (Some(&&(p, k)), other) if other.is_none_or(|&&(q, _)| p < q) => {
                    left.next();
                    (p, k)
                }
                (_, Some(&&(q, l))) => {
                    right.next();
                    (q, join(0, l))
                }
                (Some(&&(p, k)), None) => {
                    left.next();
                    (p, k)
                }
            };
            if power != 0 {
                factors.push((prime, power));
            }
        }
        Self { log2: join(self.log2, other.log2), factors }
    }
}

impl std::fmt::Display for Scale {
    /// As a power of two with two decimals, e.g. `2^39.98`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "2^{:.2}", self.log2())
    }
}

/// `2^exponent` for any exponent, by squaring: exact, and the same on every machine.
fn pow2_f64(exponent: i32) -> f64 {
    2.0f64.powi(exponent)
}

/// `(m, e)` with `x = m · 2^e` and `1 ≤ m < 2`, for positive normal `x`.
fn split_exponent(x: f64) -> (f64, i32) {
    let bits = x.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32 - 1023;
    (f64::from_bits((bits & !(0x7ff << 52)) | (1023 << 52)), exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: u64 = 35_184_371_884_033;
    const Q: u64 = 35_184_371_138_561;

    #[test]
    fn products_and_quotients_are_exact() {
        let weight = Scale::pow2(40).mul(&Scale::prime(P));
        assert_eq!(weight.div(&Scale::prime(P)), Scale::pow2(40));
        assert_eq!(
            Scale::one().div(&Scale::prime(Q)).mul(&Scale::product([P, Q])),
            Scale::prime(P)
        );
        assert_eq!(Scale::prime(P).square(), Scale::product([P, P]));
        assert_ne!(Scale::prime(P), Scale::prime(Q));
        assert!(Scale::prime(P).div(&Scale::prime(P)).factors().is_empty());
    }

    #[test]
    fn values_do_not_overflow_on_the_way() {
        let mut high = Scale::pow2(-30);
        for _ in 0..40 {
            high = high.mul(&Scale::prime(P));
        }
        let mut low = Scale::one();
        for _ in 0..39 {
            low = low.mul(&Scale::prime(Q));
        }
        let expected = (high.div(&low)).log2();
        assert!((high.div(&low).to_f64().log2() - expected).abs() < 1e-9);
        assert_eq!(Scale::pow2(-1030).to_f64(), 2.0f64.powi(-1030));
        assert_eq!(Scale::prime(P).to_f64(), P as f64);
    }

    #[test]
    fn encoding_round_trips_and_is_strict() {
        let scale = Scale::pow2(-7).mul(&Scale::product([Q, P, P])).div(&Scale::prime(97));
        let mut bytes = Vec::new();
        scale.encode_into(&mut bytes);
        assert_eq!(bytes.len(), scale.encoded_len());
        let mut reader = Reader::new(&bytes);
        assert_eq!(Scale::decode_from(&mut reader), Ok(scale));
        assert_eq!(reader.finish(), Ok(()));
        for len in 0..bytes.len() {
            assert!(matches!(
                Scale::decode_from(&mut Reader::new(&bytes[..len])),
                Err(DecodeError::Truncated { .. })
            ));
        }
        // Two primes in the wrong order.
        let mut swapped = bytes.clone();
        swapped[3..13].copy_from_slice(&bytes[13..23]);
        swapped[13..23].copy_from_slice(&bytes[3..13]);
        assert_eq!(
            Scale::decode_from(&mut Reader::new(&swapped)),
            Err(DecodeError::NotCanonical("scale"))
        );
        // A zero exponent.
        let mut zero = bytes;
        zero[11..13].copy_from_slice(&[0, 0]);
        assert_eq!(
            Scale::decode_from(&mut Reader::new(&zero)),
            Err(DecodeError::NotCanonical("scale"))
        );
    }
}
