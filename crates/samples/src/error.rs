//! What can be wrong with a file of samples.

use crate::MAX_VALUES;

/// A file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// MNIST's idx.
    Idx,
    /// NumPy's array file.
    Npy,
    /// Portable network graphics.
    Png,
    /// Portable graymap, binary (`P5`).
    Pgm,
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Idx => "idx",
            Self::Npy => "npy",
            Self::Png => "PNG",
            Self::Pgm => "PGM",
        })
    }
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file could not be read or decompressed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// More bytes than any file of [`MAX_VALUES`] values has.
    #[error("the file is longer than {limit} bytes")]
    FileTooLarge {
        /// Most bytes, decompressed.
        limit: u64,
    },
    /// None of the formats that are read.
    #[error("not an idx, npy, PNG or PGM (P5) file")]
    UnknownFormat,
    /// A header that breaks off or is not well formed.
    #[error("{format}: {reason}")]
    Header {
        /// The format that the file began with.
        format: Format,
        /// What is wrong.
        reason: &'static str,
    },
    /// A kind of value, colour or order that is not read.
    #[error("{format}: {found} is not read; supported: {supported}")]
    Unsupported {
        /// The file's format.
        format: Format,
        /// What the file has.
        found: String,
        /// What would be read.
        supported: &'static str,
    },
    /// More values than [`MAX_VALUES`].
    #[error("{format}: shape {dims:?} has more than {MAX_VALUES} values")]
    TooLarge {
        /// The file's format.
        format: Format,
        /// The shape that the file claims.
        dims: Vec<usize>,
    },
    /// Data shorter or longer than the header says.
    #[error("{format}: the header announces {expected} bytes or values, there are {actual}")]
    Length {
        /// The file's format.
        format: Format,
        /// What the header announces.
        expected: u64,
        /// What there is.
        actual: u64,
    },
    /// A value that is not a number, or infinite.
    #[error("{format}: value {index} is not finite")]
    NotFinite {
        /// The file's format.
        format: Format,
        /// Its place in the file, counted from 0.
        index: usize,
    },
    /// A PNG file that its decoder refuses.
    #[error("PNG: {0}")]
    Png(#[from] png::DecodingError),
}

/// The product of `dims`, at most [`MAX_VALUES`].
pub(crate) fn volume(format: Format, dims: &[usize]) -> Result<usize, ReadError> {
    let product = dims.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim));
    product
        .filter(|&volume| volume <= MAX_VALUES)
        .ok_or_else(|| ReadError::TooLarge { format, dims: dims.to_vec() })
}

/// Checks that a header's promise is what follows.
pub(crate) fn expect_length(
    format: Format,
    expected: usize,
    actual: usize,
) -> Result<(), ReadError> {
    if expected == actual {
        return Ok(());
    }
    Err(ReadError::Length { format, expected: expected as u64, actual: actual as u64 })
}
