//! Time as the host tells it: good for expiry, never for secrecy.

use std::time::{SystemTime, UNIX_EPOCH};

/// A source of seconds since 1970.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> u64;
}

/// The system's clock. In an enclave the host controls it; the state keeps the latest time seen, so that it cannot be turned
/// back past anything that happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
    }
}
