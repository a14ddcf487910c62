//! NumPy's `.npy` format, versions 1.0 to 3.0 (NEP 1): magic, version, header length, a Python dictionary, the values.

use std::io::Write;

use crate::error::{expect_length, volume};
use crate::{Format, ReadError, Samples};

const MAGIC: &[u8] = b"\x93NUMPY";
/// NumPy pads its headers to a multiple of 64 bytes; those of plain arrays stay far below this.
const MAX_HEADER: usize = 4096;
const MAX_RANK: usize = 8;

pub(crate) fn matches(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

pub(crate) fn samples(bytes: &[u8]) -> Result<Samples, ReadError> {
    let (header, data) = split(bytes)?;
    let header = Header::parse(header)?;
    let volume = volume(Format::Npy, &header.dims)?;
    expect_length(Format::Npy, volume * header.width.bytes(), data.len())?;
    let values = header.width.values(data);
    if let Some(index) = values.iter().position(|value| !value.is_finite()) {
        return Err(ReadError::NotFinite { format: Format::Npy, index });
    }
    match header.dims.split_first() {
        Some((&count, shape)) if !shape.is_empty() => Samples::new(count, shape.to_vec(), values),
        _ => Samples::new(1, vec![values.len()], values),
    }
}

pub(crate) fn write(mut out: impl Write, dims: &[usize], values: &[f64]) -> std::io::Result<()> {
    let tuple: String = dims.iter().map(|dim| format!("{dim}, ")).collect();
    let mut header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({tuple}), }}");
    // The values begin at a multiple of 64 bytes, as the format asks for.
    let unpadded = MAGIC.len() + 4 + header.len() + 1;
    header.extend(std::iter::repeat_n(' ', unpadded.next_multiple_of(64) - unpadded));
    header.push('\n');
    out.write_all(MAGIC)?;
    out.write_all(&[1, 0])?;
    out.write_all(&(header.len() as u16).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))
}

/// Header text and values.
fn split(bytes: &[u8]) -> Result<(&str, &[u8]), ReadError> {
    let cut = broken("the header breaks off");
    let rest = bytes.strip_prefix(MAGIC).ok_or(broken("no NumPy magic"))?;
    let Some((&[major, minor], rest)) = rest.split_first_chunk::<2>() else { return Err(cut) };
    let (length, rest) = match (major, minor) {
        (1, 0) => rest.split_first_chunk().map(|(n, rest)| (u16::from_le_bytes(*n).into(), rest)),
        (2 | 3, 0) => {
            rest.split_first_chunk().map(|(n, rest)| (u32::from_le_bytes(*n) as usize, rest))
        }
        _ => return Err(unsupported(format!("version {major}.{minor}"), "versions 1.0 to 3.0")),
    }
    .ok_or(broken("the header breaks off"))?;
    if length > MAX_HEADER {
        return Err(broken("the header is longer than 4096 bytes"));
    }
    let (header, data) = rest.split_at_checked(length).ok_or(cut)?;
    let header = std::str::from_utf8(header).map_err(|_| broken("the header is not text"))?;
    Ok((header, data))
}

#[derive(Clone, Copy)]
enum Width {
    F32,
    F64,
}

impl Width {
    fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    fn values(self, data: &[u8]) -> Vec<f64> {
        match self {
            Self::F32 => {
                data.as_chunks().0.iter().map(|&raw| f64::from(f32::from_le_bytes(raw))).collect()
            }
            Self::F64 => data.as_chunks().0.iter().map(|&raw| f64::from_le_bytes(raw)).collect(),
        }
    }
}

struct Header {
    width: Width,
    dims: Vec<usize>,
}

impl Header {
    /// Parses `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`: these three keys, in any order, once each.
    fn parse(text: &str) -> Result<Self, ReadError> {
        let malformed = || broken("the header is not a dictionary of descr, fortran_order, shape");
        let mut rest = text.trim_end().strip_prefix('{').ok_or_else(malformed)?;
        let (mut width, mut order, mut dims) = (None, None, None);
        loop {
            rest = rest.trim_start();
            if rest == "}" {
                break;
            }
            let (key, tail) = quoted(rest).ok_or_else(malformed)?;
            let tail = tail.trim_start().strip_prefix(':').ok_or_else(malformed)?.trim_start();
            rest = match key {
                "descr" if width.is_none() => {
                    let (descr, tail) = quoted(tail)
                        .ok_or_else(|| unsupported("a record type".into(), "'<f4' and '<f8'"))?;
                    width = Some(match descr {
                        "<f4" => Width::F32,
                        "<f8" => Width::F64,
                        _ => return Err(unsupported(format!("type '{descr}'"), "'<f4' and '<f8'")),
                    });
                    tail
                }
                "fortran_order" if order.is_none() => {
                    order = Some(());
                    if tail.starts_with("True") {
                        return Err(unsupported("Fortran order".into(), "C order"));
                    }
                    tail.strip_prefix("False").ok_or_else(malformed)?
                }
                "shape" if dims.is_none() => {
                    let (tuple, tail) = tail
                        .strip_prefix('(')
                        .and_then(|tail| tail.split_once(')'))
                        .ok_or_else(malformed)?;
                    dims = Some(shape(tuple).ok_or_else(malformed)?);
                    tail
                }
                _ => return Err(malformed()),
            };
            rest = rest.trim_start();
            match rest.strip_prefix(',') {
                Some(tail) => rest = tail,
                None if rest == "}" => {}
                None => return Err(malformed()),
            }
        }
        match (width, order, dims) {
            (Some(width), Some(()), Some(dims)) => Ok(Self { width, dims }),
            _ => Err(malformed()),
        }
    }
}

