//! Sums, products and powers value by value, with broadcasting.
//!
//! Functions of the same value join to one function ([`Expression`]), which is applied when something needs its values.

use std::rc::Rc;

use super::context::{Context, activation_volume};
use super::expression::{Expression, MAX_DEGREE, MAX_NODES};
use super::index::{broadcast, broadcast_strides, offsets};
use super::operators::{Operands, Outcome};
use super::value::{Activation, Data, Pending, Tensor, Value};
use super::{product, volume};
use crate::onnx::{MAX_CONSTANT_VALUES, NodeError};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Add,
    Sub,
    Mul,
    Div,
}

pub(crate) fn add(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    Ok(combine(context, Kind::Add, operands.input(0)?, operands.input(1)?)?.into())
}

pub(crate) fn sub(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    Ok(combine(context, Kind::Sub, operands.input(0)?, operands.input(1)?)?.into())
}

pub(crate) fn mul(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    Ok(combine(context, Kind::Mul, operands.input(0)?, operands.input(1)?)?.into())
}

pub(crate) fn div(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    Ok(combine(context, Kind::Div, operands.input(0)?, operands.input(1)?)?.into())
}

pub(crate) fn neg(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    Ok(match operands.input(0)? {
        Value::Constant(tensor) => Value::Constant(negated(tensor)?).into(),
        value => combine(context, Kind::Mul, value, &Value::real(Vec::new(), vec![-1.0]))?.into(),
    })
}

fn negated(tensor: &Tensor) -> Result<Tensor, NodeError> {
    let data = match &*tensor.data {
        Data::Real(values) => Data::Real(values.iter().map(|value| -value).collect()),
        Data::Integer(values) => {
            let negated = values.iter().map(|value| value.checked_neg());
            Data::Integer(negated.collect::<Option<_>>().ok_or(NodeError::NotFinite)?)
        }
    };
    Ok(Tensor::new(tensor.dims.clone(), data))
}

/// All inputs together.
pub(crate) fn sum(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    Ok(total(operands, context)?.into())
}

/// All inputs together, divided by their number.
pub(crate) fn mean(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let sum = total(operands, context)?;
    let share = Value::real(Vec::new(), vec![1.0 / operands.count() as f64]);
    Ok(combine(context, Kind::Mul, &sum, &share)?.into())
}

fn total(operands: &Operands<'_>, context: &mut Context<'_>) -> Result<Value, NodeError> {
    let values = operands.all()?;
    let (first, rest) =
        values.split_first().ok_or(NodeError::Input { index: 0, expected: "given" })?;
    rest.iter().try_fold((*first).clone(), |sum, value| combine(context, Kind::Add, &sum, value))
}

/// `x` to a constant whole power; the exponent may have any shape that leaves the base's shape as it is.
pub(crate) fn pow(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    const EXPECTED: NodeError = NodeError::Input {
        index: 1,
        expected: "one constant whole number from 0 to 16 (or 0.5, a square root)",
    };
    let exponent = operands.constant(1)?;
    let exponents: Vec<f64> = match &*exponent.data {
        Data::Real(values) => values.clone(),
        Data::Integer(values) => values.iter().map(|&value| value as f64).collect(),
    };
    let base = operands.input(0)?;
    if broadcast(base.dims(), &exponent.dims)? != base.dims() {
        return Err(EXPECTED);
    }
    if let Value::Constant(tensor) = base {
        let places = offsets(&tensor.dims, &broadcast_strides(&exponent.dims, &tensor.dims));
        let values = tensor.reals(0)?.iter().zip(places);
        let powers = values.map(|(value, place)| value.powf(exponents[place])).collect();
        return Ok(Value::real(tensor.dims.clone(), powers).into());
    }
    let (Some(&power), true) = (exponents.first(), exponents.windows(2).all(|w| w[0] == w[1]))
    else {
        return Err(EXPECTED);
    };
    if power == 0.5 {
        return super::activations::sqrt(operands, context);
    }
    if power.fract() != 0.0 || !(0.0..=MAX_DEGREE as f64).contains(&power) {
        return Err(EXPECTED);
    }
    let mut result = Value::real(Vec::new(), vec![1.0]);
    for _ in 0..power as usize {
        result = combine(context, Kind::Mul, &result, base)?;
    }
    Ok(result.into())
}

/// One of the four operations on two values, each constant or not.
pub(crate) fn combine(
    context: &mut Context<'_>,
    kind: Kind,
    left: &Value,
    right: &Value,
) -> Result<Value, NodeError> {
    if let (Value::Constant(left), Value::Constant(right)) = (left, right) {
        return Ok(Value::Constant(fold(kind, left, right)?));
    }
    if let Some(joined) = joined(context, kind, left, right)? {
        return Ok(Value::Pending(joined));
    }
    Ok(match (left, right) {
        (x, Value::Constant(c)) => {
            let x = context.forced(x)?;
            with_constant(context, kind, &x, c, Side::Right)?.into()
        }
        (Value::Constant(c), x) => {
            let x = context.forced(x)?;
            with_constant(context, kind, &x, c, Side::Left)?.into()
        }
        (left, right) => {
            if kind == Kind::Div {
                return Err(NodeError::Product);
            }
            let (left, right) = product::spread_both(context, left, right)?;
            match kind {
                Kind::Add => context.plus(&left, 1.0, &right)?.into(),
                Kind::Sub => context.plus(&left, -1.0, &right)?.into(),
                Kind::Mul | Kind::Div => product::of(context, &left, &right)?.into(),
            }
        }
    })
}

