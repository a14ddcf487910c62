//! Grayscale pictures: PNG and binary PGM, as one sample `[height, width]` with black 0 and white 1.

use std::io::Cursor;

use png::{ColorType, Decoder, Limits, Transformations};

use crate::error::{expect_length, volume};
use crate::{Format, MAX_VALUES, ReadError, Samples};

pub(crate) fn is_png(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x89PNG\r\n\x1a\n")
}

pub(crate) fn is_pgm(bytes: &[u8]) -> bool {
    bytes.starts_with(b"P5")
}

/// A grayscale PNG of 1 to 16 bits without transparency (16 bits are cut to 8).
pub(crate) fn png(bytes: &[u8]) -> Result<Samples, ReadError> {
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: MAX_VALUES });
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder.read_info()?;
    let (color, _) = reader.output_color_type();
    if color != ColorType::Grayscale {
        let found = format!("{color:?}");
        let supported = "grayscale without transparency";
        return Err(ReadError::Unsupported { format: Format::Png, found, supported });
    }
    let (width, height) = reader.info().size();
    let dims = [height as usize, width as usize];
    let mut pixels = vec![0; volume(Format::Png, &dims)?];
    reader.next_frame(&mut pixels)?;
    let values = pixels.iter().map(|&pixel| f64::from(pixel) / 255.0).collect();
    Samples::new(1, dims.to_vec(), values)
}

/// A binary PGM: `P5`, width, height, largest value (at most 255), one white space, then one byte for each pixel.
pub(crate) fn pgm(bytes: &[u8]) -> Result<Samples, ReadError> {
    let mut rest = bytes.get(2..).unwrap_or_default();
    let width = number(&mut rest)?;
    let height = number(&mut rest)?;
    let largest = number(&mut rest)?;
    if !(1..=255).contains(&largest) {
        let found = format!("largest value {largest}");
        return Err(ReadError::Unsupported { format: Format::Pgm, found, supported: "1 to 255" });
    }
    let pixels = match rest.split_first() {
        Some((space, pixels)) if space.is_ascii_whitespace() => pixels,
        _ => return Err(broken("no white space before the pixels")),
    };
    let dims = [height, width];
    expect_length(Format::Pgm, volume(Format::Pgm, &dims)?, pixels.len())?;
    if pixels.iter().any(|&pixel| usize::from(pixel) > largest) {
        return Err(broken("a pixel exceeds the largest value"));
    }
    let values = pixels.iter().map(|&pixel| f64::from(pixel) / largest as f64).collect();
    Samples::new(1, dims.to_vec(), values)
}

/// A decimal number after white space and comments (`# …` to the end of the line).
fn number(rest: &mut &[u8]) -> Result<usize, ReadError> {
    let mut spaced = false;
    loop {
        match rest {
            [b'#', tail @ ..] => {
                let end = tail.iter().position(|&byte| byte == b'\n').unwrap_or(tail.len());
                *rest = &tail[end..];
            }
            [space, tail @ ..] if space.is_ascii_whitespace() => {
                spaced = true;
                *rest = tail;
            }
            _ => break,
        }
    }
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, tail) = rest.split_at(length);
    *rest = tail;
    let text = std::str::from_utf8(digits).ok().filter(|_| spaced);
    text.and_then(|text| text.parse().ok()).ok_or(broken("expected a number"))
}

fn broken(reason: &'static str) -> ReadError {
    ReadError::Header { format: Format::Pgm, reason }
}

#[cfg(test)]
mod tests {
    use png::{BitDepth, Encoder};

    use super::*;

    fn encoded(color: ColorType, depth: BitDepth, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, 3, 2);
        encoder.set_color(color);
        encoder.set_depth(depth);
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        bytes
    }

    #[test]
    fn gray_png_of_any_depth() {
        let read =
            png(&encoded(ColorType::Grayscale, BitDepth::Eight, &[0, 51, 255, 1, 2, 3])).unwrap();
        assert_eq!((read.count(), read.shape()), (1, &[2, 3][..]));
        assert_eq!(&read.values()[..3], [0.0, 0.2, 1.0]);
        let bits = png(&encoded(ColorType::Grayscale, BitDepth::One, &[0b101_00000, 0b010_00000]));
        assert_eq!(bits.unwrap().values(), [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn other_pngs_are_refused() {
        let colour = png(&encoded(ColorType::Rgb, BitDepth::Eight, &[0; 18])).unwrap_err();
        assert!(colour.to_string().contains("Rgb is not read"), "{colour}");
        let whole = encoded(ColorType::Grayscale, BitDepth::Eight, &[9; 6]);
        for length in (0..whole.len() - 12).step_by(3) {
            assert!(png(&whole[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn binary_pgm() {
        let read = pgm(b"P5\n# a comment\n2 1\n5\n\x05\x01").unwrap();
        assert_eq!((read.shape(), read.values()), (&[1, 2][..], &[1.0, 0.2][..]));
        for wrong in [
            &b"P5"[..],
            b"P52 1 5\n\x05\x01",
            b"P5 2 1 5",
            b"P5 2 1 5 \x05",
            b"P5 2 1 5 \x05\x01\x00",
            b"P5 2 1 5 \x06\x01",
            b"P5 2 1 0 \x00\x00",
            b"P5 2 1 65535 \x00\x00\x00\x00",
            b"P5 99999999999 99999999999 5 \x00",
            b"P5 99999999999999999999999 1 5 \x00",
        ] {
            assert!(pgm(wrong).is_err(), "{}", String::from_utf8_lossy(wrong));
        }
    }
}
