//! Pooling that is linear: averages over windows, and sums of what is never negative.

use super::context::{Context, activation_volume};
use super::operators::{Operands, Outcome};
use super::value::Activation;
use super::volume;
use super::window::{self, Axis};
use crate::onnx::{MAX_LAYER_WEIGHTS, NodeError};

/// A window over planes.
pub(crate) struct Windows {
    kernel: Vec<usize>,
    planes: usize,
    down: Axis,
    across: Axis,
    /// Shape of the result.
    pub(crate) dims: Vec<usize>,
}

impl Windows {
    /// As a pooling node states them, over `[n, channels, (height,) width]`.
    pub(crate) fn read(operands: &Operands<'_>, dims: &[usize]) -> Result<Self, NodeError> {
        let [n, channels, spatial @ ..] = dims else {
            return Err(NodeError::Input { index: 0, expected: "of three axes (1D) or four (2D)" });
        };
        let kernel = window::lengths(operands, "kernel_shape", spatial.len())?;
        let kernel = kernel.ok_or(NodeError::Attribute {
            name: "kernel_shape",
            found: "missing".to_owned(),
            supported: "one positive length for each spatial axis",
        })?;
        let ceil = operands.attributes.flag("ceil_mode", false)?;
        let [down, across] = window::axes(operands, spatial, &kernel, ceil)?;
        let planes = n * channels;
        activation_volume(&[planes, down.output, across.output])?;
        let mut dims = vec![*n, *channels];
        dims.extend((spatial.len() == 2).then_some(down.output));
        dims.push(across.output);
        Ok(Self { kernel, planes, down, across, dims })
    }

    /// Most values that all windows hold together.
    pub(crate) fn cost(&self) -> Result<usize, NodeError> {
        let (down, across) = (&self.down, &self.across);
        let cost = [self.planes, down.output, across.output, down.kernel, across.kernel];
        let limit = MAX_LAYER_WEIGHTS;
        volume(&cost, limit).ok_or(NodeError::TooLarge { what: "weights", limit })
    }

    /// For each result: the values in its window, and how many places it has within the padded input.
    pub(crate) fn each(&self) -> impl Iterator<Item = (Vec<usize>, usize)> + '_ {
        let (down, across) = (&self.down, &self.across);
        (0..self.planes).flat_map(move |plane| {
            (0..down.output).flat_map(move |row| {
                (0..across.output).map(move |column| {
                    let at = |y: usize, x: usize| (plane * down.input + y) * across.input + x;
                    let sources = down
                        .taps(row)
                        .flat_map(|(_, y)| across.taps(column).map(move |(_, x)| (y, x)))
                        .map(|(y, x)| at(y, x))
                        .collect();
                    (sources, down.padded_taps(row) * across.padded_taps(column))
                })
            })
        })
    }
}

/// `AveragePool` in one and two dimensions. With `count_include_pad`, zeros in the padding count; what lies behind the padding,
/// where `ceil_mode` lets a window reach, never does.
pub(crate) fn average(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let x = operands.activation(0)?;
    let windows = Windows::read(operands, &x.dims)?;
    let include_pad = operands.attributes.flag("count_include_pad", false)?;
    let cost = windows.cost()?;
    let count =
        |(sources, padded): &(Vec<usize>, usize)| if include_pad { *padded } else { sources.len() };
    if windows.each().any(|window| count(&window) == 0) {
        return Err(NodeError::Shapes {
            shapes: vec![x.dims.clone(), windows.kernel],
            rule: "a window lies in the padding alone",
        });
    }
    let rows = windows.each().map(|window| {
        let share = 1.0 / count(&window) as f64;
        window.0.into_iter().map(|source| (source, share)).collect()
    });
    Ok(context.linear(x, windows.dims.clone(), cost, rows, None)?.into())
}

/// `LpPool` with p = 1 over values that are never negative: the sum of each window.
pub(crate) fn lp(operands: &Operands<'_>, context: &mut Context<'_>) -> Result<Outcome, NodeError> {
    let x = operands.activation(0)?;
    let p = operands.attributes.int("p")?.unwrap_or(2);
    if p != 1 || !is_never_negative(context, x) {
        let found =
            if p == 1 { "1 over values that may be negative".to_owned() } else { p.to_string() };
        let supported = "1 over squares, where it is a sum";
        return Err(NodeError::Attribute { name: "p", found, supported });
    }
    let windows = Windows::read(operands, &x.dims)?;
    let cost = windows.cost()?;
    let rows = windows.each().map(|(sources, _)| sources.into_iter().map(|s| (s, 1.0)).collect());
    Ok(context.linear(x, windows.dims.clone(), cost, rows, None)?.into())
}

/// Whether all values are sums of squares with positive weights.
fn is_never_negative(context: &Context<'_>, x: &Activation) -> bool {
    let stage = &context.stages[x.stage];
    let square = |column: usize| {
        let block = stage.blocks.partition_point(|block| block.start <= column).checked_sub(1);
        block.is_some_and(|block| stage.blocks[block].squared)
    };
    let matrix = &x.map.matrix;
    matrix.values().iter().chain(&x.map.bias).all(|&value| value >= 0.0)
        && matrix.columns().iter().all(|&column| square(column))
}
