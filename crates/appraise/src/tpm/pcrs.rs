//! Values of the quoted registers. The TPM signs their digest alone; the values come beside it, in one of the forms that tpm2-tools
//! writes, and count once the digest over them is the signed one.

use super::bank::Bank;
use super::quote::{Quote, Selection, selected, unknown_bank};
use super::reader::Reader;
use crate::claims::Bytes;
use crate::error::VerifyError;
use crate::text;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of a file of values, at most: more than 4 banks of 32 registers take in any form.
const MAX_FILE: usize = 1 << 16;
/// Entries of a `TPML_PCR_SELECTION` in memory.
const SELECTIONS: usize = 16;
/// Lists of eight digests, at most: 4 banks of 32 registers.
const MAX_LISTS: u32 = 16;
/// Digests of a `TPML_DIGEST` in memory, and the bytes of each.
const DIGESTS: usize = 8;
const DIGEST_BUFFER: usize = 64;
const LAST_REGISTER: u8 = 31;

/// Values of registers in a selection's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Values {
    selection: Option<Selection>,
    values: Vec<Vec<u8>>,
}

impl Values {
    /// Values in the quote's own order, which they must fill.
    pub(crate) fn in_order(values: Vec<Vec<u8>>) -> Self {
        Self { selection: None, values }
    }

    /// Reads what `tpm2_quote --pcr` writes: the serialized form, the bare values, or the YAML of `tpm2_pcrread`.
    ///
    /// # Errors
    /// [`VerifyError`] `malformed`, `truncated`, `too-large`, `unsupported-format`.
    pub(crate) fn read(file: &[u8], quote: &Quote) -> Result<Self, VerifyError> {
        if file.len() > MAX_FILE {
            return Err(VerifyError::new(
                "too-large",
                format!("the file of register values is longer than {MAX_FILE} bytes"),
                "give the values of the quoted registers alone",
            ));
        }
        if file.len() == quoted_length(&quote.selection) {
            return Ok(Self::in_order(split(file, &quote.selection)));
        }
        match std::str::from_utf8(file) {
            Ok(text) if text.contains(':') => Self::read_yaml(text),
            _ => Self::read_serialized(file),
        }
    }

    /// The structures of the TPM software stack as they lie in memory, little-endian: one `TPML_PCR_SELECTION`, a count, and so
    /// many `TPML_DIGEST`. What no count covers is not read.
    fn read_serialized(file: &[u8]) -> Result<Self, VerifyError> {
        let mut reader = Reader::new(file, "file of register values");
        let banks = reader.le32()?;
        let mut selection = Selection::new();
        for place in 0..SELECTIONS {
            let algorithm = reader.le16()?;
            let length = usize::from(reader.u8()?);
            let bits: [u8; 4] = reader.array()?;
            let _padding = reader.u8()?;
            if u32::try_from(place).is_ok_and(|place| place < banks) {
                let bits = bits.get(..length).ok_or_else(|| reader.malformed("a selection"))?;
                let registers = selected(bits);
                if !registers.is_empty() {
                    let bank = Bank::from_algorithm(algorithm);
                    selection.push((bank.ok_or_else(|| unknown_bank(algorithm))?, registers));
                }
            }
        }
        let lists = reader.le32()?;
        if lists > MAX_LISTS {
            return Err(reader.malformed("it has too many lists"));
        }
        let mut values = Vec::new();
        for _ in 0..lists {
            let count = usize::try_from(reader.le32()?).unwrap_or(usize::MAX);
            if count > DIGESTS {
                return Err(reader.malformed("a list has more than eight values"));
            }
            for place in 0..DIGESTS {
                let length = usize::from(reader.le16()?);
                let buffer = reader.bytes(DIGEST_BUFFER)?;
                if place < count {
                    let value = buffer.get(..length).ok_or_else(|| reader.malformed("a value"))?;
                    values.push(value.to_vec());
                }
            }
        }
        reader.finish()?;
        Ok(Self { selection: Some(selection), values })
    }

    /// `sha256:` and, below it, lines of `7 : 0x…`; a line `pcrs:` may stand above.
    fn read_yaml(text: &str) -> Result<Self, VerifyError> {
        let malformed = |why: &str| {
            VerifyError::malformed(format!("the file of register values is malformed: {why}"))
        };
        let mut selection = Selection::new();
        let mut values = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or_else(|| malformed("a line"))?;
            let (name, value) = (name.trim(), value.trim());
            if let Some(bank) = Bank::from_name(name) {
                selection.push((bank, BTreeSet::new()));
            } else if !(name == "pcrs" && value.is_empty()) {
                let index: u8 = name.parse().map_err(|_| malformed("a register's number"))?;
                let (_, registers) =
                    selection.last_mut().ok_or_else(|| malformed("no bank is named"))?;
                let ascending = registers.last().is_none_or(|last| *last < index);
                if !ascending || index > LAST_REGISTER {
                    return Err(malformed("registers are not in order"));
                }
                registers.insert(index);
                values.push(text::hex(value).ok_or_else(|| malformed("a register's value"))?);
            }
        }
        selection.retain(|(_, registers)| !registers.is_empty());
        Ok(Self { selection: Some(selection), values })
    }

    /// The registers by their names in claims, once these are the values that `quote` vouches for.
    ///
    /// # Errors
    /// [`VerifyError`] `pcr-mismatch`.
    pub(crate) fn measurements(
        &self,
        quote: &Quote,
    ) -> Result<BTreeMap<String, Bytes>, VerifyError> {
        let mismatch = |what: &str| {
            VerifyError::new(
                "pcr-mismatch",
                what,
                "give the register values that were read when the quote was made",
            )
        };
        if self.selection.as_ref().is_some_and(|selection| *selection != quote.selection) {
            return Err(mismatch("the register values are of other registers than the quote's"));
        }
        let names = quote.selection.iter().flat_map(|(bank, registers)| {
            registers.iter().map(|&index| (bank.register(index), bank.length()))
        });
        let names: Vec<(String, usize)> = names.collect();
        let lengths = names.iter().map(|(_, length)| *length);
        if !lengths.eq(self.values.iter().map(Vec::len)) {
            return Err(mismatch(
                "the register values are not as many, or as long, as the quote's",
            ));
        }
        if quote.hash.digest(self.values.iter().map(Vec::as_slice)) != quote.pcr_digest {
            return Err(mismatch("the register values are not those that the quote vouches for"));
        }
        let values = self.values.iter().map(Bytes::from);
        Ok(names.into_iter().map(|(name, _)| name).zip(values).collect())
    }
}

/// Bytes of all quoted registers.
fn quoted_length(selection: &Selection) -> usize {
    selection.iter().map(|(bank, registers)| bank.length() * registers.len()).sum()
}

/// The values of a file of [`quoted_length`].
fn split(mut file: &[u8], selection: &Selection) -> Vec<Vec<u8>> {
    let mut values = Vec::new();
    for (bank, registers) in selection {
        for _ in registers {
            let (value, rest) = file.split_at_checked(bank.length()).unwrap_or((file, &[]));
            values.push(value.to_vec());
            file = rest;
        }
    }
    values
}
