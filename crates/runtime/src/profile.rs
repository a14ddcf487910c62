//! Where the time of a run goes.

use std::{fmt, time::Duration};

use crate::StepKind;

/// Time and number of tasks of one kind of step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindProfile {
    /// Tasks done: a `Products` step is one task for all groups, another step one for each group.
    pub tasks: u64,
    /// Time that worker threads spent on them, summed over the threads.
    pub busy: Duration,
}

/// Time by kind of step, for reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    kinds: [KindProfile; StepKind::ALL.len()],
    wall: Duration,
    threads: usize,
}

impl Profile {
    /// The share of one kind.
    #[must_use]
    pub const fn kind(&self, kind: StepKind) -> KindProfile {
        self.kinds[kind as usize]
    }

    /// Every kind with its share.
    pub fn kinds(&self) -> impl Iterator<Item = (StepKind, KindProfile)> {
        StepKind::ALL.into_iter().map(|kind| (kind, self.kind(kind)))
    }

    /// Time that the worker threads spent on tasks, summed over the threads.
    #[must_use]
    pub fn busy(&self) -> Duration {
        self.kinds.iter().map(|kind| kind.busy).sum()
    }

    /// Time from the start of the run to its end; zero while it runs.
    #[must_use]
    pub const fn wall(&self) -> Duration {
        self.wall
    }

    /// Time that worker threads waited for tasks, summed over the threads; zero while the run lasts.
    #[must_use]
    pub fn idle(&self) -> Duration {
        let available = self.wall.saturating_mul(u32::try_from(self.threads).unwrap_or(u32::MAX));
        available.saturating_sub(self.busy())
    }

    pub(crate) fn record(&mut self, kind: StepKind, elapsed: Duration) {
        let share = &mut self.kinds[kind as usize];
        share.tasks += 1;
        share.busy += elapsed;
    }

    pub(crate) fn set_wall(&mut self, wall: Duration, threads: usize) {
        self.wall = wall;
        self.threads = threads;
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, share) in self.kinds() {
            write!(f, "{kind} {:.1} ms in {}, ", millis(share.busy), share.tasks)?;
        }
        write!(f, "idle {:.1} ms, wall {:.1} ms", millis(self.idle()), millis(self.wall))
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
