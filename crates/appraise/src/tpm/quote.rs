//! What a TPM signs: `TPMS_ATTEST` over a `TPMS_QUOTE_INFO` (TPM 2.0 Library, Part 2, 10.12).

use super::bank::Bank;
use super::reader::Reader;
use super::signature::Signature;
use crate::error::VerifyError;
use crate::pki::{Hash, PublicKey};
use std::collections::BTreeSet;

/// `TPM_GENERATED_VALUE`: the TPM puts it before what it made itself, and signs nothing of others that begins with it.
const GENERATED: u32 = 0xff54_4347;
/// `TPM_ST_ATTEST_QUOTE`.
const QUOTE: u16 = 0x8018;
/// Bytes of a name: an algorithm and its digest.
const MAX_NAME: usize = 2 + 64;
/// Bytes of the qualifying data and of the registers' digest.
const MAX_DIGEST: usize = 64;
/// `TPML_PCR_SELECTION` has at most so many banks.
const MAX_BANKS: u32 = 16;
/// Bytes of a selection's bit map: 32 registers.
const MAX_SELECT: u8 = 4;

/// A verified quote: its key signed all of this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Quote {
    /// Name of the signing key, qualified by its ancestors'.
    pub(crate) qualified_signer: Vec<u8>,
    /// The qualifying data: what the asker wanted vouched for.
    pub(crate) extra_data: Vec<u8>,
    /// Milliseconds that the TPM has been powered, ever.
    pub(crate) clock: u64,
    /// Resets of the TPM, ever.
    pub(crate) reset_count: u32,
    /// Resumptions since the last reset.
    pub(crate) restart_count: u32,
    /// Whether the clock can not have been set back.
    pub(crate) safe: bool,
    /// The TPM's firmware.
    pub(crate) firmware_version: u64,
    /// Which registers are quoted, in the quote's order.
    pub(crate) selection: Selection,
    /// The digest over their values …
    pub(crate) pcr_digest: Vec<u8>,
    /// … by this hash, the signature's.
    pub(crate) hash: Hash,
}

/// Registers of several banks, in order.
pub(crate) type Selection = Vec<(Bank, BTreeSet<u8>)>;

/// Verifies `message` (`TPMS_ATTEST`) by `signature` (`TPMT_SIGNATURE`, or as tpm2-tools writes it with `-f plain`), and that it
/// answers `extra_data` where that is given.
///
/// # Errors
/// [`VerifyError`] `bad-signature`, `report-data`, `malformed`, `truncated`, `unsupported-format`.
pub(crate) fn verify_quote(
    message: &[u8],
    signature: &[u8],
    key: &PublicKey,
    extra_data: Option<&[u8]>,
) -> Result<Quote, VerifyError> {
    let signature = Signature::read(signature, key)?;
    if !key.verifies(signature.scheme, message, &signature.value) {
        return Err(VerifyError::new(
            "bad-signature",
            "the TPM quote's signature does not verify",
            "give the public key that made the quote, and the message unaltered",
        ));
    }
    let quote = Quote::read(message, signature.hash)?;
    if extra_data.is_some_and(|expected| expected != quote.extra_data) {
        return Err(VerifyError::new(
            "report-data",
            "the TPM quote answers other qualifying data",
            "ask for a quote over the data expected",
        ));
    }
    Ok(quote)
}

impl Quote {
    fn read(message: &[u8], hash: Hash) -> Result<Self, VerifyError> {
        let mut reader = Reader::new(message, "TPM quote");
        if reader.be32()? != GENERATED {
            return Err(reader.malformed("no TPM made it (its magic is not TPM_GENERATED)"));
        }
        if reader.be16()? != QUOTE {
            return Err(VerifyError::new(
                "unsupported-format",
                "the TPM vouches for something else than a quote of its registers",
                "make the evidence by TPM2_Quote",
            ));
        }
        let qualified_signer = reader.sized(MAX_NAME)?.to_vec();
        let extra_data = reader.sized(MAX_DIGEST)?.to_vec();
        let (clock, reset_count, restart_count) = (reader.be64()?, reader.be32()?, reader.be32()?);
        let safe = match reader.u8()? {
            0 => false,
            1 => true,
            _ => return Err(reader.malformed("the clock's safety is neither yes nor no")),
        };
        let firmware_version = reader.be64()?;
        let selection = read_selection(&mut reader)?;
        let pcr_digest = reader.sized(MAX_DIGEST)?.to_vec();
        reader.finish()?;
        Ok(Self {
            qualified_signer,
            extra_data,
            clock,
            reset_count,
            restart_count,
            safe,
            firmware_version,
            selection,
            pcr_digest,
            hash,
        })
    }
}

/// `TPML_PCR_SELECTION`; banks of which no register is selected are left out.
fn read_selection(reader: &mut Reader<'_>) -> Result<Selection, VerifyError> {
    let count = reader.be32()?;
    if count > MAX_BANKS {
        return Err(reader.malformed("it selects registers of too many banks"));
    }
    let mut selection = Selection::new();
    for _ in 0..count {
        let algorithm = reader.be16()?;
        let length = reader.u8()?;
        if length > MAX_SELECT {
            return Err(reader.malformed("a selection is longer than a TPM has registers"));
        }
        let registers = selected(reader.bytes(usize::from(length))?);
        if registers.is_empty() {
            continue;
        }
        let bank = Bank::from_algorithm(algorithm).ok_or_else(|| unknown_bank(algorithm))?;
        if selection.iter().any(|(other, _)| *other == bank) {
            return Err(reader.malformed("it selects of a bank twice"));
        }
        selection.push((bank, registers));
    }
    Ok(selection)
}

/// The registers of a bit map: bit 0 of its first byte is register 0.
pub(super) fn selected(bits: &[u8]) -> BTreeSet<u8> {
    (0..=255)
        .zip(bits.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1)))
        .filter_map(|(index, selected)| selected.then_some(index))
        .collect()
}

pub(super) fn unknown_bank(algorithm: u16) -> VerifyError {
    VerifyError::new(
        "unsupported-format",
        format!("the TPM quote covers a bank of the unknown algorithm {algorithm:#06x}"),
        "quote the registers of the SHA-256 bank",
    )
}
