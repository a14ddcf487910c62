//! `MatMul`, `Gemm` and the `Einsum`s that are one of them.

use super::context::{Context, activation_volume};
use super::elementwise::{Kind, combine};
use super::index::{broadcast, broadcast_strides, offsets};
use super::operators::{Operands, Outcome};
use super::value::{Activation, Data, Tensor, Value};
use super::{product, shape, volume};
use crate::onnx::{MAX_CONSTANT_VALUES, MAX_LAYER_WEIGHTS, NodeError};

/// NumPy's `matmul`: the last two axes are matrices, the axes before them broadcast, a vector is one row or one column.
pub(crate) fn matmul(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    Ok(matrix_product(context, operands.input(0)?, operands.input(1)?)?.into())
}

/// `alpha · A' · B' + beta · C`, where `A'` and `B'` are `A` and `B` or their transposes.
pub(crate) fn gemm(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let mut matrix = |index: usize, flag: &'static str| -> Result<Value, NodeError> {
        let value = operands.input(index)?;
        if value.dims().len() != 2 {
            return Err(NodeError::Input { index, expected: "a matrix (two axes)" });
        }
        let transposed = operands.attributes.flag(flag, false)?;
        if transposed { shape::permuted(context, value, &[1, 0]) } else { Ok(value.clone()) }
    };
    let (left, right) = (matrix(0, "transA")?, matrix(1, "transB")?);
    let product = matrix_product(context, &left, &right)?;
    let scaled = scale(context, product, operands.attributes.float("alpha")?)?;
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
    let addend = scale(context, addend.clone(), beta)?;
    Ok(combine(context, Kind::Add, &scaled, &addend)?.into())
}

fn scale(context: &mut Context<'_>, value: Value, factor: Option<f64>) -> Result<Value, NodeError> {
    match factor {
        None | Some(1.0) => Ok(value),
        Some(factor) => combine(context, Kind::Mul, &value, &Value::real(Vec::new(), vec![factor])),
    }
}

/// The equations that are a matrix product or a transposition; all others are refused.
pub(crate) fn einsum(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let equation = operands.attributes.string("equation")?.unwrap_or("");
    let plain: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
    let refused = || NodeError::Attribute {
        name: "equation",
        found: equation.chars().take(80).collect(),
        supported: "a transposition (ij->ji) or a matrix product (bij,jk->bik)",
    };
    let (inputs, output) = plain.split_once("->").ok_or_else(refused)?;
    let letters = |side: &str| -> Option<Vec<char>> {
        let list: Vec<char> = side.chars().collect();
        let once = list.iter().enumerate().all(|(i, c)| !list[..i].contains(c));
        (once && list.iter().all(char::is_ascii_alphabetic)).then_some(list)
    };
    let output = letters(output).ok_or_else(refused)?;
    match inputs.split(',').collect::<Vec<_>>().as_slice() {
        [one] if operands.count() == 1 => {
            let one = letters(one).ok_or_else(refused)?;
            let order = output.iter().map(|c| one.iter().position(|other| other == c));
            let order = order.collect::<Option<Vec<_>>>().ok_or_else(refused)?;
            let value = operands.input(0)?;
            if order.len() != one.len() || value.dims().len() != one.len() {
                return Err(refused());
            }
            Ok(shape::permuted(context, value, &order)?.into())
        }
        [left, right] if operands.count() == 2 => {
            let (left, right) =
                (letters(left).ok_or_else(refused)?, letters(right).ok_or_else(refused)?);
            let ([rows @ .., inner], [stack @ .., other, columns]) = (&left[..], &right[..]) else {
                return Err(refused());
            };
            // The right side is one matrix, or has the left one's axes before its last as a stack of matrices.
            let stacked =
                stack.is_empty() || rows.split_last().is_some_and(|(_, own)| own == stack);
            let expected: Vec<char> = rows.iter().copied().chain([*columns]).collect();
            let fits = operands.input(0)?.dims().len() == left.len()
                && operands.input(1)?.dims().len() == right.len();
            if inner != other || rows.contains(columns) || output != expected || !fits || !stacked {
                return Err(refused());
            }
            matmul(operands, context)
        }
        _ => Err(refused()),
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

fn matrix_product(
    context: &mut Context<'_>,
    left: &Value,
    right: &Value,
) -> Result<Value, NodeError> {
    let sizes = Sizes::of(left.dims(), right.dims())?;
    let dims = sizes.dims.clone();
    Ok(match (left, right) {
        (Value::Constant(left), Value::Constant(right)) => {
            let limit = MAX_CONSTANT_VALUES;
            volume(&dims, limit)
                .ok_or(NodeError::TooLarge { what: "values in a constant", limit })?;
            let (left, right) = (left.reals(0)?, right.reals(1)?);
            let sums = sizes.terms().map(|terms| terms.map(|(i, j)| left[i] * right[j]).sum());
            Value::Constant(Tensor::new(dims, Data::Real(sums.collect())))
        }
        (x, Value::Constant(weights)) => {
            let (x, weights) = (context.forced(x)?, weights.reals(1)?);
            let rows = sizes.terms().map(|terms| terms.map(|(i, j)| (i, weights[j])).collect());
            context.linear(&x, dims, sizes.weights(), rows, None)?.into()
        }
        (Value::Constant(weights), x) => {
            let (x, weights) = (context.forced(x)?, weights.reals(0)?);
            let rows = sizes.terms().map(|terms| terms.map(|(i, j)| (j, weights[i])).collect());
            context.linear(&x, dims, sizes.weights(), rows, None)?.into()
        }
        (left, right) => {
            let (left, right) = (context.forced(left)?, context.forced(right)?);
            of_activations(context, &sizes, &left, &right)?.into()
        }
    })
}

/// The product of two activations: all products of values, then their sums.
fn of_activations(
    context: &mut Context<'_>,
    sizes: &Sizes,
    left: &Activation,
    right: &Activation,
) -> Result<Activation, NodeError> {
    let count = activation_volume(&[sizes.weights()])?;
    let (mut lefts, mut rights) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for (i, j) in sizes.terms().flatten() {
        lefts.push((0, i));
        rights.push((0, j));
    }
    let x = context.joined(vec![count], std::slice::from_ref(left), &lefts)?;
    let y = context.joined(vec![count], std::slice::from_ref(right), &rights)?;
    let products = product::of(context, &x, &y)?;
    let begins = (0..count).step_by(sizes.inner.max(1));
    let rows = begins.map(|begin| (begin..begin + sizes.inner).map(|i| (i, 1.0)).collect());
    context.linear(&products, sizes.dims.clone(), count, rows, None)
}
