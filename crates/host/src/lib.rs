//! The untrusted server: stores ciphertexts, evaluates programs on them, relays to the enclave.
//!
//! The host is trusted with nothing but availability. It holds programs, ciphertexts and evaluation keys, and no secret
//! key; this crate cannot even reach code that handles one (`tests/build_property.rs`).
//!
//! # What is where
//!
//! * [`server`] starts and stops the whole; [`config`] is its command line.
//! * `service` answers the calls of `adyton.v1.Host`; what can be checked of a request is checked there.
//! * `worker` takes accepted jobs to their results: `evaluate` on all cores, then the enclave's release.
//! * [`memory`] bounds what evaluation may hold; `store` is what lies on disk; [`link`] is the way to the enclave.
//! * [`metrics`], [`usage`] and `http` count and tell.
#![forbid(unsafe_code)]

pub mod config;
mod core;
pub mod error;
mod evaluate;
mod http;
mod jobs;
pub mod link;
mod locks;
pub mod memory;
pub mod metrics;
pub mod server;
mod service;
mod store;
pub mod usage;
mod worker;

pub use store::StoreError;
