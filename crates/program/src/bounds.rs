//! What honest results may deviate by: the limits of the enclave's checks and the size of its flooding noise.
//!
//! Everything here follows from two figures of the program and counts: σ = [`OutputLayout::deviation`](crate::OutputLayout::deviation),
//! of the worst slot, and ρ = [`OutputLayout::released_deviation`](crate::OutputLayout::released_deviation), the root mean square
//! over what is released.
//!
//! # The model
//!
//! Given the secret keys, the errors of the slots are independent centred Gaussians. The variance of one slot's is at most σ²·g² or
//! σ² or a mean of both, where g is standard normal over the keys and independent between slots: g stands for the slot of a
//! secret key that multiplies a rounding error, in units of its root mean square. Sums over many slots lie in between, so what
//! holds for σ·g times a Gaussian holds for all. Statistics of the errors are tested against this in `adyton-ckks-secret` and, for
//! the shipped networks, in `adyton-runtime`.
//!
//! # The tests
//!
//! - *Largest slot.* |XY| ≤ (X² + Y²)/2, which is exponential for standard normals X, Y: P(|XY| > t) ≤ e^−t. So one of n slots
//!   exceeds σ·(ln n + b·ln 2) with probability at most 2^−b.
//! - *Energy.* Given the keys, Σ e² = Σ a·Z² with a = σ²g². By Laurent and Massart (Ann. Statist. 28, 2000, Lemma 1) it exceeds
//!   Σa + 2·√(x·Σa²) + 2·x·max a with probability at most e^−x; the same lemma bounds Σa by σ²(n + 2√(n·x) + 2x), a Gaussian's tail
//!   bounds max a by 2σ²·(x + ln 2n), and Σa² ≤ max a·Σa. Three events, each e^−x: x = b·ln 2 + ln 3.
//!
//! # Flooding
//!
//! Li, Micciancio, Schultz, Sorrell (CRYPTO 2022, ePrint 2022/816): a scheme whose exact decryptions are λ-bit secure keeps that, but for
//! 2^−s of statistical distance, when each of τ decryptions differs from its exact value by a distribution of
//! Kullback–Leibler divergence at most 2^−s/(24·τ). Independent Gaussian noise of deviation φ on a released vector with error e gives
//! ‖e‖²/(2φ²), hence φ = √(12·τ)·2^(s/2)·t. **t is the Euclidean norm of the error of all that one decryption
//! releases**, not the largest of its entries: with n values it is √n times larger. By the chain rule divergences add up over adaptive
//! queries, each in its mean over the fresh noise; so t² is that mean for the worst keys but for 2^−40 of them: the bound on Σa above, with the
//! mean ρ² in place of the largest σ²: n·ρ² + 2·√(x·σ²·nρ²) + 2x·σ².

use std::f64::consts::LN_2;

/// An honest job is refused by each of the two tests with probability at most 2^−42, so by either with less than 2^−41.
pub const FALSE_REFUSAL_BITS: f64 = 42.0;
/// s: bits of statistical security of flooding.
pub const FLOODING_SECURITY_BITS: f64 = 30.0;
/// Keys for which the flooding bound does not hold: 2^−40 of all.
const EXCEPTIONAL_KEYS_BITS: f64 = 40.0;

/// The largest error of `slots` slots, except with probability 2^−`bits`; in units of the deviation.
#[must_use]
pub fn largest_error(slots: u64, bits: f64) -> f64 {
    (slots.max(1) as f64).ln() + bits * LN_2
}

/// The sum of the squared errors of `slots` slots, except with probability 2^−`bits`; in units of the squared deviation.
#[must_use]
pub fn error_energy(slots: u64, bits: f64) -> f64 {
    let x = bits * LN_2 + 3f64.ln();
    let sum = key_energy(slots as f64, x);
    let largest = 2.0 * (x + (2.0 * slots.max(1) as f64).ln());
    sum + 2.0 * (x * largest * sum).sqrt() + 2.0 * x * largest
}

