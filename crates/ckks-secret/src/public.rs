//! Public-key encryption, for parties that may encrypt under a key but not decrypt.

use std::marker::PhantomData;

use adyton_ckks::codec::{DecodeError, HEADER_LEN, ObjectKind, Reader, write_header};
use adyton_ckks::{Ciphertext, CkksError, KeyRole, Parameters, Plaintext, Seed, wire};
use adyton_ring::{Ntt, Poly, codec as packing, sampler};
use zeroize::Zeroizing;

use crate::{Randomness, SecretKey};

/// A public key `(b, a)` with `b = e − a·s` over the primes of one level; `a` is stream 0 of a seed.
#[derive(Clone, Debug, PartialEq)]
pub struct PublicKey<K: KeyRole> {
    b: Poly<Ntt>,
    seed: Seed,
    level: u8,
    role: PhantomData<K>,
}

impl<K: KeyRole> SecretKey<K> {
    /// The public key for encryption at `level` (an encryption of zero there).
    ///
    /// # Errors
    /// [`CkksError::Parameters`] for an unknown level.
    pub fn public_key(
        &self,
        level: u8,
        randomness: &mut Randomness,
    ) -> Result<PublicKey<K>, CkksError> {
        let basis = self.parameters().basis(level)?;
        let seed = *randomness.seed();
        let b = self.encrypt_zero(basis, &seed, 0, self.poly(), randomness)?;
        Ok(PublicKey { b, seed, level, role: PhantomData })
    }
}

impl<K: KeyRole> PublicKey<K> {
    /// The level of the plaintexts that the key encrypts.
    #[must_use]
    pub fn level(&self) -> u8 {
        self.level
    }

    /// Encrypts: `(v·b + e_0 + m, v·a + e_1)` with v ternary and Gaussian errors, σ = 3.19. Noisier than secret-key encryption by
    /// about √(4N/3) (see [`adyton_ckks::NoiseModel::fresh_public`]), and not half size.
    ///
    /// # Errors
    /// [`CkksError::ForeignOperand`] for a plaintext or key of other parameters, [`CkksError::LevelMismatch`] for a plaintext of another
    /// level.
    pub fn encrypt(
        &self,
        parameters: &Parameters,
        plaintext: &Plaintext,
        randomness: &mut Randomness,
    ) -> Result<Ciphertext<K>, CkksError> {
        let basis = parameters.basis(self.level)?;
        if plaintext.level() != self.level {
            return Err(CkksError::LevelMismatch { left: self.level, right: plaintext.level() });
        }
        if self.b.basis() != basis || plaintext.poly().basis() != basis {
            return Err(CkksError::ForeignOperand { level: self.level });
        }
        let ring = parameters.ring();
        // One secret seed, three streams; the ternary and Gaussian samplers have different labels besides.
        let seed = randomness.seed();
        let ephemeral = Zeroizing::new(ring.forward(sampler::ternary(ring, basis, &seed, 0)?)?);
        let mut b = ring.forward(sampler::gaussian(ring, basis, &seed, 1)?)?;
        let mut a = ring.forward(sampler::gaussian(ring, basis, &seed, 2)?)?;
        ring.mul_add_assign(&mut b, &ephemeral, &self.b)?;
        let uniform = sampler::uniform(ring, basis, &self.seed, 0)?;
        ring.mul_add_assign(&mut a, &ephemeral, &uniform)?;
        ring.add_assign(&mut b, plaintext.poly())?;
        Ciphertext::from_parts(parameters, b, a, self.level, plaintext.scale().clone())
    }

    /// Exact length of the encoding of any public key for this level: header, role, level, seed, polynomial.
    ///
    /// # Errors
    /// [`CkksError::Parameters`] for an unknown level.
    pub fn encoded_len(parameters: &Parameters, level: u8) -> Result<usize, CkksError> {
        let poly = packing::encoded_len(parameters.ring(), parameters.basis(level)?)?;
        Ok(HEADER_LEN + 2 + 32 + poly)
    }

    /// The canonical encoding.
    ///
    /// # Errors
    /// [`CkksError`] for a key of other parameters.
    pub fn encode(&self, parameters: &Parameters) -> Result<Vec<u8>, CkksError> {
        let mut out = Vec::with_capacity(Self::encoded_len(parameters, self.level)?);
        write_header(&mut out, ObjectKind::PublicKey, parameters.digest());
        out.extend_from_slice(&[K::ROLE as u8, self.level]);
        out.extend_from_slice(&self.seed);
        wire::write_poly(parameters, &self.b, &mut out)?;
        Ok(out)
    }

    /// Reads exactly what [`PublicKey::encode`] wrote under the same parameters and role.
    ///
    /// # Errors
    /// [`CkksError::Decode`] names what is wrong.
    pub fn decode(bytes: &[u8], parameters: &Parameters) -> Result<Self, CkksError> {
        let mut reader = Reader::new(bytes);
        reader.header(ObjectKind::PublicKey, parameters.digest())?;
        let found = reader.u8()?;
        if found != K::ROLE as u8 {
            return Err(DecodeError::WrongRole { expected: K::ROLE, found }.into());
        }
        let level = reader.u8()?;
        let basis = parameters.basis(level).map_err(|_| DecodeError::BadLevel(level))?;
        let seed = reader.array()?;
        let b = wire::read_poly(parameters, basis, &mut reader)?;
        reader.finish()?;
        Ok(Self { b, seed, level, role: PhantomData })
    }
}
