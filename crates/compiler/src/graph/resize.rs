//! `Resize` and `Upsample` by whole and broken factors, nearest and linear: both are linear maps.

use super::context::{Context, activation_volume};
use super::index::{axis, strides};
use super::operators::{Operands, Outcome};
use super::value::Activation;
use super::volume;
use crate::onnx::{MAX_LAYER_WEIGHTS, NodeError};

/// How indices of the result lie over those of the input.
#[derive(Clone, Copy)]
enum Coordinates {
    HalfPixel,
    PytorchHalfPixel,
    AlignCorners,
    Asymmetric,
}

/// Which neighbour is taken.
#[derive(Clone, Copy)]
enum Nearest {
    RoundPreferFloor,
    RoundPreferCeil,
    Floor,
    Ceil,
}

/// How the result is made of its neighbours.
#[derive(Clone, Copy)]
enum Mode {
    Nearest(Nearest),
    Linear,
}

fn attribute(name: &'static str, found: &str, supported: &'static str) -> NodeError {
    NodeError::Attribute { name, found: found.to_owned(), supported }
}

pub(crate) fn resize(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let attributes = &operands.attributes;
    let old = operands.opset < 11;
    let coordinates = match attributes.string("coordinate_transformation_mode")? {
        None if old => Coordinates::Asymmetric,
        None | Some("half_pixel") => Coordinates::HalfPixel,
        Some("pytorch_half_pixel") => Coordinates::PytorchHalfPixel,
        Some("align_corners") => Coordinates::AlignCorners,
        Some("asymmetric") => Coordinates::Asymmetric,
        Some(other) => {
            let supported = "half_pixel, pytorch_half_pixel, align_corners, asymmetric";
            return Err(attribute("coordinate_transformation_mode", other, supported));
        }
    };
    let nearest = match attributes.string("nearest_mode")? {
        None if old => Nearest::Floor,
        None | Some("round_prefer_floor") => Nearest::RoundPreferFloor,
        Some("round_prefer_ceil") => Nearest::RoundPreferCeil,
        Some("floor") => Nearest::Floor,
        Some("ceil") => Nearest::Ceil,
        Some(other) => {
            let supported = "round_prefer_floor, round_prefer_ceil, floor, ceil";
            return Err(attribute("nearest_mode", other, supported));
        }
    };
    let mode = match attributes.string("mode")?.unwrap_or("nearest") {
        "nearest" => Mode::Nearest(nearest),
        "linear" => Mode::Linear,
        other => return Err(attribute("mode", other, "nearest, linear")),
    };
    for name in ["antialias", "exclude_outside"] {
        if attributes.flag(name, false)? {
            return Err(attribute(name, "1", "0"));
        }
    }
    match attributes.string("keep_aspect_ratio_policy")?.unwrap_or("stretch") {
        "stretch" => {}
        other => return Err(attribute("keep_aspect_ratio_policy", other, "stretch")),
    }
    // Before operator set 11 the second input is the scales, later the third, and a fourth the sizes.
    let scales = if old { 1 } else { 2 };
    resized(operands, context, coordinates, mode, scales)
}

pub(crate) fn upsample(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let mode = match operands.attributes.string("mode")?.unwrap_or("nearest") {
        "nearest" => Mode::Nearest(Nearest::Floor),
        "linear" => Mode::Linear,
        other => return Err(attribute("mode", other, "nearest, linear")),
    };
    resized(operands, context, Coordinates::Asymmetric, mode, 1)
}

/// New length and scale of each axis.
fn lengths(
    operands: &Operands<'_>,
    dims: &[usize],
    scales: usize,
) -> Result<Vec<(usize, f64)>, NodeError> {
    let expected = NodeError::Input {
        index: scales,
        expected: "constant positive scales or sizes, one for each axis",
    };
    let axes: Vec<usize> = match operands.attributes.ints("axes")? {
        None => (0..dims.len()).collect(),
        Some(named) => {
            named.iter().map(|&a| axis(a, dims.len(), "axes")).collect::<Result<_, _>>()?
        }
    };
    let mut lengths: Vec<(usize, f64)> = dims.iter().map(|&dim| (dim, 1.0)).collect();
    if operands.optional(3).is_some() {
        let sizes = operands.integers(3)?;
        if sizes.len() != axes.len() {
            return Err(expected);
        }
        for (&place, &size) in axes.iter().zip(sizes) {
            let size =
                usize::try_from(size).ok().filter(|&size| (1..=MAX_LAYER_WEIGHTS).contains(&size));
            let size = size.ok_or_else(|| expected.clone())?;
            lengths[place] = (size, size as f64 / dims[place] as f64);
        }
        return Ok(lengths);
    }
    let stated: Vec<f64> = match (operands.optional(scales), operands.attributes.floats("scales")) {
        (Some(_), _) => operands.reals(scales)?.1.to_vec(),
        (None, Ok(Some(list))) => list.iter().map(|&scale| f64::from(scale)).collect(),
        _ => return Err(expected),
    };
    if stated.len() != axes.len() {
        return Err(expected);
    }
    for (&place, &scale) in axes.iter().zip(&stated) {
        let length = (dims[place] as f64 * scale).floor();
        if !(1.0..=MAX_LAYER_WEIGHTS as f64).contains(&length) {
            return Err(expected);
        }
        lengths[place] = (length as usize, scale);
    }
    Ok(lengths)
}

