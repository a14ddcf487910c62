//! The machine that the enclave runs on, which is the host's: its platform, its clock, its disk, its power switch.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use adyton_attest::{EvidenceProvider, Platform, PlatformError, Simulated};
use adyton_enclave_weakened::{Clock, Defences, Enclave, Restart, StateFile};
use anyhow::Context;
use tempfile::TempDir;
use zeroize::Zeroizing;

const STATE: &str = "state";
const NOW: u64 = 1_800_000_000;
/// A file system in memory: a host's disk is as quiet as it likes.
const MEMORY: &str = "/dev/shm";

struct Clockwork(Arc<AtomicU64>);

impl Clock for Clockwork {
    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The simulated platform, with its counter or without.
struct Place {
    inner: Simulated,
    counts: bool,
}

impl EvidenceProvider for Place {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn simulated(&self) -> bool {
        true
    }

    fn evidence(&self, report_data: &[u8; 64]) -> Result<Vec<u8>, PlatformError> {
        self.inner.evidence(report_data)
    }
}

impl Platform for Place {
    fn sealing_key(&self) -> Result<Zeroizing<[u8; 32]>, PlatformError> {
        self.inner.sealing_key()
    }

    fn counter(&self) -> Result<Option<u64>, PlatformError> {
        if self.counts { self.inner.counter() } else { Ok(None) }
    }

    fn advance_counter(&self, to: u64) -> Result<(), PlatformError> {
        if self.counts { self.inner.advance_counter(to) } else { Ok(()) }
    }
}

/// What an enclave runs on, and the enclave while it runs.
pub(crate) struct Machine {
    folder: TempDir,
    defences: Defences,
    counts: bool,
    restart: Restart,
    enclave: Option<Enclave>,
}

impl Machine {
    /// A machine with a fresh enclave.
    pub(crate) fn new(defences: Defences, counts: bool, restart: Restart) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir_in(MEMORY).or_else(|_| tempfile::tempdir())?;
        let mut machine = Self { folder, defences, counts, restart, enclave: None };
        machine.start()?;
        Ok(machine)
    }

    /// The bytes of a reply for the bytes of a request.
    pub(crate) fn serve(&self, request: &[u8]) -> anyhow::Result<Vec<u8>> {
        Ok(self.enclave.as_ref().context("the enclave is down")?.serve(request))
    }

    /// The folder of the sealed state.
    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join(STATE)
    }

    /// Stops the enclave, does something to its folder, and starts it again.
    pub(crate) fn restart(
        &mut self,
        change: impl FnOnce(&Path) -> std::io::Result<()>,
    ) -> anyhow::Result<()> {
        self.enclave = None;
        change(&self.state())?;
        self.start()
    }

    fn start(&mut self) -> anyhow::Result<()> {
        let folder = self.folder.path().join("platform");
        let inner = Simulated::open_measured(&folder, &std::env::current_exe()?)?;
        let platform = Arc::new(Place { inner, counts: self.counts });
        let clock = Box::new(Clockwork(Arc::new(AtomicU64::new(NOW))));
        let state = StateFile::claim(&self.state())?;
        let (restart, defences) = (self.restart, self.defences);
        self.enclave = Some(Enclave::open_weakened(state, platform, clock, restart, defences)?);
        Ok(())
    }
}
