//! Constants, and what exporters compute on them.

use super::context::Context;
use super::index::{broadcast, broadcast_strides, offsets};
use super::operators::{Operands, Outcome};
use super::value::{Data, Tensor, Value};
use super::volume;
use crate::network::OutputForm;
use crate::onnx::{MAX_CONSTANT_VALUES, MAX_RANK, NodeError, read_tensor};

/// A constant from whichever attribute holds it.
pub(crate) fn constant(
    operands: &Operands<'_>,
    _context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let attributes = &operands.attributes;
    let tensor = if let Some(tensor) = attributes.tensor("value")? {
        read_tensor(tensor)?
    } else if let Some(value) = attributes.float("value_float")? {
        Tensor::new(Vec::new(), Data::Real(vec![value]))
    } else if let Some(value) = attributes.int("value_int")? {
        Tensor::new(Vec::new(), Data::Integer(vec![value]))
    } else if let Some(values) = attributes.floats("value_floats")? {
        let values = values.iter().map(|&value| f64::from(value));
        Tensor::new(vec![values.len()], Data::Real(values.collect()))
    } else if let Some(values) = attributes.ints("value_ints")? {
        Tensor::new(vec![values.len()], Data::Integer(values.to_vec()))
    } else {
        return Err(NodeError::Attribute {
            name: "value",
            found: "missing".to_owned(),
            supported: "a tensor, float, integer or a list of them",
        });
    };
    Ok(Value::Constant(tensor).into())
}

/// The lengths of the axes from `start` to `end`.
pub(crate) fn shape(
    operands: &Operands<'_>,
    _context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let dims = operands.input(0)?.dims();
    let rank = dims.len() as i64;
    let bound = |name, default| -> Result<usize, NodeError> {
        let given: i64 = operands.attributes.int(name)?.unwrap_or(default);
        let signed = if given < 0 { given.saturating_add(rank) } else { given };
        Ok(signed.clamp(0, rank) as usize)
    };
    let (start, end) = (bound("start", 0)?, bound("end", rank)?);
    let lengths: Vec<i64> =
        dims.get(start..end).unwrap_or_default().iter().map(|&dim| dim as i64).collect();
    Ok(Value::Constant(Tensor::new(vec![lengths.len()], Data::Integer(lengths))).into())
}

/// Another type: any float for an activation, also integers for a constant.
pub(crate) fn cast(
    operands: &Operands<'_>,
    _context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    const FLOAT: i64 = 1;
    const INT32: i64 = 6;
    const INT64: i64 = 7;
    const BOOL: i64 = 9;
    const DOUBLE: i64 = 11;
    let to = operands.attributes.int("to")?;
    let refused = |supported| NodeError::Attribute {
        name: "to",
        found: to.map_or("missing".to_owned(), |to| to.to_string()),
        supported,
    };
    let tensor = match operands.input(0)? {
        Value::Constant(tensor) => tensor,
        Value::Formed(formed) if matches!(formed.form, OutputForm::ArgMax { .. }) => {
            return Ok(Value::Formed(formed.clone()).into());
        }
        activation => {
            return match to {
                Some(FLOAT | DOUBLE) => Ok(activation.clone().into()),
                _ => Err(refused("FLOAT (1) and DOUBLE (11) for an activation")),
            };
        }
    };
    let data = match (to, &*tensor.data) {
        (Some(DOUBLE), Data::Real(values)) => Data::Real(values.clone()),
        (Some(DOUBLE), Data::Integer(values)) => {
            Data::Real(values.iter().map(|&value| value as f64).collect())
        }
        (Some(FLOAT), Data::Real(values)) => {
            Data::Real(values.iter().map(|&value| f64::from(value as f32)).collect())
        }
        (Some(FLOAT), Data::Integer(values)) => {
            Data::Real(values.iter().map(|&value| f64::from(value as f32)).collect())
        }
        (Some(INT32 | INT64), Data::Real(values)) => {
            Data::Integer(values.iter().map(|&value| value as i64).collect())
        }
        (Some(INT32 | INT64), Data::Integer(values)) => Data::Integer(values.clone()),
        (Some(BOOL), Data::Integer(values)) => {
            Data::Integer(values.iter().map(|&value| i64::from(value != 0)).collect())
        }
        _ => return Err(refused("FLOAT (1), INT32 (6), INT64 (7), BOOL (9), DOUBLE (11)")),
    };
    let wide =
        matches!(&data, Data::Integer(values) if values.iter().any(|&v| i32::try_from(v).is_err()));
    if to == Some(INT32) && wide {
        return Err(NodeError::NotFinite);
    }
    Ok(Value::Constant(Tensor::new(tensor.dims.clone(), data)).into())
}

