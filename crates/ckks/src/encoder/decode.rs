//! From residues to slots.

use adyton_ring::{Basis, Coeff, Modulus, Ntt, Poly, RingError};
use zeroize::Zeroizing;

use super::real::Pair;
use super::roots::Complex;
use super::{Encoder, Slots};
use crate::{CkksError, Plaintext, Scale};

/// Memory that decoding works in, to be used again for the next vector; wiped when dropped.
#[derive(Default)]
pub struct DecodeBuffer {
    coefficients: Zeroizing<Vec<f64>>,
    values: Zeroizing<Vec<Pair>>,
    slots: Zeroizing<Vec<f64>>,
}

impl std::fmt::Debug for DecodeBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Contents may be decrypted values.
        f.write_str("DecodeBuffer")
    }
}

impl Encoder {
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
        let poly = self.in_coefficients(poly)?;
        let mut buffer = DecodeBuffer::default();
        self.decode_residues(poly.basis(), poly.as_slice(), scale, &mut buffer)?;
        Ok(std::mem::take(&mut *buffer.slots))
    }

    /// As [`Encoder::decode_poly`], of coefficients given as their residues, limb after limb, in memory of the caller's.
    ///
    /// # Errors
    /// [`CkksError::Ring`] for a basis of another ring, or one that does not fit the number of residues.
    pub fn decode_residues<'b>(
        &self,
        basis: &Basis,
        residues: &[u64],
        scale: &Scale,
        buffer: &'b mut DecodeBuffer,
    ) -> Result<&'b [f64], CkksError> {
        let DecodeBuffer { coefficients, values, slots } = buffer;
        self.centre(basis, residues, coefficients)?;
        let inverse = 1.0 / scale.to_f64();
        coefficients.iter_mut().for_each(|coefficient| *coefficient *= inverse);
        let count = self.parameters.slots();
        slots.resize(count, 0.0);
        match &*self.to_slots {
            Slots::Real(transform) => {
                values.resize(count / 2, [0.0; 2]);
                transform.to_slots(coefficients, values, slots);
            }
            Slots::Complex => {
                let (real, imaginary) = coefficients.split_at(count);
                let pairs = real.iter().zip(imaginary);
                let mut values: Zeroizing<Vec<Complex>> =
                    Zeroizing::new(pairs.map(|(&re, &im)| Complex { re, im }).collect());
                self.transform.to_slots(&mut values);
                slots.iter_mut().zip(values.iter()).for_each(|(slot, value)| *slot = value.re);
            }
        }
        Ok(slots)
    }

    /// The centred integer coefficients of a polynomial as `f64`: exact below 2^53, else to about an ulp.
    ///
    /// # Errors
    /// [`CkksError::Ring`] for a polynomial of another ring.
    pub fn centred_coefficients(&self, poly: &Poly<Ntt>) -> Result<Vec<f64>, CkksError> {
        let poly = self.in_coefficients(poly)?;
        let mut coefficients = Vec::new();
        self.centre(poly.basis(), poly.as_slice(), &mut coefficients)?;
        Ok(coefficients)
    }

    fn in_coefficients(&self, poly: &Poly<Ntt>) -> Result<Zeroizing<Poly<Coeff>>, CkksError> {
        // `inverse` works in place on the polynomial it is given.
        Ok(Zeroizing::new(self.parameters.ring().inverse(poly.clone())?))
    }

    /// Centred coefficients of residues.
    fn centre(&self, basis: &Basis, residues: &[u64], out: &mut Vec<f64>) -> Result<(), CkksError> {
        let ring = self.parameters.ring();
        let moduli: Vec<&Modulus> =
            ring.residues(basis)?.map(adyton_ring::ResidueRing::modulus).collect();
        let (expected, found) = (moduli.len() * ring.degree(), residues.len());
        if expected != found {
            return Err(RingError::Length { expected, found }.into());
        }
        out.resize(ring.degree(), 0.0);
        match moduli.as_slice() {
            [first, second] => {
                let (low, high) = residues.split_at(ring.degree());
                centred_of_two([first, second], [low, high], out);
            }
            moduli => centred(moduli, residues, out),
        }
        Ok(())
    }
}

/// Centred coefficients from residues, by mixed-radix digits (Garner 1959).
///
/// With h = ⌊Q/2⌋ the digits of `x + h mod Q` minus those of h are a mixed-radix representation of the centred x. Evaluated from the
/// top, every partial sum is about x divided by the primes below it, so a small x is exact in `f64` whatever Q is.
fn centred(moduli: &[&Modulus], residues: &[u64], out: &mut [f64]) {
    let degree = out.len();
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
    for (index, out) in out.iter_mut().enumerate() {
        for (i, digit) in digits.iter_mut().enumerate() {
            *digit = moduli[i].add(residues[i * degree + index], half[i]);
        }
        to_digits(&mut digits);
        let mut value = 0.0;
        for i in (0..moduli.len()).rev() {
            let difference = digits[i] as i64 - half_digits[i] as i64;
            value = value * moduli[i].value() as f64 + difference as f64;
        }
        *out = value;
    }
}

/// [`centred`] for two primes, the case of every release, without its inner loops: the same numbers.
fn centred_of_two([p, q]: [&Modulus; 2], [low, high]: [&[u64]; 2], out: &mut [f64]) {
    // The digits of h = (pq − 1)/2 are (p − 1)/2 and (q − 1)/2.
    let (half_p, half_q) = (p.value() / 2, q.value() / 2);
    // h modulo q is (q − 1)/2 too; plus a multiple of q that no first digit exceeds: sums with residues stay below 2^48.
    let offset = half_q + p.value().next_multiple_of(q.value());
    let inverse = q.shoup(q.inv(q.reduce(p.value())));
    let radix = p.value() as f64;
    for ((out, &x), &y) in out.iter_mut().zip(low).zip(high) {
        let first = p.add(x, half_p);
        let second = q.mul_shoup(y + offset - first, inverse);
        let (first, second) = (first as i64 - half_p as i64, second as i64 - half_q as i64);
        *out = second as f64 * radix + first as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use adyton_ring::RingKind;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn two_primes_are_centred_like_any_number(
            primes in prop::sample::select(vec![(40, 46), (46, 40), (46, 46), (20, 46), (46, 20)]),
            words in proptest::collection::vec(any::<(u64, u64)>(), 1..50),
        ) {
            let found = |bits| adyton_ring::ntt_primes(RingKind::Standard, 6, bits, 2, &[]).unwrap();
            let p = Modulus::new(found(primes.0)[0]).unwrap();
            let q = Modulus::new(found(primes.1)[1]).unwrap();
            let low: Vec<u64> = words.iter().map(|word| word.0 % p.value()).collect();
            let high: Vec<u64> = words.iter().map(|word| word.1 % q.value()).collect();
            let (mut fast, mut plain) = (vec![0.0; words.len()], vec![0.0; words.len()]);
            centred_of_two([&p, &q], [&low, &high], &mut fast);
            centred(&[&p, &q], &[low, high].concat(), &mut plain);
            prop_assert_eq!(fast, plain);
        }
    }
}
