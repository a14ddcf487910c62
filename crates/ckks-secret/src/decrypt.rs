//! Decryption.

use adyton_ckks::{
    Ciphertext, CkksError, DecodeBuffer, Degree2, Encoder, KeyRole, ModelKey, OperandRole,
    Parameters, ParametersError, Plaintext, ProductSum, ResultKey,
};
use adyton_ring::{AlignedBuffer, Ntt, Poly};
use zeroize::{Zeroize, Zeroizing};

use crate::SecretKey;
use crate::secret::limb;

/// Memory that decryption works in, to be used again for the next ciphertext; wiped when dropped.
pub struct DecryptBuffer {
    phase: Zeroizing<AlignedBuffer>,
    decoded: DecodeBuffer,
}

impl Default for DecryptBuffer {
    fn default() -> Self {
        Self { phase: Zeroizing::new(AlignedBuffer::zeroed(0)), decoded: DecodeBuffer::default() }
    }
}

impl std::fmt::Debug for DecryptBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Contents may be decrypted values.
        f.write_str("DecryptBuffer")
    }
}

/// Decrypts ciphertexts of role `K`.
///
/// Decrypted values of CKKS carry the noise, which depends on the key: whoever hands them out must flood and round first
/// (Li, Micciancio, ePrint 2020/1533).
#[derive(Debug)]
pub struct Decryptor<'a, K: KeyRole> {
    key: &'a SecretKey<K>,
    encoder: Encoder,
}

impl<'a, K: KeyRole> Decryptor<'a, K> {
    /// A decryptor with this key; builds the encoder's tables, so make it once.
    #[must_use]
    pub fn new(key: &'a SecretKey<K>) -> Self {
        Self { key, encoder: Encoder::new(key.parameters()) }
    }

    /// A decryptor with this key that decodes with the tables of `encoder`.
    ///
    /// # Errors
    /// [`CkksError::Parameters`] for an encoder of other parameters.
    pub fn with_encoder(key: &'a SecretKey<K>, encoder: &Encoder) -> Result<Self, CkksError> {
        if encoder.parameters() == key.parameters() {
            Ok(Self { key, encoder: encoder.clone() })
        } else {
            Err(CkksError::Parameters(ParametersError::OtherParameters))
        }
    }

    /// `b + a·s`.
    ///
    /// # Errors
    /// [`CkksError::ForeignOperand`] for a ciphertext of other parameters.
    pub fn decrypt(&self, x: &Ciphertext<K>) -> Result<Plaintext, CkksError> {
        Plaintext::from_parts(self.key.parameters(), self.phase(x)?, x.level(), x.scale().clone())
    }

    /// The real slots, wiped when dropped.
    ///
    /// # Errors
    /// As [`Decryptor::decrypt`].
    pub fn decrypt_slots(&self, x: &Ciphertext<K>) -> Result<Zeroizing<Vec<f64>>, CkksError> {
        let mut buffer = DecryptBuffer::default();
        Ok(Zeroizing::new(self.decrypt_slots_in(x, &mut buffer)?.to_vec()))
    }

    /// The real slots, in memory of the caller's: for many ciphertexts, one after the other.
    ///
    /// # Errors
    /// As [`Decryptor::decrypt`].
    pub fn decrypt_slots_in<'b>(
        &self,
        x: &Ciphertext<K>,
        buffer: &'b mut DecryptBuffer,
    ) -> Result<&'b [f64], CkksError> {
        let parameters = self.key.parameters();
        check(parameters, x.level(), &[x.b(), x.a()])?;
        let (ring, basis) = (parameters.ring(), x.b().basis());
        let DecryptBuffer { phase, decoded } = buffer;
        if phase.len() == x.b().as_slice().len() {
            phase.copy_from_slice(x.b().as_slice());
        } else {
            phase.zeroize();
            **phase = AlignedBuffer::from_slice(x.b().as_slice());
        }
        let limbs = phase.chunks_exact_mut(ring.degree()).zip(x.a().limbs());
        for (prime, (limb, a)) in basis.iter().zip(limbs) {
            let residue = ring.residue(prime);
            residue.mul_add_assign(limb, a, self.key.limb(prime)?)?;
            residue.inverse_in_place(limb)?;
        }
        self.encoder.decode_residues(basis, phase, x.scale(), decoded)
    }

    /// `b + a·s`, which the caller wipes or hands on.
    fn phase(&self, x: &Ciphertext<K>) -> Result<Poly<Ntt>, CkksError> {
        let parameters = self.key.parameters();
        check(parameters, x.level(), &[x.b(), x.a()])?;
        let mut sum = x.b().clone();
        add_product(parameters, &mut sum, x.a(), &[self.key.poly()])?;
        Ok(sum)
    }
}

