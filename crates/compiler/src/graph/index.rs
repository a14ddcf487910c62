//! Row-major indices, broadcasting and axes.

use crate::onnx::NodeError;

/// Row-major strides of a shape.
pub(crate) fn strides(dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; dims.len()];
    for axis in (1..dims.len()).rev() {
        strides[axis - 1] = strides[axis] * dims[axis];
    }
    strides
}

/// `Σ index[a] · strides[a]` for every index of `dims` in row-major order. `dims` must have an affordable volume.
pub(crate) fn offsets(dims: &[usize], strides: &[usize]) -> Vec<usize> {
    let mut offsets = vec![0];
    for (&dim, &stride) in dims.iter().zip(strides) {
        offsets = offsets
            .iter()
            .flat_map(|&offset| (0..dim).map(move |index| offset + index * stride))
            .collect();
    }
    offsets
}

/// The shape that two shapes broadcast to, by NumPy's rule.
pub(crate) fn broadcast(left: &[usize], right: &[usize]) -> Result<Vec<usize>, NodeError> {
    let rank = left.len().max(right.len());
    let at = |dims: &[usize], axis: usize| {
        (axis + dims.len()).checked_sub(rank).map_or(1, |axis| dims[axis])
    };
    let dims = (0..rank).map(|axis| match (at(left, axis), at(right, axis)) {
        (left, right) if left == right => Some(left),
        (1, dim) | (dim, 1) => Some(dim),
        _ => None,
    });
    dims.collect::<Option<_>>().ok_or_else(|| NodeError::Shapes {
        shapes: vec![left.to_vec(), right.to_vec()],
        rule: "they do not broadcast",
    })
}

/// Strides with which a tensor of shape `dims` is read along the axes of a shape that it broadcasts to.
pub(crate) fn broadcast_strides(dims: &[usize], target: &[usize]) -> Vec<usize> {
    let own = dims.iter().zip(strides(dims));
    let own = own.map(|(&dim, stride)| if dim == 1 { 0 } else { stride });
    std::iter::repeat_n(0, target.len() - dims.len()).chain(own).collect()
}

/// An axis as ONNX counts it, negative ones from the end.
pub(crate) fn axis(axis: i64, rank: usize, name: &'static str) -> Result<usize, NodeError> {
    let signed = if axis < 0 { axis.saturating_add_unsigned(rank as u64) } else { axis };
    usize::try_from(signed).ok().filter(|&axis| axis < rank).ok_or_else(|| NodeError::Attribute {
        name,
        found: axis.to_string(),
        supported: "an axis of the tensor, negative ones counted from the end",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_run_row_major() {
        assert_eq!(strides(&[2, 3, 4]), [12, 4, 1]);
        assert_eq!(offsets(&[2, 3], &[3, 1]), [0, 1, 2, 3, 4, 5]);
        assert_eq!(offsets(&[3, 2], &[1, 3]), [0, 3, 1, 4, 2, 5]);
        assert_eq!(offsets(&[], &[]), [0]);
        assert_eq!(offsets(&[0, 2], &[2, 1]), [0; 0]);
    }

    #[test]
    fn shapes_broadcast() {
        assert_eq!(broadcast(&[2, 1, 4], &[3, 1]).unwrap(), [2, 3, 4]);
        assert_eq!(broadcast(&[], &[5]).unwrap(), [5]);
        assert!(broadcast(&[2], &[3]).is_err());
        assert_eq!(broadcast_strides(&[3, 1], &[2, 3, 4]), [0, 1, 0]);
    }

    #[test]
    fn axes_count_from_both_ends() {
        assert_eq!(axis(-1, 3, "axis").unwrap(), 2);
        assert_eq!(axis(0, 3, "axis").unwrap(), 0);
        assert!(axis(3, 3, "axis").is_err());
        assert!(axis(-4, 3, "axis").is_err());
        assert!(axis(i64::MIN, 3, "axis").is_err());
    }
}
