//! Samples for networks from files: idx as MNIST has it (`.gz` too), NumPy's `.npy`, grayscale PNG and PGM.
//!
//! [`Samples::open`] tells the format by its first bytes, not by the file's name. Every length is checked against
//! [`MAX_VALUES`] and against the bytes that are there before anything is allocated; bytes left over are an error.
#![forbid(unsafe_code)]

mod error;
mod idx;
mod npy;
mod picture;

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use flate2::read::MultiGzDecoder;

pub use error::{Format, ReadError};

/// Most values that one file may hold (MNIST's training set has 47 million).
pub const MAX_VALUES: usize = 1 << 26;

/// Most bytes of a file, decompressed: [`MAX_VALUES`] of eight bytes and a header.
const MAX_BYTES: u64 = 8 * MAX_VALUES as u64 + (1 << 16);

/// Some samples of one shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    shape: Vec<usize>,
    count: usize,
    values: Vec<f64>,
}

impl Samples {
    /// `count` samples of `shape` in one row-major array.
    ///
    /// # Errors
    /// [`ReadError::Length`] when there are not `count · Π shape` values, [`ReadError::TooLarge`] above [`MAX_VALUES`].
    pub fn new(count: usize, shape: Vec<usize>, values: Vec<f64>) -> Result<Self, ReadError> {
        let mut dims = vec![count];
        dims.extend(&shape);
        let expected = error::volume(Format::Npy, &dims)?;
        if expected != values.len() {
            let (expected, actual) = (expected as u64, values.len() as u64);
            return Err(ReadError::Length { format: Format::Npy, expected, actual });
        }
        Ok(Self { shape, count, values })
    }

    /// Reads a file:
    ///
    /// | format | samples | shape of one | values |
    /// |---|---|---|---|
    /// | idx of unsigned bytes, 2 or 3 dimensions, `.gz` or not | first dimension | the others | byte / 255 |
    /// | `.npy` of f32 or f64, little-endian, C order, 2 dimensions or more | first dimension | the others | as stored |
    /// | `.npy` of one dimension | one | `[length]` | as stored |
    /// | PNG or PGM (`P5`), grayscale | one | `[height, width]` | in [0, 1] |
    ///
    /// # Errors
    /// [`ReadError`], with what was expected.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ReadError> {
        Self::from_bytes(&load(path.as_ref())?)
    }

    /// As [`Samples::open`], from bytes (not gzip-compressed).
    ///
    /// # Errors
    /// [`ReadError`], with what was expected.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ReadError> {
        if npy::matches(bytes) {
            npy::samples(bytes)
        } else if picture::is_png(bytes) {
            picture::png(bytes)
        } else if picture::is_pgm(bytes) {
            picture::pgm(bytes)
        } else if idx::matches(bytes) {
            idx::samples(bytes)
        } else {
            Err(ReadError::UnknownFormat)
        }
    }

    /// How many samples there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Shape of one sample.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Values in one sample.
    pub fn sample_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Sample `index`, row-major; `None` past the end.
    pub fn get(&self, index: usize) -> Option<&[f64]> {
        let length = self.sample_len();
        let start = (index < self.count).then_some(index * length)?;
        self.values.get(start..start + length)
    }

    /// The samples, one after the other.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[f64]> + '_ {
        let length = self.sample_len();
        (0..self.count).map(move |index| &self.values[index * length..(index + 1) * length])
    }

    /// All values, sample after sample.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Writes a `.npy` file of f64 with the shape `[count, shape…]`.
    ///
    /// # Errors
    /// What `out` reports.
    pub fn write_npy(&self, out: impl Write) -> std::io::Result<()> {
        let mut dims = vec![self.count];
        dims.extend(&self.shape);
        npy::write(out, &dims, &self.values)
    }
}

/// Reads an idx file of labels (one dimension of unsigned bytes), gzip-compressed or not.
///
/// # Errors
/// [`ReadError`], with what was expected.
pub fn open_labels(path: impl AsRef<Path>) -> Result<Vec<u8>, ReadError> {
    idx::labels(&load(path.as_ref())?)
}

/// The file's bytes, decompressed when they begin as gzip does; never more than [`MAX_BYTES`].
fn load(path: &Path) -> Result<Vec<u8>, ReadError> {
    let raw = bounded(File::open(path)?)?;
    if raw.starts_with(&[0x1f, 0x8b]) {
        bounded(MultiGzDecoder::new(raw.as_slice()))
    } else {
        Ok(raw)
    }
}

fn bounded(source: impl Read) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    source.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ReadError::FileTooLarge { limit: MAX_BYTES });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};

    use super::*;

    #[test]
    fn compressed_files_read_as_plain_ones() {
        let folder = tempfile::tempdir().unwrap();
        let plain = [&[0, 0, 8, 1, 0, 0, 0, 3][..], &[7, 2, 1]].concat();
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(&plain).unwrap();
        for (name, bytes) in [("labels", plain), ("labels.gz", packed.finish().unwrap())] {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(open_labels(&path).unwrap(), [7, 2, 1]);
        }
        let broken = folder.path().join("broken.gz");
        std::fs::write(&broken, [0x1f, 0x8b, 8, 0]).unwrap();
        assert!(matches!(open_labels(&broken), Err(ReadError::Io(_))));
        assert!(matches!(open_labels(folder.path().join("none")), Err(ReadError::Io(_))));
    }

    #[test]
    fn formats_are_told_by_their_first_bytes() {
        assert!(matches!(Samples::from_bytes(b""), Err(ReadError::UnknownFormat)));
        assert!(matches!(Samples::from_bytes(b"GIF89a"), Err(ReadError::UnknownFormat)));
    }

    #[test]
    fn samples_are_addressed_one_by_one() {
        let samples = Samples::new(2, vec![1, 2], vec![1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!(samples.get(1), Some(&[3.0, 4.0][..]));
        assert_eq!(samples.get(2), None);
        assert_eq!(samples.iter().map(|sample| sample[0]).collect::<Vec<_>>(), [1.0, 3.0]);
        assert!(Samples::new(2, vec![3], vec![0.0; 5]).is_err());
        assert!(Samples::new(usize::MAX, vec![3], vec![]).is_err());
    }
}
