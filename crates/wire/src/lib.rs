//! Messages between the parties, their limits and canonical statements; no I/O beyond frames over `Read` and `Write`.
//!
//! Three layers, from the outside in:
//!
//! 1. [`frame`]: a length, checked before anything is allocated, and that many bytes.
//! 2. [`Request`] and [`Response`]: typed messages, protobuf on the wire ([`message`]). Decoding checks every length, rejects
//!    unknown fields and leaves no byte over. All decoders are pure functions of a byte slice.
//! 3. [`statement`]s: canonical bytes of what is signed ([`Signed`]) or hashed, independent of protobuf. Secrets travel
//!    [`Sealed`] to a key that a statement names.
//!
//! Suites are named on the wire: signatures are Ed25519 (1), sealing is HPKE with X-Wing, HKDF-SHA256 and ChaCha20Poly1305 (1).
#![forbid(unsafe_code)]

mod address;
mod canonical;
pub mod digest;
mod error;
pub mod frame;
mod ids;
pub mod limits;
pub mod message;
mod problem;
mod random;
pub mod seal;
pub mod sign;
pub mod statement;

#[expect(missing_docs, unreachable_pub, reason = "generated; the comments of the proto file are carried over")]
#[rustfmt::skip]
#[path = "generated.rs"]
mod proto;

pub use address::{Address, AddressError};
pub use error::WireError;
pub use ids::{
    DeploymentId, InstanceId, JobId, Nonce, ObjectId, ProgramId, SessionId, SessionNonce,
};
pub use message::{Reply, Request, Response};
pub use problem::Problem;
pub use random::random_bytes;
pub use seal::Sealed;
pub use sign::{PublicKey, Signed, SigningKey};