/// A Python string without escapes, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text.get(1..)?.split_once(quote)
}

/// The inside of a tuple of numbers: `3, 4`, `3,`, or nothing.
fn shape(tuple: &str) -> Option<Vec<usize>> {
    let tuple = tuple.trim();
    if tuple.is_empty() {
        return Some(Vec::new());
    }
    let tuple = tuple.strip_suffix(',').unwrap_or(tuple);
    let number = |digits: &str| {
        let digits = digits.trim();
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
    };
    let dims = tuple.split(',').map(number).collect::<Option<Vec<usize>>>()?;
    (dims.len() <= MAX_RANK).then_some(dims)
}

fn broken(reason: &'static str) -> ReadError {
    ReadError::Header { format: Format::Npy, reason }
}

fn unsupported(found: String, supported: &'static str) -> ReadError {
    ReadError::Unsupported { format: Format::Npy, found, supported }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn npy(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = [MAGIC, &[1, 0]].concat();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn reads_what_numpy_writes() {
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 2), }          \n";
        let data: Vec<u8> = [1.0f32, -2.5, 0.1, 4.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let read = samples(&npy(header, &data)).unwrap();
        assert_eq!((read.count(), read.shape()), (2, &[1, 2][..]));
        assert_eq!(read.values(), [1.0, -2.5, f64::from(0.1f32), 4.0]);

        let one =
            samples(&npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", &[0; 8]));
        assert_eq!((one.as_ref().unwrap().count(), one.unwrap().shape()), (1, &[1][..]));
    }

    #[test]
    fn refuses_the_rest_by_name() {
        let refused =
            |header: &str, data: &[u8]| samples(&npy(header, data)).unwrap_err().to_string();
        let of = |descr: &str, order: &str, shape: &str| {
            format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}")
        };
        assert!(refused(&of("'>f4'", "False", "(1,)"), &[0; 4]).contains("'>f4'"));
        assert!(refused(&of("'|O'", "False", "(1,)"), &[0; 4]).contains("'|O'"));
        assert!(refused(&of("[('a', '<f4')]", "False", "(1,)"), &[0; 4]).contains("record"));
        assert!(refused(&of("'<f4'", "True", "(1,)"), &[0; 4]).contains("Fortran"));
        assert!(refused(&of("'<f4'", "False", "(2,)"), &[0; 4]).contains("announces 8"));
        assert!(refused(&of("'<f4'", "False", "(1,)"), &[0; 5]).contains("announces 4"));
        assert!(
            refused(&of("'<f4'", "False", "(99999999999999, 9999999)"), &[]).contains("more than")
        );
        assert!(refused(&of("'<f4'", "False", "(-1,)"), &[]).contains("dictionary"));
        assert!(refused(&of("'<f4'", "False", "(1,)"), &f32::NAN.to_le_bytes()).contains("finite"));
        assert!(refused("{'descr': '<f4', 'shape': (1,)}", &[0; 4]).contains("dictionary"));
        let twice = "{'shape': (1,), 'shape': (1,), 'descr': '<f4', 'fortran_order': False}";
        assert!(refused(twice, &[0; 4]).contains("dictionary"));
    }

    proptest! {
        #[test]
        fn writes_what_it_reads(
            dims in prop::collection::vec(1usize..5, 2..4), seed in -1e6f64..1e6
        ) {
            let volume: usize = dims.iter().product();
            let values: Vec<f64> = (0..volume).map(|i| seed / (i + 1) as f64).collect();
            let original = Samples::new(dims[0], dims[1..].to_vec(), values).unwrap();
            let mut bytes = Vec::new();
            original.write_npy(&mut bytes).unwrap();
            prop_assert_eq!((bytes.len() - 8 * volume) % 64, 0);
            prop_assert_eq!(samples(&bytes).unwrap(), original);
        }

        #[test]
        fn arbitrary_headers_never_panic(header in ".{0,80}", data in prop::collection::vec(any::<u8>(), 0..16)) {
            let _ = samples(&npy(&header, &data));
        }
    }
}
