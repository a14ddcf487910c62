//! The attested program: makes keys, releases results, does nothing else.
//!
//! [`Enclave`] is the whole of it, without transport: requests in, replies out. [`serve`] puts it behind a Unix socket or TCP. What
//! the host sees of it is public or sealed; what it decides before decrypting rests on public data alone, and what it finds
//! after decrypting stands inside the sealed result.
//!
//! | module | does |
//! |---|---|
//! | `service` | requests to replies |
//! | `audit` | commitments, draws, findings |
//! | `rules` | who may do what; the making of a release |
//! | `release` | slots to results: checks, flooding, rounding, output form; no secret-dependent branch |
//! | `secrets` | seeds to keys, for the moment of use |
//! | `state`, `event` | what the enclave knows, built from records alone |
//! | `restart` | a new epoch, or going on |
//! | `store` | sealed, chained, counted records on disk |
//! | `vault`, `os` | locked memory; the one place with `unsafe` |
//! | `sandbox` | what the process gives up before it reads anything |
//! | `defences` | that all of them stand; `testing/attacks` compiles these sources with some away |
//! | `server`, `log`, `clock`, `plan` | sockets, log lines, time, what is kept of a program |
#![deny(unsafe_code)]

mod audit;
mod clock;
mod defences;
mod event;
mod log;
mod os;
mod plan;
mod release;
mod restart;
mod rules;
mod sandbox;
mod secrets;
mod server;
mod service;
mod state;
mod store;
#[cfg(test)]
mod tests;
mod vault;
#[cfg(adyton_attacks)]
mod weakened;

pub use clock::{Clock, SystemClock};
#[cfg(adyton_attacks)]
pub use defences::{Defence, Defences};
pub use log::{Field, Level, log};
pub use os::{Hardening, close_inherited, harden};
pub use plan::PlanError;
pub use restart::{Restart, UnknownRestart};
pub use sandbox::{Sandbox, SandboxError};
pub use server::{Listener, ServeError, serve};
pub use service::{Enclave, StartError, VERSION};
pub use store::{StateFile, StoreError};
