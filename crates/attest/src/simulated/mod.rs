//! The simulated platform: for development and tests. **It protects nothing**: its signing key is in this source, its
//! sealing key and counter are files that anybody who can read and write them controls.
//!
//! Its evidence has a vendor's form, under test roots that no production trust store holds. SNP's is the usual one; the others are
//! there so that each verifying path is taken before there is hardware.

mod azure;
mod nitro;
mod sgx;
mod snp;
mod tdx;
mod tpm;

use crate::platform::{EvidenceProvider, Platform, PlatformError, io};
use adyton_wire::random_bytes;
use p384::ecdsa::SigningKey;
use sha2::{Digest, Sha256, Sha384};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use zeroize::Zeroizing;

const SEALING_KEY: &str = "sealing-key";
const COUNTER: &str = "counter";
/// The counter's file has two slots, each in a disk sector of its own, written in turn: a write that a crash tears leaves
/// the slot before it. A slot is the number and its complement.
const SLOT: usize = 512;

/// Whose form the evidence has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// SEV-SNP: a report of version 3, with its certificates.
    #[default]
    Snp,
    /// TDX: a quote of version 4.
    Tdx,
    /// SGX: a quote of version 3.
    Sgx,
    /// AWS Nitro: a document.
    Nitro,
    /// TPM 2.0: a quote by a key over P-384.
    Tpm,
    /// Azure: a vTPM's quote, and the report of a paravisor on SEV-SNP.
    AzureSnp,
    /// The same on TDX.
    AzureTdx,
}

impl Form {
    /// Every form.
    pub const ALL: [Self; 7] =
        [Self::Snp, Self::Tdx, Self::Sgx, Self::Nitro, Self::Tpm, Self::AzureSnp, Self::AzureTdx];
}

/// Where the counter stands, and in which slot.
struct Counter {
    at: u64,
    slot: u64,
    file: File,
}

/// A slot's bytes.
fn slot(value: u64) -> [u8; 16] {
    (u128::from(value) | (u128::from(!value) << 64)).to_le_bytes()
}

/// The value of a slot that was written whole.
fn value_of(slot: &[u8]) -> Option<u64> {
    let (value, rest) = slot.split_first_chunk::<8>()?;
    let (complement, _) = rest.split_first_chunk::<8>()?;
    let value = u64::from_le_bytes(*value);
    (value == !u64::from_le_bytes(*complement)).then_some(value)
}

/// A platform made of two files and the digest of an executable.
pub struct Simulated {
    directory: PathBuf,
    measurement: [u8; 48],
    form: Form,
    sealing_key: Zeroizing<[u8; 32]>,
    counter: Mutex<Counter>,
}

impl Simulated {
    /// Opens the platform in `directory`, which it makes at first; it measures the running executable.
    ///
    /// # Errors
    /// [`PlatformError`] when a file cannot be read or is damaged.
    pub fn open(directory: &Path) -> Result<Self, PlatformError> {
        let executable = std::env::current_exe().map_err(io("find the running executable"))?;
        Self::open_measured(directory, &executable)
    }

    /// As [`open`](Self::open), as if `executable` ran.
    ///
    /// # Errors
    /// [`PlatformError`] when a file cannot be read or is damaged.
    pub fn open_measured(directory: &Path, executable: &Path) -> Result<Self, PlatformError> {
        let measurement = measure(executable)?;
        std::fs::create_dir_all(directory).map_err(io("make the simulated platform's folder"))?;
        let path = directory.join(SEALING_KEY);
        if !path.try_exists().map_err(io("look for the sealing key"))? {
            let fresh = Zeroizing::new(random_bytes::<32>()?);
            replace(directory, SEALING_KEY, fresh.as_slice())?;
        }
        let sealing_key = Zeroizing::new(read(&path, "sealing key")?);
        let path = directory.join(COUNTER);
        if !path.try_exists().map_err(io("look for the counter"))? {
            let mut slots = [0; 2 * SLOT];
            for (byte, value) in slots.iter_mut().zip(slot(0)) {
                *byte = value;
            }
            replace(directory, COUNTER, &slots)?;
        }
        let slots: [u8; 2 * SLOT] = read(&path, "counter")?;
        let values = slots.chunks_exact(SLOT).map(value_of);
        let (at, slot) = values
            .zip([0, 1])
            .filter_map(|(value, slot)| value.map(|value| (value, slot)))
            .max()
            .ok_or(PlatformError::Damaged("counter"))?;
        let file = OpenOptions::new().write(true).open(&path).map_err(io("open the counter"))?;
        Ok(Self {
            directory: directory.to_owned(),
            measurement,
            form: Form::default(),
            sealing_key,
            counter: Mutex::new(Counter { at, slot, file }),
        })
    }

