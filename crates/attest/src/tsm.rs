//! SEV-SNP and TDX by Linux's common interface, `configfs-tsm` (Linux, Documentation/ABI/testing/configfs-tsm-report).

use crate::file;
use crate::hardware::Provider;
use crate::platform::{EvidenceProvider, PlatformError, io};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Where Linux has it.
pub(crate) const ROOT: &str = "/sys/kernel/config/tsm/report";
/// The folder that this program makes there.
const ENTRY: &str = "adyton-enclave";
/// Bytes of a report or quote, and of the certificates beside it, at most.
const MAX_BLOB: usize = 1 << 16;
/// Attempts when somebody else writes to our entry.
const ATTEMPTS: usize = 4;

/// The kernel's attestation of a confidential guest.
#[derive(Debug)]
pub(crate) struct Tsm {
    entry: PathBuf,
    kind: &'static str,
    /// One request at a time: what is written and what is read are of one entry.
    turn: Mutex<()>,
}

impl Tsm {
    /// Makes an entry below `root`, which is [`ROOT`] but for tests.
    ///
    /// # Errors
    /// [`PlatformError::Missing`] where the kernel has the folder and nothing that makes reports; another one where it lets no entry be
    /// made, or names a guest of an unknown kind.
    pub(crate) fn open(root: &Path) -> Result<Self, PlatformError> {
        let entry = root.join(ENTRY);
        match std::fs::create_dir(&entry) {
            // Left by an earlier process; the generation tells if it still writes.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            // What Linux answers while no driver of a guest has registered.
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => {
                return Err(without_provider(root));
            }
            made => made.map_err(io("make an entry in the kernel's report folder"))?,
        }
        let provider = entry.join("provider");
        if !provider.exists() {
            let _ = std::fs::remove_dir(&entry);
            return Err(without_provider(root));
        }
        let provider = file::line(&provider)?;
        let kind = match provider.as_str() {
            "sev_guest" => "sev-snp",
            "tdx_guest" => "tdx",
            _ => {
                return Err(PlatformError::Answer {
                    platform: "configfs-tsm",
                    problem: format!(
                        "the provider {provider:?}; known are sev_guest and tdx_guest"
                    ),
                });
            }
        };
        Ok(Self { entry, kind, turn: Mutex::new(()) })
    }

    fn generation(&self) -> Result<u64, PlatformError> {
        let text = file::line(&self.entry.join("generation"))?;
        text.parse().map_err(|_| PlatformError::Answer {
            platform: "configfs-tsm",
            problem: format!("{text:?} for a generation"),
        })
    }

    /// A report over `data`, or `None` when somebody else wrote to the entry meanwhile.
    fn attempt(&self, data: &[u8; 64]) -> Result<Option<Vec<u8>>, PlatformError> {
        let before = self.generation()?;
        let put = std::fs::write(self.entry.join("inblob"), data);
        put.map_err(io("hand the report data to the kernel"))?;
        let mut report = match file::bytes(&self.entry.join("outblob"), MAX_BLOB) {
            // EWOULDBLOCK: another request is under way.
            Err(PlatformError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::WouldBlock =>
            {
                return Ok(None);
            }
            read => read?,
        };
        // The host's certificates, where it hands any out: SNP's table goes behind the report, as the firmware lays it out.
        let certificates = self.entry.join("auxblob");
        if self.kind == "sev-snp" && certificates.exists() {
            report.extend(file::contents(&certificates, MAX_BLOB)?);
        }
        Ok((self.generation()? == before.wrapping_add(1)).then_some(report))
    }
}

fn without_provider(root: &Path) -> PlatformError {
    PlatformError::Missing(format!(
        "the kernel has {} and no provider of reports behind it: is this a confidential guest, with its module (sev-guest, tdx-guest) loaded?",
        root.display()
    ))
}

impl EvidenceProvider for Tsm {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn paths(&self) -> Vec<PathBuf> {
        vec![self.entry.clone()]
    }

    fn evidence(&self, report_data: &[u8; 64]) -> Result<Vec<u8>, PlatformError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..ATTEMPTS {
            if let Some(report) = self.attempt(report_data)? {
                return Ok(report);
            }
        }
        Err(PlatformError::Answer {
            platform: "configfs-tsm",
            problem: format!(
                "another generation each of {ATTEMPTS} times: does somebody else write to {}?",
                self.entry.display()
            ),
        })
    }
}

