//! The log's bytes (TCG PC Client Platform Firmware Profile, chapter 10; for the CCEL, UEFI 2.10, section 38.4.1).

use crate::claims::Bytes;
use crate::error::VerifyError;
use crate::tpm::{Bank, Reader};

/// Bytes of a log, at most. Firmware reserves 64 KiB to 1 MiB.
const MAX_LOG: usize = 1 << 22;
/// Events, at most.
const MAX_EVENTS: usize = 1 << 15;
/// Digests of one event, at most.
const MAX_ALGORITHMS: u32 = 8;
/// Bytes of a digest, at most.
const MAX_DIGEST: usize = 64;
/// How a crypto-agile log's first event begins.
const SIGNATURE: &[u8] = b"Spec ID Event03\0";
/// `EV_NO_ACTION`: information for the reader, which extends nothing.
pub(super) const NO_ACTION: u32 = 3;

/// Digests by a log's algorithms: `TPM_ALG_ID` and length.
type Algorithms = Vec<(u16, usize)>;

/// One event of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The register that it extends: a PCR's number; in a CCEL 0 for MRTD and 1 to 4 for RTMR 0 to 3.
    pub register: u32,
    /// Its type, `EV_…` of the profile.
    pub kind: u32,
    /// What it says of itself. The registers hold its digest, which is of these bytes for some types alone: see
    /// [`measured_data`](Self::measured_data).
    pub data: Bytes,
    pub(super) digests: Vec<(u16, Vec<u8>)>,
}

impl Event {
    /// The event's data where its digest is of those very bytes, so that a log that matches proves them. Of other events the data is
    /// the host's word.
    pub fn measured_data(&self) -> Option<&[u8]> {
        let hashes_data = |(algorithm, digest): &(u16, Vec<u8>)| {
            let hash = Bank::from_algorithm(*algorithm).and_then(Bank::hash);
            hash.is_some_and(|hash| hash.digest([self.data.0.as_slice()]) == *digest)
        };
        self.digests.iter().any(hashes_data).then_some(self.data.0.as_slice())
    }

    /// Its digest in a bank.
    pub(super) fn digest(&self, bank: Bank) -> Option<&[u8]> {
        let found = self.digests.iter().find(|(algorithm, _)| *algorithm == bank.algorithm());
        found.map(|(_, digest)| digest.as_slice())
    }
}

/// A log, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Log {
    /// Banks that every event extends, as far as this crate knows them.
    pub(super) banks: Vec<Bank>,
    /// The events after the header.
    pub(super) events: Vec<Event>,
}

impl Log {
    /// Reads a log. Firmware may fill the rest of its memory with ones or zeros.
    ///
    /// # Errors
    /// [`VerifyError`] `malformed`, `truncated`, `too-large`, `unsupported-format`.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, VerifyError> {
        if bytes.len() > MAX_LOG {
            return Err(too_large(&format!("is longer than {MAX_LOG} bytes")));
        }
        let mut reader = Reader::new(bytes, "event log");
        let algorithms = read_header(&mut reader)?;
        let mut events = Vec::new();
        while !is_padding(reader.rest()) {
            if events.len() == MAX_EVENTS {
                return Err(too_large(&format!("has more than {MAX_EVENTS} events")));
            }
            events.push(read_event(&mut reader, &algorithms)?);
        }
        let known = |(algorithm, _): &(u16, usize)| Bank::from_algorithm(*algorithm);
        Ok(Self { banks: algorithms.iter().filter_map(known).collect(), events })
    }
}

fn too_large(why: &str) -> VerifyError {
    let help = "give the firmware's log alone";
    VerifyError::new("too-large", format!("the event log {why}"), help)
}

/// Whether nothing follows but unused memory.
fn is_padding(rest: &[u8]) -> bool {
    [0x00, 0xff].into_iter().any(|fill| rest.iter().all(|&byte| byte == fill))
}

/// The first event, in the form of TPM 1.2 (`TCG_PCR_EVENT`), which declares the digests of the others (`TCG_EfiSpecIdEvent`).
fn read_header(reader: &mut Reader<'_>) -> Result<Algorithms, VerifyError> {
    let _register = reader.le32()?;
    let kind = reader.le32()?;
    let _digest: [u8; 20] = reader.array()?;
    let length = reader.le32()?;
    let data = reader.bytes(usize::try_from(length).unwrap_or(usize::MAX))?;
    if kind != NO_ACTION || !data.starts_with(SIGNATURE) {
        return Err(VerifyError::new(
            "unsupported-format",
            "the event log is not in the crypto-agile format",
            "give a log that begins with the event \"Spec ID Event03\", as TPM 2.0 and CCEL logs do",
        ));
    }
    let mut data =
        Reader::new(data.get(SIGNATURE.len()..).unwrap_or_default(), "event log's header");
    let _platform_class = data.le32()?;
    let _version_errata_and_word: [u8; 4] = data.array()?;
    let count = data.le32()?;
    if !(1..=MAX_ALGORITHMS).contains(&count) {
        return Err(data.malformed("it declares no digests, or too many"));
    }
    let mut algorithms = Algorithms::new();
    for _ in 0..count {
        let (algorithm, length) = (data.le16()?, usize::from(data.le16()?));
        let wrong = Bank::from_algorithm(algorithm).is_some_and(|bank| bank.length() != length);
        let twice = algorithms.iter().any(|(other, _)| *other == algorithm);
        if wrong || twice || !(1..=MAX_DIGEST).contains(&length) {
            return Err(data.malformed("it declares a digest of another length, or twice"));
        }
        algorithms.push((algorithm, length));
    }
    let vendor = data.u8()?;
    let _vendor_info = data.bytes(usize::from(vendor))?;
    data.finish()?;
    Ok(algorithms)
}

/// `TCG_PCR_EVENT2`.
fn read_event(reader: &mut Reader<'_>, algorithms: &Algorithms) -> Result<Event, VerifyError> {
    let (register, kind, count) = (reader.le32()?, reader.le32()?, reader.le32()?);
    if usize::try_from(count).ok() != Some(algorithms.len()) {
        return Err(reader.malformed("an event has not one digest of each declared kind"));
    }
    let mut digests: Vec<(u16, Vec<u8>)> = Vec::with_capacity(algorithms.len());
    for _ in algorithms {
        let algorithm = reader.le16()?;
        let declared = algorithms.iter().find(|(declared, _)| *declared == algorithm);
        let twice = digests.iter().any(|(other, _)| *other == algorithm);
        let Some((_, length)) = declared.filter(|_| !twice) else {
            return Err(reader.malformed("an event has not one digest of each declared kind"));
        };
        digests.push((algorithm, reader.bytes(*length)?.to_vec()));
    }
    let length = reader.le32()?;
    let data = reader.bytes(usize::try_from(length).unwrap_or(usize::MAX))?;
    Ok(Event { register, kind, data: data.into(), digests })
}
