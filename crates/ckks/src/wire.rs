//! Binary formats of plaintexts, ciphertexts and evaluation keys (see [`crate::codec`] for the header).
//!
//! Polynomials are bit-packed limb by limb (`adyton_ring::codec`), in the NTT domain. Since the parameters are known first, the level
//! gives the exact length of what follows before anything is allocated.

use adyton_ring::{Ntt, Poly, RingError, codec as packing};

use crate::ciphertext::{Ciphertext, Plaintext, SeededCiphertext};
use crate::codec::{DecodeError, HEADER_LEN, ObjectKind, Reader, write_header};
use crate::keys::{KeySpec, SeededEvaluationKey};
use crate::{CkksError, KeyRole, Parameters, Scale};

/// Appends a polynomial.
///
/// # Errors
/// [`CkksError::Ring`] for a polynomial of another ring.
pub fn write_poly(
    parameters: &Parameters,
    poly: &Poly<Ntt>,
    out: &mut Vec<u8>,
) -> Result<(), CkksError> {
    Ok(packing::encode(parameters.ring(), poly, out)?)
}

/// Reads a polynomial over a basis of the parameters' ring.
///
/// # Errors
/// [`DecodeError::Truncated`], [`DecodeError::ResidueTooLarge`], or [`DecodeError::NotCanonical`] for padding that is not zero.
pub fn read_poly(
    parameters: &Parameters,
    basis: &adyton_ring::Basis,
    reader: &mut Reader<'_>,
) -> Result<Poly<Ntt>, CkksError> {
    let ring = parameters.ring();
    let bytes = reader.take(packing::encoded_len(ring, basis)?)?;
    packing::decode(ring, basis, bytes).map_err(|error| match error {
        RingError::ResidueOutOfRange { prime, .. } => DecodeError::ResidueTooLarge { prime }.into(),
        RingError::Padding => DecodeError::NotCanonical("padding of residues").into(),
        other => other.into(),
    })
}

/// Fields that plaintexts and ciphertexts begin with: role byte (0 for a plaintext), level, scale.
fn write_prefix(out: &mut Vec<u8>, role: u8, level: u8, scale: &Scale) {
    out.extend_from_slice(&[role, level]);
    scale.encode_into(out);
}

fn read_level_and_scale(
    parameters: &Parameters,
    reader: &mut Reader<'_>,
) -> Result<(u8, Scale), CkksError> {
    let level = reader.u8()?;
    if level > parameters.top_level() {
        return Err(DecodeError::BadLevel(level).into());
    }
    Ok((level, Scale::decode_from(reader)?))
}

fn read_role<K: KeyRole>(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    let found = reader.u8()?;
    if found == K::ROLE as u8 {
        Ok(())
    } else {
        Err(DecodeError::WrongRole { expected: K::ROLE, found })
    }
}

/// Bytes of a polynomial at a level.
fn poly_len(parameters: &Parameters, level: u8) -> Result<usize, CkksError> {
    Ok(packing::encoded_len(parameters.ring(), parameters.basis(level)?)?)
}

/// Bytes of header, role, level and scale.
fn prefix_len(scale: &Scale) -> usize {
    HEADER_LEN + 2 + scale.encoded_len()
}

impl Plaintext {
    /// Exact length of the encoding of any plaintext of this level and scale.
    ///
    /// # Errors
    /// [`CkksError::Parameters`] for an unknown level.
    pub fn encoded_len(
        parameters: &Parameters,
        level: u8,
        scale: &Scale,
    ) -> Result<usize, CkksError> {
        Ok(prefix_len(scale) + poly_len(parameters, level)?)
    }

    /// The canonical encoding.
    ///
    /// # Errors
    /// [`CkksError`] for a plaintext of other parameters.
    pub fn encode(&self, parameters: &Parameters) -> Result<Vec<u8>, CkksError> {
        let mut out =
            Vec::with_capacity(Self::encoded_len(parameters, self.level(), self.scale())?);
        write_header(&mut out, ObjectKind::Plaintext, parameters.digest());
        write_prefix(&mut out, 0, self.level(), self.scale());
        write_poly(parameters, self.poly(), &mut out)?;
        Ok(out)
    }

    /// Reads exactly what [`Plaintext::encode`] wrote under the same parameters.
    ///
    /// # Errors
    /// [`CkksError::Decode`] names what is wrong.
    pub fn decode(bytes: &[u8], parameters: &Parameters) -> Result<Self, CkksError> {
        let mut reader = Reader::new(bytes);
        reader.header(ObjectKind::Plaintext, parameters.digest())?;
        if reader.u8()? != 0 {
            return Err(DecodeError::NotCanonical("role of a plaintext").into());
        }
        let (level, scale) = read_level_and_scale(parameters, &mut reader)?;
        let poly = read_poly(parameters, parameters.basis(level)?, &mut reader)?;
        reader.finish()?;
        Self::from_parts(parameters, poly, level, scale)
    }
}

impl<K: KeyRole> Ciphertext<K> {
    /// Exact length of the encoding of any ciphertext of this level and scale.
    ///
    /// # Errors
    /// [`CkksError::Parameters`] for an unknown level.
    pub fn encoded_len(
        parameters: &Parameters,
        level: u8,
        scale: &Scale,
    ) -> Result<usize, CkksError> {
        Ok(prefix_len(scale) + 2 * poly_len(parameters, level)?)
    }

