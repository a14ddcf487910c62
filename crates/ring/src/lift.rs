//! From residues back to numbers.

use crate::{Coeff, Poly, Ring, RingError, convert::BaseConverter};

/// Beyond this an integer's double is exact to the last bit of its mantissa whatever is added below.
const WIDE: i128 = 1 << 80;

impl Ring {
    /// The centred coefficients, in [−(Q−1)/2, (Q−1)/2] for the product Q of the basis's primes, as
    /// doubles, whatever the size of Q: the relative error is at most 2^−53 times the number of primes.
    ///
    /// For at most two primes the work does not depend on the values.
    ///
    /// # Errors
    /// [`RingError::RingMismatch`]; [`RingError::UnsuitableBasis`] for more than 60 primes.
    pub fn to_centred_f64(&self, poly: &Poly<Coeff>) -> Result<Vec<f64>, RingError> {
        self.check_basis(poly.basis())?;
        let empty = self.basis([])?;
        let converter = BaseConverter::new(self, poly.basis(), |_| 1, &empty, |_| 1)?;
        let mut digits = poly.clone();
        converter.to_digits(self, digits.as_mut_slice());
        let radices: Vec<i128> =
            poly.basis().iter().map(|prime| self.modulus(prime).value().into()).collect();
        // The digits are those of x + (Q−1)/2, whose own mixed-radix digits are (d−1)/2 each: signed
        // digits of x, of the most significant first.
        let signed =
            |limb: usize, j: usize| i128::from(digits.limb(limb)[j]) - (radices[limb] - 1) / 2;
        let values = (0..self.degree()).map(|j| {
            let (mut exact, mut limb) = (0i128, radices.len());
            while limb > 0 && exact.abs() < WIDE {
                limb -= 1;
                exact = exact * radices[limb] + signed(limb, j);
            }
            radices[..limb].iter().rev().fold(exact as f64, |value, &radix| value * radix as f64)
        });
        Ok(values.collect())
    }
}
