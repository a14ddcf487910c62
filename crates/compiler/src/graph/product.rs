//! Products of two activations: x·y = ((s·x + y/s)² − (s·x − y/s)²) / 4.

use super::context::{Context, activation_volume};
use super::index::{broadcast, broadcast_strides, offsets};
use super::value::{Activation, Value};
use crate::onnx::NodeError;

/// `x · y`, value by value; both have the same shape. Where one is constant it is no square at all.
pub(crate) fn of(
    context: &mut Context<'_>,
    x: &Activation,
    y: &Activation,
) -> Result<Activation, NodeError> {
    if y.is_constant() {
        return x.scaled(&y.map.bias, &[0.0]);
    }
    if x.is_constant() {
        return y.scaled(&x.map.bias, &[0.0]);
    }
    if x.same_as(y) {
        return context.square(x);
    }
    // Sum and difference keep most digits where both factors are about equally large.
    let (large, small) = (largest(context, x)?, largest(context, y)?);
    let ratio = if large > 0.0 && small > 0.0 { (small / large).sqrt() } else { 1.0 };
    let x = x.scaled(&[ratio], &[0.0])?;
    let y = y.scaled(&[1.0 / ratio], &[0.0])?;
    let (sum, difference) = (context.plus(&x, 1.0, &y)?, context.plus(&x, -1.0, &y)?);
    let (sum, difference) = (context.square(&sum)?, context.square(&difference)?);
    context.plus(&sum, -1.0, &difference)?.scaled(&[0.25], &[0.0])
}

/// The largest magnitude over the calibration samples; 0 without any.
fn largest(context: &mut Context<'_>, x: &Activation) -> Result<f64, NodeError> {
    let samples = context.samples(x)?;
    Ok(samples.iter().flatten().fold(0.0, |largest, value| value.abs().max(largest)))
}

/// An activation or constant spread over the shape that it broadcasts to.
pub(crate) fn spread(
    context: &mut Context<'_>,
    value: &Value,
    target: &[usize],
) -> Result<Value, NodeError> {
    if value.dims() == target {
        return Ok(value.clone());
    }
    activation_volume(target)?;
    let sources = offsets(target, &broadcast_strides(value.dims(), target));
    context.gathered(value, target.to_vec(), &sources)
}

/// Two activations in the shape that both broadcast to.
pub(crate) fn spread_both(
    context: &mut Context<'_>,
    left: &Value,
    right: &Value,
) -> Result<(Activation, Activation), NodeError> {
    let target = broadcast(left.dims(), right.dims())?;
    let left = spread(context, left, &target)?;
    let right = spread(context, right, &target)?;
    Ok((context.forced(&left)?, context.forced(&right)?))
}
