//! Operators that join, repeat and rearrange values.

use std::rc::Rc;

use super::constants;
use super::context::Context;
use super::expression::Expression;
use super::function::Function;
use super::index::{axis, broadcast, broadcast_strides, offsets, strides};
use super::operators::{Operands, Outcome};
use super::value::{Activation, Data, Pending, Value};
use super::{forms, product, shape, volume};
use crate::onnx::{MAX_CONSTANT_VALUES, MAX_RANK, NodeError};

/// Values one after the other along `axis`; constants alone stay a constant.
pub(crate) fn concat(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let along = operands.attributes.int("axis")?.ok_or(NodeError::Attribute {
        name: "axis",
        found: "missing".to_owned(),
        supported: "an axis",
    })?;
    let values = operands.all()?;
    Ok(joined(context, &values, along)?.into())
}

/// Values one after the other along an axis.
pub(crate) fn joined(
    context: &mut Context<'_>,
    values: &[&Value],
    along: i64,
) -> Result<Value, NodeError> {
    let shapes = || values.iter().map(|value| value.dims().to_vec()).collect::<Vec<_>>();
    let first = values.first().map_or(&[][..], |value| value.dims());
    let along = axis(along, first.len(), "axis")?;
    let fits = |value: &&Value| {
        let dims = value.dims();
        dims.len() == first.len() && (0..first.len()).all(|a| a == along || dims[a] == first[a])
    };
    if !values.iter().all(fits) {
        let rule = "they differ beside the axis to join along";
        return Err(NodeError::Shapes { shapes: shapes(), rule });
    }
    let mut dims = first.to_vec();
    dims[along] = values.iter().map(|value| value.dims()[along]).sum();
    let limit = MAX_CONSTANT_VALUES;
    volume(&dims, limit).ok_or(NodeError::TooLarge { what: "values in its result", limit })?;
    let outer: usize = dims[..along].iter().product();
    let inner: usize = dims[along + 1..].iter().product();
    // Empty parts join nothing, and have no type to agree with.
    let parts: Vec<&Value> =
        values.iter().copied().filter(|value| value.dims()[along] > 0).collect();
    let sources: Vec<(usize, usize)> = (0..outer)
        .flat_map(|index| {
            let stretch = move |(part, value): (usize, &&Value)| {
                let size = value.dims()[along] * inner;
                (index * size..(index + 1) * size).map(move |place| (part, place))
            };
            parts.iter().enumerate().flat_map(stretch)
        })
        .collect();
    let tensors: Option<Vec<_>> = parts
        .iter()
        .map(|value| match value {
            Value::Constant(tensor) => Some(tensor),
            _ => None,
        })
        .collect();
    if let Some(tensors) = tensors {
        return Ok(Value::Constant(constants::joined(dims, &tensors, &sources)?));
    }
    // Sigmoids side by side are the sigmoid of what is side by side: probabilities at the end stay a form.
    if let Some(pending) = parts.iter().map(|value| sigmoid(value)).collect::<Option<Vec<_>>>() {
        let logits = pending.iter().map(|pending| forms::logits_of_sigmoid(context, pending));
        let logits = logits.filter_map(Result::transpose).collect::<Result<Vec<_>, _>>()?;
        let base = context.joined(dims, &logits, &sources)?;
        let function = Expression::of(Function::Sigmoid, &Rc::new(Expression::Variable));
        return Ok(Value::Pending(Pending::new(base, function, &context.node)));
    }
    let parts = parts.into_iter().map(|value| context.forced(value));
    let parts = parts.collect::<Result<Vec<Activation>, _>>()?;
    Ok(context.joined(dims, &parts, &sources)?.into())
}

/// A function that is a sigmoid.
fn sigmoid(value: &Value) -> Option<&Pending> {
    match value {
        Value::Pending(pending) => pending.expression.within_sigmoid().map(|_| pending),
        _ => None,
    }
}

/// The shape that the input and the wanted one broadcast to.
pub(crate) fn expand(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let value = operands.input(0)?;
    let wanted = lengths(operands.integers(1)?, 1)?;
    let target = broadcast(value.dims(), &wanted)?;
    let limit = MAX_CONSTANT_VALUES;
    volume(&target, limit).ok_or(NodeError::TooLarge { what: "values in its result", limit })?;
    Ok(product::spread(context, value, &target)?.into())
}

/// The input repeated along each axis.
pub(crate) fn tile(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let value = operands.input(0)?;
    let repeats = lengths(operands.integers(1)?, 1)?;
    let old = value.dims();
    if repeats.len() != old.len() {
        return Err(NodeError::Input {
            index: 1,
            expected: "one number of repetitions for each axis",
        });
    }
    let dims: Option<Vec<usize>> =
        old.iter().zip(&repeats).map(|(dim, times)| dim.checked_mul(*times)).collect();
    let limit = MAX_CONSTANT_VALUES;
    let dims = dims.filter(|dims| volume(dims, limit).is_some());
    let dims = dims.ok_or(NodeError::TooLarge { what: "values in its result", limit })?;
    let mut sources = vec![0];
    for ((&dim, stride), &length) in old.iter().zip(strides(old)).zip(&dims) {
        sources = sources
            .iter()
            .flat_map(|&from| (0..length).map(move |index| from + index % dim * stride))
            .collect();
    }
    Ok(context.gathered(value, dims, &sources)?.into())
}

