//! The canonical embedding: slots ↔ coefficients (Cheon, Kim, Kim, Song, ePrint 2016/421; the "special FFT" of HEAAN).
//!
//! With n slots, slot `i` of a polynomial m is `m(ζ^(5^i))` where ζ = exp(2πi/4n). In the standard ring of degree 2n the transform
//! takes the complex vector `c_j = m_j + i·m_(j+n)`. The conjugate-invariant ring of degree n sits in the standard ring of degree 2n:
//! `m_j = a_j`, `m_(2n−j) = −a_j`, so there `c_j = a_j − i·a_(n−j)` with `c_0 = a_0`, and every slot is real
//! (Kim, Song, ePrint 2018/952).

use super::roots::Complex;

/// Tables for n slots.
#[derive(Debug)]
pub(super) struct Transform {
    /// Per butterfly stage of block length 2, 4, …, n: `ζ^((5^j mod 4·len)·n/len)` for `j < len/2`.
    twiddles: Vec<Vec<Complex>>,
    slots: usize,
}

impl Transform {
    /// `roots` are the powers of ζ, 4n of them; n is a power of two, at least 2.
    pub(super) fn new(roots: &[Complex]) -> Self {
        let slots = roots.len() / 4;
        let twiddles = (1..=slots.trailing_zeros())
            .map(|stage| {
                let len = 1usize << stage;
                let mut power = 1usize;
                (0..len / 2)
                    .map(|_| {
                        let root = roots[power * (slots / len)];
                        power = power * 5 % (4 * len);
                        root
                    })
                    .collect()
            })
            .collect();
        Self { twiddles, slots }
    }

    /// Coefficients to slots, in place; `values.len()` = n.
    pub(super) fn to_slots(&self, values: &mut [Complex]) {
        bit_reverse(values);
        for twiddles in &self.twiddles {
            for block in values.chunks_exact_mut(2 * twiddles.len()) {
                let (low, high) = block.split_at_mut(twiddles.len());
                for ((x, y), twiddle) in low.iter_mut().zip(high).zip(twiddles) {
                    let turned = y.mul(*twiddle);
                    (*x, *y) = (x.add(turned), x.sub(turned));
                }
            }
        }
    }

    /// Slots to coefficients, in place; the inverse of [`Transform::to_slots`].
    pub(super) fn to_coefficients(&self, values: &mut [Complex]) {
        for twiddles in self.twiddles.iter().rev() {
            for block in values.chunks_exact_mut(2 * twiddles.len()) {
                let (low, high) = block.split_at_mut(twiddles.len());
                for ((x, y), twiddle) in low.iter_mut().zip(high).zip(twiddles) {
                    (*x, *y) = (x.add(*y), x.sub(*y).mul(twiddle.conj()));
                }
            }
        }
        bit_reverse(values);
        // A power of two: exact.
        let factor = 1.0 / self.slots as f64;
        values.iter_mut().for_each(|value| *value = value.scale(factor));
    }
}

fn bit_reverse(values: &mut [Complex]) {
    let shift = usize::BITS - values.len().trailing_zeros();
    for index in 1..values.len() {
        let reversed = index.reverse_bits() >> shift;
        if index < reversed {
            values.swap(index, reversed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::roots::roots_of_unity;
    use super::*;

    #[test]
    fn slots_are_evaluations_at_powers_of_five() {
        let slots = 16usize;
        let coefficients: Vec<Complex> = (0..slots)
            .map(|j| Complex { re: (j as f64 * 0.7).sin(), im: (j as f64 * 1.3).cos() })
            .collect();
        let mut values = coefficients.clone();
        let transform = Transform::new(&roots_of_unity(6));
        transform.to_slots(&mut values);
        let mut exponent = 1usize;
        for value in &values {
            // Σ_j Re(c_j)·x^j + Im(c_j)·x^(j+n), x = ζ^exponent; x^n = i because 5^k ≡ 1 (mod 4).
            let mut sum = Complex::default();
            for (j, c) in coefficients.iter().enumerate() {
                let angle = std::f64::consts::TAU * ((exponent * j) % (4 * slots)) as f64
                    / (4 * slots) as f64;
                sum = sum.add(c.mul(Complex { re: angle.cos(), im: angle.sin() }));
            }
            assert!((sum.re - value.re).abs() < 1e-12 && (sum.im - value.im).abs() < 1e-12);
            exponent = exponent * 5 % (4 * slots);
        }
        transform.to_coefficients(&mut values);
        for (value, c) in values.iter().zip(&coefficients) {
            assert!((value.re - c.re).abs() < 1e-14 && (value.im - c.im).abs() < 1e-14);
        }
    }
}
