//! Bit-packed residues.
//!
//! A limb modulo p takes ⌈log2 p⌉ bits a residue, least significant bits first, residue after residue,
//! filled up with zero bits to whole bytes. A polynomial is its limbs one after the other, in the
//! order of its basis. Encodings are canonical: decoding accepts exactly what encoding can give.

use crate::{Basis, Domain, Modulus, Poly, Ring, RingError};

/// Bytes of a packed limb of `count` residues.
#[must_use]
pub fn packed_len(modulus: &Modulus, count: usize) -> usize {
    (count * modulus.bits() as usize).div_ceil(8)
}

/// Bytes of a packed polynomial over `basis`.
///
/// # Errors
/// [`RingError::RingMismatch`].
pub fn encoded_len(ring: &Ring, basis: &Basis) -> Result<usize, RingError> {
    Ok(ring.residues(basis)?.map(|residue| packed_len(residue.modulus(), ring.degree())).sum())
}

/// Appends packed residues, which must be below the modulus.
pub fn pack(modulus: &Modulus, residues: &[u64], out: &mut Vec<u8>) {
    let bits = modulus.bits();
    out.reserve(packed_len(modulus, residues.len()));
    let (mut pending, mut held) = (0u128, 0);
    for &residue in residues {
        pending |= u128::from(residue) << held;
        held += bits;
        if held >= 64 {
            out.extend_from_slice(&(pending as u64).to_le_bytes());
            pending >>= 64;
            held -= 64;
        }
    }
    out.extend_from_slice(&pending.to_le_bytes()[..held.div_ceil(8) as usize]);
}

/// Unpacks residues.
///
/// # Errors
/// [`RingError::Length`] unless `bytes` has exactly [`packed_len`] bytes, [`RingError::ResidueOutOfRange`],
/// [`RingError::Padding`].
pub fn unpack(modulus: &Modulus, bytes: &[u8], residues: &mut [u64]) -> Result<(), RingError> {
    let expected = packed_len(modulus, residues.len());
    if bytes.len() != expected {
        return Err(RingError::Length { expected, found: bytes.len() });
    }
    let bits = modulus.bits() as usize;
    let mask = (1u64 << bits) - 1;
    let prime = modulus.value();
    // A residue has at most 46 bits, so the eight bytes from the one it begins in hold it whole; the last few have no eight bytes left
    // and are read from a copy with zeros behind it.
    let whole = bytes.len().saturating_sub(7) * 8 / bits;
    let (fast, last) = residues.split_at_mut(whole.min(residues.len()));
    let mut out_of_range = 0;
    for (position, residue) in fast.iter_mut().enumerate() {
        let first = position * bits;
        let word = bytes[first / 8..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        *residue = (word >> (first % 8)) & mask;
        out_of_range |= u64::from(*residue >= prime);
    }
    let begin = fast.len() * bits / 8;
    let mut tail = [0; 32];
    tail[..bytes.len() - begin].copy_from_slice(&bytes[begin..]);
    let mut used = fast.len() * bits % 8;
    for residue in &mut *last {
        let word = tail[used / 8..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        *residue = (word >> (used % 8)) & mask;
        out_of_range |= u64::from(*residue >= prime);
        used += bits;
    }
    if out_of_range != 0 {
        let position = residues.iter().position(|&residue| residue >= prime).unwrap_or(0);
        return Err(RingError::ResidueOutOfRange { position, prime });
    }
    let rest = tail[used / 8..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
    if rest >> (used % 8) == 0 { Ok(()) } else { Err(RingError::Padding) }
}

/// Appends a packed polynomial.
///
/// # Errors
/// [`RingError::RingMismatch`].
pub fn encode<D: Domain>(ring: &Ring, poly: &Poly<D>, out: &mut Vec<u8>) -> Result<(), RingError> {
    for (residue, limb) in ring.residues(poly.basis())?.zip(poly.limbs()) {
        pack(residue.modulus(), limb, out);
    }
    Ok(())
}

/// Unpacks a polynomial over `basis` from exactly [`encoded_len`] bytes. The domain is the caller's
/// to know.
///
/// # Errors
/// [`RingError::RingMismatch`], [`RingError::Length`], [`RingError::ResidueOutOfRange`],
/// [`RingError::Padding`].
pub fn decode<D: Domain>(ring: &Ring, basis: &Basis, bytes: &[u8]) -> Result<Poly<D>, RingError> {
    let expected = encoded_len(ring, basis)?;
    if bytes.len() != expected {
        return Err(RingError::Length { expected, found: bytes.len() });
    }
    let mut poly = Poly::zero(ring, basis)?;
    let mut rest = bytes;
    for (residue, limb) in ring.residues(basis)?.zip(poly.limbs_mut()) {
        let (packed, after) = rest.split_at(packed_len(residue.modulus(), limb.len()));
        unpack(residue.modulus(), packed, limb)?;
        rest = after;
    }
    Ok(poly)
}
