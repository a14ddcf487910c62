//! Complex roots of unity, the same bits on every machine.
//!
//! `sin` and `cos` differ between C libraries in the last place. Here every root comes from integer arithmetic in Q62 fixed point
//! (half-angle formulas, then products), which is exact to about 2^-57: `f64` rounds it once, so encoding is reproducible.

/// A complex number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Complex {
    pub(super) re: f64,
    pub(super) im: f64,
}

impl zeroize::DefaultIsZeroes for Complex {}

impl From<[f64; 2]> for Complex {
    fn from([re, im]: [f64; 2]) -> Self {
        Self { re, im }
    }
}

impl From<Complex> for [f64; 2] {
    fn from(value: Complex) -> Self {
        [value.re, value.im]
    }
}

impl Complex {
    pub(super) fn add(self, other: Self) -> Self {
        Self { re: self.re + other.re, im: self.im + other.im }
    }

    pub(super) fn sub(self, other: Self) -> Self {
        Self { re: self.re - other.re, im: self.im - other.im }
    }

    pub(super) fn mul(self, other: Self) -> Self {
        Self {
            re: self.re * other.re - self.im * other.im,
            im: self.re * other.im + self.im * other.re,
        }
    }

    pub(super) fn conj(self) -> Self {
        Self { re: self.re, im: -self.im }
    }

    pub(super) fn scale(self, factor: f64) -> Self {
        Self { re: self.re * factor, im: self.im * factor }
    }
}

/// Fraction bits of the fixed-point format.
const FRACTION: u32 = 62;
const ONE: i128 = 1 << FRACTION;

/// A complex number in Q62.
#[derive(Clone, Copy)]
struct Fixed {
    re: i64,
    im: i64,
}

impl Fixed {
    fn mul(self, other: Self) -> Self {
        let wide = |a: i64, b: i64| i128::from(a) * i128::from(b);
        let round = |x: i128| ((x + (ONE >> 1)) >> FRACTION) as i64;
        Self {
            re: round(wide(self.re, other.re) - wide(self.im, other.im)),
            im: round(wide(self.re, other.im) + wide(self.im, other.re)),
        }
    }

    fn to_complex(self) -> Complex {
        let unit = 1.0 / (ONE as f64);
        Complex { re: self.re as f64 * unit, im: self.im as f64 * unit }
    }
}

/// `exp(2πi·k / 2^log_order)` for `k` in `0..2^log_order`; `log_order ≥ 2`.
pub(super) fn roots_of_unity(log_order: u32) -> Vec<Complex> {
    // Angle 2π/2^m for m = 2 (a right angle) up to log_order, by halving.
    let (mut cos, mut sin) = (0i128, ONE);
    let mut bases = vec![Fixed { re: -(ONE as i64), im: 0 }, Fixed { re: 0, im: ONE as i64 }];
    for _ in 2..log_order {
        // cos(a/2) = √((1 + cos a)/2): both factors below 2^63, so the product fits. sin(a/2) = sin a / (2·cos(a/2)), which keeps
        // its precision where √((1 − cos a)/2) would cancel.
        let half_cos = (((ONE + cos) as u128) << (FRACTION - 1)).isqrt() as i128;
        sin = (sin << (FRACTION - 1)) / half_cos;
        cos = half_cos;
        bases.push(Fixed { re: cos as i64, im: sin as i64 });
    }
    // bases[m − 1] = exp(2πi/2^m); bit b of k stands for the angle 2π/2^(log_order − b).
    let mut table = Vec::with_capacity(1 << log_order);
    table.push(Fixed { re: ONE as i64, im: 0 });
    for base in bases.iter().rev() {
        for index in 0..table.len() {
            let root = table[index].mul(*base);
            table.push(root);
        }
    }
    table.into_iter().map(Fixed::to_complex).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_match_the_library_functions() {
        for log_order in [2, 3, 6, 12] {
            let order = 1usize << log_order;
            let roots = roots_of_unity(log_order);
            assert_eq!(roots.len(), order);
            for (k, root) in roots.iter().enumerate() {
                let angle = std::f64::consts::TAU * k as f64 / order as f64;
                assert!((root.re - angle.cos()).abs() < 1e-15, "{log_order} {k}");
                assert!((root.im - angle.sin()).abs() < 1e-15, "{log_order} {k}");
            }
        }
    }
}
