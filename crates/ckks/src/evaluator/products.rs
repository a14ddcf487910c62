//! Lazily summed two-key products: Σ weight ⊗ operand, one reduction an output coefficient.

use adyton_ring::{Ntt, Poly};

use super::prepared::{PreparedMasks, PreparedWeights, Scales, Stream};
use super::{Common, Evaluator};
use crate::{Ciphertext, CkksError, ModelKey, OperandRole, Plaintext, ProductSum, Scale};

/// One weight of a product, encrypted under the model key of row 0 or plain.
#[derive(Clone, Copy, Debug)]
pub enum Weight<'a> {
    /// Under the model key.
    Encrypted(&'a Ciphertext<ModelKey>),
    /// Known to the evaluator.
    Plain(&'a Plaintext),
}

impl Evaluator {
    /// Σ weight ⊗ operand + bias. All weights and operands have one level; the product's scale is that of a weight times that of its operand,
    /// the same for all terms, and the bias must have it. Weights that are used often are better prepared:
    /// [`Evaluator::products_prepared`].
    ///
    /// # Errors
    /// [`CkksError::Empty`], [`CkksError::MixedWeights`], [`CkksError::LevelMismatch`], [`CkksError::ScaleMismatch`],
    /// [`CkksError::ForeignOperand`].
    pub fn products<K: OperandRole>(
        &self,
        terms: &[(Weight<'_>, &Ciphertext<K>)],
        bias: Option<Weight<'_>>,
    ) -> Result<ProductSum<K>, CkksError> {
        let Some((first, _)) = terms.first() else { return Err(CkksError::Empty) };
        let common = Common { level: first.level(), scale: first.scale() };
        let mut scales = Scales::default();
        for (weight, _) in terms {
            common.check(weight.level(), common.scale)?;
            scales.push(weight.scale());
        }
        if let Some(bias) = &bias {
            common.check(bias.level(), common.scale)?;
        }
        let encrypted = first.mask().is_some();
        let weights = terms.iter().map(|(weight, _)| weight);
        if weights.clone().chain(&bias).any(|weight| weight.mask().is_some() != encrypted) {
            return Err(CkksError::MixedWeights);
        }
        let polys: Vec<_> = weights.clone().map(Weight::one).collect();
        let row = PreparedWeights {
            stream: Stream::new(self, common.level, &polys)?,
            scales,
            row: encrypted.then_some(0),
            bias: match &bias {
                None => None,
                Some(bias) => {
                    let polys: Vec<_> = std::iter::once(bias.one()).chain(bias.mask()).collect();
                    self.check_polys(common.level, &polys)?;
                    Some((polys.into_iter().cloned().collect(), bias.scale().clone()))
                }
            },
        };
        let masks: Vec<_> = weights.filter_map(Weight::mask).collect();
        let masks = match encrypted {
            true => Some(PreparedMasks(Stream::new(self, common.level, &masks)?)),
            false => None,
        };
        let operands: Vec<&Ciphertext<K>> = terms.iter().map(|term| term.1).collect();
        let mut sums = self.products_prepared(&[&row], masks.as_ref(), &[&operands])?;
        sums.pop().and_then(|mut groups| groups.pop()).ok_or(CkksError::Empty)
    }
}

impl<'a> Weight<'a> {
    fn level(&self) -> u8 {
        match self {
            Self::Encrypted(weight) => weight.level,
            Self::Plain(weight) => weight.level(),
        }
    }

    fn scale(&self) -> &'a Scale {
        match self {
            Self::Encrypted(weight) => &weight.scale,
            Self::Plain(weight) => weight.scale(),
        }
    }

    /// The polynomial that stands with 1.
    fn one(&self) -> &'a Poly<Ntt> {
        match self {
            Self::Encrypted(weight) => &weight.b,
            Self::Plain(weight) => weight.poly(),
        }
    }

    /// The polynomial that stands with the model key.
    fn mask(&self) -> Option<&'a Poly<Ntt>> {
        match self {
            Self::Encrypted(weight) => Some(&weight.a),
            Self::Plain(_) => None,
        }
    }
}
