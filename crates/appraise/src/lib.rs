//! The verifier's side of attestation: is that really the enclave, and is that good enough?
//!
//! ```text
//! bytes ──recognise──▶ evidence ──verify──▶ Claims ──appraise──▶ Verdict
//!        by content              signatures         a Policy, data
//! ```
//!
//! [`verify`] checks every signature up to a root of the [`TrustStore`] and says what the evidence says, no more: [`Claims`]
//! of a debug enclave on withdrawn firmware are claims all the same. [`appraise`] holds them against a [`Policy`] that denies by
//! default, and gives either [`Accepted`], a type that nothing else makes, or every [`Reason`] for refusal.
//!
//! No network, no wall clock, no environment: time, roots, collateral and certificates are arguments.
#![forbid(unsafe_code)]

mod amd;
mod azure;
mod claims;
mod error;
pub mod eventlog;
pub mod expected;
mod intel;
mod nitro;
mod pki;
pub mod policy;
mod recognise;
mod roots;
mod text;
mod time;
mod tpm;
mod verdict;
mod x509;

pub use claims::{Bytes, Claims, Digest, Kind, Root, TcbClaim, TcbStatus, Validity};
pub use error::VerifyError;
pub use policy::{Allowance, Policy, PolicyError, Rule};
pub use recognise::{MAX_EVIDENCE, Recognised, recognise};
pub use roots::{TrustStore, TrustedRoot, Vendor};
pub use time::{TimeError, UnixTime};
pub use verdict::{Accepted, Expected, Reason, Verdict, appraise, appraise_challenged};

/// Everything a verifier may need beside the evidence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endorsements {
    /// Files as given: Intel's collateral in JSON, revocation lists.
    pub collateral: Vec<Vec<u8>>,
    /// Certificates, DER or PEM, any number in each file.
    pub certificates: Vec<Vec<u8>>,
}

#[cfg(feature = "simulated")]
impl Endorsements {
    /// These, and the collateral of the simulated platform in Intel's place.
    #[must_use]
    pub fn with_simulated(mut self) -> Self {
        self.collateral.push(include_bytes!("../roots/simulated/tdx-collateral.json").to_vec());
        self.collateral.push(include_bytes!("../roots/simulated/sgx-collateral.json").to_vec());
        self
    }
}

/// Verifies evidence of any known format, recognised by its content: every signature up to a root of `roots`, at the time `at`.
///
/// # Errors
/// [`VerifyError`]: the evidence then proves nothing.
pub fn verify(
    evidence: &[u8],
    endorsements: &Endorsements,
    roots: &TrustStore,
    at: UnixTime,
) -> Result<Claims, VerifyError> {
    let Recognised { kind, bytes, certificates } = recognise(evidence)?;
    let mut endorsements = endorsements.clone();
    endorsements.certificates.extend(certificates);
    match kind {
        Kind::Sgx | Kind::Tdx => intel::verify(&bytes, &endorsements, roots, at),
        Kind::SevSnp => amd::verify(&bytes, &endorsements, roots, at),
        Kind::AzureSnp | Kind::AzureTdx => azure::verify(&bytes, &endorsements, roots, at),
        Kind::Nitro => nitro::verify(&bytes, &endorsements, roots, at),
        Kind::Tpm => tpm::verify(&bytes, &endorsements, roots, at),
    }
}
