//! idx: two zero bytes, the kind of value, the number of dimensions, each dimension as a big-endian u32, then the values.

use crate::error::{expect_length, volume};
use crate::{Format, ReadError, Samples};

/// The kind "unsigned byte", the only one that MNIST uses.
const UNSIGNED_BYTE: u8 = 8;

pub(crate) fn matches(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0, 0])
}

/// Images (or other arrays of bytes): the first dimension counts them.
pub(crate) fn samples(bytes: &[u8]) -> Result<Samples, ReadError> {
    let (dims, data) = parse(bytes)?;
    match dims.as_slice() {
        [count, shape @ ..] if (1..=2).contains(&shape.len()) => {
            let values = data.iter().map(|&byte| f64::from(byte) / 255.0).collect();
            Samples::new(*count, shape.to_vec(), values)
        }
        _ => Err(wrong_rank(&dims, "2 or 3 dimensions, the first counting samples")),
    }
}

/// Labels: one dimension.
pub(crate) fn labels(bytes: &[u8]) -> Result<Vec<u8>, ReadError> {
    let (dims, data) = parse(bytes)?;
    if dims.len() == 1 {
        Ok(data.to_vec())
    } else {
        Err(wrong_rank(&dims, "1 dimension for labels"))
    }
}

fn parse(bytes: &[u8]) -> Result<(Vec<usize>, &[u8]), ReadError> {
    let broken = |reason| ReadError::Header { format: Format::Idx, reason };
    let (&[zero, zero_too, kind, rank], rest) =
        bytes.split_first_chunk::<4>().ok_or(broken("the header breaks off"))?;
    if (zero, zero_too) != (0, 0) {
        return Err(broken("the first two bytes are not zero"));
    }
    if kind != UNSIGNED_BYTE {
        let found = format!("value kind {kind:#04x}");
        let supported = "unsigned bytes (0x08)";
        return Err(ReadError::Unsupported { format: Format::Idx, found, supported });
    }
    let rank = usize::from(rank);
    let (header, data) =
        rest.split_at_checked(4 * rank).ok_or(broken("the dimensions break off"))?;
    let (numbers, _) = header.as_chunks::<4>();
    let dims: Vec<usize> = numbers.iter().map(|&dim| u32::from_be_bytes(dim) as usize).collect();
    expect_length(Format::Idx, volume(Format::Idx, &dims)?, data.len())?;
    Ok((dims, data))
}

fn wrong_rank(dims: &[usize], supported: &'static str) -> ReadError {
    let found = format!("shape {dims:?}");
    ReadError::Unsupported { format: Format::Idx, found, supported }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idx(kind: u8, dims: &[u32], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, kind, dims.len() as u8];
        dims.iter().for_each(|dim| bytes.extend(dim.to_be_bytes()));
        bytes.extend(data);
        bytes
    }

    #[test]
    fn images_are_scaled_to_one() {
        let images = samples(&idx(8, &[2, 1, 2], &[0, 255, 51, 102])).unwrap();
        assert_eq!((images.count(), images.shape()), (2, &[1, 2][..]));
        assert_eq!(images.values(), [0.0, 1.0, 0.2, 0.4]);
    }

    #[test]
    fn every_cut_and_every_byte_more_is_refused() {
        let whole = idx(8, &[2, 1, 2], &[1, 2, 3, 4]);
        for length in 0..whole.len() {
            assert!(samples(&whole[..length]).is_err(), "{length} bytes");
        }
        assert!(samples(&[&whole[..], &[0]].concat()).is_err());
    }

    #[test]
    fn kinds_ranks_and_sizes_are_checked() {
        let unsupported =
            |bytes: &[u8]| matches!(samples(bytes), Err(ReadError::Unsupported { .. }));
        assert!(unsupported(&idx(13, &[1, 1], &[0; 4])));
        assert!(unsupported(&idx(8, &[1], &[0])));
        assert!(unsupported(&idx(8, &[1, 1, 1, 1], &[0])));
        assert!(matches!(labels(&idx(8, &[1, 1], &[0])), Err(ReadError::Unsupported { .. })));
        let huge = idx(8, &[u32::MAX, u32::MAX, u32::MAX], &[]);
        assert!(matches!(samples(&huge), Err(ReadError::TooLarge { .. })));
    }
}
