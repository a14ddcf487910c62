//! The host's gRPC service `adyton.v1.Host`, generated from `proto/adyton/v1/host.proto`.
//!
//! Messages of the enclave's protocol travel inside as encoded bytes of `adyton-wire`. [`Status`](tonic::Status)es carry a
//! machine-readable [`Problem`].
#![forbid(unsafe_code)]

mod problem;

/// The channels and statuses that the generated clients take and give.
pub use tonic;

pub use problem::{HostProblem, PROBLEM_KEY, Problem, problem, with_problem};

/// The service and its messages, version 1.
#[expect(
    missing_docs,
    clippy::allow_attributes,
    reason = "generated; the comments of the proto file are carried over"
)]
pub mod v1 {
    tonic::include_proto!("adyton.v1");
}

/// Largest chunk of an upload or download, in bytes.
pub const MAX_CHUNK: usize = 1 << 20;

/// Largest single message of the service, in bytes: a registration with its program, or a chunk with its envelope.
/// Equal to the largest frame of the enclave's protocol plus room for the envelope.
pub const MAX_MESSAGE: usize = (64 << 20) + (64 << 10);
