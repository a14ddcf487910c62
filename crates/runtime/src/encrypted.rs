//! The CKKS backend: what the host runs.

use std::sync::Arc;

use adyton_ckks::{
    Ciphertext, CkksError, Degree2, Evaluator, InputKey, KeySet, ProductSum, ResultKey, SwitchTerm,
    Weight,
};
use adyton_program::{VerifiedProgram, WeightId};
use thiserror::Error;

use crate::{Backend, Operands, Place, Rotatable, Switchable, Weights, load::Vectors};

/// Why the CKKS backend could not carry out a step. A verified program with its own weights, keys and inputs gives no such
/// error.
#[derive(Debug, Error)]
pub enum EncryptedError {
    /// The weights were loaded for another program.
    #[error("the weights were loaded for another program")]
    OtherProgram,
    /// A step names a weight that does not exist.
    #[error("there is no weight {0}")]
    NoSuchWeight(WeightId),
    /// The evaluator refused: a missing key, an operand of another level, scale or parameter set.
    #[error(transparent)]
    Ckks(#[from] CkksError),
}

/// A sum of products of weights and inputs, or of weights and results.
#[derive(Clone, Debug, PartialEq)]
pub enum EncryptedSum {
    /// With inputs.
    Input(ProductSum<InputKey>),
    /// With results.
    Result(ProductSum<ResultKey>),
}

/// Steps on ciphertexts: one deployment's weights and one session's keys.
#[derive(Clone)]
pub struct Encrypted {
    evaluator: Evaluator,
    weights: Arc<Weights>,
    keys: Arc<dyn KeySet + Send + Sync>,
}

impl Encrypted {
    /// A backend for a program with its weights and a session's evaluation keys.
    ///
    /// # Errors
    /// [`EncryptedError::OtherProgram`] if the weights were loaded for another program.
    pub fn new(
        program: &VerifiedProgram,
        weights: Arc<Weights>,
        keys: Arc<dyn KeySet + Send + Sync>,
    ) -> Result<Self, EncryptedError> {
        if *weights.program() != program.id() {
            return Err(EncryptedError::OtherProgram);
        }
        Ok(Self { evaluator: Evaluator::new(program.parameters()), weights, keys })
    }

    fn weight(&self, weight: WeightId) -> Result<Weight<'_>, EncryptedError> {
        let index = weight as usize;
        let found = match self.weights.vectors() {
            Vectors::Encrypted(vectors) => vectors.get(index).map(Weight::Encrypted),
            Vectors::Plain(vectors) => vectors.get(index).map(Weight::Plain),
        };
        found.ok_or(EncryptedError::NoSuchWeight(weight))
    }
}

impl Backend for Encrypted {
    type Fresh = Ciphertext<InputKey>;
    type Result = Ciphertext<ResultKey>;
    type Sum = EncryptedSum;
    type Degree2 = Degree2;
    type Error = EncryptedError;

    fn rotations(
        &self,
        _at: Place,
        of: Rotatable<'_, Self>,
        by: &[u32],
    ) -> Result<Vec<Self::Result>, EncryptedError> {
        Ok(match of {
            Rotatable::Fresh(of) => self.evaluator.rotations_hoisted(of, by, &*self.keys)?,
            Rotatable::Result(of) => self.evaluator.rotations_hoisted(of, by, &*self.keys)?,
        })
    }

    fn products(
        &self,
        _step: usize,
        weights: &[WeightId],
        operands: Operands<'_, Self>,
        bias: Option<WeightId>,
    ) -> Result<Vec<EncryptedSum>, EncryptedError> {
        let weights =
            weights.iter().map(|&weight| self.weight(weight)).collect::<Result<Vec<_>, _>>()?;
        let bias = bias.map(|bias| self.weight(bias)).transpose()?;
        Ok(match operands {
            Operands::Fresh(groups) => {
                let groups: Vec<_> = groups.iter().map(Vec::as_slice).collect();
                let sums = self.evaluator.products_grouped(&weights, &groups, bias)?;
                sums.into_iter().map(EncryptedSum::Input).collect()
            }
            Operands::Result(groups) => {
                let groups: Vec<_> = groups.iter().map(Vec::as_slice).collect();
                let sums = self.evaluator.products_grouped(&weights, &groups, bias)?;
                sums.into_iter().map(EncryptedSum::Result).collect()
            }
        })
    }

    fn switch_sum(
        &self,
        _at: Place,
        terms: &[(Switchable<'_, Self>, u32)],
        rescale: bool,
    ) -> Result<Self::Result, EncryptedError> {
        let terms: Vec<_> =
            terms.iter().map(|(term, rotation)| (switch_term(term), *rotation)).collect();
        Ok(self.evaluator.switch_sum(&terms, rescale, &*self.keys)?)
    }

    fn square(&self, _at: Place, of: &Self::Result) -> Result<Degree2, EncryptedError> {
        Ok(self.evaluator.square(of)?)
    }

    fn relinearize(
        &self,
        _at: Place,
        of: &Degree2,
        rescale: bool,
    ) -> Result<Self::Result, EncryptedError> {
        Ok(self.evaluator.relinearize(of, rescale, &*self.keys)?)
    }
}

fn switch_term<'a>(term: &Switchable<'a, Encrypted>) -> SwitchTerm<'a> {
    match *term {
        Switchable::Sum(EncryptedSum::Input(sum)) => SwitchTerm::InputProducts(sum),
        Switchable::Sum(EncryptedSum::Result(sum)) => SwitchTerm::ResultProducts(sum),
        Switchable::Result(result) => SwitchTerm::Result(result),
    }
}
