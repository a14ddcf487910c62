//! Parts of values along their axes, and padding around them.

use super::context::{Context, activation_volume};
use super::index::{axis, strides};
use super::moves::lengths;
use super::operators::{Operands, Outcome};
use super::value::{Data, Tensor, Value};
use super::volume;
use crate::onnx::{MAX_CONSTANT_VALUES, NodeError};

/// The places in a tensor of shape `dims` of those indices that each axis lists, and the result's shape.
fn picked(dims: &[usize], axes: &[Vec<usize>]) -> Result<(Vec<usize>, Vec<usize>), NodeError> {
    let result: Vec<usize> = axes.iter().map(Vec::len).collect();
    let limit = MAX_CONSTANT_VALUES;
    volume(&result, limit).ok_or(NodeError::TooLarge { what: "values in its result", limit })?;
    let mut sources = vec![0];
    for (indices, stride) in axes.iter().zip(strides(dims)) {
        sources = sources
            .iter()
            .flat_map(|&from| indices.iter().map(move |&index| from + index * stride))
            .collect();
    }
    Ok((sources, result))
}

fn whole(dims: &[usize]) -> Vec<Vec<usize>> {
    dims.iter().map(|&dim| (0..dim).collect()).collect()
}

/// Entries along `axis`, chosen by a constant of any shape.
pub(crate) fn gather(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let along = operands.attributes.int("axis")?.unwrap_or(0);
    let (value, chosen) = (operands.input(0)?, operands.constant(1)?);
    Ok(gathered(context, value, chosen, along)?.into())
}

/// Entries of a value along an axis, chosen by a constant of any shape.
pub(crate) fn gathered(
    context: &mut Context<'_>,
    value: &Value,
    chosen: &Tensor,
    along: i64,
) -> Result<Value, NodeError> {
    let old = value.dims();
    let along = axis(along, old.len(), "axis")?;
    let Data::Integer(indices) = &*chosen.data else {
        return Err(NodeError::Input { index: 1, expected: "a constant integer tensor" });
    };
    let indices = indices.iter().map(|&index| within(index, old[along]));
    let indices = indices.collect::<Option<Vec<_>>>();
    let indices =
        indices.ok_or(NodeError::Input { index: 1, expected: "indices within the axis" })?;
    let dims = [&old[..along], &chosen.dims, &old[along + 1..]].concat();
    let limit = MAX_CONSTANT_VALUES;
    volume(&dims, limit).ok_or(NodeError::TooLarge { what: "values in its result", limit })?;
    let mut axes = whole(old);
    axes[along] = indices;
    let (sources, _) = picked(old, &axes)?;
    context.gathered(value, dims, &sources)
}

/// An index, negative ones counted from the end.
fn within(index: i64, length: usize) -> Option<usize> {
    let signed = if index < 0 { index.saturating_add_unsigned(length as u64) } else { index };
    usize::try_from(signed).ok().filter(|&index| index < length)
}

/// Entries from start to end in steps, along some axes; attributes before operator set 10, constant inputs since.
pub(crate) fn slice(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let value = operands.input(0)?;
    let dims = value.dims();
    let part = |name: &'static str, index: usize| operands.list(name, index, 10);
    let missing = NodeError::Input { index: 1, expected: "given, as are the ends" };
    let (Some(starts), Some(ends)) = (part("starts", 1)?, part("ends", 2)?) else {
        return Err(missing);
    };
    let named = part("axes", 3)?;
    let steps = match operands.optional(4) {
        Some(_) => Some(operands.integers(4)?),
        None => None,
    };
    let all: Vec<i64> = (0..starts.len() as i64).collect();
    let named = named.unwrap_or(&all);
    let count = starts.len();
    if ends.len() != count || named.len() != count || steps.is_some_and(|s| s.len() != count) {
        return Err(NodeError::Input {
            index: 1,
            expected: "as many starts as ends, axes and steps",
        });
    }
    super::shape::marked(named, dims.len())?;
    let mut axes = whole(dims);
    for (index, (&start, &end)) in starts.iter().zip(ends).enumerate() {
        let along = axis(named[index], dims.len(), "axes")?;
        let step = steps.map_or(1, |steps| steps[index]);
        axes[along] = stepped(dims[along], start, end, step)
            .ok_or(NodeError::Input { index: 4, expected: "steps other than 0" })?;
    }
    let (sources, dims) = picked(dims, &axes)?;
    Ok(context.gathered(value, dims, &sources)?.into())
}

/// The indices of `start..end` in steps, clamped to the axis as ONNX does.
fn stepped(length: usize, start: i64, end: i64, step: i64) -> Option<Vec<usize>> {
    let length = length as i64;
    let from_end = |index: i64| if index < 0 { index.saturating_add(length) } else { index };
    let (start, end) = (from_end(start), from_end(end));
    let (mut at, end) = match step {
        0 => return None,
        1.. => (start.clamp(0, length), end.clamp(0, length)),
        _ => (start.clamp(-1, length - 1), end.clamp(-1, length - 1)),
    };
    let mut indices = Vec::new();
    while (step > 0 && at < end) || (step < 0 && at > end) {
        indices.push(at as usize);
        at = at.saturating_add(step);
    }
    Some(indices)
}

