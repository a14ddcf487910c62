//! `Conv` in one and two dimensions as a sparse matrix.

use super::operators::{Operands, Outcome};
use super::value::activation_volume;
use super::{volume, window};
use crate::onnx::{MAX_LAYER_WEIGHTS, NodeError};

/// Input `[n, channels, (height,) width]`, weights `[maps, channels / group, (rows,) columns]`, bias `[maps]`.
pub(crate) fn conv(operands: &Operands<'_>) -> Result<Outcome, NodeError> {
    let x = operands.activation(0)?;
    let (weight_dims, weights) = operands.reals(1)?;
    let ([n, channels, spatial @ ..], [maps, depth, kernel @ ..]) = (&x.dims[..], weight_dims)
    else {
        return Err(NodeError::Input { index: 0, expected: "of three axes (1D) or four (2D)" });
    };
    let group = operands.attributes.int("group")?.unwrap_or(1);
    let misfit = || NodeError::Shapes {
        shapes: vec![x.dims.clone(), weight_dims.to_vec()],
        rule: "input and weights do not fit each other and the attribute 'group'",
    };
    let group = usize::try_from(group).ok().filter(|&group| group > 0).ok_or_else(misfit)?;
    let fits = kernel.len() == spatial.len()
        && maps % group == 0
        && depth.checked_mul(group) == Some(*channels)
        && kernel.iter().all(|&taps| taps > 0);
    if !fits {
        return Err(misfit());
    }
    if let Some(stated) = window::lengths(operands, "kernel_shape", spatial.len())?
        && stated != kernel
    {
        let found = format!("{stated:?}");
        let supported = "the shape of the weights";
        return Err(NodeError::Attribute { name: "kernel_shape", found, supported });
    }
    let [down, across] = window::axes(operands, spatial, kernel, false)?;

    let positions = [*n, *maps, down.output, across.output];
    let limit = MAX_LAYER_WEIGHTS;
    let cost = [&positions[..], &[*depth, down.kernel, across.kernel]].concat();
    let cost = volume(&cost, limit).ok_or(NodeError::TooLarge { what: "weights", limit })?;
    let bias = match operands.optional(2) {
        None => vec![0.0; *maps],
        Some(_) => match operands.reals(2)? {
            ([length], bias) if length == maps => bias.to_vec(),
            _ => return Err(NodeError::Input { index: 2, expected: "one bias for each map" }),
        },
    };

    let outputs = activation_volume(&positions)?;
    let mut rows = Vec::with_capacity(outputs);
    let mut biases = Vec::with_capacity(outputs);
    for image in 0..*n {
        for (map, &bias) in bias.iter().enumerate() {
            let first = map / (maps / group) * depth;
            for row in 0..down.output {
                for column in 0..across.output {
                    let mut entries = Vec::new();
                    for channel in 0..*depth {
                        let plane = image * channels + first + channel;
                        let filter = map * depth + channel;
                        for (r, y) in down.taps(row) {
                            for (c, x) in across.taps(column) {
                                let weight = (filter * down.kernel + r) * across.kernel + c;
                                let source = (plane * down.input + y) * across.input + x;
                                entries.push((source, weights[weight]));
                            }
                        }
                    }
                    rows.push(entries);
                    biases.push(bias);
                }
            }
        }
    }
    let mut dims = vec![*n, *maps];
    dims.extend((spatial.len() == 2).then_some(down.output));
    dims.push(across.output);
    Ok(x.through(dims, cost, rows, Some(biases))?.into())
}
