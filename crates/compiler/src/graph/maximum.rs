//! Maxima and minima: max(a, b) = (a + b + |a − b|) / 2, with |x| fitted like any other function.

use super::activations;
use super::context::Context;
use super::elementwise::{Kind, combine};
use super::expression::Expression;
use super::function::Function;
use super::index::{broadcast, broadcast_strides, offsets};
use super::operators::{Operands, Outcome};
use super::pool::Windows;
use super::product::spread_both;
use super::value::{Activation, Data, Tensor, Value};
use crate::onnx::NodeError;

/// Most values of a window: each doubling costs as many squares in a row as a fit of |x| takes.
const MAX_WINDOW: usize = 16;

pub(crate) fn max(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    all(operands, context, 1.0)
}

pub(crate) fn min(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    all(operands, context, -1.0)
}

/// The largest (sign 1) or least (sign −1) of all inputs.
fn all(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
    sign: f64,
) -> Result<Outcome, NodeError> {
    let mut values: Vec<Value> = operands.all()?.into_iter().cloned().collect();
    // In pairs, then pairs of those: the depth grows with the logarithm of their number.
    while values.len() > 1 {
        let pairs = values.chunks(2).map(|pair| match pair {
            [left, right] => larger(context, left, right, sign),
            rest => rest.first().cloned().ok_or(NodeError::Input { index: 0, expected: "given" }),
        });
        values = pairs.collect::<Result<_, _>>()?;
    }
    let value = values.pop().ok_or(NodeError::Input { index: 0, expected: "given" })?;
    Ok(value.into())
}

fn larger(
    context: &mut Context<'_>,
    left: &Value,
    right: &Value,
    sign: f64,
) -> Result<Value, NodeError> {
    match (left, right) {
        (Value::Constant(left), Value::Constant(right)) => {
            Ok(Value::Constant(of_constants(left, right, sign)?))
        }
        (value, Value::Constant(bound)) | (Value::Constant(bound), value) => {
            // With one bound for all it is a function of one value.
            if let Data::Real(bounds) = &*bound.data
                && let [bound] = bounds.as_slice()
            {
                let clip = match sign > 0.0 {
                    true => Function::Clip(*bound, f64::MAX),
                    false => Function::Clip(f64::MIN, *bound),
                };
                return activations::of(context, value, |inner| Expression::of(clip, inner));
            }
            let bound = Value::Constant(bound.clone());
            let difference = combine(context, Kind::Sub, value, &bound)?;
            let sum = combine(context, Kind::Add, value, &bound)?;
            half_with_absolute(context, &sum, &difference, sign)
        }
        (left, right) => {
            let (left, right) = spread_both(context, left, right)?;
            Ok(of_activations(context, &left, &right, sign)?.into())
        }
    }
}

fn of_activations(
    context: &mut Context<'_>,
    left: &Activation,
    right: &Activation,
    sign: f64,
) -> Result<Activation, NodeError> {
    let sum = context.plus(left, 1.0, right)?;
    let difference = context.plus(left, -1.0, right)?;
    let larger = half_with_absolute(context, &sum.into(), &difference.into(), sign)?;
    context.forced(&larger)
}

/// (sum ± |difference|) / 2.
fn half_with_absolute(
    context: &mut Context<'_>,
    sum: &Value,
    difference: &Value,
    sign: f64,
) -> Result<Value, NodeError> {
    let half = |x: f64| Value::real(Vec::new(), vec![x]);
    let absolute = activations::of(context, difference, |x| Expression::of(Function::Abs, x))?;
    let absolute = combine(context, Kind::Mul, &absolute, &half(sign / 2.0))?;
    let sum = combine(context, Kind::Mul, sum, &half(0.5))?;
    combine(context, Kind::Add, &sum, &absolute)
}

fn of_constants(left: &Tensor, right: &Tensor, sign: f64) -> Result<Tensor, NodeError> {
    let target = broadcast(&left.dims, &right.dims)?;
    let left_places = offsets(&target, &broadcast_strides(&left.dims, &target));
    let pairs =
        left_places.into_iter().zip(offsets(&target, &broadcast_strides(&right.dims, &target)));
    let data = match (&*left.data, &*right.data) {
        (Data::Real(x), Data::Real(y)) => Data::Real(
            pairs.map(|(i, j)| if sign > 0.0 { x[i].max(y[j]) } else { x[i].min(y[j]) }).collect(),
        ),
        (Data::Integer(x), Data::Integer(y)) => Data::Integer(
            pairs.map(|(i, j)| if sign > 0.0 { x[i].max(y[j]) } else { x[i].min(y[j]) }).collect(),
        ),
        _ => return Err(NodeError::Input { index: 1, expected: "of the same type as input 0" }),
    };
    Ok(Tensor::new(target, data))
}

