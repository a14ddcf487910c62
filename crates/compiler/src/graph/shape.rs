//! Shapes: operators that name the same values by other indices.

use std::rc::Rc;

use super::context::Context;
use super::index::{axis, offsets, strides};
use super::operators::{Operands, Outcome};
use super::value::{Formed, Tensor, Value};
use super::volume;
use crate::onnx::{MAX_CONSTANT_VALUES, MAX_RANK, NodeError};

pub(crate) fn identity(
    operands: &Operands<'_>,
    _context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    Ok(operands.input(0)?.clone().into())
}

/// Two axes: everything before `axis`, and everything from it on.
pub(crate) fn flatten(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let value = operands.input(0)?;
    let dims = value.dims();
    let cut = operands.attributes.int("axis")?.unwrap_or(1);
    // The cut may also lie behind the last axis.
    let at = if cut == dims.len() as i64 { dims.len() } else { axis(cut, dims.len(), "axis")? };
    let (before, from) = dims.split_at(at);
    let dims = vec![before.iter().product(), from.iter().product()];
    Ok(reshaped(context, value, dims)?.into())
}

/// The shape in input 1: -1 stands for what is left, 0 (unless `allowzero`) for the old length of the same axis.
pub(crate) fn reshape(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let value = operands.input(0)?;
    let wanted = operands.integers(1)?;
    let zero_is_zero = operands.attributes.flag("allowzero", false)?;
    let old = value.dims();
    let count: usize = old.iter().product();
    let misfit = |rule| NodeError::Shapes { shapes: vec![old.to_vec()], rule };
    if wanted.len() > MAX_RANK {
        return Err(misfit("the new shape has too many axes"));
    }
    let mut open = None;
    let mut dims = Vec::with_capacity(wanted.len());
    for (index, &length) in wanted.iter().enumerate() {
        dims.push(match (length, old.get(index)) {
            (-1, _) if open.is_none() => {
                open = Some(index);
                1
            }
            (0, Some(&kept)) if !zero_is_zero => kept,
            (1.., _) => length as usize,
            _ => return Err(misfit("the new shape holds a length that has no meaning there")),
        });
    }
    if let Some(index) = open {
        let rest = volume(&dims, MAX_CONSTANT_VALUES).filter(|&rest| rest > 0);
        dims[index] = rest.map_or(0, |rest| count / rest);
    }
    if volume(&dims, MAX_CONSTANT_VALUES) != Some(count) {
        return Err(NodeError::Shapes {
            shapes: vec![old.to_vec(), dims],
            rule: "they hold different numbers of values",
        });
    }
    Ok(reshaped(context, value, dims)?.into())
}

/// Drops axes of length 1: those named, or all.
pub(crate) fn squeeze(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let value = operands.input(0)?;
    let dims = value.dims();
    let dropped = match operands.axes(13)? {
        Some(axes) => marked(axes, dims.len())?,
        None => dims.iter().map(|&dim| dim == 1).collect(),
    };
    let axes = dims.iter().zip(&dropped);
    if axes.clone().any(|(&dim, &dropped)| dropped && dim != 1) {
        let shapes = vec![dims.to_vec()];
        return Err(NodeError::Shapes { shapes, rule: "only axes of length 1 can be dropped" });
    }
    let kept = axes.filter(|&(_, &dropped)| !dropped).map(|(&dim, _)| dim).collect();
    Ok(reshaped(context, value, kept)?.into())
}

/// Inserts axes of length 1, named by their place in the result.
pub(crate) fn unsqueeze(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let value = operands.input(0)?;
    let axes = operands.axes(13)?.ok_or(NodeError::Attribute {
        name: "axes",
        found: "missing".to_owned(),
        supported: "a list of axes",
    })?;
    let rank = value.dims().len() + axes.len();
    if rank > MAX_RANK {
        return Err(NodeError::TooLarge { what: "axes", limit: MAX_RANK });
    }
    let mut old = value.dims().iter();
    let inserted = marked(axes, rank)?;
    let dims = inserted.iter().map(|&new| if new { Some(1) } else { old.next().copied() });
    let dims = dims.flatten().collect();
    Ok(reshaped(context, value, dims)?.into())
}

/// Axes in another order, reversed where none is given.
pub(crate) fn transpose(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let value = operands.input(0)?;
    let rank = value.dims().len();
    let order: Vec<usize> = match operands.attributes.ints("perm")? {
        None => (0..rank).rev().collect(),
        Some(axes) => {
            let complete = axes.len() == rank && marked(axes, rank)?.iter().all(|&named| named);
            if !complete || axes.iter().any(|&axis| axis < 0) {
                let found = format!("{axes:?}");
                let supported = "every axis once";
                return Err(NodeError::Attribute { name: "perm", found, supported });
            }
            axes.iter().map(|&axis| axis as usize).collect()
        }
    };
    Ok(permuted(context, value, &order)?.into())
}

/// The same values under another shape of the same volume. A result in a form keeps it: only its outer shape changes.
pub(crate) fn reshaped(
    context: &mut Context<'_>,
    value: &Value,
    dims: Vec<usize>,
) -> Result<Value, NodeError> {
    Ok(match value {
        Value::Constant(tensor) => Value::Constant(Tensor { dims, data: Rc::clone(&tensor.data) }),
        Value::Formed(formed) => Value::Formed(Formed { dims, ..formed.clone() }),
        other => context.forced(other)?.reshaped(dims).into(),
    })
}

/// Axis `i` of the result is axis `order[i]`; `order` is a permutation of the axes.
pub(crate) fn permuted(
    context: &mut Context<'_>,
    value: &Value,
    order: &[usize],
) -> Result<Value, NodeError> {
    let old = strides(value.dims());
    let dims: Vec<usize> = order.iter().map(|&axis| value.dims()[axis]).collect();
    let strides: Vec<usize> = order.iter().map(|&axis| old[axis]).collect();
    let sources = offsets(&dims, &strides);
    context.gathered(value, dims, &sources)
}

/// Which of `rank` axes are named; each at most once.
pub(crate) fn marked(axes: &[i64], rank: usize) -> Result<Vec<bool>, NodeError> {
    let mut marks = vec![false; rank];
    for &named in axes {
        let mark = &mut marks[axis(named, rank, "axes")?];
        if std::mem::replace(mark, true) {
            let found = format!("{axes:?}");
            return Err(NodeError::Attribute { name: "axes", found, supported: "each axis once" });
        }
    }
    Ok(marks)
}