    /// The same platform, with evidence of this form.
    #[must_use]
    pub fn in_form(self, form: Form) -> Self {
        Self { form, ..self }
    }

    /// What this platform would measure of `executable`: its SHA-384.
    ///
    /// # Errors
    /// [`PlatformError::Io`] when it cannot be read.
    pub fn measurement_of(executable: &Path) -> Result<[u8; 48], PlatformError> {
        measure(executable)
    }
}

impl std::fmt::Debug for Simulated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Simulated({})", self.directory.display())
    }
}

impl EvidenceProvider for Simulated {
    fn kind(&self) -> &'static str {
        match self.form {
            Form::Snp => "sev-snp",
            Form::Tdx => "tdx",
            Form::Sgx => "sgx",
            Form::Nitro => "nitro",
            Form::Tpm => "tpm",
            Form::AzureSnp => "azure-snp",
            Form::AzureTdx => "azure-tdx",
        }
    }

    fn simulated(&self) -> bool {
        true
    }

    fn evidence(&self, report_data: &[u8; 64]) -> Result<Vec<u8>, PlatformError> {
        match self.form {
            Form::Snp => snp::evidence(&self.measurement, report_data),
            Form::Tdx => tdx::evidence(&self.measurement, report_data),
            Form::Sgx => sgx::evidence(&self.measurement, report_data),
            Form::Nitro => nitro::evidence(&self.measurement, report_data),
            Form::Tpm => tpm::evidence(&self.measurement, report_data),
            Form::AzureSnp => azure::on_snp(&self.measurement, report_data),
            Form::AzureTdx => azure::on_tdx(&self.measurement, report_data),
        }
    }
}

impl Platform for Simulated {
    fn sealing_key(&self) -> Result<Zeroizing<[u8; 32]>, PlatformError> {
        Ok(self.sealing_key.clone())
    }

    fn counter(&self) -> Result<Option<u64>, PlatformError> {
        Ok(Some(self.counter.lock().unwrap_or_else(PoisonError::into_inner).at))
    }

    fn advance_counter(&self, to: u64) -> Result<(), PlatformError> {
        let mut counter = self.counter.lock().unwrap_or_else(PoisonError::into_inner);
        if to <= counter.at {
            let at = counter.at;
            return if to == at { Ok(()) } else { Err(PlatformError::CounterBackwards { at, to }) };
        }
        let other = 1 - counter.slot;
        let place = other * SLOT as u64;
        let written =
            counter.file.write_all_at(&slot(to), place).and_then(|()| counter.file.sync_data());
        written.map_err(io("write the counter"))?;
        (counter.at, counter.slot) = (to, other);
        Ok(())
    }
}

/// The key over P-384 of a part of the platform. Its secret is in this line, and no secret.
fn key(of: &str) -> Result<SigningKey, PlatformError> {
    let secret = Sha384::digest(format!("adyton simulated {of}: protects nothing"));
    SigningKey::from_slice(&secret).map_err(|_| PlatformError::Damaged("simulated key"))
}

/// The program where a form has 32 bytes for it: SHA-256 of its measurement.
fn short(measurement: &[u8; 48]) -> [u8; 32] {
    Sha256::digest(measurement).into()
}

/// SHA-384 of a file.
fn measure(path: &Path) -> Result<[u8; 48], PlatformError> {
    let mut file = File::open(path).map_err(io("open the executable to measure"))?;
    let mut hash = Sha384::new();
    let mut chunk = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut chunk).map_err(io("read the executable to measure"))?;
        match chunk.get(..read) {
            Some(bytes) if !bytes.is_empty() => hash.update(bytes),
            _ => return Ok(hash.finalize().into()),
        }
    }
}

/// A file of exactly `N` bytes.
fn read<const N: usize>(path: &Path, what: &'static str) -> Result<[u8; N], PlatformError> {
    let bytes = Zeroizing::new(std::fs::read(path).map_err(io("read the platform's files"))?);
    bytes.as_slice().try_into().map_err(|_| PlatformError::Damaged(what))
}

/// Writes a file so that after a crash it is the old or the new one, whole and durable.
fn replace(directory: &Path, name: &str, bytes: &[u8]) -> Result<(), PlatformError> {
    let temporary = directory.join(format!("{name}.new"));
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, directory.join(name))?;
        File::open(directory)?.sync_all()
    };
    write().map_err(io("write the platform's files"))
}

#[cfg(test)]
mod tests;
