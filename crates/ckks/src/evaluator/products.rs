//! Lazily summed two-key products: Σ weight ⊗ operand, one reduction an output coefficient.

use std::ops::Range;

use adyton_ring::{Ntt, PairTerm, Poly, ResidueRing, SingleTerm};

use super::{Common, Evaluator};
use crate::{Ciphertext, CkksError, ModelKey, OperandRole, Plaintext, ProductSum};

/// One weight of a product, encrypted under the model key or plain.
#[derive(Clone, Copy, Debug)]
pub enum Weight<'a> {
    /// Under the model key.
    Encrypted(&'a Ciphertext<ModelKey>),
    /// Known to the evaluator.
    Plain(&'a Plaintext),
}

/// Target size in bytes of one block of weights: it should stay in the second-level cache while all groups pass over it.
const BLOCK_BYTES: usize = 256 * 1024;

/// Shortest slice that a kernel is called with: a few cache lines, so that its setup does not show.
const MIN_CHUNK: usize = 128;

/// Weights of one kind.
enum Weights<'a> {
    Encrypted(Vec<&'a Ciphertext<ModelKey>>),
    Plain(Vec<&'a Plaintext>),
}

impl Evaluator {
    /// Σ weight ⊗ operand + bias. All weights have one level and scale, all operands one scale and the same level; the product's scale
    /// is that of a weight times that of an operand, and the bias must have it.
    ///
    /// # Errors
    /// [`CkksError::Empty`], [`CkksError::MixedWeights`], [`CkksError::LevelMismatch`], [`CkksError::ScaleMismatch`],
    /// [`CkksError::ForeignOperand`].
    pub fn products<K: OperandRole>(
        &self,
        terms: &[(Weight<'_>, &Ciphertext<K>)],
        bias: Option<Weight<'_>>,
    ) -> Result<ProductSum<K>, CkksError> {
        let weights: Vec<Weight<'_>> = terms.iter().map(|term| term.0).collect();
        let operands: Vec<&Ciphertext<K>> = terms.iter().map(|term| term.1).collect();
        let mut sums = self.products_grouped(&weights, &[&operands], bias)?;
        sums.pop().ok_or(CkksError::Empty)
    }

    /// [`Evaluator::products`] of the same weights (and bias) with several groups of operands, one sum a group. Each weight is read from
    /// memory once for all groups.
    ///
    /// # Errors
    /// As [`Evaluator::products`], and [`CkksError::GroupLength`] unless every group has one operand a weight.
    pub fn products_grouped<K: OperandRole>(
        &self,
        weights: &[Weight<'_>],
        groups: &[&[&Ciphertext<K>]],
        bias: Option<Weight<'_>>,
    ) -> Result<Vec<ProductSum<K>>, CkksError> {
        let (Some(weight), Some(operand)) =
            (weights.first(), groups.first().and_then(|group| group.first()))
        else {
            return Err(CkksError::Empty);
        };
        let weight_common = Common { level: operand.level, scale: weight.scale() };
        let operand_common = Common { level: operand.level, scale: &operand.scale };
        let scale = weight_common.scale.mul(operand_common.scale);
        for weight in weights {
            self.check_weight(weight, weight_common)?;
        }
        for operand in groups.iter().copied().flatten() {
            operand_common.check(operand.level, &operand.scale)?;
            self.check_polys(operand.level, &[&operand.b, &operand.a])?;
        }
        if let Some(group) = groups.iter().find(|group| group.len() != weights.len()) {
            let (weights, operands) = (weights.len(), group.len());
            return Err(CkksError::GroupLength { weights, operands });
        }
        if let Some(bias) = &bias {
            self.check_weight(bias, Common { level: operand.level, scale: &scale })?;
        }
        let kind = Weights::collect(weights, bias.as_ref())?;
        let mut sums = groups
            .iter()
            .map(|_| {
                let encrypted = match kind {
                    Weights::Encrypted(_) => {
                        Some([self.zero(operand.level)?, self.zero(operand.level)?])
                    }
                    Weights::Plain(_) => None,
                };
                let (one, other) = (self.zero(operand.level)?, self.zero(operand.level)?);
                Ok(ProductSum::new(one, other, encrypted, operand.level, scale.clone()))
            })
            .collect::<Result<Vec<_>, CkksError>>()?;
        match &kind {
            Weights::Encrypted(weights) => self.sum_encrypted(weights, groups, &mut sums)?,
            Weights::Plain(weights) => self.sum_plain(weights, groups, &mut sums)?,
        }
        if let Some(bias) = bias {
            sums.iter_mut().try_for_each(|sum| self.add_bias(sum, bias))?;
        }
        Ok(sums)
    }

    pub(super) fn check_weight(
        &self,
        weight: &Weight<'_>,
        common: Common<'_>,
    ) -> Result<(), CkksError> {
        common.check(weight.level(), weight.scale())?;
        match weight {
            Weight::Encrypted(weight) => self.check_polys(weight.level, &[&weight.b, &weight.a]),
            Weight::Plain(weight) => self.check_polys(weight.level(), &[weight.poly()]),
        }
    }

    fn sum_encrypted<K: OperandRole>(
        &self,
        weights: &[&Ciphertext<ModelKey>],
        groups: &[&[&Ciphertext<K>]],
        sums: &mut [ProductSum<K>],
    ) -> Result<(), CkksError> {
        let mut terms = Vec::with_capacity(weights.len());
        self.for_blocks(&weights[0].b, 2 * weights.len(), |residue, limb, block| {
            for (operands, sum) in groups.iter().zip(&mut *sums) {
                terms.clear();
                terms.extend(weights.iter().zip(*operands).map(|(w, x)| PairTerm {
                    b: &w.b.limb(limb)[block.clone()],
                    a: &w.a.limb(limb)[block.clone()],
                    b2: &x.b.limb(limb)[block.clone()],
                    a2: &x.a.limb(limb)[block.clone()],
                }));
                if let Some([model, both]) = &mut sum.encrypted {
                    let outs = [&mut sum.one, model, &mut sum.operand, both];
                    residue.dot4(&terms, outs.map(|out| &mut out.limb_mut(limb)[block.clone()]))?;
                }
            }
            Ok(())
        })
    }

    fn sum_plain<K: OperandRole>(
        &self,
        weights: &[&Plaintext],
        groups: &[&[&Ciphertext<K>]],
        sums: &mut [ProductSum<K>],
    ) -> Result<(), CkksError> {
        let mut terms = Vec::with_capacity(weights.len());
        self.for_blocks(weights[0].poly(), weights.len(), |residue, limb, block| {
            for (operands, sum) in groups.iter().zip(&mut *sums) {
                terms.clear();
                terms.extend(weights.iter().zip(*operands).map(|(w, x)| SingleTerm {
                    w: &w.poly().limb(limb)[block.clone()],
                    b: &x.b.limb(limb)[block.clone()],
                    a: &x.a.limb(limb)[block.clone()],
                }));
                let outs = [&mut sum.one, &mut sum.operand];
                residue.dot2(&terms, outs.map(|out| &mut out.limb_mut(limb)[block.clone()]))?;
            }
            Ok(())
        })
    }

    /// Calls `work` with the residue ring, position and coefficients of every block. `streams` is how many weight polynomials one
    /// block touches.
    fn for_blocks(
        &self,
        like: &Poly<Ntt>,
        streams: usize,
        mut work: impl FnMut(&ResidueRing, usize, Range<usize>) -> Result<(), CkksError>,
    ) -> Result<(), CkksError> {
        let degree = like.degree();
        let fitting = BLOCK_BYTES / (8 * streams.max(1));
        let chunk = (fitting + 1).next_power_of_two() / 2;
        let chunk = chunk.max(MIN_CHUNK).min(degree);
        for (limb, residue) in self.parameters().ring().residues(like.basis())?.enumerate() {
            for start in (0..degree).step_by(chunk) {
                work(residue, limb, start..start + chunk)?;
            }
        }
        Ok(())
    }

    fn add_bias<K: OperandRole>(
        &self,
        sum: &mut ProductSum<K>,
        bias: Weight<'_>,
    ) -> Result<(), CkksError> {
        let ring = self.parameters().ring();
        match (bias, &mut sum.encrypted) {
            (Weight::Encrypted(bias), Some([model, _])) => {
                ring.add_assign(&mut sum.one, &bias.b)?;
                ring.add_assign(model, &bias.a)?;
            }
            (Weight::Plain(bias), None) => ring.add_assign(&mut sum.one, bias.poly())?,
            _ => return Err(CkksError::MixedWeights),
        }
        Ok(())
    }
}

impl<'a> Weight<'a> {
    /// The weight's polynomials: b and a, or the plain one.
    pub(super) fn polys(&self) -> Vec<&'a Poly<Ntt>> {
        match *self {
            Self::Encrypted(weight) => vec![&weight.b, &weight.a],
            Self::Plain(weight) => vec![weight.poly()],
        }
    }

    /// The weight's level.
    #[must_use]
    pub fn level(&self) -> u8 {
        match self {
            Self::Encrypted(weight) => weight.level(),
            Self::Plain(weight) => weight.level(),
        }
    }

    /// The weight's scale.
    #[must_use]
    pub fn scale(&self) -> &'a crate::Scale {
        match *self {
            Self::Encrypted(weight) => weight.scale(),
            Self::Plain(weight) => weight.scale(),
        }
    }
}

impl<'a> Weights<'a> {
    fn collect(weights: &[Weight<'a>], bias: Option<&Weight<'a>>) -> Result<Self, CkksError> {
        let encrypted = |weight: &Weight<'_>| matches!(weight, Weight::Encrypted(_));
        let count = weights.iter().chain(bias).filter(|weight| encrypted(weight)).count();
        if count != 0 && count != weights.len() + usize::from(bias.is_some()) {
            return Err(CkksError::MixedWeights);
        }
        Ok(if count == 0 {
            let plain = |weight: &Weight<'a>| match *weight {
                Weight::Plain(weight) => Some(weight),
                Weight::Encrypted(_) => None,
            };
            Self::Plain(weights.iter().filter_map(plain).collect())
        } else {
            let encrypted = |weight: &Weight<'a>| match *weight {
                Weight::Encrypted(weight) => Some(weight),
                Weight::Plain(_) => None,
            };
            Self::Encrypted(weights.iter().filter_map(encrypted).collect())
        })
    }
}
