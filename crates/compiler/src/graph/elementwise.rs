//! Sums and products value by value, with broadcasting; squares.

use super::index::{broadcast, broadcast_strides, offsets};
use super::operators::{Operands, Outcome};
use super::value::{Activation, Data, Tensor, Value, activation_volume};
use super::volume;
use crate::onnx::{MAX_CONSTANT_VALUES, NodeError};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Add,
    Sub,
    Mul,
    Div,
}

pub(crate) fn add(operands: &Operands<'_>) -> Result<Outcome, NodeError> {
    combine(Kind::Add, operands.input(0)?, operands.input(1)?)
}

pub(crate) fn sub(operands: &Operands<'_>) -> Result<Outcome, NodeError> {
    combine(Kind::Sub, operands.input(0)?, operands.input(1)?)
}

pub(crate) fn mul(operands: &Operands<'_>) -> Result<Outcome, NodeError> {
    combine(Kind::Mul, operands.input(0)?, operands.input(1)?)
}

pub(crate) fn div(operands: &Operands<'_>) -> Result<Outcome, NodeError> {
    combine(Kind::Div, operands.input(0)?, operands.input(1)?)
}

/// `x` to the power of 2; the exponent may have any shape that leaves the base's shape as it is.
pub(crate) fn pow(operands: &Operands<'_>) -> Result<Outcome, NodeError> {
    let base = operands.activation(0)?;
    let exponent = operands.constant(1)?;
    let two = match &*exponent.data {
        Data::Real(values) => values.iter().all(|&value| value == 2.0),
        Data::Integer(values) => values.iter().all(|&value| value == 2),
    };
    if !two || exponent.len() == 0 || broadcast(&base.dims, &exponent.dims)? != base.dims {
        return Err(NodeError::Input { index: 1, expected: "the constant 2" });
    }
    Ok(Outcome::Square(base.clone()))
}

/// One of the four operations on two values, each constant or not.
pub(crate) fn combine(kind: Kind, left: &Value, right: &Value) -> Result<Outcome, NodeError> {
    match (left, right) {
        (Value::Constant(left), Value::Constant(right)) => {
            Ok(Value::Constant(fold(kind, left, right)?).into())
        }
        (Value::Activation(x), Value::Constant(c)) => {
            Ok(with_constant(kind, x, c, Side::Right)?.into())
        }
        (Value::Constant(c), Value::Activation(x)) => {
            Ok(with_constant(kind, x, c, Side::Left)?.into())
        }
        (Value::Activation(left), Value::Activation(right)) => match kind {
            Kind::Mul if left.same_as(right) => Ok(Outcome::Square(left.clone())),
            Kind::Mul | Kind::Div => Err(NodeError::Product),
            Kind::Add => Ok(sum(1.0, left, right)?.into()),
            Kind::Sub => Ok(sum(-1.0, left, right)?.into()),
        },
    }
}

/// Where the constant stands.
#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}

/// An activation and a constant: `scale · x + bias`, value by value.
fn with_constant(
    kind: Kind,
    x: &Activation,
    constant: &Tensor,
    side: Side,
) -> Result<Activation, NodeError> {
    let line: fn(f64) -> (f64, f64) = match (kind, side) {
        (Kind::Add, _) => |c| (1.0, c),
        (Kind::Sub, Side::Right) => |c| (1.0, -c),
        (Kind::Sub, Side::Left) => |c| (-1.0, c),
        (Kind::Mul, _) => |c| (c, 0.0),
        (Kind::Div, Side::Right) => |c| (1.0 / c, 0.0),
        (Kind::Div, Side::Left) => return Err(NodeError::Product),
    };
    let index = match side {
        Side::Left => 0,
        Side::Right => 1,
    };
    let constants = constant.reals(index)?;
    let target = broadcast(&x.dims, &constant.dims)?;
    let count = activation_volume(&target)?;
    let places = offsets(&target, &broadcast_strides(&constant.dims, &target));
    let lines: Vec<(f64, f64)> = places.into_iter().map(|place| line(constants[place])).collect();
    let sources = offsets(&target, &broadcast_strides(&x.dims, &target));
    let rows = sources.iter().zip(&lines).map(|(&source, &(scale, _))| vec![(source, scale)]);
    let bias = lines.iter().map(|&(_, bias)| bias).collect();
    x.through(target, count, rows, Some(bias))
}

/// `left + sign · right` for two activations of one stage.
fn sum(sign: f64, left: &Activation, right: &Activation) -> Result<Activation, NodeError> {
    if left.stage != right.stage {
        return Err(NodeError::Branches);
    }
    let target = broadcast(&left.dims, &right.dims)?;
    let spread = |side: &Activation| -> Result<Activation, NodeError> {
        if side.dims == target {
            return Ok(side.clone());
        }
        let count = activation_volume(&target)?;
        let sources = offsets(&target, &broadcast_strides(&side.dims, &target));
        let rows = sources.iter().map(|&source| vec![(source, 1.0)]);
        side.through(target.clone(), count, rows, None)
    };
    spread(left)?.plus(sign, &spread(right)?)
}

/// The operation on two constants of one type.
fn fold(kind: Kind, left: &Tensor, right: &Tensor) -> Result<Tensor, NodeError> {
    let target = broadcast(&left.dims, &right.dims)?;
    let limit = MAX_CONSTANT_VALUES;
    volume(&target, limit).ok_or(NodeError::TooLarge { what: "values in a constant", limit })?;
    let pairs = offsets(&target, &broadcast_strides(&left.dims, &target)).into_iter();
    let pairs = pairs.zip(offsets(&target, &broadcast_strides(&right.dims, &target)));
    let data = match (&*left.data, &*right.data) {
        (Data::Real(left), Data::Real(right)) => Data::Real(
            pairs
                .map(|(i, j)| match kind {
                    Kind::Add => left[i] + right[j],
                    Kind::Sub => left[i] - right[j],
                    Kind::Mul => left[i] * right[j],
                    Kind::Div => left[i] / right[j],
                })
                .collect(),
        ),
        (Data::Integer(left), Data::Integer(right)) => Data::Integer(
            pairs
                .map(|(i, j)| match kind {
                    Kind::Add => left[i].checked_add(right[j]),
                    Kind::Sub => left[i].checked_sub(right[j]),
                    Kind::Mul => left[i].checked_mul(right[j]),
                    Kind::Div => left[i].checked_div(right[j]),
                })
                .collect::<Option<_>>()
                .ok_or(NodeError::NotFinite)?,
        ),
        _ => return Err(NodeError::Input { index: 1, expected: "of the same type as input 0" }),
    };
    Ok(Tensor::new(target, data))
}