impl<K: OperandRole> Decryptor<'_, K> {
    /// The real slots of a product sum, for tests and noise measurement: `one + model·s_M + operand·s_K + both·s_M·s_K`.
    ///
    /// # Errors
    /// [`CkksError::ForeignOperand`] or [`CkksError::Parameters`] for operands of other parameters.
    pub fn decrypt_products(
        &self,
        x: &ProductSum<K>,
        model: &SecretKey<ModelKey>,
    ) -> Result<Zeroizing<Vec<f64>>, CkksError> {
        let parameters = self.key.parameters();
        self.key.check_same(model)?;
        check(parameters, x.level(), &[x.one(), x.operand()])?;
        let own = self.key.poly();
        let mut sum = x.one().clone();
        add_product(parameters, &mut sum, x.operand(), &[own])?;
        if let (Some(under_model), Some(both)) = (x.model(), x.both()) {
            check(parameters, x.level(), &[under_model, both])?;
            if let Some(row) = x.row()
                && row != model.row()
            {
                return Err(CkksError::OtherRow { expected: row, found: model.row() });
            }
            add_product(parameters, &mut sum, under_model, &[model.poly()])?;
            add_product(parameters, &mut sum, both, &[own, model.poly()])?;
        }
        Ok(Zeroizing::new(self.encoder.decode_poly(&sum, x.scale())?))
    }
}

impl Decryptor<'_, ResultKey> {
    /// The real slots of a square before relinearization, for tests and noise measurement.
    ///
    /// # Errors
    /// [`CkksError::ForeignOperand`] for a square of other parameters.
    pub fn decrypt_degree2(&self, x: &Degree2) -> Result<Zeroizing<Vec<f64>>, CkksError> {
        let parameters = self.key.parameters();
        let [one, linear, quadratic] = x.parts();
        check(parameters, x.level(), &[one, linear, quadratic])?;
        let own = self.key.poly();
        let mut sum = one.clone();
        add_product(parameters, &mut sum, linear, &[own])?;
        add_product(parameters, &mut sum, quadratic, &[own, own])?;
        Ok(Zeroizing::new(self.encoder.decode_poly(&sum, x.scale())?))
    }
}

fn check(parameters: &Parameters, level: u8, polys: &[&Poly<Ntt>]) -> Result<(), CkksError> {
    let basis = parameters.basis(level)?;
    if polys.iter().all(|poly| poly.basis() == basis) {
        Ok(())
    } else {
        Err(CkksError::ForeignOperand { level })
    }
}

/// `sum += x·Π secrets`.
fn add_product(
    parameters: &Parameters,
    sum: &mut Poly<Ntt>,
    x: &Poly<Ntt>,
    secrets: &[&Poly<Ntt>],
) -> Result<(), CkksError> {
    let ring = parameters.ring();
    let mut product = Zeroizing::new(x.clone());
    let limbs = product.limbs_mut().zip(sum.limbs_mut());
    for (prime, (product, sum)) in x.basis().iter().zip(limbs) {
        let residue = ring.residue(prime);
        for secret in secrets {
            residue.mul_assign(product, limb(secret, prime)?)?;
        }
        residue.add_assign(sum, product)?;
    }
    Ok(())
}
