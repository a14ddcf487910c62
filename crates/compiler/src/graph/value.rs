//! What flows along the graph's edges: constants, and activations as affine maps.

use std::rc::Rc;

use super::volume;
use crate::network::{Affine, SparseMatrix};
use crate::onnx::{MAX_ACTIVATION_VALUES, MAX_FOLD_MULTIPLICATIONS, MAX_LAYER_WEIGHTS, NodeError};

/// A value on an edge of the graph.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Constant(Tensor),
    Activation(Activation),
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
    /// The number of its stage: 0 for the input, `k + 1` for the results of square `k`.
    pub(crate) stage: usize,
    /// From the stage's values to these.
    pub(crate) map: Rc<Affine>,
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
}

impl Value {
    pub(crate) fn dims(&self) -> &[usize] {
        match self {
            Self::Constant(tensor) => &tensor.dims,
            Self::Activation(activation) => &activation.dims,
        }
    }

    /// The same values under another shape of the same volume.
    pub(crate) fn reshaped(&self, dims: Vec<usize>) -> Self {
        match self {
            Self::Constant(tensor) => {
                Self::Constant(Tensor { dims, data: Rc::clone(&tensor.data) })
            }
            Self::Activation(activation) => Self::Activation(Activation {
                dims,
                stage: activation.stage,
                map: Rc::clone(&activation.map),
            }),
        }
    }

    /// Value `i` of the result is value `sources[i]` of this one; `dims` has as many values as `sources`.
    pub(crate) fn gathered(&self, dims: Vec<usize>, sources: &[usize]) -> Result<Self, NodeError> {
        Ok(match self {
            Self::Constant(tensor) => {
                let data = match &*tensor.data {
                    Data::Real(values) => Data::Real(sources.iter().map(|&i| values[i]).collect()),
                    Data::Integer(values) => {
                        Data::Integer(sources.iter().map(|&i| values[i]).collect())
                    }
                };
                Self::Constant(Tensor::new(dims, data))
            }
            Self::Activation(activation) => {
                let rows = sources.iter().map(|&source| vec![(source, 1.0)]);
                Self::Activation(activation.through(dims, sources.len(), rows, None)?)
            }
        })
    }

    pub(crate) fn is_finite(&self) -> bool {
        match self {
            Self::Constant(tensor) => match &*tensor.data {
                Data::Real(values) => values.iter().all(|value| value.is_finite()),
                Data::Integer(_) => true,
            },
            Self::Activation(activation) => {
                let map = &activation.map;
                map.matrix.values().iter().chain(&map.bias).all(|value| value.is_finite())
            }
        }
    }
}

impl Activation {
    /// A stage's own values, as they are.
    pub(crate) fn new(dims: Vec<usize>, stage: usize) -> Self {
        let map = Rc::new(Affine::identity(dims.iter().product()));
        Self { dims, stage, map }
    }

    /// The model's input.
    pub(crate) fn input(dims: Vec<usize>) -> Self {
        Self::new(dims, 0)
    }

    pub(crate) fn len(&self) -> usize {
        self.map.matrix.rows()
    }

    /// Whether both are the same values of the same stage, whatever their names.
    pub(crate) fn same_as(&self, other: &Self) -> bool {
        self.stage == other.stage && self.dims == other.dims && Rc::ptr_eq(&self.map, &other.map)
    }

    /// The activation after an affine map, given as rows of `(index in this activation, weight)` and a bias (none: zeros).
    ///
    /// `weights` is how many entries the rows have together: checked before the first row is made.
    pub(crate) fn through(
        &self,
        dims: Vec<usize>,
        weights: usize,
        rows: impl IntoIterator<Item = Vec<(usize, f64)>>,
        bias: Option<Vec<f64>>,
    ) -> Result<Self, NodeError> {
        let outputs = activation_volume(&dims)?;
        if outputs == 0 {
            return Err(NodeError::Shapes {
                shapes: vec![dims],
                rule: "the result would be empty",
            });
        }
        expect_weights(weights)?;
        let matrix = SparseMatrix::from_rows(self.len(), rows)?;
        let (stored, multiplications) = matrix.product_cost(&self.map.matrix);
        expect_weights(stored)?;
        if multiplications > MAX_FOLD_MULTIPLICATIONS {
            let limit = MAX_FOLD_MULTIPLICATIONS;
            return Err(NodeError::TooLarge { what: "multiplications to fold its weights", limit });
        }
        let next = Affine::new(matrix, bias.unwrap_or_else(|| vec![0.0; outputs]))?;
        Ok(Self { dims, stage: self.stage, map: Rc::new(self.map.then(&next)?) })
    }

    /// `self + sign · other`, value by value; both have the same shape and the same stage.
    pub(crate) fn plus(&self, sign: f64, other: &Self) -> Result<Self, NodeError> {
        let (left, right) = (&self.map, &other.map);
        expect_weights(left.matrix.nonzeros() + right.matrix.nonzeros())?;
        let rows = left.matrix.iter_rows().zip(right.matrix.iter_rows());
        let rows = rows.map(|(left, right)| {
            left.chain(right.map(|(column, value)| (column, sign * value))).collect()
        });
        let matrix = SparseMatrix::from_rows(left.matrix.cols(), rows)?;
        let bias = left.bias.iter().zip(&right.bias).map(|(left, right)| left + sign * right);
        let map = Affine::new(matrix, bias.collect())?;
        Ok(Self { dims: self.dims.clone(), stage: self.stage, map: Rc::new(map) })
    }
}

/// The number of values in an activation of shape `dims`.
pub(crate) fn activation_volume(dims: &[usize]) -> Result<usize, NodeError> {
    let limit = MAX_ACTIVATION_VALUES;
    volume(dims, limit).ok_or(NodeError::TooLarge { what: "values in its result", limit })
}

fn expect_weights(count: usize) -> Result<(), NodeError> {
    let limit = MAX_LAYER_WEIGHTS;
    if count <= limit { Ok(()) } else { Err(NodeError::TooLarge { what: "weights", limit }) }
}
