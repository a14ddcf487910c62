//! Stored tensors: sizes first, then data.

use super::proto::TensorProto;
use super::proto::tensor_proto::{DataLocation, DataType};
use super::{MAX_CONSTANT_VALUES, MAX_RANK, TensorFault, volume};
use crate::graph::{Data, Tensor};

/// Reads a stored tensor.
///
/// # Errors
/// [`TensorFault`]; nothing is allocated before shape, type and length of the data agree.
pub(crate) fn read(proto: &TensorProto) -> Result<Tensor, TensorFault> {
    if proto.data_location() == DataLocation::External || !proto.external_data.is_empty() {
        return Err(TensorFault::External);
    }
    if proto.segment.is_some() {
        return Err(TensorFault::Segment);
    }
    let shape = || TensorFault::Shape(proto.dims.iter().copied().take(MAX_RANK + 1).collect());
    if proto.dims.len() > MAX_RANK {
        return Err(shape());
    }
    let dims = proto.dims.iter().map(|&dim| usize::try_from(dim)).collect::<Result<Vec<_>, _>>();
    let dims = dims.map_err(|_| shape())?;
    let count = volume(&dims, MAX_CONSTANT_VALUES).ok_or_else(shape)?;

    let kind = DataType::try_from(proto.data_type()).unwrap_or(DataType::Undefined);
    let data = match kind {
        DataType::Float => Data::Real(values(
            proto,
            count,
            &proto.float_data,
            |&value| f64::from(value),
            |raw| f64::from(f32::from_le_bytes(raw)),
        )?),
        DataType::Double => Data::Real(values(
            proto,
            count,
            &proto.double_data,
            |&value| value,
            f64::from_le_bytes,
        )?),
        DataType::Int64 => Data::Integer(values(
            proto,
            count,
            &proto.int64_data,
            |&value| value,
            i64::from_le_bytes,
        )?),
        DataType::Int32 => Data::Integer(values(
            proto,
            count,
            &proto.int32_data,
            |&value| i64::from(value),
            |raw| i64::from(i32::from_le_bytes(raw)),
        )?),
        DataType::Bool => Data::Integer(values(
            proto,
            count,
            &proto.int32_data,
            |&value| i64::from(value != 0),
            |[raw]| i64::from(raw != 0),
        )?),
        DataType::Undefined => return Err(TensorFault::Type(proto.data_type())),
    };
    if let Data::Real(values) = &data
        && let Some(index) = values.iter().position(|value| !value.is_finite())
    {
        return Err(TensorFault::NotFinite(index));
    }
    Ok(Tensor::new(dims, data))
}

/// `count` values from the typed list or, where there are any, from raw little-endian bytes of `WIDTH` each.
fn values<T, V, const WIDTH: usize>(
    proto: &TensorProto,
    count: usize,
    list: &[T],
    from_list: impl Fn(&T) -> V,
    from_raw: impl Fn([u8; WIDTH]) -> V,
) -> Result<Vec<V>, TensorFault> {
    match &proto.raw_data {
        Some(raw) if !raw.is_empty() => {
            let (chunks, rest) = raw.as_chunks::<WIDTH>();
            if chunks.len() != count || !rest.is_empty() || !list.is_empty() {
                let actual = raw.len().div_ceil(WIDTH) + list.len();
                return Err(TensorFault::Length { expected: count, actual });
            }
            Ok(chunks.iter().map(|&chunk| from_raw(chunk)).collect())
        }
        _ if list.len() != count => {
            Err(TensorFault::Length { expected: count, actual: list.len() })
        }
        _ => Ok(list.iter().map(from_list).collect()),
    }
}
