//! ONNX import: from a file's bytes to a [`Network`].
//!
//! A network's meaning is exactly ONNX's for a batch of one: an axis of unknown length counts as 1, tensors are flattened
//! row-major (an image as channel, row, column), and weights, stored as f32 or f64, are carried in f64. Files are refused
//! whole: an operator, attribute or type outside what is supported is an error that names the node, never a guess.

mod attributes;
mod error;
mod model;
mod options;
mod proto;
mod tensor;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use prost::Message;

pub(crate) use attributes::Attributes;
pub use error::{ImportError, InputFault, NodeError, TensorFault};
pub(crate) use model::Model;
pub use options::{Fit, ImportOptions, Imported};
pub(crate) use proto::NodeProto;
pub(crate) use tensor::read as read_tensor;

use crate::graph;
use crate::network::Network;

/// Most bytes in an ONNX file.
pub const MAX_FILE_BYTES: u64 = 64 << 20;
/// Most nodes in a graph.
pub const MAX_NODES: usize = 1 << 14;
/// Most dimensions of a tensor.
pub const MAX_RANK: usize = 8;
/// Most values in a constant tensor.
pub const MAX_CONSTANT_VALUES: usize = 1 << 24;
/// Most values in an activation, for one sample.
pub const MAX_ACTIVATION_VALUES: usize = 1 << 20;
/// Most weights in one layer, as a sparse matrix (16 bytes each).
pub const MAX_LAYER_WEIGHTS: usize = 1 << 25;
/// Most weights of all layers together.
pub const MAX_NETWORK_WEIGHTS: usize = 1 << 27;
/// Most numbers in all constants and activations that later nodes still use.
pub const MAX_HELD_VALUES: usize = 1 << 26;
/// Most multiplications and numbers written in one import.
pub const MAX_WORK: usize = 1 << 37;
/// Most squares in a row.
pub const MAX_SQUARES: usize = 64;
/// Most inputs, and most outputs.
pub const MAX_PORTS: usize = 64;
/// Oldest version of ONNX's own operator set that is read.
pub const OLDEST_OPSET: i64 = 7;
/// Newest version of ONNX's own operator set that is read: the last one whose operators were checked against this import.
pub const NEWEST_OPSET: i64 = 28;

/// The operators that can be imported. `Ceil`, `Equal`, `Floor`, `Range` and `Shape` work on constants alone, which
/// is what exporters use them for when they compute a shape.
pub fn supported_operators() -> impl Iterator<Item = &'static str> {
    graph::operator_names()
}

/// Reads an ONNX file; the network is named after the file.
///
/// # Errors
/// [`ImportError`] says which node, operator, attribute or tensor was refused, and what is supported.
pub fn import_file(path: impl AsRef<Path>) -> Result<Network, ImportError> {
    import_file_with(path, &ImportOptions::default()).map(|imported| imported.network)
}

/// Reads an ONNX file with calibration samples or other options; the network is named after the file.
///
/// # Errors
/// As [`import_file`].
pub fn import_file_with(
    path: impl AsRef<Path>,
    options: &ImportOptions<'_>,
) -> Result<Imported, ImportError> {
    let path = path.as_ref();
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    let name =
        path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    import_with(&name, &bytes, options)
}

/// Reads an ONNX model from bytes.
///
/// # Errors
/// As [`import_file`].
pub fn import(name: &str, bytes: &[u8]) -> Result<Network, ImportError> {
    import_with(name, bytes, &ImportOptions::default()).map(|imported| imported.network)
}

/// Reads an ONNX model from bytes with calibration samples or other options.
///
/// # Errors
/// As [`import_file`].
pub fn import_with(
    name: &str,
    bytes: &[u8],
    options: &ImportOptions<'_>,
) -> Result<Imported, ImportError> {
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(ImportError::FileTooLarge);
    }
    let model = proto::ModelProto::decode(bytes)?;
    graph::lower(name, Model::check(&model, options.whole_tensors)?, options)
}

/// The product of `dims`, if it is at most `limit`. An axis of length 0 does not excuse the others: what loops over them must
/// end too.
pub(crate) fn volume(dims: &[usize], limit: usize) -> Option<usize> {
    let bound = dims.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim.max(1)))?;
    (bound <= limit).then(|| dims.iter().product())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_bounded_even_where_an_axis_is_empty() {
        assert_eq!(volume(&[], 1), Some(1));
        assert_eq!(volume(&[2, 3], 6), Some(6));
        assert_eq!(volume(&[2, 3], 5), None);
        assert_eq!(volume(&[4, 0], 6), Some(0));
        assert_eq!(volume(&[7, 0], 6), None);
        assert_eq!(volume(&[usize::MAX, usize::MAX, 0], usize::MAX), None);
    }

    #[test]
    fn long_files_are_refused_unread() {
        let bytes = vec![0; MAX_FILE_BYTES as usize + 1];
        assert!(matches!(import("long", &bytes), Err(ImportError::FileTooLarge)));
    }
}
