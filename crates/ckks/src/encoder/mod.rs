//! Encoding: vectors of real slots to plaintexts and back. Holds no secret; what it makes of values on the way is wiped.

mod decode;
mod real;
mod roots;
mod transform;

use std::sync::Arc;

use adyton_ring::{Coeff, Modulus, Poly, RingKind};
use zeroize::Zeroizing;

use crate::{CkksError, Parameters, Plaintext, Scale};
pub use decode::DecodeBuffer;
use real::RealTransform;
use roots::{Complex, roots_of_unity};
use transform::Transform;

/// Encodes and decodes real slot vectors. In the standard ring the imaginary parts are zero on encoding and dropped on decoding.
/// Clones share their tables.
#[derive(Clone, Debug)]
pub struct Encoder {
    parameters: Parameters,
    transform: Arc<Transform>,
    to_slots: Arc<Slots>,
}

/// How coefficients become slots.
#[derive(Debug)]
enum Slots {
    /// By the transform that also makes coefficients, which ends in complex numbers.
    Complex,
    /// By one of half the length that ends in real numbers.
    Real(RealTransform),
}

impl Encoder {
    /// Builds the tables; make it once for many vectors.
    #[must_use]
    pub fn new(parameters: &Parameters) -> Self {
        let roots = roots_of_unity((4 * parameters.slots()).trailing_zeros());
        let to_slots = match parameters.kind() {
            RingKind::Standard => Slots::Complex,
            RingKind::ConjugateInvariant => Slots::Real(RealTransform::new(&roots)),
        };
        Self {
            parameters: parameters.clone(),
            transform: Arc::new(Transform::new(&roots)),
            to_slots: Arc::new(to_slots),
        }
    }

    /// The parameters that the tables belong to.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Encodes up to `slots` values, the missing ones zero, at `level` with the given scale. Deterministic on every machine.
    ///
    /// # Errors
    /// [`CkksError::TooManyValues`]; [`CkksError::ValueTooLarge`] when a coefficient is not below half the modulus or a value is not
    /// finite; [`CkksError::Parameters`] for an unknown level.
    pub fn encode(&self, values: &[f64], level: u8, scale: &Scale) -> Result<Plaintext, CkksError> {
        let coefficients = Zeroizing::new(self.coefficients(values, level, scale)?);
        let ring = self.parameters.ring();
        let mut poly = Poly::<Coeff>::zero(ring, self.parameters.basis(level)?)?;
        let basis = poly.basis().clone();
        for (residue, limb) in ring.residues(&basis)?.zip(poly.limbs_mut()) {
            for (out, &coefficient) in limb.iter_mut().zip(coefficients.iter()) {
                *out = residue_of(residue.modulus(), coefficient);
            }
        }
        Plaintext::from_parts(&self.parameters, ring.forward(poly)?, level, scale.clone())
    }

    /// Scaled and rounded coefficients of slot values.
    fn coefficients(
        &self,
        values: &[f64],
        level: u8,
        scale: &Scale,
    ) -> Result<Vec<f64>, CkksError> {
        let slots = self.parameters.slots();
        if values.len() > slots {
            return Err(CkksError::TooManyValues { values: values.len(), slots });
        }
        let mut slot_values = Zeroizing::new(vec![Complex::default(); slots]);
        for (slot, &value) in slot_values.iter_mut().zip(values) {
            slot.re = value;
        }
        self.transform.to_coefficients(&mut slot_values);
        let scale_value = scale.to_f64();
        let scaled = |value: f64| (value * scale_value).round_ties_even();
        let mut coefficients: Vec<f64> = slot_values.iter().map(|c| scaled(c.re)).collect();
        if self.parameters.kind() == RingKind::Standard {
            coefficients.extend(slot_values.iter().map(|c| scaled(c.im)));
        }
        // A margin for rounding in the logarithm: refusing a hair too early is harmless.
        let limit = 2.0f64.powf((self.parameters.log2_modulus(level)? - 1.001).min(1000.0));
        if coefficients.iter().all(|coefficient| coefficient.abs() < limit) {
            Ok(coefficients)
        } else {
            Err(CkksError::ValueTooLarge { level, scale: scale.clone() })
        }
    }
}

/// `x mod p` for a finite integer-valued `x` of any size.
fn residue_of(modulus: &Modulus, x: f64) -> u64 {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    if x.abs() <= EXACT {
        return modulus.reduce_i64(x as i64);
    }
    let bits = x.abs().to_bits();
    let mantissa = (bits & ((1 << 52) - 1)) | (1 << 52);
    // |x| > 2^53, so the exponent of the mantissa's unit is positive.
    let exponent = (bits >> 52) - 1075;
    let magnitude = modulus.mul(modulus.reduce(mantissa), modulus.pow(2, exponent));
    if x < 0.0 { modulus.neg(magnitude) } else { magnitude }
}

#[cfg(test)]
mod tests;
