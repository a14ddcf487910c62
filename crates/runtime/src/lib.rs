//! Runs a program over a backend: cleartext or CKKS.
//!
//! An [`Executor`] is made from a program and runs it on any [`Backend`]: [`Cleartext`] computes on slot vectors and says
//! what the program means, [`Encrypted`] computes on ciphertexts and is what the host runs. Both see the same steps in the
//! same order of dependence, so they can be compared value by value ([`RunOptions::trace`]).
//!
//! This crate holds no secret key and cannot decrypt.
#![forbid(unsafe_code)]

mod backend;
mod bundle;
pub mod cleartext;
mod crew;
mod encrypted;
mod error;
mod executor;
mod load;
mod memory;
mod parallel;
mod profile;
mod schedule;
mod weights;

pub use backend::{
    Backend, Operands, Place, ProductRow, Rotatable, StepKind, Switchable, Value, ValueForm,
};
pub use bundle::{ItemError, floats, read_inputs, read_key, read_weights};
pub use cleartext::{Cleartext, CleartextError, Deviations};
pub use crew::crew;
pub use encrypted::{Encrypted, EncryptedError, EncryptedSum};
pub use error::{CrewError, RunError};
pub use executor::{Executor, Outcome, Progress, ProgressFn, RunOptions, TraceFn};
pub use load::{LoadError, load_inputs, load_keys};
pub use memory::{MemoryEstimate, estimate_memory};
pub use profile::{KindProfile, Profile};
pub use schedule::Schedule;
pub use weights::Weights;
