//! Evidence providers and verification: which enclave is this?
//!
//! Two sides meet here. Inside the enclave a [`Platform`] makes evidence over 64 bytes of report data, and lends a sealing key and a
//! monotonic counter. Outside, an owner [appraises](appraise) evidence against an [`AppraisalPolicy`] that denies by default;
//! only then does it hold a [`VerifiedEnclave`], the one type from which keys to seal to and to verify with can be taken.
//!
//! This version knows one platform, the *simulated* one behind the feature of that name. It proves nothing and protects nothing.
#![forbid(unsafe_code)]

mod appraise;
mod claims;
mod platform;
#[cfg(feature = "simulated")]
mod simulated;

pub use appraise::{AppraisalError, AppraisalPolicy, VerifiedEnclave, appraise};
pub use claims::{Claims, Measurement, VerificationError, verify};
pub use platform::{EvidenceProvider, Platform, PlatformError};
#[cfg(feature = "simulated")]
pub use simulated::Simulated;

/// Name of the simulated platform in evidence and policies.
pub const SIMULATED: &str = "simulated";
