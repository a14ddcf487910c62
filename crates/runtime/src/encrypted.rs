//! The CKKS backend: what the host runs.

use std::sync::Arc;

use adyton_ckks::{
    Ciphertext, CkksError, Crew, Degree2, Evaluator, InputKey, KeySet, OperandRole, PreparedMasks,
    PreparedWeights, ProductSum, ResultKey, SwitchTerm,
};
use adyton_program::VerifiedProgram;
use thiserror::Error;

use crate::{Backend, Operands, Place, ProductRow, Rotatable, Switchable, Weights};

/// Operands of which the second-level cache holds a few coefficients beside the weights that pass over them.
pub(crate) const CACHED_OPERANDS: usize = 512;

/// Why the CKKS backend could not carry out a step. A verified program with its own weights, keys and inputs gives no such
/// error.
#[derive(Debug, Error)]
pub enum EncryptedError {
    /// The weights were loaded for another program.
    #[error("the weights were loaded for another program")]
    OtherProgram,
    /// There are no weights for a step.
    #[error("there are no weights for step {0}")]
    NoWeights(usize),
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
    /// A backend for a program with its weights and a session's evaluation keys, whose steps are shared out among a
    /// [`crew`](crate::crew).
    ///
    /// # Errors
    /// [`EncryptedError::OtherProgram`] if the weights were loaded for another program.
    pub fn new(
        program: &VerifiedProgram,
        weights: Arc<Weights>,
        keys: Arc<dyn KeySet + Send + Sync>,
        crew: Arc<dyn Crew>,
    ) -> Result<Self, EncryptedError> {
        if *weights.program() != program.id() {
            return Err(EncryptedError::OtherProgram);
        }
        Ok(Self { evaluator: Evaluator::with_crew(program.parameters(), crew), weights, keys })
    }

    /// The sums of all rows by group; as many groups at a time as the cache holds.
    fn sums<K: OperandRole>(
        &self,
        rows: &[&PreparedWeights],
        masks: Option<&PreparedMasks>,
        groups: &[Vec<&Ciphertext<K>>],
        wrap: fn(ProductSum<K>) -> EncryptedSum,
    ) -> Result<Vec<Vec<EncryptedSum>>, EncryptedError> {
        let terms = rows.first().map_or(0, |row| row.len());
        let at_once = (CACHED_OPERANDS / terms.max(1)).max(1);
        let mut by_group = Vec::with_capacity(groups.len());
        for groups in groups.chunks(at_once) {
            let operands: Vec<_> = groups.iter().map(Vec::as_slice).collect();
            let mut rows: Vec<_> = self
                .evaluator
                .products_prepared(rows, masks, &operands)?
                .into_iter()
                .map(Vec::into_iter)
                .collect();
            by_group.extend(
                groups
                    .iter()
                    .map(|_| rows.iter_mut().filter_map(Iterator::next).map(wrap).collect()),
            );
        }
        Ok(by_group)
    }
}

impl Backend for Encrypted {
    type Fresh = Ciphertext<InputKey>;
    type Result = Ciphertext<ResultKey>;
    type Sum = EncryptedSum;
    type Degree2 = Degree2;
    type Error = EncryptedError;

    fn program(&self) -> [u8; 32] {
        *self.weights.program()
    }

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
        rows: &[ProductRow<'_>],
        operands: Operands<'_, Self>,
    ) -> Result<Vec<Vec<EncryptedSum>>, EncryptedError> {
        let weights: Vec<&PreparedWeights> = rows
            .iter()
            .map(|row| self.weights.of_step(row.step).ok_or(EncryptedError::NoWeights(row.step)))
            .collect::<Result<_, _>>()?;
        // Rows that are done together have the same masks (`Schedule`).
        let masks = rows.first().and_then(|row| self.weights.masks_of_step(row.step));
        match operands {
            Operands::Fresh(groups) => self.sums(&weights, masks, &groups, EncryptedSum::Input),
            Operands::Result(groups) => self.sums(&weights, masks, &groups, EncryptedSum::Result),
        }
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

    fn lower(&self, _at: Place, of: &Self::Result) -> Result<Self::Result, EncryptedError> {
        Ok(self.evaluator.lower(of)?)
    }
}

fn switch_term<'a>(term: &Switchable<'a, Encrypted>) -> SwitchTerm<'a> {
    match *term {
        Switchable::Sum(EncryptedSum::Input(sum)) => SwitchTerm::InputProducts(sum),
        Switchable::Sum(EncryptedSum::Result(sum)) => SwitchTerm::ResultProducts(sum),
        Switchable::Result(result) => SwitchTerm::Result(result),
    }
}
