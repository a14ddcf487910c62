//! Encoding: vectors of real slots to plaintexts and back. Holds no secret; what it makes of values on the way is wiped.

mod roots;
mod transform;

use adyton_ring::{Coeff, Modulus, Ntt, Poly, RingKind};
use zeroize::Zeroizing;

use crate::{CkksError, Parameters, Plaintext, Scale};
use roots::Complex;
use transform::Transform;

/// Encodes and decodes real slot vectors. In the standard ring the imaginary parts are zero on encoding and dropped on decoding.
#[derive(Debug)]
pub struct Encoder {
    parameters: Parameters,
    transform: Transform,
}

impl Encoder {
    /// Builds the tables; make it once for many vectors.
    #[must_use]
    pub fn new(parameters: &Parameters) -> Self {
        Self { parameters: parameters.clone(), transform: Transform::new(parameters.slots()) }
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

    /// The real slots of a plaintext.
    ///
    /// # Errors
    /// [`CkksError::Ring`] for a plaintext of another ring.
    pub fn decode(&self, plaintext: &Plaintext) -> Result<Vec<f64>, CkksError> {
        self.decode_poly(plaintext.poly(), plaintext.scale())
    }

    /// The real slots of a polynomial at a scale. Its integer coefficients are taken centred, in (−Q/2, Q/2).
    ///
    /// # Errors
    /// [`CkksError::Ring`] for a polynomial of another ring.
    pub fn decode_poly(&self, poly: &Poly<Ntt>, scale: &Scale) -> Result<Vec<f64>, CkksError> {
        let mut coefficients = Zeroizing::new(self.centred_coefficients(poly)?);
        let inverse = 1.0 / scale.to_f64();
        coefficients.iter_mut().for_each(|coefficient| *coefficient *= inverse);
        Ok(self.slots_of(&coefficients))
    }

    /// The centred integer coefficients of a polynomial as `f64`: exact below 2^53, else to about an ulp.
    ///
    /// # Errors
    /// [`CkksError::Ring`] for a polynomial of another ring.
    pub fn centred_coefficients(&self, poly: &Poly<Ntt>) -> Result<Vec<f64>, CkksError> {
        let ring = self.parameters.ring();
        // `inverse` works in place on the polynomial it is given.
        let poly = Zeroizing::new(ring.inverse(poly.clone())?);
        let moduli: Vec<&Modulus> =
            ring.residues(poly.basis())?.map(adyton_ring::ResidueRing::modulus).collect();
        Ok(centred(&moduli, &poly))
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

    /// Slot values of N real coefficients.
    fn slots_of(&self, coefficients: &[f64]) -> Vec<f64> {
        let slots = self.parameters.slots();
        let imaginary = |j: usize| match self.parameters.kind() {
            RingKind::Standard => coefficients[slots + j],
            RingKind::ConjugateInvariant if j == 0 => 0.0,
            RingKind::ConjugateInvariant => -coefficients[slots - j],
        };
        let mut values: Zeroizing<Vec<Complex>> = Zeroizing::new(
            (0..slots).map(|j| Complex { re: coefficients[j], im: imaginary(j) }).collect(),
        );
        self.transform.to_slots(&mut values);
        values.iter().map(|value| value.re).collect()
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

/// Centred coefficients from residues, by mixed-radix digits (Garner 1959).
///
/// With h = ⌊Q/2⌋ the digits of `x + h mod Q` minus those of h are a mixed-radix representation of the centred x. Evaluated from the
/// top, every partial sum is about x divided by the primes below it, so a small x is exact in `f64` whatever Q is.
fn centred(moduli: &[&Modulus], poly: &Poly<Coeff>) -> Vec<f64> {
    let radices: Vec<Vec<u64>> = moduli
        .iter()
        .enumerate()
        .map(|(i, modulus)| moduli[..i].iter().map(|m| modulus.reduce(m.value())).collect())
        .collect();
    let inverses: Vec<Vec<u64>> = moduli
        .iter()
        .zip(&radices)
        .map(|(modulus, radices)| radices.iter().map(|&radix| modulus.inv(radix)).collect())
        .collect();
    let to_digits = |residues: &mut [u64]| {
        for i in 1..residues.len() {
            for j in 0..i {
                let lower = moduli[i].reduce(residues[j]);
                let difference = moduli[i].sub(residues[i], lower);
                residues[i] = moduli[i].mul(difference, inverses[i][j]);
            }
        }
    };
    // h = (Q − 1)/2 is −1/2 modulo every prime.
    let half: Vec<u64> = moduli.iter().map(|m| m.neg(m.inv(2))).collect();
    let mut half_digits = half.clone();
    to_digits(&mut half_digits);
    let mut digits = vec![0; moduli.len()];
    (0..poly.degree())
        .map(|index| {
            for (i, digit) in digits.iter_mut().enumerate() {
                *digit = moduli[i].add(poly.limb(i)[index], half[i]);
            }
            to_digits(&mut digits);
            let mut value = 0.0;
            for i in (0..moduli.len()).rev() {
                let difference = digits[i] as i64 - half_digits[i] as i64;
                value = value * moduli[i].value() as f64 + difference as f64;
            }
            value
        })
        .collect()
}

#[cfg(test)]
mod tests;