    /// The canonical encoding.
    ///
    /// # Errors
    /// [`CkksError`] for a ciphertext of other parameters.
    pub fn encode(&self, parameters: &Parameters) -> Result<Vec<u8>, CkksError> {
        let mut out = Vec::with_capacity(Self::encoded_len(parameters, self.level, &self.scale)?);
        write_header(&mut out, ObjectKind::Ciphertext, parameters.digest());
        write_prefix(&mut out, K::ROLE as u8, self.level, &self.scale);
        write_poly(parameters, &self.b, &mut out)?;
        write_poly(parameters, &self.a, &mut out)?;
        Ok(out)
    }

    /// Reads exactly what [`Ciphertext::encode`] wrote under the same parameters and role.
    ///
    /// # Errors
    /// [`CkksError::Decode`] names what is wrong.
    pub fn decode(bytes: &[u8], parameters: &Parameters) -> Result<Self, CkksError> {
        let mut reader = Reader::new(bytes);
        reader.header(ObjectKind::Ciphertext, parameters.digest())?;
        read_role::<K>(&mut reader)?;
        let (level, scale) = read_level_and_scale(parameters, &mut reader)?;
        let basis = parameters.basis(level)?;
        let b = read_poly(parameters, basis, &mut reader)?;
        let a = read_poly(parameters, basis, &mut reader)?;
        reader.finish()?;
        Self::from_parts(parameters, b, a, level, scale)
    }
}

impl<K: KeyRole> SeededCiphertext<K> {
    /// Exact length of the encoding of any seeded ciphertext of this level and scale.
    ///
    /// # Errors
    /// [`CkksError::Parameters`] for an unknown level.
    pub fn encoded_len(
        parameters: &Parameters,
        level: u8,
        scale: &Scale,
    ) -> Result<usize, CkksError> {
        Ok(prefix_len(scale) + 32 + poly_len(parameters, level)?)
    }

    /// The canonical encoding.
    ///
    /// # Errors
    /// [`CkksError`] for a ciphertext of other parameters.
    pub fn encode(&self, parameters: &Parameters) -> Result<Vec<u8>, CkksError> {
        let mut out = Vec::with_capacity(Self::encoded_len(parameters, self.level, &self.scale)?);
        write_header(&mut out, ObjectKind::SeededCiphertext, parameters.digest());
        write_prefix(&mut out, K::ROLE as u8, self.level, &self.scale);
        out.extend_from_slice(&self.seed);
        write_poly(parameters, &self.b, &mut out)?;
        Ok(out)
    }

    /// Reads exactly what [`SeededCiphertext::encode`] wrote under the same parameters and role.
    ///
    /// # Errors
    /// [`CkksError::Decode`] names what is wrong.
    pub fn decode(bytes: &[u8], parameters: &Parameters) -> Result<Self, CkksError> {
        let mut reader = Reader::new(bytes);
        reader.header(ObjectKind::SeededCiphertext, parameters.digest())?;
        read_role::<K>(&mut reader)?;
        let (level, scale) = read_level_and_scale(parameters, &mut reader)?;
        let seed = reader.array()?;
        let b = read_poly(parameters, parameters.basis(level)?, &mut reader)?;
        reader.finish()?;
        Self::from_parts(parameters, b, seed, level, scale)
    }
}

impl SeededEvaluationKey {
    /// Exact length of the encoding of the key with this name.
    ///
    /// # Errors
    /// [`CkksError::Parameters`] when such a key may not exist.
    pub fn encoded_len(parameters: &Parameters, spec: &KeySpec) -> Result<usize, CkksError> {
        parameters.check_key(spec)?;
        let mod_up = parameters.mod_up(spec.level)?;
        let digit = packing::encoded_len(parameters.ring(), mod_up.extended_basis())?;
        Ok(HEADER_LEN + KeySpec::ENCODED_LEN + 32 + mod_up.digit_count() * digit)
    }

    /// The canonical encoding.
    ///
    /// # Errors
    /// [`CkksError`] for a key of other parameters.
    pub fn encode(&self, parameters: &Parameters) -> Result<Vec<u8>, CkksError> {
        let mut out = Vec::with_capacity(Self::encoded_len(parameters, &self.spec)?);
        write_header(&mut out, ObjectKind::EvaluationKey, parameters.digest());
        self.spec.encode_into(&mut out);
        out.extend_from_slice(&self.seed);
        for digit in &self.digits {
            write_poly(parameters, digit, &mut out)?;
        }
        Ok(out)
    }

    /// Reads exactly what [`SeededEvaluationKey::encode`] wrote under the same parameters.
    ///
    /// # Errors
    /// [`CkksError::Decode`] names what is wrong; [`CkksError::Parameters`] when such a key may not exist.
    pub fn decode(bytes: &[u8], parameters: &Parameters) -> Result<Self, CkksError> {
        let mut reader = Reader::new(bytes);
        reader.header(ObjectKind::EvaluationKey, parameters.digest())?;
        let spec = KeySpec::decode_from(&mut reader)?;
        parameters.check_key(&spec)?;
        let seed = reader.array()?;
        let mod_up = parameters.mod_up(spec.level)?;
        let digits = (0..mod_up.digit_count())
            .map(|_| read_poly(parameters, mod_up.extended_basis(), &mut reader))
            .collect::<Result<_, _>>()?;
        reader.finish()?;
        Self::from_parts(parameters, spec, seed, digits)
    }
}