/// A list of lengths of at least `least`.
pub(crate) fn lengths(list: &[i64], least: usize) -> Result<Vec<usize>, NodeError> {
    let lengths = list.iter().map(|&length| usize::try_from(length).ok().filter(|&l| l >= least));
    let lengths = lengths.collect::<Option<Vec<_>>>().filter(|lengths| lengths.len() <= MAX_RANK);
    lengths.ok_or(NodeError::Input {
        index: 1,
        expected: "a constant list of positive lengths, one for each axis",
    })
}

/// `blocksize` and the four axes of input 0.
fn blocks(operands: &Operands<'_>) -> Result<(usize, [usize; 4]), NodeError> {
    let size = operands.attributes.int("blocksize")?.unwrap_or(0);
    let size = usize::try_from(size).ok().filter(|size| (1..=1 << 16).contains(size));
    let size = size.ok_or(NodeError::Attribute {
        name: "blocksize",
        found: "missing or below 1".to_owned(),
        supported: "a positive length",
    })?;
    let &[n, channels, height, width] = operands.input(0)?.dims() else {
        return Err(NodeError::Input { index: 0, expected: "of four axes" });
    };
    Ok((size, [n, channels, height, width]))
}

fn mode(found: &str) -> NodeError {
    NodeError::Attribute { name: "mode", found: found.to_owned(), supported: "DCR, CRD" }
}

/// Reshape, transpose, reshape.
fn rearranged(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
    apart: Vec<usize>,
    order: &[usize],
    together: Vec<usize>,
) -> Result<Outcome, NodeError> {
    let value = shape::reshaped(context, operands.input(0)?, apart)?;
    let value = shape::permuted(context, &value, order)?;
    Ok(shape::reshaped(context, &value, together)?.into())
}

/// Channels become blocks of pixels.
pub(crate) fn depth_to_space(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let (b, [n, c, h, w]) = blocks(operands)?;
    if c % (b * b) != 0 {
        let shapes = vec![operands.input(0)?.dims().to_vec()];
        return Err(NodeError::Shapes { shapes, rule: "the channels do not divide into blocks" });
    }
    let (kept, together) = (c / (b * b), vec![n, c / (b * b), h * b, w * b]);
    match operands.attributes.string("mode")?.unwrap_or("DCR") {
        "DCR" => {
            rearranged(operands, context, vec![n, b, b, kept, h, w], &[0, 3, 4, 1, 5, 2], together)
        }
        "CRD" => {
            rearranged(operands, context, vec![n, kept, b, b, h, w], &[0, 1, 4, 2, 5, 3], together)
        }
        other => Err(mode(other)),
    }
}

/// Blocks of pixels become channels.
pub(crate) fn space_to_depth(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let (b, [n, c, h, w]) = blocks(operands)?;
    if h % b != 0 || w % b != 0 {
        let shapes = vec![operands.input(0)?.dims().to_vec()];
        return Err(NodeError::Shapes { shapes, rule: "the planes do not divide into blocks" });
    }
    let (apart, together) = (vec![n, c, h / b, b, w / b, b], vec![n, c * b * b, h / b, w / b]);
    match operands.attributes.string("mode")?.unwrap_or("DCR") {
        "DCR" => rearranged(operands, context, apart, &[0, 3, 5, 1, 2, 4], together),
        "CRD" => rearranged(operands, context, apart, &[0, 1, 3, 5, 2, 4], together),
        other => Err(mode(other)),
    }
}

/// `Where` by a constant condition.
pub(crate) fn choose(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let condition = operands.constant(0)?;
    let Data::Integer(chosen) = &*condition.data else {
        return Err(NodeError::Input { index: 0, expected: "a constant of booleans" });
    };
    let (yes, no) = (operands.input(1)?, operands.input(2)?);
    let target = broadcast(&broadcast(&condition.dims, yes.dims())?, no.dims())?;
    let limit = MAX_CONSTANT_VALUES;
    volume(&target, limit).ok_or(NodeError::TooLarge { what: "values in its result", limit })?;
    let places = |dims: &[usize]| offsets(&target, &broadcast_strides(dims, &target));
    let sides = places(yes.dims()).into_iter().zip(places(no.dims()));
    let sources: Vec<(usize, usize)> = places(&condition.dims)
        .into_iter()
        .zip(sides)
        .map(|(place, (yes, no))| if chosen[place] != 0 { (0, yes) } else { (1, no) })
        .collect();
    if let (Value::Constant(yes), Value::Constant(no)) = (yes, no) {
        return Ok(Value::Constant(constants::joined(target, &[yes, no], &sources)?).into());
    }
    let parts = [context.forced(yes)?, context.forced(no)?];
    Ok(Value::Activation(context.joined(target, &parts, &sources)?).into())
}