impl Provider for Tsm {}

impl Drop for Tsm {
    fn drop(&mut self) {
        // The kernel frees the entry; one that stays is taken again by the next process.
        let _ = std::fs::remove_dir(&self.entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write;
    use std::process::Command;
    use std::thread::{self, JoinHandle};

    fn pipe(path: &Path) {
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    }

    /// Gives one reader of the attribute these bytes: a fresh pipe takes its place as soon as the reader is there.
    fn give(attribute: &Path, bytes: &[u8]) {
        let fresh = attribute.with_extension("fresh");
        pipe(&fresh);
        let mut reader = File::options().write(true).open(attribute).unwrap();
        std::fs::rename(&fresh, attribute).unwrap();
        reader.write_all(bytes).unwrap();
    }

    /// A kernel: attributes are pipes, so that each read and write meets what the kernel does at that moment.
    struct Kernel {
        folder: tempfile::TempDir,
    }

    impl Kernel {
        fn new(provider: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let entry = folder.path().join(ENTRY);
            std::fs::create_dir(&entry).unwrap();
            std::fs::write(entry.join("provider"), provider).unwrap();
            for attribute in ["generation", "inblob", "outblob", "auxblob"] {
                pipe(&entry.join(attribute));
            }
            Self { folder }
        }

        fn path(&self, attribute: &str) -> PathBuf {
            self.folder.path().join(ENTRY).join(attribute)
        }

        /// Serves requests, each with the generations that it shows before and after; gives what was asked.
        fn serve(&self, generations: Vec<(u64, u64)>, certificates: bool) -> JoinHandle<Vec<u8>> {
            let path = |name| self.path(name);
            let [generation, inblob, outblob, auxblob] =
                ["generation", "inblob", "outblob", "auxblob"].map(path);
            thread::spawn(move || {
                let mut asked = Vec::new();
                for (before, after) in generations {
                    give(&generation, format!("{before}\n").as_bytes());
                    asked = std::fs::read(&inblob).unwrap();
                    give(&outblob, &[b"report of ", asked.as_slice()].concat());
                    if certificates {
                        give(&auxblob, b"table");
                    }
                    give(&generation, format!("{after}\n").as_bytes());
                }
                asked
            })
        }
    }

    #[test]
    fn a_report_is_of_the_data_and_of_one_generation() {
        let kernel = Kernel::new("sev_guest\n");
        let tsm = Tsm::open(kernel.folder.path()).unwrap();
        assert_eq!(tsm.kind(), "sev-snp");
        // Somebody else wrote during the first request: it is asked again.
        let served = kernel.serve(vec![(3, 5), (5, 6)], true);
        let report = tsm.evidence(&[7; 64]).unwrap();
        assert_eq!(served.join().unwrap(), [7; 64]);
        assert_eq!(report, [b"report of ".as_slice(), &[7; 64], b"table"].concat());

        let served = kernel.serve(vec![(0, 2); ATTEMPTS], true);
        assert!(matches!(tsm.evidence(&[7; 64]), Err(PlatformError::Answer { .. })));
        served.join().unwrap();
    }

    #[test]
    fn a_trust_domain_has_its_quote_alone() {
        let kernel = Kernel::new("tdx_guest\n");
        let tsm = Tsm::open(kernel.folder.path()).unwrap();
        assert_eq!(tsm.kind(), "tdx");
        let served = kernel.serve(vec![(0, 1)], false);
        let report = tsm.evidence(&[9; 64]).unwrap();
        served.join().unwrap();
        assert_eq!(report, [b"report of ".as_slice(), &[9; 64]].concat());
    }

    #[test]
    fn other_guests_and_absent_kernels_are_told() {
        let kernel = Kernel::new("arm_cca_guest\n");
        let error = Tsm::open(kernel.folder.path()).unwrap_err();
        assert!(error.to_string().contains("arm_cca_guest"), "{error}");
        assert!(Tsm::open(&kernel.folder.path().join("absent")).is_err());
        let empty = tempfile::tempdir().unwrap();
        assert!(matches!(Tsm::open(empty.path()), Err(PlatformError::Missing(_))));
        assert!(!empty.path().join(ENTRY).exists());
    }
}
