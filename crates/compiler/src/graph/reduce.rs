//! Sums, means and products over axes.

use super::context::Context;
use super::index::{offsets, strides};
use super::operators::{Operands, Outcome};
use super::shape::marked;
use super::value::{Activation, Data, Tensor, Value};
use super::{constants, product};
use crate::onnx::NodeError;

/// Most factors of a product of activations.
const MAX_FACTORS: usize = 16;

/// Where a reduction's values come from: for each result, and from there on.
struct Reduction {
    dims: Vec<usize>,
    begins: Vec<usize>,
    window: Vec<usize>,
}

impl Reduction {
    /// Over the axes that the node names (all, where it names none): an attribute before `version`, an input since.
    fn read(operands: &Operands<'_>, version: i64) -> Result<Self, NodeError> {
        let dims = operands.input(0)?.dims();
        let keep = operands.attributes.flag("keepdims", true)?;
        let reduced = match operands.axes(version)? {
            Some(axes) if !axes.is_empty() => marked(axes, dims.len())?,
            _ if operands.attributes.flag("noop_with_empty_axes", false)? => {
                vec![false; dims.len()]
            }
            _ => vec![true; dims.len()],
        };
        Ok(Self::over(dims, &reduced, keep))
    }

    fn over(dims: &[usize], reduced: &[bool], keep: bool) -> Self {
        let strides = strides(dims);
        let split = |inside: bool| -> (Vec<usize>, Vec<usize>) {
            let axes = dims.iter().zip(&strides).zip(reduced).filter(|&(_, &r)| r == inside);
            axes.map(|((&dim, &stride), _)| (dim, stride)).unzip()
        };
        let ((kept, kept_strides), (inner, inner_strides)) = (split(false), split(true));
        let begins = offsets(&kept, &kept_strides);
        let window = offsets(&inner, &inner_strides);
        let dims = match keep {
            true => dims.iter().zip(reduced).map(|(&dim, &r)| if r { 1 } else { dim }).collect(),
            false => kept,
        };
        Self { dims, begins, window }
    }

    /// The sum of each window, times `share`.
    fn linear(
        self,
        context: &mut Context<'_>,
        x: &Activation,
        share: f64,
    ) -> Result<Activation, NodeError> {
        let Self { dims, begins, window } = self;
        let rows =
            begins.iter().map(|begin| window.iter().map(|step| (begin + step, share)).collect());
        context.linear(x, dims, x.len(), rows, None)
    }
}

/// The sum of an activation or a constant, times one over the number of values where it is a mean.
fn linear(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
    reduction: Reduction,
    mean: bool,
) -> Result<Outcome, NodeError> {
    let share = if mean { 1.0 / reduction.window.len() as f64 } else { 1.0 };
    match operands.input(0)? {
        Value::Constant(tensor) if !mean => Ok(constants::reduced(
            tensor,
            reduction.dims,
            &reduction.begins,
            &reduction.window,
            i64::checked_add,
            |x, y| x + y,
        )?
        .into()),
        Value::Constant(tensor) => {
            let values = tensor.reals(0)?;
            let sum = |begin: &usize| -> f64 {
                reduction.window.iter().map(|step| values[begin + step]).sum()
            };
            let means = reduction.begins.iter().map(|begin| sum(begin) * share).collect();
            Ok(Value::Constant(Tensor::new(reduction.dims, Data::Real(means))).into())
        }
        value => {
            let x = context.forced(value)?;
            Ok(reduction.linear(context, &x, share)?.into())
        }
    }
}

pub(crate) fn mean(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    linear(operands, context, Reduction::read(operands, 18)?, true)
}

pub(crate) fn sum(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    linear(operands, context, Reduction::read(operands, 13)?, false)
}

/// The sum of squares.
pub(crate) fn sum_square(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let reduction = Reduction::read(operands, 18)?;
    let square = context.square(operands.activation(0)?)?;
    Ok(reduction.linear(context, &square, 1.0)?.into())
}

/// The product over some axes; of activations by pairs, so that its depth grows with the logarithm of their number.
pub(crate) fn product(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let Reduction { dims, begins, window } = Reduction::read(operands, 18)?;
    if let Value::Constant(tensor) = operands.input(0)? {
        return Ok(constants::reduced(
            tensor,
            dims,
            &begins,
            &window,
            i64::checked_mul,
            |x, y| x * y,
        )?
        .into());
    }
    let x = operands.activation(0)?;
    if window.len() > MAX_FACTORS {
        return Err(NodeError::TooLarge { what: "factors of a product", limit: MAX_FACTORS });
    }
    let factor = |context: &mut Context<'_>, step: &usize| {
        let sources: Vec<(usize, usize)> = begins.iter().map(|begin| (0, begin + step)).collect();
        context.joined(dims.clone(), std::slice::from_ref(x), &sources)
    };
    let factors = window.iter().map(|step| factor(context, step));
    let mut factors = factors.collect::<Result<Vec<_>, _>>()?;
    while factors.len() > 1 {
        let pairs = factors.chunks(2).map(|pair| match pair {
            [left, right] => product::of(context, left, right),
            rest => Ok(rest[0].clone()),
        });
        factors = pairs.collect::<Result<_, _>>()?;
    }
    let product =
        factors.pop().ok_or(NodeError::Input { index: 0, expected: "of one value or more" })?;
    Ok(product.into())
}

/// The mean of each plane.
pub(crate) fn global_average(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let x = operands.activation(0)?;
    if x.dims.len() < 3 {
        return Err(NodeError::Input { index: 0, expected: "of three axes or more" });
    }
    let reduced: Vec<bool> = (0..x.dims.len()).map(|axis| axis >= 2).collect();
    let reduction = Reduction::over(&x.dims, &reduced, true);
    let share = 1.0 / reduction.window.len() as f64;
    Ok(reduction.linear(context, x, share)?.into())
}
