//! Constants, and what exporters compute on them before a `Reshape`.

use super::index::{axis, strides};
use super::operators::{Operands, Outcome};
use super::value::{Data, Tensor, Value};
use super::volume;
use crate::onnx::{MAX_CONSTANT_VALUES, NodeError, read_tensor};

/// A constant from whichever attribute holds it.
pub(crate) fn constant(operands: &Operands<'_>) -> Result<Outcome, NodeError> {
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
pub(crate) fn shape(operands: &Operands<'_>) -> Result<Outcome, NodeError> {
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
pub(crate) fn cast(operands: &Operands<'_>) -> Result<Outcome, NodeError> {
    const FLOAT: i64 = 1;
    const INT32: i64 = 6;
    const INT64: i64 = 7;
    const DOUBLE: i64 = 11;
    let to = operands.attributes.int("to")?;
    let refused = |supported| NodeError::Attribute {
        name: "to",
        found: to.map_or("missing".to_owned(), |to| to.to_string()),
        supported,
    };
    let tensor = match operands.input(0)? {
        Value::Constant(tensor) => tensor,
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
        _ => return Err(refused("FLOAT (1), INT32 (6), INT64 (7), DOUBLE (11)")),
    };
    let wide =
        matches!(&data, Data::Integer(values) if values.iter().any(|&v| i32::try_from(v).is_err()));
    if to == Some(INT32) && wide {
        return Err(NodeError::NotFinite);
    }
    Ok(Value::Constant(Tensor::new(tensor.dims.clone(), data)).into())
}

/// Constants one after the other along `axis`.
pub(crate) fn concat(operands: &Operands<'_>) -> Result<Outcome, NodeError> {
    let count = operands.all()?.len();
    let parts = (0..count).map(|index| operands.constant(index)).collect::<Result<Vec<_>, _>>()?;
    let first = operands.constant(0)?;
    let along = operands.attributes.int("axis")?.ok_or(NodeError::Attribute {
        name: "axis",
        found: "missing".to_owned(),
        supported: "an axis",
    })?;
    let along = axis(along, first.dims.len(), "axis")?;
    let fits = |part: &&Tensor| {
        part.dims.len() == first.dims.len()
            && (0..first.dims.len()).all(|a| a == along || part.dims[a] == first.dims[a])
    };
    if !parts.iter().all(fits) {
        let shapes = parts.iter().map(|part| part.dims.clone()).collect();
        return Err(NodeError::Shapes {
            shapes,
            rule: "they differ beside the axis to join along",
        });
    }
    let mut dims = first.dims.clone();
    dims[along] = parts.iter().map(|part| part.dims[along]).sum();
    checked_volume(&dims)?;
    let outer: usize = dims[..along].iter().product();
    let inner: usize = dims[along + 1..].iter().product();
    let data = match &*first.data {
        Data::Real(_) => Data::Real(join(&parts, outer, inner, along, |data| match data {
            Data::Real(values) => Some(values),
            Data::Integer(_) => None,
        })?),
        Data::Integer(_) => Data::Integer(join(&parts, outer, inner, along, |data| match data {
            Data::Integer(values) => Some(values),
            Data::Real(_) => None,
        })?),
    };
    Ok(Value::Constant(Tensor::new(dims, data)).into())
}

fn join<T: Copy>(
    parts: &[&Tensor],
    outer: usize,
    inner: usize,
    along: usize,
    values: impl Fn(&Data) -> Option<&Vec<T>>,
) -> Result<Vec<T>, NodeError> {
    let mut joined = Vec::new();
    for index in 0..outer {
        for (part_index, part) in parts.iter().enumerate() {
            let values = values(&part.data).ok_or(NodeError::Input {
                index: part_index,
                expected: "of the same type as input 0",
            })?;
            let size = part.dims[along] * inner;
            joined.extend_from_slice(&values[index * size..(index + 1) * size]);
        }
    }
    Ok(joined)
}

/// Entries of a constant along `axis`, chosen by a constant of any shape.
pub(crate) fn gather(operands: &Operands<'_>) -> Result<Outcome, NodeError> {
    let data = operands.constant(0)?;
    let chosen = operands.constant(1)?;
    let along = axis(operands.attributes.int("axis")?.unwrap_or(0), data.dims.len(), "axis")?;
    let Data::Integer(indices) = &*chosen.data else {
        return Err(NodeError::Input { index: 1, expected: "a constant integer tensor" });
    };
    let length = data.dims[along];
    let indices = indices.iter().map(|&index| {
        let signed = if index < 0 { index.saturating_add_unsigned(length as u64) } else { index };
        usize::try_from(signed).ok().filter(|&index| index < length)
    });
    let indices = indices.collect::<Option<Vec<_>>>();
    let indices =
        indices.ok_or(NodeError::Input { index: 1, expected: "indices within the axis" })?;
    let dims = [&data.dims[..along], &chosen.dims, &data.dims[along + 1..]].concat();
    let count = checked_volume(&dims)?;
    let stride = strides(&data.dims)[along];
    let mut sources = Vec::with_capacity(count);
    for outer in 0..data.dims[..along].iter().product() {
        for &index in &indices {
            let begin = (outer * length + index) * stride;
            sources.extend(begin..begin + stride);
        }
    }
    Ok(Value::Constant(data.clone()).gathered(dims, &sources)?.into())
}

fn checked_volume(dims: &[usize]) -> Result<usize, NodeError> {
    let limit = MAX_CONSTANT_VALUES;
    volume(dims, limit).ok_or(NodeError::TooLarge { what: "values in a constant", limit })
}
