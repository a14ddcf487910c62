//! What a backend must do: the six kinds of steps on its own value types.

use std::{error::Error, fmt};

use adyton_program::{Step, ValueId, WeightId};

/// Where a backend is called from: a step of the program and the batch of inputs that it works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Index into [`adyton_program::Program::steps`].
    pub step: usize,
    /// Index of the batch of inputs.
    pub group: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}, group {}", self.step, self.group)
    }
}

/// The kind of a [`Step`], for profiles and errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StepKind {
    /// [`Step::Rotations`].
    Rotations,
    /// [`Step::Products`].
    Products,
    /// [`Step::SwitchSum`].
    SwitchSum,
    /// [`Step::Square`].
    Square,
    /// [`Step::Relinearize`].
    Relinearize,
    /// [`Step::Lower`].
    Lower,
}

impl StepKind {
    /// Every kind, in the order of the enumeration.
    pub const ALL: [Self; 6] = [
        Self::Rotations,
        Self::Products,
        Self::SwitchSum,
        Self::Square,
        Self::Relinearize,
        Self::Lower,
    ];

    /// The kind of a step.
    #[must_use]
    pub const fn of(step: &Step) -> Self {
        match step {
            Step::Rotations { .. } => Self::Rotations,
            Step::Products { .. } => Self::Products,
            Step::SwitchSum { .. } => Self::SwitchSum,
            Step::Square { .. } => Self::Square,
            Step::Relinearize { .. } => Self::Relinearize,
            Step::Lower { .. } => Self::Lower,
        }
    }

    /// A short lower-case name, stable: reports use it as a key.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rotations => "rotations",
            Self::Products => "products",
            Self::SwitchSum => "switch_sum",
            Self::Square => "square",
            Self::Relinearize => "relinearize",
            Self::Lower => "lower",
        }
    }
}

impl fmt::Display for StepKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The form that a [`Value`] is in. (A program's types, [`adyton_program::Form`], also tell product sums of inputs from
/// those of results; backends keep that to themselves.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueForm {
    /// A ciphertext under the input key, as the data owner made it.
    Fresh,
    /// A ciphertext of degree 1 under the result key.
    Result,
    /// A sum of weight × value products that is not switched yet.
    Sum,
    /// The square of a result ciphertext, not relinearized yet.
    Degree2,
}

impl fmt::Display for ValueForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fresh => "fresh ciphertext",
            Self::Result => "result ciphertext",
            Self::Sum => "product sum",
            Self::Degree2 => "degree-2 ciphertext",
        })
    }
}

/// A value of the program in one of its four forms.
pub enum Value<B: Backend + ?Sized> {
    /// A ciphertext under the input key.
    Fresh(B::Fresh),
    /// A ciphertext under the result key.
    Result(B::Result),
    /// A product sum.
    Sum(B::Sum),
    /// A degree-2 ciphertext.
    Degree2(B::Degree2),
}

impl<B: Backend + ?Sized> Value<B> {
    /// The form that the value is in.
    #[must_use]
    pub const fn form(&self) -> ValueForm {
        match self {
            Self::Fresh(_) => ValueForm::Fresh,
            Self::Result(_) => ValueForm::Result,
            Self::Sum(_) => ValueForm::Sum,
            Self::Degree2(_) => ValueForm::Degree2,
        }
    }
}

/// What rotations take: an input or a result.
pub enum Rotatable<'a, B: Backend + ?Sized> {
    /// Under the input key.
    Fresh(&'a B::Fresh),
    /// Under the result key.
    Result(&'a B::Result),
}

/// What products take, by group and term: all inputs or all results.
pub enum Operands<'a, B: Backend + ?Sized> {
    /// Under the input key.
    Fresh(Vec<Vec<&'a B::Fresh>>),
    /// Under the result key.
    Result(Vec<Vec<&'a B::Result>>),
}

/// One [`Step::Products`].
#[derive(Clone, Copy, Debug)]
pub struct ProductRow<'a> {
    /// The step's index.
    pub step: usize,
    /// Weight and value of each term. All rows that are done together have the same values in the same order.
    pub terms: &'a [(WeightId, ValueId)],
    /// Added at the product's scale.
    pub bias: Option<WeightId>,
}

/// What a switched sum takes: a product sum or a result.
pub enum Switchable<'a, B: Backend + ?Sized> {
    /// A product sum.
    Sum(&'a B::Sum),
    /// A ciphertext under the result key.
    Result(&'a B::Result),
}

/// Carries out the steps of a program on its own kind of values.
///
/// Every method is a pure function of its arguments and of what the backend was made from (weights, keys, noise seed):
/// the executor calls them from several threads in an order that is not fixed, and the outcome must not depend on it.
pub trait Backend: Sync {
    /// An input ciphertext.
    type Fresh: Send + Sync;
    /// A ciphertext under the result key.
    type Result: Send + Sync;
    /// A product sum.
    type Sum: Send + Sync;
    /// A degree-2 ciphertext.
    type Degree2: Send + Sync;
    /// Why a step failed.
    type Error: Error + Send + Sync + 'static;

    /// Id of the program that the backend was made for, with its weights and keys.
    fn program(&self) -> [u8; 32];

    /// [`Step::Rotations`]: one output for each entry of `by`.
    ///
    /// # Errors
    /// Whatever stops the backend: a missing key, an operand of another level or parameter set.
    fn rotations(
        &self,
        at: Place,
        of: Rotatable<'_, Self>,
        by: &[u32],
    ) -> Result<Vec<Self::Result>, Self::Error>;

    /// Several [`Step::Products`] with the same operands, for all groups at once, so that weights and operands are read once:
    /// `operands` has one list for each group, and each list one value for each term of a row. The outputs are listed by
    /// group, then by row.
    ///
    /// # Errors
    /// Whatever stops the backend.
    fn products(
        &self,
        rows: &[ProductRow<'_>],
        operands: Operands<'_, Self>,
    ) -> Result<Vec<Vec<Self::Sum>>, Self::Error>;

    /// [`Step::SwitchSum`]: Σ rotate(term, r), switched to the result key, rescaled if asked.
    ///
    /// # Errors
    /// Whatever stops the backend.
    fn switch_sum(
        &self,
        at: Place,
        terms: &[(Switchable<'_, Self>, u32)],
        rescale: bool,
    ) -> Result<Self::Result, Self::Error>;

    /// [`Step::Square`].
    ///
    /// # Errors
    /// Whatever stops the backend.
    fn square(&self, at: Place, of: &Self::Result) -> Result<Self::Degree2, Self::Error>;

    /// [`Step::Relinearize`].
    ///
    /// # Errors
    /// Whatever stops the backend.
    fn relinearize(
        &self,
        at: Place,
        of: &Self::Degree2,
        rescale: bool,
    ) -> Result<Self::Result, Self::Error>;

    /// [`Step::Lower`].
    ///
    /// # Errors
    /// Whatever stops the backend.
    fn lower(&self, at: Place, of: &Self::Result) -> Result<Self::Result, Self::Error>;
}
