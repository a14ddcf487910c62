//! The certificate table that a host hands a guest with an extended report (GHCB specification, AMD 56421, section 4.1.8.1).

use crate::error::VerifyError;

/// Bytes of an entry: identifier, offset, length.
const ENTRY: usize = 24;
/// Entries that are read, at most; hosts fill five.
const MAX_ENTRIES: usize = 16;

/// Identifiers of what a table holds: VCEK, VLEK, ASK (or ASVK), ARK, revocation list.
const KNOWN: [[u8; 16]; 5] = [
    0x63da_758d_e664_4564_adc5_f4b9_3be8_accd_u128.to_be_bytes(),
    0xa807_4bc2_a25a_483e_aae6_39c0_45a0_b8a1_u128.to_be_bytes(),
    0x4ab7_b379_bbac_4fe4_a02f_05ae_f327_c782_u128.to_be_bytes(),
    0xc0b4_06a4_a803_4952_9743_3fb6_014c_d0ae_u128.to_be_bytes(),
    0x92f8_1bc3_5811_4d3d_97ff_d19f_88dc_67ea_u128.to_be_bytes(),
];

/// Whether a file starts with a known entry.
pub(super) fn is_table(file: &[u8]) -> bool {
    file.first_chunk().is_some_and(|id| KNOWN.contains(id))
}

/// The files of a table, those of unknown identifiers left out.
///
/// # Errors
/// [`VerifyError`] `malformed` where an entry points outside the table, or no entry of zeroes ends it.
pub(super) fn read(file: &[u8]) -> Result<Vec<&[u8]>, VerifyError> {
    let malformed = || VerifyError::malformed("the host's certificate table is not well formed");
    let mut files = Vec::new();
    for entry in file.chunks_exact(ENTRY).take(MAX_ENTRIES) {
        let (id, place) = entry.split_first_chunk::<16>().ok_or_else(malformed)?;
        let (offset, length) = place.split_first_chunk::<4>().ok_or_else(malformed)?;
        if id == &[0; 16] {
            return Ok(files);
        }
        let number = |bytes: [u8; 4]| usize::try_from(u32::from_le_bytes(bytes)).ok();
        let found = number(*offset)
            .zip(length.first_chunk().and_then(|length| number(*length)))
            .and_then(|(offset, length)| file.get(offset..)?.get(..length))
            .ok_or_else(malformed)?;
        if KNOWN.contains(id) {
            files.push(found);
        }
    }
    Err(malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(offset: u32, length: u32) -> Vec<u8> {
        let mut table = KNOWN[0].to_vec();
        table.extend(offset.to_le_bytes());
        table.extend(length.to_le_bytes());
        table.extend([0; ENTRY]);
        table.extend(b"certificate");
        table
    }

    #[test]
    fn entries_lie_within_the_table() {
        let whole = table(48, 11);
        assert!(is_table(&whole));
        assert_eq!(read(&whole).unwrap(), [b"certificate"]);
        for (offset, length) in [(48, 12), (60, 0), (u32::MAX, 1), (0, u32::MAX)] {
            assert_eq!(read(&table(offset, length)).unwrap_err().code, "malformed");
        }
        assert_eq!(read(&whole[..24]).unwrap_err().code, "malformed");
        assert!(!is_table(&whole[..15]) && !is_table(&[0; 64]));
    }
}
