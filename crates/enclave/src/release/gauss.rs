//! Gaussian flooding noise without branches or table look-ups that depend on it.
//!
//! Box–Muller (1958) on two 53-bit uniform numbers. Logarithm and cosine are fixed polynomials, so that the instructions are the same for
//! every value; `f64` addition, multiplication and square root take the same time for all normal numbers on current
//! processors. The tail ends at √(2·53·ln 2) = 8.57 standard deviations, which is a statistical distance below 2^−53 a sample.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::Rng;

/// 2^−53.
const UNIT: f64 = 1.110_223_024_625_156_5e-16;

/// Natural logarithm of a number in (0, 1], to a few units in the last place.
fn ln(x: f64) -> f64 {
    // x = 2^k · z with z in [√½, √2): subtracting the bits of √½ moves the boundary between exponents there.
    const SQRT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
    let offset = x.to_bits().wrapping_sub(SQRT_HALF);
    let k = ((offset as i64) >> 52) as f64;
    let z = f64::from_bits(x.to_bits().wrapping_sub(offset & 0xfff0_0000_0000_0000));
    // ln z = 2·artanh(s), |s| ≤ 0.1716; the first term left out is below 2^−58.
    let s = (z - 1.0) / (z + 1.0);
    let square = s * s;
    let series = (0..=11).rev().fold(0.0, |sum, i| sum * square + 1.0 / f64::from(2 * i + 1));
    k * std::f64::consts::LN_2 + 2.0 * s * series
}

/// Cosine and sine of 2π·turn for a turn in [0, 1).
fn cos_sin(turn: f64) -> (f64, f64) {
    // A quarter of the angle, within ±π/4, by Taylor's series; then doubled twice. Half a turn is taken off and put back by the sign.
    let angle = (turn - 0.5) * std::f64::consts::FRAC_PI_2;
    let square = angle * angle;
    let series = |first: i32| {
        (0..9).rev().fold(0.0, |sum, i| {
            let n = f64::from(2 * i + first);
            1.0 - square / (n * (n + 1.0)) * sum
        })
    };
    // Nested form of Σ (−square)^i/(2i)! and of the sine's series over the angle.
    let (cos, sin) = (series(1), angle * series(2));
    let (cos, sin) = (cos * cos - sin * sin, 2.0 * sin * cos);
    let (cos, sin) = (cos * cos - sin * sin, 2.0 * sin * cos);
    (-cos, -sin)
}

/// Two independent samples of the standard normal distribution from 128 uniform bits.
fn pair(u: u64, v: u64) -> [f64; 2] {
    let u = ((u >> 11) as f64 + 1.0) * UNIT;
    let v = (v >> 11) as f64 * UNIT;
    let radius = (-2.0 * ln(u)).abs().sqrt();
    let (cos, sin) = cos_sin(v);
    [radius * cos, radius * sin]
}

/// Adds to every value an independent Gaussian of standard deviation `sigma`.
pub(super) fn flood(values: &mut [f64], sigma: f64, rng: &mut ChaCha20Rng) {
    for chunk in values.chunks_mut(2) {
        let noise = pair(rng.next_u64(), rng.next_u64());
        for (value, noise) in chunk.iter_mut().zip(noise) {
            *value += sigma * noise;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chacha20::rand_core::SeedableRng;

    #[test]
    fn the_functions_agree_with_the_standard_library() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        for i in 0..100_000 {
            let x =
                if i < 53 { 2f64.powi(-i) } else { ((rng.next_u64() >> 11) as f64 + 1.0) * UNIT };
            let error = (ln(x) - x.ln()).abs();
            assert!(error <= 1e-15 * (1.0 + x.ln().abs()), "ln {x}: {error}");
            let turn = if x < 1.0 { x } else { 0.0 };
            let (cos, sin) = cos_sin(turn);
            let (want_sin, want_cos) = (std::f64::consts::TAU * turn).sin_cos();
            assert!((cos - want_cos).abs() < 4e-15 && (sin - want_sin).abs() < 4e-15, "{turn}");
        }
    }

    #[test]
    fn extremes_are_finite_and_as_long_as_promised() {
        for (u, v) in [(0, 0), (u64::MAX, u64::MAX), (0, u64::MAX), (u64::MAX, 0), (0, 1 << 63)] {
            let [x, y] = pair(u, v);
            assert!(x.hypot(y) <= 8.58, "{x} {y}");
        }
        assert!((pair(0, 0)[0] - 8.571).abs() < 1e-3);
    }

    /// Moments and tails of 2^20 samples, within five standard errors; Kolmogorov–Smirnov at about 10^−6.
    #[test]
    fn samples_are_standard_normal() {
        let mut rng = ChaCha20Rng::from_seed([2; 32]);
        let n = 1 << 20;
        let mut samples = vec![0.0; n];
        flood(&mut samples, 1.0, &mut rng);
        let mean = |f: &dyn Fn(f64) -> f64| samples.iter().map(|&x| f(x)).sum::<f64>() / n as f64;
        let root = (n as f64).sqrt();
        assert!(mean(&|x| x).abs() < 5.0 / root);
        assert!((mean(&|x| x * x) - 1.0).abs() < 5.0 * 2f64.sqrt() / root);
        assert!(mean(&|x| x.powi(3)).abs() < 5.0 * 15f64.sqrt() / root);
        assert!((mean(&|x| x.powi(4)) - 3.0).abs() < 5.0 * 96f64.sqrt() / root);
        let beyond = |limit: f64| mean(&|x| f64::from(u8::from(x.abs() > limit)));
        for (limit, share) in [(1.0, 0.317_310_5), (2.0, 0.045_500_3), (3.0, 0.002_699_8)] {
            let error = 5.0 * (share * (1.0 - share) / n as f64).sqrt();
            assert!((beyond(limit) - share).abs() < error, "{limit}");
        }
        let neighbours: f64 = samples.windows(2).map(|w| w[0] * w[1]).sum::<f64>() / n as f64;
        assert!(neighbours.abs() < 5.0 / root);
    }
}
