//! RNS-CKKS, secret part: secret keys, key generation, encryption, decryption, noise measurement.
//!
//! Only owners and the enclave may depend on this crate; the host and its runtime must not.
//!
//! * [`SecretKey`] is derived from a 32-byte seed by role and epoch and wiped when dropped.
//! * [`SecretKey::encrypt`] makes seeded, half-size ciphertexts; [`PublicKey`] encrypts without the secret.
//! * [`KeyGenerator`] makes evaluation keys, all of them encryptions under the result key.
//! * [`Decryptor`] decrypts, [`NoiseReport`] measures.
//!
//! Secret coefficients are sampled and combined without branches or memory accesses that depend on them. Memory that held them is
//! overwritten before it is freed.
#![forbid(unsafe_code)]

mod decrypt;
mod evaluation;
mod measure;
mod public;
mod randomness;
mod secret;

pub use decrypt::Decryptor;
pub use evaluation::KeyGenerator;
pub use measure::NoiseReport;
pub use public::PublicKey;
pub use randomness::{EntropyError, Randomness};
pub use secret::SecretKey;
