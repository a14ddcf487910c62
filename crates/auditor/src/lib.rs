//! The auditor: executes a job again, from objects that it checks, and signs what it finds.
//!
//! [`Task::verify`] holds everything that a host says of a job against what others signed: the enclave its demand and the session's
//! keys, the model owner the deployment. [`Task::execute`] reads model, keys and inputs, each of which must be the object that the
//! demand names to the last byte, and evaluates with the host's own evaluator, `adyton-runtime`. Evaluation is exact, so an honest
//! host's result is found bit for bit. [`Task::finding`] is what the auditor signs.
//!
//! Nothing here can decrypt: the crate does not reach `adyton-ckks-secret`, and a test says so. An auditor sees what the host sees,
//! ciphertexts and evaluation keys.
#![forbid(unsafe_code)]

mod error;
mod execute;
mod hashing;
mod task;

pub use error::AuditError;
pub use execute::{Executed, Sources};
pub use task::Task;

/// Version of the evaluator, as findings name it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
