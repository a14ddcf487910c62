//! What the enclave needs of the platform it runs on.

use std::path::PathBuf;
use zeroize::Zeroizing;

/// Why a platform did not serve.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// Reading or writing its files failed.
    #[error("{what}")]
    Io {
        /// What was attempted.
        what: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Its files are not what it wrote.
    #[error("the platform's {0} is damaged")]
    Damaged(&'static str),
    /// It answered something else than its interface promises.
    #[error("{platform} answered {problem}")]
    Answer {
        /// Which platform.
        platform: &'static str,
        /// What was wrong.
        problem: String,
    },
    /// It is not there.
    #[error("{0}")]
    Missing(String),
    /// The counter was asked to move back.
    #[error("the counter stands at {at} and cannot move to {to}")]
    CounterBackwards {
        /// Where it stands.
        at: u64,
        /// Where it should have gone.
        to: u64,
    },
    /// No random bytes.
    #[error(transparent)]
    Wire(#[from] adyton_wire::WireError),
}

/// Makes evidence.
pub trait EvidenceProvider {
    /// Kind of its evidence, as verifiers name it: `sev-snp`, `tdx`, `sgx`, `nitro`, `tpm`.
    fn kind(&self) -> &'static str;

    /// Whether it is simulated and protects nothing.
    fn simulated(&self) -> bool {
        false
    }

    /// Folders whose files it goes on to open after it was itself opened: all that a sandbox must leave it.
    fn paths(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Evidence that this program, as measured, asked for `report_data` to be vouched for, in the form of its vendor.
    ///
    /// # Errors
    /// [`PlatformError`] when the platform does not answer.
    fn evidence(&self, report_data: &[u8; 64]) -> Result<Vec<u8>, PlatformError>;
}

/// A platform with secrets and a memory of its own.
pub trait Platform: EvidenceProvider + Send + Sync {
    /// A secret that this program on this platform always gets and no other does: seals its state.
    ///
    /// # Errors
    /// [`PlatformError`] when the platform does not answer.
    fn sealing_key(&self) -> Result<Zeroizing<[u8; 32]>, PlatformError>;

    /// Whether the sealing key outlives the process: where not, no state of an earlier process opens.
    fn lasting(&self) -> bool {
        true
    }

    /// The monotonic counter, 0 at first; `None` where the platform has none.
    ///
    /// # Errors
    /// [`PlatformError`] when the platform does not answer.
    fn counter(&self) -> Result<Option<u64>, PlatformError>;

    /// Moves the counter forward to `to`, durably; without effect where there is none.
    ///
    /// # Errors
    /// [`PlatformError::CounterBackwards`] for less than where it stands.
    fn advance_counter(&self, to: u64) -> Result<(), PlatformError>;
}

/// `map_err` for errors of files.
pub(crate) fn io(what: &'static str) -> impl Fn(std::io::Error) -> PlatformError {
    move |source| PlatformError::Io { what, source }
}
