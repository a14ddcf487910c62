//! What flows along the graph's edges: constants, activations as affine maps of a stage, functions not yet applied, results
//! in a form.

use std::cell::OnceCell;
use std::rc::Rc;

use super::expression::Expression;
use crate::network::{Affine, OutputForm, ShapeError, SparseMatrix};
use crate::onnx::NodeError;

/// A value on an edge of the graph.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Constant(Tensor),
    Activation(Activation),
    Pending(Pending),
    Formed(Formed),
}

/// A constant.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    /// Empty for a scalar.
    pub(crate) dims: Vec<usize>,
    /// Row-major, as many as the product of `dims`.
    pub(crate) data: Rc<Data>,
}

/// The numbers of a constant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Data {
    /// f32 or f64.
    Real(Vec<f64>),
    /// Integers and booleans.
    Integer(Vec<i64>),
}

/// What the network computes at some point, as an affine map of a stage.
#[derive(Clone, Debug)]
pub(crate) struct Activation {
    /// Its shape for a batch of one.
    pub(crate) dims: Vec<usize>,
    /// The number of its stage: 0 for the input, `k` for what stands behind `k` squares.
    pub(crate) stage: usize,
    /// From the stage's values to these. A stage grows: the map may have fewer columns than the stage has values.
    pub(crate) map: Rc<Affine>,
}

/// A function of each value of an activation, not applied before something needs its values: neighbours join it till then.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    /// What the function is of.
    pub(crate) base: Activation,
    /// The function.
    pub(crate) expression: Rc<Expression>,
    /// The node whose function it is, and its operator.
    pub(crate) node: Rc<(String, String)>,
    /// Its values, once something has needed them.
    pub(crate) forced: Rc<OnceCell<Activation>>,
}

/// A result whose last operator is applied by whoever reads it.
#[derive(Clone, Debug)]
pub(crate) struct Formed {
    /// What the network computes.
    pub(crate) logits: Activation,
    /// What is still to be applied.
    pub(crate) form: OutputForm,
    /// The shape of the form's result.
    pub(crate) dims: Vec<usize>,
    /// The operator, for refusals.
    pub(crate) operator: &'static str,
}

impl Tensor {
    pub(crate) fn new(dims: Vec<usize>, data: Data) -> Self {
        Self { dims, data: Rc::new(data) }
    }

