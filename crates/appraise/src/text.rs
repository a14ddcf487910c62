//! Binary things written as text.

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::URL_SAFE, LENIENT);

fn compact(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_whitespace()).collect()
}

/// Base64 of either alphabet, with or without padding, white space anywhere.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    let text = compact(text);
    STANDARD.decode(&text).or_else(|_| URL_SAFE.decode(&text)).ok()
}

/// Hexadecimal digits of either case, with or without `0x`, white space anywhere.
pub(crate) fn hex(text: &str) -> Option<Vec<u8>> {
    let text = compact(text);
    crate::claims::Bytes::from_hex(text.strip_prefix("0x").unwrap_or(&text)).map(|b| b.0)
}

/// Hexadecimal digits, else base64. Text of hexadecimal digits alone is never base64 here.
pub(crate) fn binary(text: &str) -> Option<Vec<u8>> {
    hex(text).or_else(|| base64(text)).filter(|bytes| !bytes.is_empty())
}

/// Whether a file is a JSON object, by its first character.
pub(crate) fn is_json(file: &[u8]) -> bool {
    file.trim_ascii_start().starts_with(b"{")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_bytes() {
        assert_eq!(binary("0x00 ff\n"), Some(vec![0, 255]));
        assert_eq!(binary("AP8="), Some(vec![0, 255]));
        assert_eq!(binary("AP8"), Some(vec![0, 255]));
        assert_eq!(base64("-_8="), base64("+/8="));
        for wrong in ["", "  ", "A*==", "é"] {
            assert_eq!(binary(wrong), None, "{wrong:?}");
        }
    }
}
