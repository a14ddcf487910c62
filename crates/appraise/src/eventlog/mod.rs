//! Event logs: what was measured, one event after the other, until the registers held what the evidence vouches for.
//!
//! A log is the host's word until [`replay`] of its digests gives the registers of verified [`Claims`] ([`Replay::matches`]). Logs
//! are those that firmware hands over: of a TPM (`binary_bios_measurements`) and of a TDX guest (the ACPI table CCEL's memory).
//!
//! ```no_run
//! # fn check(log: &[u8], claims: &adyton_appraise::Claims) -> Result<(), adyton_appraise::VerifyError> {
//! let replay = adyton_appraise::eventlog::replay(log)?;
//! replay.matches(claims)?;
//! # Ok(())
//! # }
//! ```

mod log;

pub use log::Event;

use crate::claims::{Bytes, Claims, Kind};
use crate::error::VerifyError;
use crate::tpm::Bank;
use log::{Log, NO_ACTION};
use std::collections::BTreeMap;

/// Registers of a TPM.
const REGISTERS: u32 = 32;
/// How the event begins that tells from which locality the TPM was started; the locality follows in one byte.
const STARTUP_LOCALITY: &[u8] = b"StartupLocality\0";

/// Registers as a log's events leave them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    events: Vec<Event>,
    /// Registers that events extended, by bank; the banks are there even without any.
    banks: BTreeMap<Bank, BTreeMap<u32, Vec<u8>>>,
    /// The locality that the TPM was started from: register 0 begins with it.
    locality: u8,
}

/// A register of the claims beside the log's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Its name in the claims: `pcr7`, `rtmr1`.
    pub register: String,
    /// What the evidence vouches for.
    pub measured: Bytes,
    /// What the log's events give; the value after a reset when there is none.
    pub replayed: Bytes,
    /// Events that extended it.
    pub events: usize,
}

impl Comparison {
    /// Whether the two agree.
    pub fn agrees(&self) -> bool {
        self.measured == self.replayed
    }
}

/// Replays a TCG crypto-agile log, in every bank of SHA-256, SHA-384 and SHA-512 that it has.
///
/// # Errors
/// [`VerifyError`] `malformed`, `truncated`, `too-large`, `unsupported-format` (also for a log of SHA-1 alone).
pub fn replay(bytes: &[u8]) -> Result<Replay, VerifyError> {
    let Log { banks, events } = Log::read(bytes)?;
    let locality = startup_locality(&events)?;
    let mut registers = BTreeMap::new();
    for bank in banks.into_iter().filter(|bank| bank.hash().is_some()) {
        registers.insert(bank, extend(bank, &events, locality)?);
    }
    if registers.is_empty() {
        return Err(VerifyError::new(
            "unsupported-format",
            "the event log has no bank of SHA-256, SHA-384 or SHA-512",
            "enable the TPM's SHA-256 bank in the firmware's setup",
        ));
    }
    Ok(Replay { events, banks: registers, locality })
}

impl Replay {
    /// The events, in order.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Every register of the claims that is of a bank of the log, beside the log's. TDX claims are compared by their RTMRs, others
    /// by their PCRs.
    pub fn compare(&self, claims: &Claims) -> Vec<Comparison> {
        let comparison = |(name, measured): (&String, &Bytes)| {
            let (bank, index) = register_of(claims.kind, name)?;
            let registers = self.banks.get(&bank)?;
            let replayed = match registers.get(&index) {
                Some(value) => value.clone(),
                None => reset_value(bank, index, self.locality),
            };
            Some(Comparison {
                register: name.clone(),
                measured: measured.clone(),
                replayed: Bytes(replayed),
                events: self.events.iter().filter(|event| extends(event, index)).count(),
            })
        };
        claims.measurements.iter().filter_map(comparison).collect()
    }

