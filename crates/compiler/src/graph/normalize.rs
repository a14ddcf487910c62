//! `BatchNormalization` and `Dropout`, as they are at inference.

use super::context::Context;
use super::operators::{Operands, Outcome};
use crate::onnx::NodeError;

/// `scale · (x − mean) / √(variance + epsilon) + bias` for each channel (axis 1), from stored statistics.
pub(crate) fn batch(
    operands: &Operands<'_>,
    _context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let x = operands.activation(0)?;
    let attributes = &operands.attributes;
    // Before version 9 the statistics could be those of single values.
    for (name, wanted, supported) in
        [("training_mode", false, "0 (inference)"), ("spatial", true, "1 (by channel)")]
    {
        if attributes.flag(name, wanted)? != wanted {
            let found = i32::from(!wanted).to_string();
            return Err(NodeError::Attribute { name, found, supported });
        }
    }
    let epsilon = attributes.float("epsilon")?.unwrap_or(f64::from(1e-5f32));
    let &[_, channels, ref spatial @ ..] = &x.dims[..] else {
        return Err(NodeError::Input { index: 0, expected: "of two axes or more" });
    };
    let statistic = |index: usize| -> Result<&[f64], NodeError> {
        match operands.reals(index)? {
            (&[length], values) if length == channels => Ok(values),
            _ => Err(NodeError::Input { index, expected: "one value for each channel" }),
        }
    };
    let (scale, bias) = (statistic(1)?, statistic(2)?);
    let (mean, variance) = (statistic(3)?, statistic(4)?);
    let plane: usize = spatial.iter().product();
    let factor = |channel: usize| scale[channel] / (variance[channel] + epsilon).sqrt();
    let channel = |index: usize| index / plane % channels;
    let factors: Vec<f64> = (0..x.len()).map(|index| factor(channel(index))).collect();
    let biases = factors.iter().enumerate().map(|(index, factor)| {
        let channel = channel(index);
        bias[channel] - mean[channel] * factor
    });
    Ok(x.scaled(&factors, &biases.collect::<Vec<_>>())?.into())
}

/// The input as it is; refused where the node says that it trains.
pub(crate) fn dropout(
    operands: &Operands<'_>,
    _context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    // Operator sets below 7 are not read, and those say `is_test`; what PyTorch writes beside newer ones is the same flag.
    let training = operands.attributes.flag("training_mode", false)?;
    if training || (operands.optional(2).is_some() && operands.integers(2)? != [0]) {
        return Err(NodeError::Input { index: 2, expected: "the constant false (inference)" });
    }
    Ok(operands.input(0)?.clone().into())
}
