//! Generation of evaluation keys.

use adyton_ckks::{
    CkksError, InputKey, KeySource, KeySpec, ModelKey, Parameters, ResultKey, SeededEvaluationKey,
};
use adyton_ring::{AlignedBuffer, Automorphism, Basis, Ntt, Poly};
use zeroize::Zeroizing;

use crate::{Randomness, SecretKey};

/// Makes the evaluation keys of a session. It needs all three secrets, so only the enclave has one. Of each it needs the primes that
/// the keys to be made ask for: [`KeyGenerator::primes`].
#[derive(Debug)]
pub struct KeyGenerator<'a> {
    model: &'a SecretKey<ModelKey>,
    input: &'a SecretKey<InputKey>,
    result: &'a SecretKey<ResultKey>,
}

impl<'a> KeyGenerator<'a> {
    /// A generator for these keys.
    ///
    /// # Errors
    /// [`CkksError::Parameters`] unless all keys have the same parameters.
    pub fn new(
        model: &'a SecretKey<ModelKey>,
        input: &'a SecretKey<InputKey>,
        result: &'a SecretKey<ResultKey>,
    ) -> Result<Self, CkksError> {
        result.check_same(model)?;
        result.check_same(input)?;
        Ok(Self { model, input, result })
    }

    /// The primes of the model, input and result key that make the evaluation key with this name.
    ///
    /// # Errors
    /// [`CkksError::Parameters`] when the parameters admit no such key.
    pub fn primes(parameters: &Parameters, spec: &KeySpec) -> Result<[Basis; 3], CkksError> {
        parameters.check_key(spec)?;
        let all = parameters.mod_up(spec.level)?.extended_basis().clone();
        let none = parameters.ring().basis([])?;
        let [model, input] = match spec.source {
            KeySource::Model(_) | KeySource::ModelTimesResult(_) => [all.clone(), none],
            KeySource::ModelTimesInput(_) => [all.clone(), all.clone()],
            KeySource::Input => [none, all.clone()],
            KeySource::Result | KeySource::ResultSquared => [none.clone(), none],
        };
        Ok([model, input, all])
    }

    /// The evaluation key with this name: for digit i, `b_i = −a_i·σ⁻¹(s_R) + e_i + P·g_i·s'` over Q_ℓ·P (see
    /// [`SeededEvaluationKey`]).
    ///
    /// # Errors
    /// [`CkksError::Parameters`] when the parameters admit no such key, [`CkksError::OtherRow`] when it is for another row than the model key
    /// here.
    pub fn evaluation_key(
        &self,
        spec: &KeySpec,
        randomness: &mut Randomness,
    ) -> Result<SeededEvaluationKey, CkksError> {
        let parameters = self.result.parameters();
        parameters.check_key(spec)?;
        if let Some(row) = spec.source.row()
            && row != self.model.row()
        {
            return Err(CkksError::OtherRow { expected: row, found: self.model.row() });
        }
        let mod_up = parameters.mod_up(spec.level)?;
        let basis = mod_up.extended_basis();
        let rotated = self.rotated_back(spec.rotation, basis)?;
        let target = rotated.as_deref().unwrap_or(self.result.poly());
        let seed = *randomness.seed();
        let mut digits = Vec::with_capacity(mod_up.digit_count());
        for (digit, number) in (0..mod_up.digit_count()).zip(0..) {
            let mut b = self.result.encrypt_zero(basis, &seed, number, target, randomness)?;
            self.add_source(spec, digit, &mut b)?;
            digits.push(b);
        }
        SeededEvaluationKey::from_parts(parameters, *spec, seed, digits)
    }

    /// `b += P·g_i·s'`.
    fn add_source(&self, spec: &KeySpec, digit: usize, b: &mut Poly<Ntt>) -> Result<(), CkksError> {
        let parameters = self.result.parameters();
        let (ring, mod_up) = (parameters.ring(), parameters.mod_up(spec.level)?);
        let mut source = Zeroizing::new(AlignedBuffer::zeroed(ring.degree()));
        let primes = mod_up.extended_basis().clone();
        for (limb, (prime, out)) in primes.iter().zip(b.limbs_mut()).enumerate() {
            let factor = mod_up.gadget_factor(digit, limb);
            if factor == 0 {
                continue;
            }
            let residue = ring.residue(prime);
            let (first, second) = self.source(spec.source, prime)?;
            source.copy_from_slice(first);
            if let Some(second) = second {
                residue.mul_assign(&mut source, second)?;
            }
            residue.scale_assign(&mut source, residue.modulus().shoup(factor));
            residue.add_assign(out, &source)?;
        }
        Ok(())
    }

    /// The secrets whose product is the source, modulo one prime.
    fn source(&self, source: KeySource, prime: usize) -> Result<Source<'_>, CkksError> {
        let model = || self.model.limb(prime);
        let input = || self.input.limb(prime);
        let result = || self.result.limb(prime);
        Ok(match source {
            KeySource::Model(_) => (model()?, None),
            KeySource::ModelTimesInput(_) => (model()?, Some(input()?)),
            KeySource::ModelTimesResult(_) => (model()?, Some(result()?)),
            KeySource::Input => (input()?, None),
            KeySource::Result => (result()?, None),
            KeySource::ResultSquared => (result()?, Some(result()?)),
        })
    }

    /// σ⁻¹(s_R) over the primes of `basis`, or `None` without a rotation.
    fn rotated_back(&self, rotation: u32, basis: &Basis) -> Result<Option<WipedPoly>, CkksError> {
        let parameters = self.result.parameters();
        let ring = parameters.ring();
        // Checked before: rotation < slots ≤ 2^16.
        let slots = parameters.slots() as u32;
        if rotation == 0 {
            return Ok(None);
        }
        let inverse = Automorphism::rotation(ring, slots - rotation)?;
        let mut image = Zeroizing::new(Poly::zero(ring, basis)?);
        for (prime, out) in basis.iter().zip(image.limbs_mut()) {
            inverse.apply_limb(self.result.limb(prime)?, out)?;
        }
        Ok(Some(image))
    }
}

/// The limbs of the one or two secrets whose product is a key's source.
type Source<'a> = (&'a [u64], Option<&'a [u64]>);

/// A polynomial that is wiped when dropped.
type WipedPoly = Zeroizing<Poly<Ntt>>;
