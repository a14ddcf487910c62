//! Polynomials of small secret coefficients, carried to many primes.

use adyton_ring::{Basis, Coeff, Poly, Ring, RingError};
use zeroize::Zeroizing;

/// A polynomial over `basis` with the coefficients of `sample`, which draws them modulo one prime. Their absolute values must be below
/// half of every prime; the work does not depend on them.
///
/// Sampling and reduction are thus done once, and the other limbs differ from the first by a constant where a coefficient is negative.
pub(crate) fn small(
    ring: &Ring,
    basis: &Basis,
    sample: impl FnOnce(&Basis) -> Result<Poly<Coeff>, RingError>,
) -> Result<Poly<Coeff>, RingError> {
    let mut poly = Poly::zero(ring, basis)?;
    let Some(first) = basis.iter().next() else { return Ok(poly) };
    let drawn = Zeroizing::new(sample(&ring.basis([first])?)?);
    let from = ring.modulus(first).value();
    for (prime, limb) in basis.iter().zip(poly.limbs_mut()) {
        let difference = ring.modulus(prime).value().wrapping_sub(from);
        for (out, &residue) in limb.iter_mut().zip(drawn.as_slice()) {
            // All ones for residues above half the prime: primes are below 2^46, so the difference has the sign in its top bit.
            let negative = ((from / 2).wrapping_sub(residue) as i64 >> 63) as u64;
            *out = residue.wrapping_add(difference & negative);
        }
    }
    Ok(poly)
}

#[cfg(test)]
mod tests {
    use super::*;
    use adyton_ring::{RingKind, ntt_primes, sampler};

    #[test]
    fn all_limbs_are_those_of_the_sampler() {
        let kind = RingKind::Standard;
        let primes =
            [ntt_primes(kind, 8, 46, 2, &[]).unwrap(), ntt_primes(kind, 8, 20, 2, &[]).unwrap()];
        let ring = Ring::new(kind, 8, &primes.concat()).unwrap();
        for indices in [vec![], vec![3], vec![0, 1, 2, 3], vec![2, 0]] {
            let basis = ring.basis(indices).unwrap();
            let ternary = |basis: &Basis| sampler::ternary(&ring, basis, &[1; 32], 0);
            assert_eq!(small(&ring, &basis, ternary).unwrap(), ternary(&basis).unwrap());
            let gaussian = |basis: &Basis| sampler::gaussian(&ring, basis, &[2; 32], 0);
            assert_eq!(small(&ring, &basis, gaussian).unwrap(), gaussian(&basis).unwrap());
        }
    }
}
