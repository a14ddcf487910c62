//! RNS-CKKS, public part: parameters, encoder, ciphertexts, evaluation keys, evaluator; holds no secret-key code.
//!
//! # What is where
//!
//! * [`ParametersLiteral`] is parameters as data; [`Parameters`] is the validated form that everything else takes.
//! * [`Encoder`] turns vectors into [`Plaintext`]s and back.
//! * [`Ciphertext`] and its kin carry in their type whose key they are under: [`ModelKey`], [`InputKey`], [`ResultKey`].
//! * [`KeySpec`] names an evaluation key, [`EvaluationKeys`] holds some, and [`Evaluator`] computes.
//! * [`noise`] predicts errors; [`codec`] has the common parts of the binary formats.
//!
//! Decryption and everything else that touches a secret key is in the crate `adyton-ckks-secret`.
#![forbid(unsafe_code)]

mod ciphertext;
pub mod codec;
mod encoder;
mod error;
mod evaluator;
mod keys;
pub mod noise;
pub mod parameters;
mod role;
mod scale;
pub mod wire;

pub use adyton_ring::{Kernel, RingKind, Seed};
pub use ciphertext::{
    Ciphertext, Degree2, Plaintext, ProductSum, ResultCiphertext, SeededCiphertext,
};
pub use encoder::{DecodeBuffer, Encoder};
pub use error::CkksError;
pub use evaluator::{
    Alone, Crew, Evaluator, PreparedMasks, PreparedWeights, SwitchTerm, Task, Weight,
};
pub use keys::{EvaluationKey, EvaluationKeys, KeySet, KeySource, KeySpec, SeededEvaluationKey};
pub use noise::NoiseModel;
pub use parameters::{Gadget, Parameters, ParametersError, ParametersLiteral, Security};
pub use role::{InputKey, KeyRole, ModelKey, OperandRole, ResultKey, Role};
pub use scale::Scale;
