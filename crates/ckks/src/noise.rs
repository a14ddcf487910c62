//! Noise formulas: the standard deviation of a slot's error, before division by the scale.
//!
//! # Conventions
//!
//! All figures are standard deviations of the **real part** of a slot's error in ring units: divide by the ciphertext's scale to get
//! the error of the encoded value. They average over slots and keys; [`worst_slot`] turns them into bounds.
//!
//! # Derivation
//!
//! Let a polynomial have independent coefficients of variance v. A slot is its value at ζ^(5^i).
//!
//! - Conjugate-invariant ring of degree N: a slot is `a_0 + 2·Σ a_j·cos(θ_j)`, so `E slot² = v·(1 + 4·Σ cos²θ_j) ≈ 2N·v`, and it is real.
//! - Standard ring of degree N: `E |slot|² = N·v`, half of it in the real part.
//!
//! Call `E |slot|²` the *power* of the polynomial. Multiplication is slot by slot, so the power of a product of independent
//! polynomials is the product of their powers. A uniform ternary secret has v = 2/3, the error v = σ² with σ = 3.19, rounding to
//! integers v = 1/12, and a centred digit modulo D v = D²/12.
//!
//! - Fresh under a secret key: the error e alone (the uniform half is exact): power(σ²).
//! - Fresh under a public key `(−a·s + e, a)`: `v·e + e_0 + e_1·s`, v ternary: `power(σ²)·(1 + 2·power(2/3))`.
//! - Encoding: power(1/12). In the standard ring too all of it is in the real part: the polynomial of a real vector satisfies
//!   `m_(N−j) = −m_j`, rounding to nearest keeps that, so the rounding error is real in every slot.
//! - Rounding of a degree-1 ciphertext (rescale, mod-down): `τ_0 + τ_1·s`, both rounded: `power(1/12)·(1 + power(2/3))`.
//! - Key switch of one component c with digits `c = Σ d_i·g_i`: `Σ d_i·e_i / P`, so `Σ_i power(D_i²/12)·power(σ²) / P²`, to which the
//!   mod-down adds the rounding of a degree-1 ciphertext once, however many components were summed before it. When the mod-down also
//!   rescales by q, the first part is divided by q² as well and the rounding is still paid once.
//!   (Hybrid key switching: Gentry, Halevi, Smart, ePrint 2012/099; Han, Ki, ePrint 2019/688.)
//! - Product of a weight `m_w + e_w` and an operand `m_x + e_x` (slot values in ring units):
//!   `m_w·e_x + m_x·e_w + e_w·e_x`; see [`product`].

use adyton_ring::RingKind;

use crate::Parameters;
use crate::parameters::ParametersError;

/// Standard deviation of the error of fresh encryptions and of evaluation keys.
pub const SIGMA: f64 = adyton_ring::sampler::GAUSSIAN_SIGMA;

/// Variance of a coefficient of a uniform ternary secret.
const TERNARY_VARIANCE: f64 = 2.0 / 3.0;

/// Variance of a rounding error uniform in [−½, ½].
const ROUNDING_VARIANCE: f64 = 1.0 / 12.0;

/// The noise formulas for one set of parameters. See the module's documentation for units and derivations.
#[derive(Clone, Debug)]
pub struct NoiseModel {
    parameters: Parameters,
}

impl NoiseModel {
    /// The model of these parameters.
    #[must_use]
    pub fn new(parameters: &Parameters) -> Self {
        Self { parameters: parameters.clone() }
    }

    /// A fresh encryption under a secret key: `σ·√(2N)` in the conjugate-invariant ring, `σ·√(N/2)` in the standard ring.
    #[must_use]
    pub fn fresh(&self) -> f64 {
        self.visible(self.power(SIGMA * SIGMA))
    }

    /// A fresh encryption under a public key.
    #[must_use]
    pub fn fresh_public(&self) -> f64 {
        self.visible(self.power(SIGMA * SIGMA) * (1.0 + 2.0 * self.secret_power()))
    }

    /// Rounding of the encoder: `√(2N/12)` in the conjugate-invariant ring, `√(N/12)` in the standard ring.
    #[must_use]
    pub fn encoding(&self) -> f64 {
        self.power(ROUNDING_VARIANCE).sqrt()
    }

    /// Rounding of a degree-1 ciphertext, at a rescale or a mod-down.
    #[must_use]
    pub fn rounding(&self) -> f64 {
        self.visible(self.power(ROUNDING_VARIANCE) * (1.0 + self.secret_power()))
    }