/// `MaxPool` over small windows.
pub(crate) fn pool(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let x = operands.activation(0)?;
    if operands.outputs > 1 {
        return Err(NodeError::ExtraOutput("the indices of the largest values".to_owned()));
    }
    let windows = Windows::read(operands, &x.dims)?;
    windows.cost()?;
    let windows_of = windows.each().map(|(sources, _)| sources).collect();
    Ok(of_windows(context, x, windows.dims.clone(), windows_of)?.into())
}

/// The largest value of each plane.
pub(crate) fn global(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let x = operands.activation(0)?;
    let [n, channels, spatial @ ..] = x.dims.as_slice() else {
        return Err(NodeError::Input { index: 0, expected: "of three axes or more" });
    };
    let plane: usize = spatial.iter().product();
    let windows = (0..n * channels).map(|p| (p * plane..(p + 1) * plane).collect()).collect();
    let dims = [&[*n, *channels][..], &vec![1; spatial.len()]].concat();
    Ok(of_windows(context, x, dims, windows)?.into())
}

/// The largest value of each window, by pairs.
fn of_windows(
    context: &mut Context<'_>,
    x: &Activation,
    dims: Vec<usize>,
    mut windows: Vec<Vec<usize>>,
) -> Result<Activation, NodeError> {
    let largest = windows.iter().map(Vec::len).max().unwrap_or(0);
    if largest > MAX_WINDOW {
        return Err(NodeError::TooLarge {
            what: "values in a window of a maximum (average pooling, a strided convolution or several small windows go further)",
            limit: MAX_WINDOW,
        });
    }
    if windows.iter().any(Vec::is_empty) {
        return Err(NodeError::Shapes {
            shapes: vec![x.dims.clone()],
            rule: "a window lies in the padding alone",
        });
    }
    let mut values = x.clone();
    while windows.iter().any(|window| window.len() > 1) {
        // Windows overlap: each pair is compared once. A value without a partner goes on as it is.
        let mut pairs: Vec<(usize, usize)> = Vec::new();
        let mut known = std::collections::HashMap::new();
        for window in &mut windows {
            let mut next: Vec<usize> = Vec::with_capacity(window.len().div_ceil(2));
            for pair in window.chunks(2) {
                let (first, last) = (pair[0], pair[pair.len() - 1]);
                next.push(*known.entry((first, last)).or_insert_with(|| {
                    pairs.push((first, last));
                    pairs.len() - 1
                }));
            }
            *window = next;
        }
        values = larger_of_pairs(context, &values, &pairs)?;
    }
    let sources: Vec<(usize, usize)> = windows.iter().map(|window| (0, window[0])).collect();
    context.joined(dims, &[values], &sources)
}

/// The larger value of each pair; a pair of a value with itself is that value.
fn larger_of_pairs(
    context: &mut Context<'_>,
    x: &Activation,
    pairs: &[(usize, usize)],
) -> Result<Activation, NodeError> {
    let real: Vec<(usize, usize)> = pairs.iter().copied().filter(|(i, j)| i != j).collect();
    let side = |context: &mut Context<'_>, places: Vec<usize>| {
        let sources: Vec<(usize, usize)> = places.into_iter().map(|place| (0, place)).collect();
        context.joined(vec![sources.len()], std::slice::from_ref(x), &sources)
    };
    let left = side(context, real.iter().map(|pair| pair.0).collect())?;
    let right = side(context, real.iter().map(|pair| pair.1).collect())?;
    let larger = of_activations(context, &left, &right, 1.0)?;
    let mut next = 0..;
    let sources: Vec<(usize, usize)> = pairs
        .iter()
        .map(|&(i, j)| if i == j { (0, i) } else { (1, next.next().unwrap_or(0)) })
        .collect();
    context.joined(vec![sources.len()], &[x.clone(), larger], &sources)
}
