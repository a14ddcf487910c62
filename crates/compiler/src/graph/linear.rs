//! `MatMul` and `Gemm`.

use super::elementwise::{Kind, combine};
use super::index::{broadcast, broadcast_strides, offsets};
use super::operators::{Operands, Outcome};
use super::value::{Data, Tensor, Value};
use super::{shape, volume};
use crate::onnx::{MAX_CONSTANT_VALUES, MAX_LAYER_WEIGHTS, NodeError};

/// NumPy's `matmul`: the last two axes are matrices, the axes before them broadcast, a vector is one row or one column.
pub(crate) fn matmul(operands: &Operands<'_>) -> Result<Outcome, NodeError> {
    Ok(product(operands.input(0)?, operands.input(1)?)?.into())
}

/// `alpha · A' · B' + beta · C`, where `A'` and `B'` are `A` and `B` or their transposes.
pub(crate) fn gemm(operands: &Operands<'_>) -> Result<Outcome, NodeError> {
    let matrix = |index: usize, flag: &'static str| -> Result<Value, NodeError> {
        let value = operands.input(index)?;
        if value.dims().len() != 2 {
            return Err(NodeError::Input { index, expected: "a matrix (two axes)" });
        }
        let transposed = operands.attributes.flag(flag, false)?;
        if transposed { shape::permuted(value, &[1, 0]) } else { Ok(value.clone()) }
    };
    let product = product(&matrix(0, "transA")?, &matrix(1, "transB")?)?;
    let scaled = scale(product, operands.attributes.float("alpha")?)?;
    let beta = operands.attributes.float("beta")?;
    // Exporters that know no optional input pass C and switch it off.
    let Some(addend) = operands.optional(2).filter(|_| beta != Some(0.0)) else {
        return Ok(scaled.into());
    };
    if broadcast(scaled.dims(), addend.dims())? != scaled.dims() {
        return Err(NodeError::Shapes {
            shapes: vec![scaled.dims().to_vec(), addend.dims().to_vec()],
            rule: "C must broadcast to the product's shape",
        });
    }
    combine(Kind::Add, &scaled, &scale(addend.clone(), beta)?)
}

fn scale(value: Value, factor: Option<f64>) -> Result<Value, NodeError> {
    match factor {
        None | Some(1.0) => Ok(value),
        Some(factor) => {
            let factor = Value::Constant(Tensor::new(Vec::new(), Data::Real(vec![factor])));
            match combine(Kind::Mul, &value, &factor)? {
                Outcome::Value(value) => Ok(value),
                Outcome::Square(_) => Err(NodeError::Product),
            }
        }
    }
}

/// The sizes of a product of stacks of matrices.
struct Sizes {
    rows: usize,
    inner: usize,
    columns: usize,
    /// For each matrix of the result: where its left and right factor begin.
    stack: Vec<(usize, usize)>,
    /// Shape of the result.
    dims: Vec<usize>,
}

impl Sizes {
    fn of(left: &[usize], right: &[usize]) -> Result<Self, NodeError> {
        let misfit = |rule| NodeError::Shapes { shapes: vec![left.to_vec(), right.to_vec()], rule };
        let (left_stack, rows, inner) = match left {
            [] => return Err(misfit("a matrix product takes no scalars")),
            [inner] => (&[][..], None, *inner),
            [stack @ .., rows, inner] => (stack, Some(*rows), *inner),
        };
        let (right_stack, depth, columns) = match right {
            [] => return Err(misfit("a matrix product takes no scalars")),
            [depth] => (&[][..], *depth, None),
            [stack @ .., depth, columns] => (stack, *depth, Some(*columns)),
        };
        if inner != depth {
            return Err(misfit("the inner lengths of a matrix product differ"));
        }
        let mut dims = broadcast(left_stack, right_stack)?;
        let (height, width) = (rows.unwrap_or(1), columns.unwrap_or(1));
        let limit = MAX_LAYER_WEIGHTS;
        let cost = [&dims[..], &[height, inner, width]].concat();
        volume(&cost, limit).ok_or(NodeError::TooLarge { what: "weights", limit })?;
        let begins = |stack: &[usize], size: usize| {
            let strides = broadcast_strides(stack, &dims);
            offsets(&dims, &strides).into_iter().map(move |offset| offset * size)
        };
        let stack = begins(left_stack, height * inner).zip(begins(right_stack, inner * width));
        let stack = stack.collect();
        dims.extend(rows);
        dims.extend(columns);
        Ok(Self { rows: height, inner, columns: width, stack, dims })
    }

    /// For each value of the result, row-major: the pairs of left and right values whose products it sums.
    fn terms(&self) -> impl Iterator<Item = impl Iterator<Item = (usize, usize)> + '_> + '_ {
        self.stack.iter().flat_map(move |&(left, right)| {
            (0..self.rows).flat_map(move |row| {
                (0..self.columns).map(move |column| {
                    let begin = left + row * self.inner;
                    (0..self.inner).map(move |i| (begin + i, right + i * self.columns + column))
                })
            })
        })
    }

    fn weights(&self) -> usize {
        self.stack.len() * self.rows * self.columns * self.inner
    }
}

fn product(left: &Value, right: &Value) -> Result<Value, NodeError> {
    let sizes = Sizes::of(left.dims(), right.dims())?;
    let dims = sizes.dims.clone();
    Ok(match (left, right) {
        (Value::Activation(x), Value::Constant(weights)) => {
            let weights = weights.reals(1)?;
            let rows = sizes.terms().map(|terms| terms.map(|(i, j)| (i, weights[j])).collect());
            Value::Activation(x.through(dims, sizes.weights(), rows, None)?)
        }
        (Value::Constant(weights), Value::Activation(x)) => {
            let weights = weights.reals(0)?;
            let rows = sizes.terms().map(|terms| terms.map(|(i, j)| (j, weights[i])).collect());
            Value::Activation(x.through(dims, sizes.weights(), rows, None)?)
        }
        (Value::Constant(left), Value::Constant(right)) => {
            let limit = MAX_CONSTANT_VALUES;
            volume(&dims, limit)
                .ok_or(NodeError::TooLarge { what: "values in a constant", limit })?;
            let (left, right) = (left.reals(0)?, right.reals(1)?);
            let sums = sizes.terms().map(|terms| terms.map(|(i, j)| left[i] * right[j]).sum());
            Value::Constant(Tensor::new(dims, Data::Real(sums.collect())))
        }
        (Value::Activation(_), Value::Activation(_)) => return Err(NodeError::Product),
    })
}