fn resized(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
    coordinates: Coordinates,
    mode: Mode,
    scales: usize,
) -> Result<Outcome, NodeError> {
    let mut x = operands.activation(0)?.clone();
    let lengths = lengths(operands, &x.dims, scales)?;
    // ONNX's own test case and its executors disagree on where the last corner lies then.
    let broken = |((length, scale), dim): (&(usize, f64), &usize)| {
        (*length as f64 - scale * *dim as f64).abs() > 1e-5
    };
    if matches!(coordinates, Coordinates::AlignCorners) && lengths.iter().zip(&x.dims).any(broken) {
        let rule = "with align_corners the scales must give whole lengths";
        return Err(NodeError::Shapes { shapes: vec![x.dims], rule });
    }
    activation_volume(&lengths.iter().map(|&(length, _)| length).collect::<Vec<_>>())?;
    // Axis by axis: the whole is their product.
    for (place, (length, scale)) in lengths.into_iter().enumerate() {
        if scale != 1.0 {
            let taps = taps(x.dims[place], length, scale, coordinates, mode);
            x = along(context, &x, place, &taps)?;
        }
    }
    Ok(x.into())
}

/// For each index of the result the input's indices and their shares.
fn taps(
    input: usize,
    output: usize,
    scale: f64,
    coordinates: Coordinates,
    mode: Mode,
) -> Vec<Vec<(usize, f64)>> {
    let last = input as i64 - 1;
    let clamp = |index: f64| (index as i64).clamp(0, last) as usize;
    let place = |index: usize| -> f64 {
        let index = index as f64;
        match coordinates {
            Coordinates::HalfPixel => (index + 0.5) / scale - 0.5,
            Coordinates::PytorchHalfPixel if output == 1 => 0.0,
            Coordinates::PytorchHalfPixel => (index + 0.5) / scale - 0.5,
            Coordinates::AlignCorners if output == 1 => 0.0,
            Coordinates::AlignCorners => index * last as f64 / (output as f64 - 1.0),
            Coordinates::Asymmetric => index / scale,
        }
    };
    let tap = |index: usize| -> Vec<(usize, f64)> {
        let at = place(index);
        match mode {
            Mode::Nearest(nearest) => {
                let chosen = match nearest {
                    Nearest::RoundPreferFloor => (at - 0.5).ceil(),
                    Nearest::RoundPreferCeil => (at + 0.5).floor(),
                    Nearest::Floor => at.floor(),
                    Nearest::Ceil => at.ceil(),
                };
                vec![(clamp(chosen), 1.0)]
            }
            Mode::Linear => {
                let at = at.clamp(0.0, last as f64);
                let share = at - at.floor();
                vec![(clamp(at.floor()), 1.0 - share), (clamp(at.floor() + 1.0), share)]
            }
        }
    };
    (0..output).map(tap).collect()
}

/// A linear map along one axis.
fn along(
    context: &mut Context<'_>,
    x: &Activation,
    place: usize,
    taps: &[Vec<(usize, f64)>],
) -> Result<Activation, NodeError> {
    let stride = strides(&x.dims)[place];
    let outer: usize = x.dims[..place].iter().product();
    let mut dims = x.dims.clone();
    dims[place] = taps.len();
    activation_volume(&dims)?;
    let limit = MAX_LAYER_WEIGHTS;
    let cost = volume(&[outer, taps.len(), stride, 2], limit);
    let cost = cost.ok_or(NodeError::TooLarge { what: "weights", limit })?;
    let length = x.dims[place];
    let rows = (0..outer).flat_map(|block| {
        taps.iter().flat_map(move |tap| {
            (0..stride).map(move |inner| {
                tap.iter()
                    .map(|&(at, share)| ((block * length + at) * stride + inner, share))
                    .collect()
            })
        })
    });
    context.linear(x, dims, cost, rows, None)
}