/// Both as one function of one value, where they are functions of the same.
fn joined(
    context: &Context<'_>,
    kind: Kind,
    left: &Value,
    right: &Value,
) -> Result<Option<Pending>, NodeError> {
    let pending = |value: &Value| matches!(value, Value::Pending(_));
    let constant = |value: &Value| matches!(value, Value::Constant(_));
    let product = kind == Kind::Mul && !constant(left) && !constant(right);
    if !product && !pending(left) && !pending(right) {
        return Ok(None);
    }
    let (left_value, right_value) = (left, right);
    let Some((base, left, right)) = shared(left, right)? else { return Ok(None) };
    let minus = Expression::constant(-1.0);
    let expression = match (kind, &*right) {
        (Kind::Add, _) => Expression::sum(&left, &right),
        (Kind::Sub, _) => Expression::sum(&left, &Expression::product(&minus, &right)),
        (Kind::Mul, _) => Expression::product(&left, &right),
        (Kind::Div, Expression::Constant(divisors)) => {
            let inverse = divisors.iter().map(|divisor| 1.0 / divisor).collect();
            Expression::product(&left, &Expression::constants(inverse))
        }
        (Kind::Div, _) => return Ok(None),
    };
    let fits = expression.size() <= MAX_NODES
        && expression.degree().is_none_or(|degree| degree <= MAX_DEGREE);
    // A function keeps its node: sums and products with constants around it are no functions of their own.
    let node = [left_value, right_value].into_iter().find_map(|value| match value {
        Value::Pending(pending) if pending.expression.degree().is_none() => Some(&pending.node),
        _ => None,
    });
    Ok(fits.then(|| Pending::new(base, expression, node.unwrap_or(&context.node))))
}

/// The value that both are functions of, and the functions.
type Shared = (Activation, Rc<Expression>, Rc<Expression>);

fn shared(left: &Value, right: &Value) -> Result<Option<Shared>, NodeError> {
    Ok(match (split(left), split(right)) {
        (Some((base, left)), None) => {
            constant_in(&base, right, 1)?.map(|right| (base, left, right))
        }
        (None, Some((base, right))) => constant_in(&base, left, 0)?.map(|left| (base, left, right)),
        (Some((one, left)), Some((other, right))) => {
            if let Some(line) = one.line_of(&other).filter(is_tame) {
                Some((other, left.substituted(&line_expression(line)), right))
            } else {
                let line = other.line_of(&one).filter(is_tame);
                line.map(|line| (one, left, right.substituted(&line_expression(line))))
            }
        }
        (None, None) => None,
    })
}

/// What a value is a function of.
fn split(value: &Value) -> Option<(Activation, Rc<Expression>)> {
    match value {
        Value::Activation(x) => Some((x.clone(), Rc::new(Expression::Variable))),
        Value::Pending(pending) => Some((pending.base.clone(), Rc::clone(&pending.expression))),
        Value::Constant(_) | Value::Formed(_) => None,
    }
}

/// A constant spread over the values of `base`, if it does not enlarge it.
fn constant_in(
    base: &Activation,
    value: &Value,
    index: usize,
) -> Result<Option<Rc<Expression>>, NodeError> {
    let Value::Constant(tensor) = value else { return Ok(None) };
    let values = tensor.reals(index)?;
    if broadcast(&base.dims, &tensor.dims)? != base.dims {
        return Ok(None);
    }
    if let [one] = values {
        return Ok(Some(Expression::constant(*one)));
    }
    let places = offsets(&base.dims, &broadcast_strides(&tensor.dims, &base.dims));
    Ok(Some(Expression::constants(places.into_iter().map(|place| values[place]).collect())))
}

/// Whether a function may be written in terms of another value: far from 0 or much stretched, its polynomials would cancel.
fn is_tame((slope, offset): &(Vec<f64>, Vec<f64>)) -> bool {
    const MOST: f64 = 16.0;
    slope.iter().chain(offset).all(|value| value.abs() <= MOST)
}

fn line_expression((slope, offset): (Vec<f64>, Vec<f64>)) -> Rc<Expression> {
    let variable = Rc::new(Expression::Variable);
    if slope == [1.0] && offset == [0.0] {
        return variable;
    }
    let product = Expression::product(&Expression::constants(slope), &variable);
    Expression::sum(&product, &Expression::constants(offset))
}

/// Where the constant stands.
#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}

/// An activation and a constant: `scale · x + bias`, value by value.
fn with_constant(
    context: &mut Context<'_>,
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
    activation_volume(&target)?;
    let x = product::spread(context, &Value::Activation(x.clone()), &target)?;
    let x = context.forced(&x)?;
    let places = offsets(&target, &broadcast_strides(&constant.dims, &target));
    let lines = places.into_iter().map(|place| line(constants[place]));
    let (factors, bias): (Vec<f64>, Vec<f64>) = lines.unzip();
    x.scaled(&factors, &bias)
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
