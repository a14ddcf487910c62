//! What a restart does where no counter tells whether the state is the latest.

use std::str::FromStr;

/// A choice for platforms whose sealing key lasts and that have no counter. With a counter older state is refused, and every restart
/// goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restart {
    /// The state before is given up: fresh keys, the next epoch, owners register anew. Older state put back gains nothing.
    #[default]
    NewEpoch,
    /// The state is gone on with, whether it is the latest or not: whoever puts an older one back has quotas, ledgers and draws of audits
    /// rolled back with it.
    Continue,
}

/// The first epoch of a state.
const FIRST: u32 = 1;

impl Restart {
    /// The epoch to begin, if any, in a state whose last one this is.
    pub(crate) fn begins(self, last: Option<u32>, counted: bool) -> Option<u32> {
        match (last, self) {
            (None, _) => Some(FIRST),
            (Some(last), Self::NewEpoch) if !counted => Some(last.saturating_add(1)),
            _ => None,
        }
    }
}

/// Neither of the two.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--on-restart takes new-epoch or continue, not {0:?}")]
pub struct UnknownRestart(String);

impl FromStr for Restart {
    type Err = UnknownRestart;

    fn from_str(text: &str) -> Result<Self, UnknownRestart> {
        match text {
            "new-epoch" => Ok(Self::NewEpoch),
            "continue" => Ok(Self::Continue),
            other => Err(UnknownRestart(other.to_owned())),
        }
    }
}
