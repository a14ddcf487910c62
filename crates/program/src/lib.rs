//! The compiled network as data: steps, layouts, key manifest, codec and verifier.
//!
//! A [`Program`] is public: it holds shapes, parameters and operations, and no weight. Its digest is the program id that
//! deployments, sessions, jobs and receipts name.
//!
//! Slots are addressed as `position · lanes + lane`: a lane is one sample, a position one feature of it, and
//! `positions · lanes` is the number of slots. Rotations are counted in slots, to the left (slot `i + r` moves to `i`), cyclically.
#![forbid(unsafe_code)]

pub mod bounds;
pub mod bundle;
mod codec;
mod infer;
mod keys;
pub mod limits;
mod listing;
mod model;
mod verify;

#[cfg(test)]
mod fixture;

pub use codec::DecodeError;
pub use infer::{Form, Inference, ValueType, infer};
pub use keys::step_keys;
pub use listing::Listing;
pub use model::{
    InputLayout, ModelPrivacy, OutputLayout, Program, Step, ValueId, WeightId, WeightSpec,
};
pub use verify::{StepError, VerifiedProgram, VerifyError};