    /// Its values, for operators that take float tensors; `index` is the operand's place, for the error.
    pub(crate) fn reals(&self, index: usize) -> Result<&[f64], NodeError> {
        match &*self.data {
            Data::Real(values) => Ok(values),
            Data::Integer(_) => {
                Err(NodeError::Input { index, expected: "a constant float tensor" })
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        match &*self.data {
            Data::Real(values) => values.len(),
            Data::Integer(values) => values.len(),
        }
    }

    /// Value `i` of the result is value `sources[i]`.
    pub(crate) fn gathered(&self, dims: Vec<usize>, sources: &[usize]) -> Self {
        let data = match &*self.data {
            Data::Real(values) => Data::Real(sources.iter().map(|&i| values[i]).collect()),
            Data::Integer(values) => Data::Integer(sources.iter().map(|&i| values[i]).collect()),
        };
        Self::new(dims, data)
    }
}

impl Value {
    pub(crate) fn real(dims: Vec<usize>, values: Vec<f64>) -> Self {
        Self::Constant(Tensor::new(dims, Data::Real(values)))
    }

    pub(crate) fn dims(&self) -> &[usize] {
        match self {
            Self::Constant(tensor) => &tensor.dims,
            Self::Activation(activation) => &activation.dims,
            Self::Pending(pending) => &pending.base.dims,
            Self::Formed(formed) => &formed.dims,
        }
    }

    /// Numbers that it holds.
    pub(crate) fn size(&self) -> usize {
        let map = |x: &Activation| x.map.matrix.nonzeros() + x.len();
        match self {
            Self::Constant(tensor) => tensor.len(),
            Self::Activation(activation) => map(activation),
            Self::Pending(pending) => map(&pending.base) + pending.expression.numbers(),
            Self::Formed(formed) => map(&formed.logits),
        }
    }

    pub(crate) fn is_finite(&self) -> bool {
        let map = match self {
            Self::Constant(tensor) => {
                return match &*tensor.data {
                    Data::Real(values) => values.iter().all(|value| value.is_finite()),
                    Data::Integer(_) => true,
                };
            }
            Self::Activation(activation) => &activation.map,
            Self::Pending(pending) => return pending.expression.is_finite(),
            Self::Formed(formed) => &formed.logits.map,
        };
        map.matrix.values().iter().chain(&map.bias).all(|value| value.is_finite())
    }
}

impl From<Activation> for Value {
    fn from(activation: Activation) -> Self {
        Self::Activation(activation)
    }
}

impl Activation {
    /// Values `first..` of an input of `length` values.
    pub(crate) fn part(dims: Vec<usize>, length: usize, first: usize) -> Result<Self, ShapeError> {
        let count: usize = dims.iter().product();
        let rows = (first..first + count).map(|column| vec![(column, 1.0)]);
        let map = Affine::new(SparseMatrix::from_rows(length, rows)?, vec![0.0; count])?;
        Ok(Self { dims, stage: 0, map: Rc::new(map) })
    }

    pub(crate) fn len(&self) -> usize {
        self.map.matrix.rows()
    }

    /// The same values under another shape of the same volume.
    pub(crate) fn reshaped(&self, dims: Vec<usize>) -> Self {
        Self { dims, stage: self.stage, map: Rc::clone(&self.map) }
    }

    /// Whether both are the same values of the same stage, whatever their names.
    pub(crate) fn same_as(&self, other: &Self) -> bool {
        self.stage == other.stage && self.dims == other.dims && Rc::ptr_eq(&self.map, &other.map)
    }

    /// Whether no value depends on the input.
    pub(crate) fn is_constant(&self) -> bool {
        self.map.matrix.nonzeros() == 0
    }

    /// `factors[i] · value i + bias[i]`; lists of one value stand for that value everywhere.
    pub(crate) fn scaled(&self, factors: &[f64], bias: &[f64]) -> Result<Self, NodeError> {
        let at = |list: &[f64], index: usize| if let [one] = list { *one } else { list[index] };
        let rows = self.map.matrix.iter_rows().enumerate().map(|(index, row)| {
            let factor = at(factors, index);
            row.map(|(column, value)| (column, factor * value)).collect()
        });
        let matrix = SparseMatrix::from_rows(self.map.matrix.cols(), rows)?;
        let old = self.map.bias.iter().enumerate();
        let bias = old.map(|(index, old)| at(factors, index) * old + at(bias, index)).collect();
        let map = Rc::new(Affine::new(matrix, bias)?);
        Ok(Self { dims: self.dims.clone(), stage: self.stage, map })
    }

    /// For each value the `(a, b)` with `self = a · other + b`, where there are such for all.
    pub(crate) fn line_of(&self, other: &Self) -> Option<(Vec<f64>, Vec<f64>)> {
        if self.stage != other.stage || self.dims != other.dims {
            return None;
        }
        if Rc::ptr_eq(&self.map, &other.map) {
            return Some((vec![1.0], vec![0.0]));
        }
        let (own, its) = (&self.map, &other.map);
        let (mut slopes, mut offsets) = (Vec::new(), Vec::new());
        for (index, (mine, theirs)) in
            own.matrix.iter_rows().zip(its.matrix.iter_rows()).enumerate()
        {
            let count = mine.len();
            let slope = if count == 0 { 0.0 } else { ratio(mine, theirs)? };
            slopes.push(slope);
            offsets.push(own.bias[index] - slope * its.bias[index]);
        }
        Some((one_if_same(slopes), one_if_same(offsets)))
    }
}

/// The factor between two rows, where one is a multiple of the other up to rounding.
fn ratio(
    left: impl ExactSizeIterator<Item = (usize, f64)>,
    right: impl ExactSizeIterator<Item = (usize, f64)>,
) -> Option<f64> {
    if left.len() != right.len() {
        return None;
    }
    let mut found: Option<f64> = None;
    for ((column, value), (other, divisor)) in left.zip(right) {
        let this = value / divisor;
        let first = *found.get_or_insert(this);
        if column != other || (this - first).abs() > 1e-12 * first.abs() {
            return None;
        }
    }
    found
}

/// A list of one value where all are the same.
pub(crate) fn one_if_same(values: Vec<f64>) -> Vec<f64> {
    match values.first() {
        Some(&first) if values.iter().all(|&value| value == first) => vec![first],
        _ => values,
    }
}

impl Pending {
    /// A function of `base` that `node` makes.
    pub(crate) fn new(
        base: Activation,
        expression: Rc<Expression>,
        node: &Rc<(String, String)>,
    ) -> Self {
        Self { base, expression, node: Rc::clone(node), forced: Rc::default() }
    }
}
