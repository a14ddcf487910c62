//! Attacks of a malicious host on the enclave, each run with the defence that stops it taken away, when it must succeed, and with it,
//! when it must fail or stay within a bound that is computed and printed. THREATS.md names the levels A, B and C.
//!
//! The enclave here is compiled from the sources of the shipped one under a condition that no feature sets; see `weakened`.
#![expect(missing_docs, reason = "a test suite: what it prints says what it does")]

mod epochs;
mod foreign;
mod keys;
mod machine;
mod network;
mod noise;
mod oracle;
mod replay;
mod timing;
mod world;

#[path = "../../../crates/enclave/tests/common/mod.rs"]
mod common;
#[path = "../../../crates/enclave/src/tests/constant_time/welch.rs"]
mod welch;

use serde::Serialize;

pub use network::Layout;
pub use world::{Got, Setup, World};

/// Who attacks, in the terms of THREATS.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Level {
    /// The host follows the protocol and remembers everything.
    A,
    /// The host deviates; the session's data owner is honest.
    B,
    /// A data owner helps it.
    C,
}

/// What one run of an attack came to.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// Whether the attacker got what it was after.
    pub succeeded: bool,
    /// What it got.
    pub found: String,
}

impl Run {
    fn new(succeeded: bool, found: impl Into<String>) -> Self {
        Self { succeeded, found: found.into() }
    }
}

/// An attack without and with the defence.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub attack: &'static str,
    pub level: Level,
    pub defence: &'static str,
    pub off: Run,
    pub on: Run,
    /// What the defence leaves, where that is not nothing.
    pub bound: Option<String>,
}

impl Report {
    /// Whether it went as it must: success without the defence, none with it.
    pub fn as_expected(&self) -> bool {
        self.off.succeeded && !self.on.succeeded
    }
}

/// One attack of the suite.
pub type Attack = fn() -> anyhow::Result<Report>;

/// All of them.
pub const ATTACKS: &[Attack] = &[
    keys::raw,
    keys::masked,
    keys::added,
    keys::lanes,
    keys::within_the_ledger,
    keys::every_slot,
    keys::as_noise,
    keys::model_key,
    keys::model_key_masked,
    noise::honest_results,
    noise::averaged_replays,
    foreign::weight,
    foreign::evaluation_key,
    foreign::victims_result,
    foreign::swapped_jobs,
    foreign::another_model,
    foreign::unsigned_job,
    foreign::forms,
    oracle::replies,
    timing::releases,
    epochs::result,
    epochs::messages,
    replay::spent_job,
    replay::rolled_back_state,
];
