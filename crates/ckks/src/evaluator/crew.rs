//! Who computes the parts of one operation.
//!
//! Parts are limbs, rotations or stretches of coefficients: they share nothing that any of them writes, and arithmetic is exact, so
//! results do not depend on who computed what when.

use std::fmt::Debug;

use super::Evaluator;
use crate::CkksError;

/// One part of an operation.
pub type Task<'a> = Box<dyn FnOnce() + Send + 'a>;

/// Threads that share out the parts of an operation.
pub trait Crew: Debug + Send + Sync {
    /// Runs every task, on any thread and in any order, and returns when all are done.
    fn run(&self, tasks: Vec<Task<'_>>);
}

/// The calling thread by itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Crew for Alone {
    fn run(&self, tasks: Vec<Task<'_>>) {
        tasks.into_iter().for_each(|task| task());
    }
}

impl Evaluator {
    /// Does `work` on every item, shared out among the crew; results are in the order of the items.
    pub(super) fn share<T: Send, R: Send>(
        &self,
        items: impl IntoIterator<Item = T>,
        work: impl Fn(T) -> Result<R, CkksError> + Sync,
    ) -> Result<Vec<R>, CkksError> {
        let items: Vec<T> = items.into_iter().collect();
        let mut results: Vec<Option<Result<R, CkksError>>> = items.iter().map(|_| None).collect();
        let work = &work;
        let tasks = items.into_iter().zip(&mut results).map(|(item, result)| {
            let task: Task<'_> = Box::new(move || *result = Some(work(item)));
            task
        });
        self.crew.run(tasks.collect());
        results.into_iter().map(|result| result.unwrap_or(Err(CkksError::Unfinished))).collect()
    }
}
