//! The enclave's side of attestation: what the platform below it gives.
//!
//! A [`Platform`] makes evidence over 64 bytes of report data, in its vendor's form, and lends a sealing key and a monotonic
//! counter where it has them. Owners verify the evidence with `adyton-appraise`, which takes every platform's, the simulated
//! one's included: what sets that one apart is its root alone, which no production trust store holds.
//!
//! | platform | evidence by | sealing key | counter |
//! |---|---|---|---|
//! | SNP, TDX | Linux's configfs-tsm | of the process | none |
//! | Nitro | the Nitro Secure Module | of the process | none |
//! | SGX | Gramine's attestation files | by the processor, for the measurement | none |
//! | TPM 2.0 | a quote of its registers | by the TPM, for the registers of the boot | the TPM's |
//! | simulated | a public key, for tests | a file | a file |
//!
//! A sealing key of the process ends with it: what it sealed opens never again, so nothing can be rolled back, and after a
//! restart owners register anew.

mod choose;
mod file;
mod gramine;
mod hardware;
mod nitro;
mod platform;
#[cfg(feature = "simulated")]
mod simulated;
mod tpm;
mod tsm;

pub use choose::{Places, PlatformName, UnknownPlatform, open};
pub use platform::{EvidenceProvider, Platform, PlatformError};
#[cfg(feature = "simulated")]
pub use simulated::{Form, Simulated};