/// Σ w·g², weights w ≤ 1 with sum `weight`, except with probability e^−`x`: Σw² ≤ Σw.
fn key_energy(weight: f64, x: f64) -> f64 {
    weight + 2.0 * (weight * x).sqrt() + 2.0 * x
}

/// t: Euclidean norm of the error of `values` released values, root mean square over fresh noise, for all keys but 2^−40 of them. Their
/// deviations are at most `worst`, and `released` in root mean square; t is in the same units.
#[must_use]
pub fn released_norm(values: u64, worst: f64, released: f64) -> f64 {
    let weight = values as f64 * (released / worst).powi(2);
    worst * key_energy(weight, EXCEPTIONAL_KEYS_BITS * LN_2).sqrt()
}

/// Standard deviation of the flooding noise, √(12·τ)·2^(s/2)·t, for τ = `ciphertexts` decryptions with errors of norm `norm` each,
/// s = [`FLOODING_SECURITY_BITS`].
#[must_use]
pub fn flooding(ciphertexts: u32, norm: f64) -> f64 {
    let queries = 12.0 * f64::from(ciphertexts);
    queries.sqrt() * (FLOODING_SECURITY_BITS / 2.0).exp2() * norm
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that repeat themselves: splitmix64, Box–Muller.
    struct Normal(u64);

    impl Normal {
        fn uniform(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (((z ^ (z >> 31)) >> 11) as f64 + 1.0) * 2f64.powi(-53)
        }

        fn next(&mut self) -> f64 {
            let radius = (-2.0 * self.uniform().ln()).sqrt();
            radius * (std::f64::consts::TAU * self.uniform()).cos()
        }
    }

    #[test]
    fn figures_by_hand() {
        assert!((largest_error(1 << 18, 42.0) - 60.0 * LN_2).abs() < 1e-12);
        // 10 values: 10 + 2·√(277.3) + 55.5 = 98.8.
        assert!((released_norm(10, 1.0, 1.0).powi(2) - 98.76).abs() < 0.01);
        // Half the variance on average: 5 + 2·√(5·27.73) + 55.5 = 84.0, in units of the worst slot's.
        assert!((released_norm(10, 2.0, 2f64.sqrt()).powi(2) - 4.0 * 84.00).abs() < 0.04);
        assert!((flooding(64, 3.0) - 3.0 * 27.712_812_9 * 32768.0).abs() < 3.0);
        // Large counts: the error's energy is what it is on average, and the norm its root.
        assert!(error_energy(1 << 24, 42.0) < 1.04 * f64::from(1 << 24));
        assert!((released_norm(1 << 24, 1.0, 1.0) - 4096.0).abs() < 6.0);
        for slots in [0, 1, 1 << 40] {
            assert!(largest_error(slots, 42.0) > 29.0 && error_energy(slots, 42.0) > 29.0);
        }
    }

    /// At rates that can be seen, the bounds hold for Gaussian errors, for errors times secrets, and for a mixture; and they are not idle:
    /// the product exceeds a third of the largest bound.
    #[test]
    fn the_rates_hold_where_they_can_be_seen() {
        const SLOTS: u64 = 64;
        const TRIALS: u32 = 20_000;
        const BITS: f64 = 6.0;
        let mut random = Normal(7);
        for share in [0.0, 0.5, 1.0] {
            let (mut largest, mut energy, mut third) = (0, 0, 0);
            for _ in 0..TRIALS {
                let errors: Vec<f64> = (0..SLOTS)
                    .map(|_| {
                        let key = random.next();
                        (1.0 - share + share * key * key).sqrt() * random.next()
                    })
                    .collect();
                let worst = errors.iter().fold(0.0f64, |max, error| max.max(error.abs()));
                largest += u32::from(worst > largest_error(SLOTS, BITS));
                third += u32::from(worst > largest_error(SLOTS, BITS) / 3.0);
                let sum: f64 = errors.iter().map(|error| error * error).sum();
                energy += u32::from(sum > error_energy(SLOTS, BITS));
            }
            let allowed = TRIALS >> 6;
            assert!(largest <= allowed && energy <= allowed, "{share}: {largest} {energy}");
            assert!(share == 0.0 || third > allowed, "{third}");
        }
    }
}
