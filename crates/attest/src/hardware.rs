//! A platform of real hardware: its evidence, and what secrets it lends.

use crate::platform::{EvidenceProvider, Platform, PlatformError};
use adyton_wire::random_bytes;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// What a kind of hardware gives beside evidence.
pub(crate) trait Provider: EvidenceProvider + Send + Sync {
    /// A secret of this program on this machine; `None` where the hardware lends none by the interface in use.
    fn secret(&self) -> Result<Option<Zeroizing<[u8; 32]>>, PlatformError> {
        Ok(None)
    }

    /// A monotonic counter, 0 at first; `None` where the interface in use has none.
    fn counter(&self) -> Result<Option<u64>, PlatformError> {
        Ok(None)
    }

    /// Moves the counter forward; without effect where there is none.
    fn advance_counter(&self, _to: u64) -> Result<(), PlatformError> {
        Ok(())
    }
}

/// Evidence by a provider; a sealing key that it lends or, without one, that lives as long as this process.
///
/// Of the interfaces in use the TPM's alone has a monotonic counter. Where the sealing key ends with the process that costs nothing: no
/// state of an earlier process opens at all. Where it lasts without one (SGX), older state can be put back, and the enclave says so.
pub(crate) struct Hardware<P> {
    provider: P,
    sealing_key: Zeroizing<[u8; 32]>,
    lasting: bool,
}

impl<P: Provider> Hardware<P> {
    pub(crate) fn new(provider: P) -> Result<Self, PlatformError> {
        let secret = provider.secret()?;
        let lasting = secret.is_some();
        let sealing_key = match secret {
            Some(secret) => secret,
            None => Zeroizing::new(random_bytes()?),
        };
        Ok(Self { provider, sealing_key, lasting })
    }
}

impl<P: Provider> EvidenceProvider for Hardware<P> {
    fn kind(&self) -> &'static str {
        self.provider.kind()
    }

    fn paths(&self) -> Vec<PathBuf> {
        self.provider.paths()
    }

    fn evidence(&self, report_data: &[u8; 64]) -> Result<Vec<u8>, PlatformError> {
        self.provider.evidence(report_data)
    }
}

impl<P: Provider> Platform for Hardware<P> {
    fn sealing_key(&self) -> Result<Zeroizing<[u8; 32]>, PlatformError> {
        Ok(self.sealing_key.clone())
    }

    fn lasting(&self) -> bool {
        self.lasting
    }

    fn counter(&self) -> Result<Option<u64>, PlatformError> {
        self.provider.counter()
    }

    fn advance_counter(&self, to: u64) -> Result<(), PlatformError> {
        self.provider.advance_counter(to)
    }
}
