//! Averages: over windows, over whole planes, over axes.

use super::index::{offsets, strides};
use super::operators::{Operands, Outcome};
use super::shape::marked;
use super::value::{Activation, activation_volume};
use super::{volume, window};
use crate::onnx::{MAX_LAYER_WEIGHTS, NodeError};

/// `AveragePool` in one and two dimensions. With `count_include_pad`, zeros in the padding count; what lies behind the padding,
/// where `ceil_mode` lets a window reach, never does.
pub(crate) fn average(operands: &Operands<'_>) -> Result<Outcome, NodeError> {
    let x = operands.activation(0)?;
    let [n, channels, spatial @ ..] = &x.dims[..] else {
        return Err(NodeError::Input { index: 0, expected: "of three axes (1D) or four (2D)" });
    };
    let kernel = window::lengths(operands, "kernel_shape", spatial.len())?;
    let kernel = kernel.ok_or(NodeError::Attribute {
        name: "kernel_shape",
        found: "missing".to_owned(),
        supported: "one positive length for each spatial axis",
    })?;
    let ceil = operands.attributes.flag("ceil_mode", false)?;
    let include_pad = operands.attributes.flag("count_include_pad", false)?;
    let [down, across] = window::axes(operands, spatial, &kernel, ceil)?;

    let planes = n * channels;
    let limit = MAX_LAYER_WEIGHTS;
    let cost = [planes, down.output, across.output, down.kernel, across.kernel];
    let cost = volume(&cost, limit).ok_or(NodeError::TooLarge { what: "weights", limit })?;
    let mut rows = Vec::with_capacity(activation_volume(&[planes, down.output, across.output])?);
    for plane in 0..planes {
        for row in 0..down.output {
            for column in 0..across.output {
                let mut sources = Vec::new();
                for (_, y) in down.taps(row) {
                    for (_, x) in across.taps(column) {
                        sources.push((plane * down.input + y) * across.input + x);
                    }
                }
                let counted = match include_pad {
                    true => down.padded_taps(row) * across.padded_taps(column),
                    false => sources.len(),
                };
                if counted == 0 {
                    return Err(NodeError::Shapes {
                        shapes: vec![x.dims.clone(), kernel],
                        rule: "a window lies in the padding alone",
                    });
                }
                let share = 1.0 / counted as f64;
                rows.push(sources.into_iter().map(|source| (source, share)).collect());
            }
        }
    }
    let mut dims = vec![*n, *channels];
    dims.extend((spatial.len() == 2).then_some(down.output));
    dims.push(across.output);
    Ok(x.through(dims, cost, rows, None)?.into())
}

/// The mean of each plane.
pub(crate) fn global_average(operands: &Operands<'_>) -> Result<Outcome, NodeError> {
    let x = operands.activation(0)?;
    if x.dims.len() < 3 {
        return Err(NodeError::Input { index: 0, expected: "of three axes or more" });
    }
    let reduced: Vec<bool> = (0..x.dims.len()).map(|axis| axis >= 2).collect();
    Ok(mean(x, &reduced, true)?.into())
}

/// The mean over some axes (all, where none is named).
pub(crate) fn reduce_mean(operands: &Operands<'_>) -> Result<Outcome, NodeError> {
    let x = operands.activation(0)?;
    let rank = x.dims.len();
    let keep = operands.attributes.flag("keepdims", true)?;
    let reduced = match operands.axes(18)? {
        Some(axes) if !axes.is_empty() => marked(axes, rank)?,
        _ if operands.attributes.flag("noop_with_empty_axes", false)? => vec![false; rank],
        _ => vec![true; rank],
    };
    Ok(mean(x, &reduced, keep)?.into())
}

fn mean(x: &Activation, reduced: &[bool], keep: bool) -> Result<Activation, NodeError> {
    let all = || x.dims.iter().zip(strides(&x.dims)).zip(reduced);
    let split = |inside: bool| -> (Vec<usize>, Vec<usize>) {
        all().filter(|&(_, &r)| r == inside).map(|((&dim, stride), _)| (dim, stride)).unzip()
    };
    let (kept_dims, kept_strides) = split(false);
    let (reduced_dims, reduced_strides) = split(true);
    let window = offsets(&reduced_dims, &reduced_strides);
    let share = 1.0 / window.len() as f64;
    let begins = offsets(&kept_dims, &kept_strides);
    let rows = begins.iter().map(|begin| window.iter().map(|step| (begin + step, share)).collect());
    let dims = match keep {
        true => all().map(|((&dim, _), &reduced)| if reduced { 1 } else { dim }).collect(),
        false => kept_dims,
    };
    x.through(dims, x.len(), rows, None)
}
