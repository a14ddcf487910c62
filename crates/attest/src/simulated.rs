//! The simulated platform: for development and tests. **It protects nothing**: its root key is in this source, its sealing
//! key and counter are files that anybody who can read and write them controls.

use crate::claims::{Claims, Measurement, VerificationError};
use crate::platform::{EvidenceProvider, Platform, PlatformError};
use adyton_wire::statement::{Fields, Source, Statement};
use adyton_wire::{PublicKey, Signed, SigningKey, WireError, digest, random_bytes};
use sha2::{Digest, Sha384};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use zeroize::Zeroizing;

const SEALING_KEY: &str = "sealing-key";
const COUNTER: &str = "counter";

/// What the simulated root signs in place of a vendor.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Report {
    measurement: [u8; 48],
    report_data: [u8; 64],
}

impl Statement for Report {
    const DOMAIN: &'static str = "adyton/v1/simulated-report";

    fn write(&self, fields: &mut Fields) {
        fields.bytes(&self.measurement);
        fields.bytes(&self.report_data);
    }

    fn read(fields: &mut Source<'_>) -> Result<Self, WireError> {
        Ok(Self {
            measurement: fields.array("measurement")?,
            report_data: fields.array("report data")?,
        })
    }
}

/// The root of all simulated platforms; its secret is no secret.
fn root() -> SigningKey {
    SigningKey::from_seed(&digest::sha256(b"adyton simulated platform: protects nothing"))
}

fn root_public_key() -> PublicKey {
    root().public_key()
}

/// Verifies simulated evidence.
pub(crate) fn verify(evidence: &[u8]) -> Result<Claims, VerificationError> {
    let signed = Signed::<Report>::decode(evidence).map_err(|_| VerificationError::Malformed)?;
    let report = signed.verify(&root_public_key()).map_err(|_| VerificationError::Signature)?;
    Ok(Claims {
        kind: crate::SIMULATED.to_owned(),
        simulated: true,
        debug: false,
        measurement: Measurement::from_bytes(&report.measurement)
            .ok_or(VerificationError::Malformed)?,
        report_data: report.report_data,
    })
}

/// A platform made of two files and the digest of an executable.
pub struct Simulated {
    directory: PathBuf,
    measurement: [u8; 48],
    sealing_key: Zeroizing<[u8; 32]>,
    counter: Mutex<u64>,
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
        let counter = if path.try_exists().map_err(io("look for the counter"))? {
            u64::from_le_bytes(read(&path, "counter")?)
        } else {
            0
        };
        Ok(Self {
            directory: directory.to_owned(),
            measurement,
            sealing_key,
            counter: Mutex::new(counter),
        })
    }

    /// What this platform would measure of `executable`: its SHA-384.
    ///
    /// # Errors
    /// [`PlatformError::Io`] when it cannot be read.
    pub fn measurement_of(executable: &Path) -> Result<Measurement, PlatformError> {
        Measurement::from_bytes(&measure(executable)?).ok_or(PlatformError::Damaged("measurement"))
    }
}

impl std::fmt::Debug for Simulated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Simulated({})", self.directory.display())
    }
}

impl EvidenceProvider for Simulated {
    fn kind(&self) -> &'static str {
        crate::SIMULATED
    }

    fn evidence(&self, report_data: &[u8; 64]) -> Result<Vec<u8>, PlatformError> {
        let report = Report { measurement: self.measurement, report_data: *report_data };
        Ok(Signed::new(&report, &root()).encode())
    }
}

impl Platform for Simulated {
    fn sealing_key(&self) -> Result<Zeroizing<[u8; 32]>, PlatformError> {
        Ok(self.sealing_key.clone())
    }

    fn counter(&self) -> Result<Option<u64>, PlatformError> {
        Ok(Some(*self.counter.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    fn advance_counter(&self, to: u64) -> Result<(), PlatformError> {
        let mut counter = self.counter.lock().unwrap_or_else(PoisonError::into_inner);
        if to < *counter {
            return Err(PlatformError::CounterBackwards { at: *counter, to });
        }
        replace(&self.directory, COUNTER, &to.to_le_bytes())?;
        *counter = to;
        Ok(())
    }
}

fn io(what: &'static str) -> impl Fn(std::io::Error) -> PlatformError {
    move |source| PlatformError::Io { what, source }
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
