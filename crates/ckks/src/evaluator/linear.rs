//! Sums, rescaling, squares.

use adyton_ring::PairTerm;

use super::{Common, Evaluator};
use crate::{Ciphertext, CkksError, Degree2, KeyRole, Plaintext, ResultKey};

impl Evaluator {
    /// The sum of two ciphertexts under one key, of one level and scale.
    ///
    /// # Errors
    /// [`CkksError::LevelMismatch`], [`CkksError::ScaleMismatch`], [`CkksError::ForeignOperand`].
    pub fn add<K: KeyRole>(
        &self,
        x: &Ciphertext<K>,
        y: &Ciphertext<K>,
    ) -> Result<Ciphertext<K>, CkksError> {
        Common { level: x.level, scale: &x.scale }.check(y.level, &y.scale)?;
        self.check_polys(x.level, &[&x.b, &x.a, &y.b, &y.a])?;
        let mut sum = x.clone();
        let ring = self.parameters().ring();
        ring.add_assign(&mut sum.b, &y.b)?;
        ring.add_assign(&mut sum.a, &y.a)?;
        Ok(sum)
    }

    /// The sum of a ciphertext and a plaintext of one level and scale.
    ///
    /// # Errors
    /// [`CkksError::LevelMismatch`], [`CkksError::ScaleMismatch`], [`CkksError::ForeignOperand`].
    pub fn add_plain<K: KeyRole>(
        &self,
        x: &Ciphertext<K>,
        y: &Plaintext,
    ) -> Result<Ciphertext<K>, CkksError> {
        Common { level: x.level, scale: &x.scale }.check(y.level(), y.scale())?;
        self.check_polys(x.level, &[&x.b, &x.a, y.poly()])?;
        let mut sum = x.clone();
        self.parameters().ring().add_assign(&mut sum.b, y.poly())?;
        Ok(sum)
    }

    /// To the level below: the scale is divided by [`Parameters::rescale_factor`](crate::Parameters::rescale_factor).
    ///
    /// # Errors
    /// [`CkksError::Parameters`] at level 0, [`CkksError::ForeignOperand`].
    pub fn rescale<K: KeyRole>(&self, x: &Ciphertext<K>) -> Result<Ciphertext<K>, CkksError> {
        self.check_polys(x.level, &[&x.b, &x.a])?;
        let divider = self.parameters().rescale_divider(x.level)?;
        let scale = x.scale.div(&self.parameters().rescale_factor(x.level)?);
        Ok(Ciphertext::new(divider.apply(&x.b)?, divider.apply(&x.a)?, x.level - 1, scale))
    }

    /// To the level below at the same scale: primes are left out, the values stay as they are. They must fit the smaller modulus.
    ///
    /// # Errors
    /// [`CkksError::Parameters`] at level 0 or when the level below has primes that this one lacks, [`CkksError::ForeignOperand`].
    pub fn lower<K: KeyRole>(&self, x: &Ciphertext<K>) -> Result<Ciphertext<K>, CkksError> {
        self.check_polys(x.level, &[&x.b, &x.a])?;
        let (to, basis) = self.parameters().level_within(x.level)?;
        let mut parts = [self.unset(basis)?, self.unset(basis)?];
        for (part, whole) in parts.iter_mut().zip([&x.b, &x.a]) {
            for (limb, prime) in part.limbs_mut().zip(basis.iter()) {
                let position = whole.basis().position(prime).unwrap_or(usize::MAX);
                limb.copy_from_slice(whole.try_limb(position)?);
            }
        }
        let [b, a] = parts;
        Ok(Ciphertext::new(b, a, to, x.scale.clone()))
    }

    /// The square of every slot, at the squared scale and the same level, before relinearization.
    ///
    /// # Errors
    /// [`CkksError::ForeignOperand`].
    pub fn square(&self, x: &Ciphertext<ResultKey>) -> Result<Degree2, CkksError> {
        self.check_polys(x.level, &[&x.b, &x.a])?;
        let unset = || self.unset(x.b.basis());
        let mut parts = [unset()?, unset()?, unset()?];
        let residues = self.parameters().ring().residues(x.b.basis())?;
        let [p0, p1, p2] = &mut parts;
        let outs = p0.limbs_mut().zip(p1.limbs_mut()).zip(p2.limbs_mut());
        for (((residue, b), a), ((o0, o1), o2)) in
            residues.zip(x.b.limbs()).zip(x.a.limbs()).zip(outs)
        {
            residue.dot3(&[PairTerm { b, a, b2: b, a2: a }], [o0, o1, o2])?;
        }
        Ok(Degree2 { parts, level: x.level, scale: x.scale.square() })
    }
}
