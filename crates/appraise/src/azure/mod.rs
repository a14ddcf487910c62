//! Azure: a vTPM quote whose key an SNP report or a TDX quote vouches for.

use crate::Endorsements;
use crate::claims::{Claims, Kind};
use crate::error::VerifyError;
use crate::roots::TrustStore;
use crate::time::UnixTime;

/// Whether bytes look like this format; cheap and bounded.
pub(crate) fn recognise(_bytes: &[u8]) -> Option<Kind> {
    None
}

/// Verifies evidence of this format.
pub(crate) fn verify(
    _evidence: &[u8],
    _endorsements: &Endorsements,
    _roots: &TrustStore,
    _at: UnixTime,
) -> Result<Claims, VerifyError> {
    Err(VerifyError::new(
        "unsupported-format",
        "this build has no verifier for the format",
        "use another build",
    ))
}
