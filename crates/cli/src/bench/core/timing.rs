//! Rounds of one operation, timed by the thread's own clock, which leaves out what other processes take.

use crate::error::CliError;
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::hint::black_box;
use std::time::Duration;

/// Fewest rounds that count.
const FEWEST: usize = 3;
/// Most rounds: more tell nothing new.
const MOST: usize = 20_000;
/// A round of short operations takes at least this long, so that the clock's own time does not count.
const ROUND: Duration = Duration::from_micros(20);

/// Time of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Nanoseconds {
    /// The fastest round: what the operation takes when nothing disturbs it.
    pub(super) min: f64,
    /// The median round.
    pub(super) median: f64,
}

impl Nanoseconds {
    /// The time of one of `parts` that were done together.
    pub(super) fn per(self, parts: f64) -> Self {
        Self { min: self.min / parts, median: self.median / parts }
    }
}

/// Times operations, each for about as long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timer {
    /// Time for the rounds of one operation.
    pub(super) budget: Duration,
}

impl Timer {
    /// Runs `work` once to warm up, then in rounds until the budget is spent.
    pub(super) fn time<T, E: std::error::Error + Send + Sync + 'static>(
        self,
        mut work: impl FnMut() -> Result<T, E>,
    ) -> Result<Nanoseconds, CliError> {
        let mut once = || work().map(|result| drop(black_box(result))).map_err(failed);
        let began = spent()?;
        once()?;
        let several = ROUND.as_nanos() / (spent()? - began).as_nanos().max(20) + 1;
        let mut rounds = Vec::new();
        let began = spent()?;
        let mut now = began;
        while rounds.len() < FEWEST || (now - began < self.budget && rounds.len() < MOST) {
            for _ in 0..several {
                once()?;
            }
            let before = std::mem::replace(&mut now, spent()?);
            rounds.push((now - before).as_nanos() as f64 / several as f64);
        }
        rounds.sort_by(f64::total_cmp);
        let at = |index: usize| rounds.get(index).copied().unwrap_or(f64::NAN);
        Ok(Nanoseconds { min: at(0), median: at(rounds.len() / 2) })
    }
}

/// Processor time of this thread.
fn spent() -> Result<Duration, CliError> {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).map_err(CliError::usage)
}

/// `map_err` for what fails inside a benchmark.
pub(super) fn failed<E: std::error::Error + Send + Sync + 'static>(error: E) -> CliError {
    CliError::part("the benchmark cannot go on")(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    #[test]
    fn the_fastest_round_is_not_slower_than_the_median() {
        let timer = Timer { budget: Duration::from_millis(5) };
        let work = || Ok::<_, Infallible>((0..1000u64).fold(0, |x, i| black_box(x ^ i)));
        let time = timer.time(work).unwrap();
        assert!(time.min > 0.0 && time.min <= time.median);
        assert_eq!(time.per(2.0).min, time.min / 2.0);
    }

    #[test]
    fn a_failure_ends_the_rounds() {
        let timer = Timer { budget: Duration::from_millis(5) };
        assert!(timer.time(|| Err::<(), _>(std::fmt::Error)).is_err());
    }
}