/// Value `i` of the result is value `place` of constant `part`, where `sources[i]` is `(part, place)`; all of one type.
pub(crate) fn joined(
    dims: Vec<usize>,
    parts: &[&Tensor],
    sources: &[(usize, usize)],
) -> Result<Tensor, NodeError> {
    let mismatch = |index| NodeError::Input { index, expected: "of the same type as input 0" };
    let real = parts.first().is_none_or(|part| matches!(&*part.data, Data::Real(_)));
    let data = if real {
        let of = |(index, part): (usize, &&Tensor)| match &*part.data {
            Data::Real(_) => Ok(()),
            Data::Integer(_) => Err(mismatch(index)),
        };
        parts.iter().enumerate().try_for_each(of)?;
        let at = |&(part, place): &(usize, usize)| match &*parts[part].data {
            Data::Real(values) => values[place],
            Data::Integer(values) => values[place] as f64,
        };
        Data::Real(sources.iter().map(at).collect())
    } else {
        let lists = parts.iter().enumerate().map(|(index, part)| match &*part.data {
            Data::Integer(values) => Ok(values),
            Data::Real(_) => Err(mismatch(index)),
        });
        let lists = lists.collect::<Result<Vec<_>, _>>()?;
        Data::Integer(sources.iter().map(|&(part, place)| lists[part][place]).collect())
    };
    Ok(Tensor::new(dims, data))
}

/// A constant reduced over windows: from each beginning, the values that lie the window's steps away.
pub(crate) fn reduced(
    tensor: &Tensor,
    dims: Vec<usize>,
    begins: &[usize],
    window: &[usize],
    integer: fn(i64, i64) -> Option<i64>,
    real: fn(f64, f64) -> f64,
) -> Result<Value, NodeError> {
    let empty = NodeError::Input { index: 0, expected: "of one value or more" };
    let (first, rest) = window.split_first().ok_or(empty)?;
    let data = match &*tensor.data {
        Data::Real(values) => {
            let fold = |begin: &usize| {
                rest.iter().fold(values[begin + first], |sum, step| real(sum, values[begin + step]))
            };
            Data::Real(begins.iter().map(fold).collect())
        }
        Data::Integer(values) => {
            let fold = |begin: &usize| {
                let next = |sum, step: &usize| integer(sum, values[begin + step]);
                rest.iter().try_fold(values[begin + first], next)
            };
            let folded = begins.iter().map(fold).collect::<Option<_>>();
            Data::Integer(folded.ok_or(NodeError::NotFinite)?)
        }
    };
    Ok(Value::Constant(Tensor::new(dims, data)))
}

/// One value everywhere, in a shape that a constant states.
pub(crate) fn of_shape(
    operands: &Operands<'_>,
    _context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let stated = operands.integers(0)?;
    let dims = stated.iter().map(|&dim| usize::try_from(dim).ok()).collect::<Option<Vec<_>>>();
    let dims = dims.filter(|dims| dims.len() <= MAX_RANK);
    let dims = dims.ok_or(NodeError::Input { index: 0, expected: "a constant shape" })?;
    let count = checked_volume(&dims)?;
    let data = match operands.attributes.tensor("value")? {
        None => Data::Real(vec![0.0; count]),
        Some(tensor) => match &*read_tensor(tensor)?.data {
            Data::Real(values) if values.len() == 1 => Data::Real(vec![values[0]; count]),
            Data::Integer(values) if values.len() == 1 => Data::Integer(vec![values[0]; count]),
            _ => {
                return Err(NodeError::Attribute {
                    name: "value",
                    found: "a tensor of several values".to_owned(),
                    supported: "a tensor of one value",
                });
            }
        },
    };
    Ok(Value::Constant(Tensor::new(dims, data)).into())
}

