//! `Conv` and `ConvTranspose` in one and two dimensions as sparse matrices.

use super::context::{Context, activation_volume};
use super::operators::{Operands, Outcome};
use super::value::Activation;
use super::volume;
use super::window::{self, Axis};
use crate::onnx::{MAX_LAYER_WEIGHTS, NodeError};

/// Sizes of a convolution, checked against each other.
struct Sizes<'a> {
    n: usize,
    channels: usize,
    maps: usize,
    group: usize,
    spatial: &'a [usize],
    kernel: &'a [usize],
    weights: &'a [f64],
    bias: Vec<f64>,
}

impl<'a> Sizes<'a> {
    /// Input `[n, channels, (height,) width]`; weights `[maps, channels / group, (rows,) columns]`, or, transposed, `[channels,
    /// maps / group, (rows,) columns]`; bias `[maps]`.
    fn read(
        operands: &'a Operands<'_>,
        x: &'a Activation,
        transposed: bool,
    ) -> Result<Self, NodeError> {
        let (weight_dims, weights) = operands.reals(1)?;
        let ([n, channels, spatial @ ..], [outer, inner, kernel @ ..]) = (&x.dims[..], weight_dims)
        else {
            return Err(NodeError::Input { index: 0, expected: "of three axes (1D) or four (2D)" });
        };
        let (n, channels) = (*n, *channels);
        let misfit = || NodeError::Shapes {
            shapes: vec![x.dims.clone(), weight_dims.to_vec()],
            rule: "input and weights do not fit each other and the attribute 'group'",
        };
        let group = operands.attributes.int("group")?.unwrap_or(1);
        let group = usize::try_from(group).ok().filter(|&group| group > 0).ok_or_else(misfit)?;
        let grouped = inner.checked_mul(group).ok_or_else(misfit)?;
        let (maps, taken) = if transposed { (grouped, *outer) } else { (*outer, grouped) };
        let fits = kernel.len() == spatial.len()
            && outer % group == 0
            && taken == channels
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
        let bias = match operands.optional(2) {
            None => vec![0.0; maps],
            Some(_) => match operands.reals(2)? {
                ([length], bias) if *length == maps => bias.to_vec(),
                _ => return Err(NodeError::Input { index: 2, expected: "one bias for each map" }),
            },
        };
        Ok(Self { n, channels, maps, group, spatial, kernel, weights, bias })
    }

    /// Shape of the result, and most weights of its matrix.
    fn result(&self, down: &Axis, across: &Axis) -> Result<(Vec<usize>, usize), NodeError> {
        let positions = [self.n, self.maps, down.output, across.output];
        let limit = MAX_LAYER_WEIGHTS;
        let depth = self.channels / self.group;
        let cost = [&positions[..], &[depth, down.kernel, across.kernel]].concat();
        let cost = volume(&cost, limit).ok_or(NodeError::TooLarge { what: "weights", limit })?;
        activation_volume(&positions)?;
        let mut dims = vec![self.n, self.maps];
        dims.extend((self.spatial.len() == 2).then_some(down.output));
        dims.push(across.output);
        Ok((dims, cost))
    }

    /// Every value of the result: image, map, row, column.
    fn places<'b>(
        &'b self,
        down: &'b Axis,
        across: &'b Axis,
    ) -> impl Iterator<Item = [usize; 4]> + 'b {
        (0..self.n).flat_map(move |image| {
            (0..self.maps).flat_map(move |map| {
                (0..down.output).flat_map(move |row| {
                    (0..across.output).map(move |column| [image, map, row, column])
                })
            })
        })
    }

    fn biases(&self, positions: usize) -> Vec<f64> {
        let image = || self.bias.iter().flat_map(|&bias| std::iter::repeat_n(bias, positions));
        (0..self.n).flat_map(|_| image()).collect()
    }
}

pub(crate) fn conv(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let x = operands.activation(0)?;
    let sizes = Sizes::read(operands, x, false)?;
    let [down, across] = window::axes(operands, sizes.spatial, sizes.kernel, false)?;
    let (dims, cost) = sizes.result(&down, &across)?;
    let depth = sizes.channels / sizes.group;
    let rows = sizes.places(&down, &across).map(|[image, map, row, column]| {
        let first = map / (sizes.maps / sizes.group) * depth;
        let mut entries = Vec::with_capacity(depth * down.kernel * across.kernel);
        for channel in 0..depth {
            let plane = image * sizes.channels + first + channel;
            let filter = map * depth + channel;
            for (r, y) in down.taps(row) {
                for (c, x) in across.taps(column) {
                    let weight = (filter * down.kernel + r) * across.kernel + c;
                    entries
                        .push(((plane * down.input + y) * across.input + x, sizes.weights[weight]));
                }
            }
        }
        entries
    });
    let bias = sizes.biases(down.output * across.output);
    Ok(context.linear(x, dims, cost, rows, Some(bias))?.into())
}

/// The transpose of a convolution: an input value adds the filter, times itself, around its place.
pub(crate) fn transposed(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let x = operands.activation(0)?;
    let sizes = Sizes::read(operands, x, true)?;
    let [down, across] = window::transposed_axes(operands, sizes.spatial, sizes.kernel)?;
    let (dims, cost) = sizes.result(&down, &across)?;
    let (depth, width) = (sizes.channels / sizes.group, sizes.maps / sizes.group);
    let rows = sizes.places(&down, &across).map(|[image, map, row, column]| {
        let first = map / width * depth;
        let mut entries = Vec::new();
        for channel in first..first + depth {
            let plane = image * sizes.channels + channel;
            let filter = channel * width + map % width;
            for (r, y) in down.sources(row) {
                for (c, x) in across.sources(column) {
                    let weight = (filter * down.kernel + r) * across.kernel + c;
                    entries
                        .push(((plane * down.input + y) * across.input + x, sizes.weights[weight]));
                }
            }
        }
        entries
    });
    let bias = sizes.biases(down.output * across.output);
    Ok(context.linear(x, dims, cost, rows, Some(bias))?.into())
}
