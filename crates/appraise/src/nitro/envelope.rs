//! Around the signed document: the forms in which it is handed out.

use super::cbor;

/// The head of the untagged structure: an array of four, whose first is a string of four bytes (the protected header `{1: -35}`).
const HEAD: [u8; 2] = [0x84, 0x44];
/// Tag 18, COSE_Sign1.
const TAG: u8 = 0xd2;
/// The device's own answer, `{"Attestation": {"document": h'…'}}`, up to the string's head.
const RESPONSE: &[u8] = b"\xa1\x6bAttestation\xa1\x68document";
/// dstack's wrapper in the SCALE codec: version 0, variant 2 (Nitro); the string's length in compact form follows.
const DSTACK: &[u8] = &[0, 2];

/// A document and what is around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Envelope<'a> {
    /// The COSE_Sign1, one well-formed CBOR item.
    pub(super) document: &'a [u8],
    /// Whether it has its tag.
    pub(super) tagged: bool,
    /// Bytes after the document that a wrapper adds.
    pub(super) unsigned: usize,
}

impl<'a> Envelope<'a> {
    /// Opens the bare structure, the device's answer, or dstack's wrapper: in the last alone may bytes follow the document.
    pub(super) fn open(bytes: &'a [u8]) -> Option<Self> {
        if let Some(string) = bytes.strip_prefix(RESPONSE) {
            let (document, after) = byte_string(string)?;
            return Self::bare(document, 0).filter(|_| after.is_empty());
        }
        if let Some(string) = bytes.strip_prefix(DSTACK) {
            let (length, rest) = compact(string)?;
            let (document, after) = rest.split_at_checked(length)?;
            return Self::bare(document, after.len());
        }
        Self::bare(bytes, 0)
    }

    fn bare(document: &'a [u8], unsigned: usize) -> Option<Self> {
        let untagged = document.strip_prefix(&[TAG]);
        let tagged = untagged.is_some();
        let whole = untagged.unwrap_or(document).starts_with(&HEAD)
            && cbor::item_length(document) == Some(document.len());
        whole.then_some(Self { document, tagged, unsigned })
    }
}

/// A CBOR byte string of up to 65,535 bytes, and what follows it.
fn byte_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&head, rest) = bytes.split_first()?;
    let (length, rest) = match head {
        0x59 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// SCALE's compact number in its two-byte and four-byte modes, and what follows it.
fn compact(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes.first()? & 3 {
        1 => {
            let (number, rest) = bytes.split_first_chunk()?;
            Some((usize::from(u16::from_le_bytes(*number) >> 2), rest))
        }
        2 => {
            let (number, rest) = bytes.split_first_chunk()?;
            Some((usize::try_from(u32::from_le_bytes(*number) >> 2).ok()?, rest))
        }
        _ => None,
    }
}