    /// What the key adds when one component is switched at `level`, after division by P and without the rounding of the mod-down.
    ///
    /// # Errors
    /// [`ParametersError::NoKeysAtLevel`] or [`ParametersError::NoSuchLevel`].
    pub fn key_switch(&self, level: u8) -> Result<f64, ParametersError> {
        let special: f64 =
            self.parameters.special_moduli(level)?.iter().map(|&p| p as f64).product();
        let digits: f64 = self
            .parameters
            .digit_moduli(level)?
            .iter()
            .map(|&digit| self.power((digit / special) * (digit / special) / 12.0))
            .sum();
        Ok(self.visible(digits * self.power(SIGMA * SIGMA)))
    }

    /// What `switch_sum` adds: `components` switched components (0 when none needs a key) and one mod-down, which
    /// also divides by the level's factor when `rescale` is set. The incoming error is not included; a rescale divides it by the factor.
    ///
    /// # Errors
    /// [`ParametersError`] when the level has no keys but `components` > 0, or when there is no level to rescale to.
    pub fn switch_sum(
        &self,
        level: u8,
        components: u32,
        rescale: bool,
    ) -> Result<f64, ParametersError> {
        let factor = if rescale { self.parameters.rescale_factor(level)?.to_f64() } else { 1.0 };
        let switched = match components {
            0 => 0.0,
            _ => self.key_switch(level)? / factor,
        };
        let rounding = if components > 0 || rescale { self.rounding() } else { 0.0 };
        Ok((f64::from(components) * switched * switched + rounding * rounding).sqrt())
    }

    /// What relinearization adds: one switched component and one mod-down.
    ///
    /// # Errors
    /// As [`NoiseModel::switch_sum`].
    pub fn relinearize(&self, level: u8, rescale: bool) -> Result<f64, ParametersError> {
        self.switch_sum(level, 1, rescale)
    }

    /// `E |slot|²` of a polynomial whose coefficients are independent with variance `variance`.
    #[must_use]
    pub fn power(&self, variance: f64) -> f64 {
        let degree = self.parameters.degree() as f64;
        match self.parameters.kind() {
            RingKind::ConjugateInvariant => 2.0 * degree * variance,
            RingKind::Standard => degree * variance,
        }
    }

    /// `E |slot|²` of a secret key: `4N/3` (conjugate-invariant) or `2N/3` (standard).
    #[must_use]
    pub fn secret_power(&self) -> f64 {
        self.power(TERNARY_VARIANCE)
    }

    /// Standard deviation of the real part, given the power.
    fn visible(&self, power: f64) -> f64 {
        match self.parameters.kind() {
            RingKind::ConjugateInvariant => power.sqrt(),
            RingKind::Standard => (power / 2.0).sqrt(),
        }
    }
}

/// Standard deviation of the error of one product of a weight and an operand, from slot magnitudes (root mean square, or the largest
/// for a bound) and errors, all in ring units: `√((m_w·e_x)² + (m_x·e_w)² + (e_w·e_x)²)`. Sums of products add in quadrature.
#[must_use]
pub fn product(weight: f64, weight_error: f64, operand: f64, operand_error: f64) -> f64 {
    let squares = [weight * operand_error, operand * weight_error, weight_error * operand_error];
    squares.iter().map(|term| term * term).sum::<f64>().sqrt()
}

/// Standard deviation of the error of a square of slots of magnitude `value`: `2·m·e` and `e²`, which are uncorrelated.
#[must_use]
pub fn square(value: f64, error: f64) -> f64 {
    let squares = [2.0 * value * error, std::f64::consts::SQRT_2 * error * error];
    squares.iter().map(|term| term * term).sum::<f64>().sqrt()
}

/// A bound on the worst of `slots` slots that holds except with probability `2^-failure_bits`, for an error that is a product of
/// `factors` independent Gaussians with standard deviation `std` (1: fresh or encoding error; 2: an error times a secret, as
/// after a rescale, key switch or relinearization).
///
/// A product of k standard Gaussians exceeds t with probability about `exp(−(k/2)·t^(2/k))`, largest when all factors are equal, so
/// `t = (2·ln(2·slots·2^failure_bits)/k)^(k/2)`.
#[must_use]
pub fn worst_slot(std: f64, slots: usize, factors: u32, failure_bits: u32) -> f64 {
    let log = (2.0 * slots as f64).ln() + f64::from(failure_bits) * std::f64::consts::LN_2;
    let factors = f64::from(factors.max(1));
    std * (2.0 * log / factors).powf(factors / 2.0)
}
