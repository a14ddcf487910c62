//! Random polynomials from seeds.
//!
//! Every sampler is a function of a 32-byte [`Seed`] and a stream number: equal arguments give equal
//! polynomials on every machine. Whoever has a random generator draws a seed from it.
//!
//! Bytes come from BLAKE3 in keyed mode, keyed by the seed and used as an extendable output; the hashed
//! message is an ASCII label of the sampler followed by its parameters, given with each function.

mod gaussian;

use zeroize::{Zeroize, Zeroizing};

use crate::{Basis, Coeff, Domain, Modulus, Poly, Ring, RingError, Seed};

pub use gaussian::{GAUSSIAN_MAX, GAUSSIAN_SIGMA};

/// Bytes drawn at a time: a whole number of uniform candidates and of BLAKE3's widest blocks.
const CHUNK: usize = 6 * 1024;

fn stream(seed: &Seed, label: &[u8], parameters: &[u64]) -> blake3::OutputReader {
    let mut hasher = blake3::Hasher::new_keyed(seed);
    hasher.update(label);
    for parameter in parameters {
        hasher.update(&parameter.to_le_bytes());
    }
    let reader = hasher.finalize_xof();
    hasher.zeroize();
    reader
}

/// Uniform residues modulo p, of public use: the uniform component of seeded ciphertexts and keys. This is
/// a wire format.
///
/// Message: `adyton/ring/uniform/1`, then p and `number` as 64-bit little-endian integers. The output is
/// read as 48-bit little-endian integers; of each the lowest ⌈log2 p⌉ bits are a candidate, which is
/// taken if it is below p and passed over otherwise. Time depends on the seed.
pub fn uniform_limb(modulus: &Modulus, seed: &Seed, number: u64, out: &mut [u64]) {
    let mut reader = stream(seed, b"adyton/ring/uniform/1", &[modulus.value(), number]);
    let mask = (1u64 << modulus.bits()) - 1;
    let mut bytes = [0; CHUNK];
    let mut filled = 0;
    while filled < out.len() {
        // No more than what is missing: rejections are rare for primes just below a power of two.
        let wanted = (6 * (out.len() - filled)).min(CHUNK);
        let bytes = &mut bytes[..wanted];
        reader.fill(bytes);
        for candidate in bytes.as_chunks::<6>().0 {
            let [b0, b1, b2, b3, b4, b5] = *candidate;
            let candidate = u64::from_le_bytes([b0, b1, b2, b3, b4, b5, 0, 0]) & mask;
            // Written in any case, kept only if below p.
            out[filled] = candidate;
            filled += usize::from(candidate < modulus.value());
        }
    }
}

/// A uniform polynomial: [`uniform_limb`] for each prime, so that a limb does not depend on the others of
/// the basis. Being uniform it is so in either domain; seeded objects mean [`Ntt`](crate::Ntt).
///
/// # Errors
/// [`RingError::RingMismatch`].
pub fn uniform<D: Domain>(
    ring: &Ring,
    basis: &Basis,
    seed: &Seed,
    number: u64,
) -> Result<Poly<D>, RingError> {
    let mut poly = Poly::zero(ring, basis)?;
    for (residue, limb) in ring.residues(basis)?.zip(poly.limbs_mut()) {
        uniform_limb(residue.modulus(), seed, number, limb);
    }
    Ok(poly)
}

/// A polynomial with independent coefficients uniform in {−1, 0, 1}; its time and memory accesses do not
/// depend on them.
///
/// Message: `adyton/ring/ternary/1`, then `number`. Each coefficient takes a 64-bit little-endian
/// integer w to ⌊3w/2^64⌋ − 1, which is within 2^−63 of uniform.
///
/// # Errors
/// [`RingError::RingMismatch`].
pub fn ternary(
    ring: &Ring,
    basis: &Basis,
    seed: &Seed,
    number: u64,
) -> Result<Poly<Coeff>, RingError> {
    let values = small_coefficients(ring.degree(), seed, b"adyton/ring/ternary/1", number, |w| {
        ((u128::from(w) * 3) >> 64) as i64 - 1
    });
    ring.from_signed(basis, &values)
}

/// A polynomial with independent coefficients of the discrete Gaussian distribution with standard
/// deviation [`GAUSSIAN_SIGMA`], cut off beyond ±[`GAUSSIAN_MAX`]; its time and memory accesses do not
/// depend on them.
///
/// Message: `adyton/ring/gaussian/1`, then `number`; one 64-bit little-endian integer a coefficient,
/// of which the lowest bit is the sign and the others are compared with the whole cumulative table.
///
/// # Errors
/// [`RingError::RingMismatch`].
pub fn gaussian(
    ring: &Ring,
    basis: &Basis,
    seed: &Seed,
    number: u64,
) -> Result<Poly<Coeff>, RingError> {
    let label = b"adyton/ring/gaussian/1";
    let values = small_coefficients(ring.degree(), seed, label, number, gaussian::from_word);
    ring.from_signed(basis, &values)
}

/// One coefficient per 64-bit word of a stream.
fn small_coefficients(
    count: usize,
    seed: &Seed,
    label: &[u8],
    number: u64,
    from_word: impl Fn(u64) -> i64,
) -> Zeroizing<Vec<i64>> {
    let mut reader = stream(seed, label, &[number]);
    let mut bytes = Zeroizing::new([0; CHUNK]);
    let mut values = Zeroizing::new(Vec::with_capacity(count));
    while values.len() < count {
        let wanted = (8 * (count - values.len())).min(CHUNK);
        reader.fill(&mut bytes[..wanted]);
        let words = bytes[..wanted].as_chunks::<8>().0;
        values.extend(words.iter().map(|&word| from_word(u64::from_le_bytes(word))));
    }
    reader.zeroize();
    values
}
