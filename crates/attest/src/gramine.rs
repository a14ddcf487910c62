//! SGX through Gramine's attestation files (Gramine, "Attestation and Secret Provisioning": `/dev/attestation`).

use crate::file;
use crate::hardware::Provider;
use crate::platform::{EvidenceProvider, PlatformError, io};
use adyton_wire::digest;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use zeroize::Zeroizing;

/// Where Gramine has them.
pub(crate) const ROOT: &str = "/dev/attestation";
/// Bytes of a quote, at most.
const MAX_QUOTE: usize = 1 << 16;
/// Bytes of a key that the processor derives.
const KEY: usize = 16;

/// Gramine's attestation of an SGX enclave.
#[derive(Debug)]
pub(crate) struct Gramine {
    root: PathBuf,
    /// One request at a time: report data and quote are files of the whole process.
    turn: Mutex<()>,
}

impl Gramine {
    /// Takes the files in `root`, which is [`ROOT`] but for tests.
    ///
    /// # Errors
    /// [`PlatformError`] unless Gramine was built to attest by DCAP.
    pub(crate) fn open(root: &Path) -> Result<Self, PlatformError> {
        let kind = file::line(&root.join("attestation_type"))?;
        if kind != "dcap" {
            return Err(PlatformError::Answer {
                platform: "Gramine",
                problem: format!(
                    "the attestation type {kind:?}; put `sgx.remote_attestation = \"dcap\"` into the manifest"
                ),
            });
        }
        Ok(Self { root: root.to_owned(), turn: Mutex::new(()) })
    }
}

impl EvidenceProvider for Gramine {
    fn kind(&self) -> &'static str {
        "sgx"
    }

    fn paths(&self) -> Vec<PathBuf> {
        vec![self.root.clone()]
    }

    fn evidence(&self, report_data: &[u8; 64]) -> Result<Vec<u8>, PlatformError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let put = std::fs::write(self.root.join("user_report_data"), report_data);
        put.map_err(io("hand the report data to Gramine"))?;
        file::bytes(&self.root.join("quote"), MAX_QUOTE)
    }
}

impl Provider for Gramine {
    /// Of the key that the processor derives for this enclave's measurement: another program gets another.
    fn secret(&self) -> Result<Option<Zeroizing<[u8; 32]>>, PlatformError> {
        let key = Zeroizing::new(file::bytes(&self.root.join("keys/_sgx_mrenclave"), KEY)?);
        if key.len() != KEY {
            return Err(PlatformError::Damaged("sealing key"));
        }
        Ok(Some(Zeroizing::new(digest::tagged("adyton/v1/sgx-sealing-key", &[key.as_slice()]))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Platform;
    use crate::hardware::Hardware;

    fn tree() -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        let write =
            |name: &str, bytes: &[u8]| std::fs::write(tree.path().join(name), bytes).unwrap();
        std::fs::create_dir(tree.path().join("keys")).unwrap();
        write("attestation_type", b"dcap");
        write("quote", b"a quote");
        write("keys/_sgx_mrenclave", &[3; 16]);
        tree
    }

    #[test]
    fn quotes_and_keys_are_gramines() {
        let tree = tree();
        let platform = Hardware::new(Gramine::open(tree.path()).unwrap()).unwrap();
        assert_eq!(platform.evidence(&[5; 64]).unwrap(), b"a quote");
        assert_eq!(std::fs::read(tree.path().join("user_report_data")).unwrap(), [5; 64]);
        assert!(platform.lasting() && !platform.simulated());
        let again = Hardware::new(Gramine::open(tree.path()).unwrap()).unwrap();
        assert_eq!(platform.sealing_key().unwrap(), again.sealing_key().unwrap());
        std::fs::write(tree.path().join("keys/_sgx_mrenclave"), [4; 16]).unwrap();
        let other = Hardware::new(Gramine::open(tree.path()).unwrap()).unwrap();
        assert_ne!(platform.sealing_key().unwrap(), other.sealing_key().unwrap());
    }

    #[test]
    fn what_gramine_does_not_promise_is_refused() {
        for (name, bytes) in
            [("attestation_type", b"none".as_slice()), ("keys/_sgx_mrenclave", &[1; 15])]
        {
            let tree = tree();
            std::fs::write(tree.path().join(name), bytes).unwrap();
            assert!(Gramine::open(tree.path()).and_then(Hardware::new).is_err(), "{name}");
        }
        let tree = tree();
        std::fs::write(tree.path().join("quote"), vec![0; MAX_QUOTE + 1]).unwrap();
        let gramine = Gramine::open(tree.path()).unwrap();
        assert!(matches!(gramine.evidence(&[0; 64]), Err(PlatformError::Answer { .. })));
    }
}