    /// Whether the log accounts for the claims: every register of theirs that is of a bank of the log holds what the log's events
    /// give, and there is one at least. A register that was extended outside the log (by IMA, say) does not: ask
    /// [`compare`](Self::compare) to judge registers apart.
    ///
    /// # Errors
    /// [`VerifyError`] `event-log-mismatch`, with the first register that differs.
    pub fn matches(&self, claims: &Claims) -> Result<(), VerifyError> {
        let compared = self.compare(claims);
        let mismatch = |what, help| Err(VerifyError::new("event-log-mismatch", what, help));
        if compared.is_empty() {
            return mismatch(
                "the event log and the evidence have no register in common".to_owned(),
                "give the log of the machine that made the evidence; logs of TPMs and of TDX guests are known",
            );
        }
        match compared.into_iter().find(|register| !register.agrees()) {
            None => Ok(()),
            Some(Comparison { register, measured, replayed, events }) => mismatch(
                format!(
                    "the event log does not account for {register}: its {events} events give {replayed}, and the evidence says \
                     {measured}"
                ),
                "give the whole log of the boot that made the evidence",
            ),
        }
    }
}

/// The bank and the log's index of a register of claims.
fn register_of(kind: Kind, name: &str) -> Option<(Bank, u32)> {
    match kind {
        // The CCEL counts MRTD as 0 and the RTMRs from 1 (UEFI 2.10, table 38.2); TDX measures by SHA-384.
        Kind::Tdx => {
            let index: u32 = name.strip_prefix("rtmr")?.parse().ok()?;
            Some((Bank::Sha384, index.checked_add(1)?))
        }
        Kind::Tpm | Kind::AzureSnp | Kind::AzureTdx => {
            let register = name.strip_prefix("pcr")?;
            let (index, bank) = match register.split_once('-') {
                Some((index, bank)) => (index, Bank::from_name(bank)?),
                None => (register, Bank::Sha256),
            };
            Some((bank, index.parse().ok()?))
        }
        // No firmware with a log stands behind these registers.
        Kind::Sgx | Kind::SevSnp | Kind::Nitro => None,
    }
}

/// Whether the event extends this register.
fn extends(event: &Event, index: u32) -> bool {
    event.register == index && event.kind != NO_ACTION
}

/// What a register holds before its first event: zeros; ones where only a late launch may write (PCR 17 to 22); in register 0
/// the locality that the TPM was started from (TPM 2.0 Library, Part 1, "Initialization").
fn reset_value(bank: Bank, index: u32, locality: u8) -> Vec<u8> {
    let fill = if (17..=22).contains(&index) { 0xff } else { 0 };
    let mut value = vec![fill; bank.length()];
    if let (0, Some(last)) = (index, value.last_mut()) {
        *last = locality;
    }
    value
}

/// The locality that the log states, 0 where it states none.
fn startup_locality(events: &[Event]) -> Result<u8, VerifyError> {
    let stated = |event: &&Event| {
        event.register == 0 && event.kind == NO_ACTION && event.data.0.starts_with(STARTUP_LOCALITY)
    };
    let Some(place) = events.iter().position(|event| stated(&event)) else { return Ok(0) };
    let malformed = |why: &str| {
        VerifyError::malformed(format!("the event log's statement of the startup locality {why}"))
    };
    if events.iter().filter(stated).count() > 1 {
        return Err(malformed("appears twice"));
    }
    if events.iter().take(place).any(|event| extends(event, 0)) {
        return Err(malformed("comes after register 0 was extended"));
    }
    let locality = events.get(place).and_then(|event| event.data.0.get(STARTUP_LOCALITY.len()..));
    match locality {
        Some([locality @ (0 | 3 | 4)]) => Ok(*locality),
        _ => Err(malformed("is neither 0, 3 nor 4")),
    }
}

/// The registers of a bank that events extend: each event's digest is hashed onto what the register holds.
fn extend(
    bank: Bank,
    events: &[Event],
    locality: u8,
) -> Result<BTreeMap<u32, Vec<u8>>, VerifyError> {
    let Some(hash) = bank.hash() else { return Ok(BTreeMap::new()) };
    let mut registers = BTreeMap::new();
    for event in events.iter().filter(|event| event.kind != NO_ACTION) {
        let index = event.register;
        let digest = event.digest(bank).filter(|_| index < REGISTERS).ok_or_else(|| {
            VerifyError::malformed(format!("the event log extends the unknown register {index}"))
        })?;
        let value = registers.entry(index).or_insert_with(|| reset_value(bank, index, locality));
        *value = hash.digest([value.as_slice(), digest]);
    }
    Ok(registers)
}