/// How many values the input has.
pub(crate) fn size(
    operands: &Operands<'_>,
    _context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let count = operands.input(0)?.dims().iter().product::<usize>();
    Ok(Value::Constant(Tensor::new(Vec::new(), Data::Integer(vec![count as i64]))).into())
}

/// `start, start + delta, …` below `limit`.
pub(crate) fn range(
    operands: &Operands<'_>,
    _context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let part = |index| -> Result<&Data, NodeError> {
        let tensor = operands.constant(index)?;
        if tensor.len() != 1 {
            return Err(NodeError::Input { index, expected: "one constant number" });
        }
        Ok(&tensor.data)
    };
    let expected = NodeError::Input {
        index: 2,
        expected: "a step other than 0, of the type of start and limit",
    };
    let count = |count: f64| -> Result<usize, NodeError> {
        let limit = MAX_CONSTANT_VALUES;
        if count > limit as f64 {
            return Err(NodeError::TooLarge { what: "values in a constant", limit });
        }
        Ok(count.max(0.0) as usize)
    };
    let data = match (part(0)?, part(1)?, part(2)?) {
        (Data::Integer(a), Data::Integer(b), Data::Integer(d)) if d[0] != 0 => {
            let (start, step) = (a[0], d[0]);
            let count = count(((b[0] as f64 - start as f64) / step as f64).ceil())?;
            let at = |i: usize| start.saturating_add(step.saturating_mul(i as i64));
            Data::Integer((0..count).map(at).collect())
        }
        (Data::Real(a), Data::Real(b), Data::Real(d)) if d[0] != 0.0 => {
            let count = count(((b[0] - a[0]) / d[0]).ceil())?;
            Data::Real((0..count).map(|i| a[0] + d[0] * i as f64).collect())
        }
        _ => return Err(expected),
    };
    let length = match &data {
        Data::Real(values) => values.len(),
        Data::Integer(values) => values.len(),
    };
    Ok(Value::Constant(Tensor::new(vec![length], data)).into())
}

/// Which constants are equal, as booleans.
pub(crate) fn equal(
    operands: &Operands<'_>,
    _context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let (left, right) = (operands.constant(0)?, operands.constant(1)?);
    let target = broadcast(&left.dims, &right.dims)?;
    checked_volume(&target)?;
    let pairs = offsets(&target, &broadcast_strides(&left.dims, &target)).into_iter();
    let pairs = pairs.zip(offsets(&target, &broadcast_strides(&right.dims, &target)));
    let equal: Vec<i64> = match (&*left.data, &*right.data) {
        (Data::Real(x), Data::Real(y)) => pairs.map(|(i, j)| i64::from(x[i] == y[j])).collect(),
        (Data::Integer(x), Data::Integer(y)) => {
            pairs.map(|(i, j)| i64::from(x[i] == y[j])).collect()
        }
        _ => return Err(NodeError::Input { index: 1, expected: "of the same type as input 0" }),
    };
    Ok(Value::Constant(Tensor::new(target, Data::Integer(equal))).into())
}

pub(crate) fn floor(
    operands: &Operands<'_>,
    _context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    rounded(operands, f64::floor)
}

pub(crate) fn ceil(
    operands: &Operands<'_>,
    _context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    rounded(operands, f64::ceil)
}

fn rounded(operands: &Operands<'_>, round: fn(f64) -> f64) -> Result<Outcome, NodeError> {
    let (dims, values) = operands.reals(0)?;
    Ok(Value::real(dims.to_vec(), values.iter().map(|&value| round(value)).collect()).into())
}

fn checked_volume(dims: &[usize]) -> Result<usize, NodeError> {
    let limit = MAX_CONSTANT_VALUES;
    volume(dims, limit).ok_or(NodeError::TooLarge { what: "values in a constant", limit })
}
