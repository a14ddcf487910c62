//! `BatchNormalization` and `Dropout`, as they are at inference.

use super::operators::{Operands, Outcome};
use crate::onnx::NodeError;

/// `scale · (x − mean) / √(variance + epsilon) + bias` for each channel (axis 1), from stored statistics.
pub(crate) fn batch(operands: &Operands<'_>) -> Result<Outcome, NodeError> {
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
    let rows = (0..x.len()).map(|index| vec![(index, factor(channel(index)))]);
    let biases = (0..x.len()).map(|index| {
        let channel = channel(index);
        bias[channel] - mean[channel] * factor(channel)
    });
    Ok(x.through(x.dims.clone(), x.len(), rows, Some(biases.collect()))?.into())
}

/// The input as it is; refused where the node says that it trains.
pub(crate) fn dropout(operands: &Operands<'_>) -> Result<Outcome, NodeError> {
    if operands.optional(2).is_some() && operands.integers(2)? != [0] {
        return Err(NodeError::Input { index: 2, expected: "the constant false (inference)" });
    }
    Ok(operands.input(0)?.clone().into())
}