/// Consecutive parts along an axis: of stated lengths, or as even as their number allows.
pub(crate) fn split(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let value = operands.input(0)?;
    let dims = value.dims();
    let along = axis(operands.attributes.int("axis")?.unwrap_or(0), dims.len(), "axis")?;
    let length = dims[along];
    let misfit = || NodeError::Shapes {
        shapes: vec![dims.to_vec()],
        rule: "the parts do not make up the axis, or are not as many as the outputs",
    };
    let parts = match operands.list("split", 1, 13)? {
        Some(stated) => {
            let parts = stated.iter().map(|&part| usize::try_from(part).ok());
            parts.collect::<Option<Vec<usize>>>().ok_or_else(misfit)?
        }
        None => {
            let count = operands.attributes.int("num_outputs")?.unwrap_or(operands.outputs as i64);
            if count < 1 || count != operands.outputs as i64 {
                return Err(misfit());
            }
            let size = length.div_ceil(count as usize);
            (0..count as usize).map(|part| size.min(length.saturating_sub(part * size))).collect()
        }
    };
    let total = parts.iter().try_fold(0usize, |sum, &part| sum.checked_add(part));
    if total != Some(length) || parts.len() != operands.outputs {
        return Err(misfit());
    }
    let mut values = Vec::with_capacity(parts.len());
    let mut begin = 0;
    for part in parts {
        let mut axes = whole(dims);
        axes[along] = (begin..begin + part).collect();
        begin += part;
        let (sources, dims) = picked(dims, &axes)?;
        values.push(context.gathered(value, dims, &sources)?);
    }
    Ok(Outcome(values))
}

/// Values around the input: a constant, the edge, a mirror image, or the other side. Negative widths cut off.
pub(crate) fn pad(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let value = operands.input(0)?;
    let old = value.dims();
    let rank = old.len();
    let pads =
        operands.list("pads", 1, 11)?.ok_or(NodeError::Input { index: 1, expected: "given" })?;
    let named: Vec<i64> = match operands.optional(3) {
        Some(_) => operands.integers(3)?.to_vec(),
        None => (0..rank as i64).collect(),
    };
    super::shape::marked(&named, rank)?;
    if pads.len() != 2 * named.len() {
        let expected = "for each axis a beginning, then for each an end";
        return Err(NodeError::Input { index: 1, expected });
    }
    let filler = if operands.opset < 11 {
        operands.attributes.float("value")?.unwrap_or(0.0)
    } else {
        operands.optional(2).map_or(Ok(0.0), |_| operands.real(2))?
    };
    let mode = operands.attributes.string("mode")?.unwrap_or("constant");
    let index = match mode {
        "constant" => |at: i64, length: i64| (0..length).contains(&at).then_some(at),
        "edge" => |at: i64, length: i64| (length > 0).then(|| at.clamp(0, length - 1)),
        "reflect" => |at: i64, length: i64| match length {
            0 => None,
            1 => Some(0),
            _ => {
                let around = at.rem_euclid(2 * length - 2);
                Some(around.min(2 * length - 2 - around))
            }
        },
        "wrap" => |at: i64, length: i64| (length > 0).then(|| at.rem_euclid(length)),
        other => {
            return Err(NodeError::Attribute {
                name: "mode",
                found: other.to_owned(),
                supported: "constant, edge, reflect, wrap",
            });
        }
    };
    let mut widths = vec![(0, 0); rank];
    for (place, &named_axis) in named.iter().enumerate() {
        widths[axis(named_axis, rank, "axes")?] = (pads[place], pads[named.len() + place]);
    }
    let too_large = || {
        let limit = MAX_CONSTANT_VALUES;
        NodeError::TooLarge { what: "values in its result", limit }
    };
    let grown = |(&length, (begin, end)): (&usize, &(i64, i64))| {
        let grown = (length as i64).checked_add(*begin)?.checked_add(*end)?;
        usize::try_from(grown).ok().filter(|&length| length <= MAX_CONSTANT_VALUES)
    };
    let dims: Vec<usize> =
        old.iter().zip(&widths).map(grown).collect::<Option<_>>().ok_or_else(too_large)?;
    volume(&dims, MAX_CONSTANT_VALUES).ok_or_else(too_large)?;
    let mut sources: Vec<Option<usize>> = vec![Some(0)];
    for (place, stride) in strides(old).into_iter().enumerate() {
        let (length, (begin, _)) = (old[place] as i64, widths[place]);
        let along: Vec<Option<usize>> = (0..dims[place] as i64)
            .map(|at| index(at - begin, length).map(|at| at as usize * stride))
            .collect();
        sources = sources
            .iter()
            .flat_map(|&from| along.iter().map(move |&step| Some(from? + step?)))
            .collect();
    }
    padded(context, value, dims, &sources, filler)
}

fn padded(
    context: &mut Context<'_>,
    value: &Value,
    dims: Vec<usize>,
    sources: &[Option<usize>],
    filler: f64,
) -> Result<Outcome, NodeError> {
    if let Value::Constant(tensor) = value {
        let data = match &*tensor.data {
            Data::Real(old) => {
                Data::Real(sources.iter().map(|s| s.map_or(filler, |s| old[s])).collect())
            }
            Data::Integer(old) => {
                Data::Integer(sources.iter().map(|s| s.map_or(filler as i64, |s| old[s])).collect())
            }
        };
        return Ok(Value::Constant(Tensor::new(dims, data)).into());
    }
    activation_volume(&dims)?;
    let x = context.forced(value)?;
    let constant = context.forced(&Value::real(vec![1], vec![filler]))?;
    let sources: Vec<(usize, usize)> =
        sources.iter().map(|source| source.map_or((1, 0), |source| (0, source))).collect();
    Ok(Value::Activation(context.joined(dims, &[x, constant], &sources)?).into())
}

/// Columns `indices` of the last axis.
pub(crate) fn columns(
    context: &mut Context<'_>,
    value: &Value,
    indices: &Tensor,
) -> Result<Value, NodeError> {
    let count = indices.len();
    let flat = Tensor { dims: vec![count], data: std::rc::Rc::clone(&indices.data) };
    lengths(&[count as i64], 1)?;
    gathered(context, value, &flat, -1)
}
