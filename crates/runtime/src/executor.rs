//! Runs a program over a backend: tasks in parallel, earliest first, values freed at their last use.
//!
//! A task is one step of one group, except that `Products` takes all groups together, and several rows of a layer with them
//! ([`Schedule`]), so that weights and operands are read from memory once for all. A worker picks the earliest task whose
//! operands are there; none may run ahead of the earliest unfinished stage by more than a window. So memory stays near that of
//! execution step by step, and [`crate::estimate_memory`] can bound it.
//!
//! Which thread does a task has no influence on what it computes: results are bit for bit the same for any number of
//! threads.

mod state;
mod task;

use std::{
    iter::repeat_n,
    panic::resume_unwind,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Instant,
};

use adyton_program::{Step, ValueId, VerifiedProgram};

use self::state::{State, Task};
use crate::{Backend, Place, Profile, RunError, Schedule, Value};

/// How far a run has come. A step of one group counts as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Steps done, over all groups.
    pub done: usize,
    /// Steps to do, over all groups.
    pub total: usize,
}

/// Is told how far a run has come. Called under the executor's lock: it must return soon.
pub type ProgressFn<'a> = &'a (dyn Fn(Progress, &Profile) + Sync);
/// Is shown every value that a step defines, before any other step sees it.
pub type TraceFn<'a, B> = &'a (dyn Fn(Place, ValueId, &Value<B>) + Sync);

/// How to run: number of threads, and who watches.
pub struct RunOptions<'a, B: Backend> {
    threads: usize,
    cancel: Option<&'a AtomicBool>,
    progress: Option<ProgressFn<'a>>,
    trace: Option<TraceFn<'a, B>>,
}

impl<'a, B: Backend> RunOptions<'a, B> {
    /// Runs on `threads` worker threads, at least one.
    #[must_use]
    pub const fn threads(threads: usize) -> Self {
        Self { threads, cancel: None, progress: None, trace: None }
    }

    /// Stops soon after the flag is raised: tasks that run are finished, none is started.
    #[must_use]
    pub const fn cancel(mut self, flag: &'a AtomicBool) -> Self {
        self.cancel = Some(flag);
        self
    }

    /// Reports progress after every task.
    #[must_use]
    pub const fn progress(mut self, report: ProgressFn<'a>) -> Self {
        self.progress = Some(report);
        self
    }

    /// Shows every value.
    #[must_use]
    pub const fn trace(mut self, show: TraceFn<'a, B>) -> Self {
        self.trace = Some(show);
        self
    }
}

/// What a run gives.
#[derive(Clone, Debug)]
pub struct Outcome<R> {
    /// The result of every group, in their order.
    pub results: Vec<R>,
    /// Time by step kind.
    pub profile: Profile,
}

/// A program to run, any number of times and on any backend made for it.
#[derive(Clone, Debug)]
pub struct Executor {
    program: Arc<VerifiedProgram>,
}

impl Executor {
    /// An executor of this program.
    #[must_use]
    pub const fn new(program: Arc<VerifiedProgram>) -> Self {
        Self { program }
    }

    /// The program.
    #[must_use]
    pub const fn program(&self) -> &Arc<VerifiedProgram> {
        &self.program
    }

    /// Runs the program on groups of inputs; each group has one value for each input ciphertext of the program.
    ///
    /// # Errors
    /// [`RunError`]: a backend made for another program, a group of the wrong size, a step that the backend could not carry out, cancellation.
    pub fn run<B: Backend>(
        &self,
        backend: &B,
        groups: Vec<Vec<B::Fresh>>,
        options: &RunOptions<'_, B>,
    ) -> Result<Outcome<B::Result>, RunError<B::Error>> {
        if groups.is_empty() || options.threads == 0 {
            return Err(RunError::Nothing);
        }
        if backend.program() != self.program.id() {
            return Err(RunError::OtherProgram);
        }
        let expected = self.program.program().input.ciphertexts.len();
        if let Some((group, inputs)) =
            groups.iter().enumerate().find(|(_, inputs)| inputs.len() != expected)
        {
            return Err(RunError::InputCount { group, given: inputs.len(), expected });
        }

        let started = Instant::now();
        let schedule = Schedule::new(&self.program);
        let window = window(options.threads);
        let workshop = Workshop {
            steps: &self.program.program().steps,
            schedule: &schedule,
            backend,
            options,
            groups: groups.len(),
            state: Mutex::new(State::new(&schedule, groups, window)),
            news: Condvar::new(),
        };
        let panic = thread::scope(|scope| {
            let mut workers = Vec::with_capacity(options.threads);
            for _ in 0..options.threads {
                match thread::Builder::new().spawn_scoped(scope, || workshop.work()) {
                    Ok(worker) => workers.push(worker),
                    Err(error) => {
                        workshop.fail(None, RunError::Thread(error));
                        break;
                    }
                }
            }
            workers.into_iter().filter_map(|worker| worker.join().err()).next()
        });
        if let Some(panic) = panic {
            // A defect of the backend: it belongs to the caller's thread, as if there were no workers.
            resume_unwind(panic);
        }
        let state = workshop.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut outcome = state.into_outcome(&schedule)?;
        outcome.profile.set_wall(started.elapsed(), options.threads);
        Ok(outcome)
    }
}

/// How many stages a task may be ahead of the earliest unfinished one.
pub(crate) const fn window(threads: usize) -> usize {
    if threads <= 1 { 1 } else { threads.saturating_mul(2) }
}

/// What the worker threads of one run share.
struct Workshop<'a, B: Backend> {
    steps: &'a [Step],
    schedule: &'a Schedule,
    backend: &'a B,
    options: &'a RunOptions<'a, B>,
    groups: usize,
    state: Mutex<State<B>>,
    /// Signalled whenever tasks become ready or the run ends.
    news: Condvar,
}

impl<B: Backend> Workshop<'_, B> {
    fn lock(&self) -> MutexGuard<'_, State<B>> {
        // A panic under the lock ends the run (see `AbortOnPanic`), so a poisoned state is never worked on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the run with an error.
    fn fail(&self, at: Option<Task>, error: RunError<B::Error>) {
        self.lock().fail(at, error);
        self.news.notify_all();
    }

    /// One worker thread: does tasks until there are none left.
    fn work(&self) {
        let _guard = AbortOnPanic(self);
        let mut state = self.lock();
        loop {
            if state.is_over() {
                return;
            }
            if self.options.cancel.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
                drop(state);
                return self.fail(None, RunError::Cancelled);
            }
            let Some(task) = state.next_task() else {
                state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let operands = state.operands(self.schedule, task);
            drop(state);

            let started = Instant::now();
            let outputs = operands.and_then(|operands| self.perform(task, &operands));
            let outputs = match outputs {
                Ok(outputs) => outputs,
                Err(error) => return self.fail(Some(task), error),
            };
            self.show(task, &outputs);
            let elapsed = started.elapsed();

            state = self.lock();
            let finished = state.finish(self.schedule, task, outputs, elapsed);
            if let Some(report) = self.options.progress {
                report(state.progress(), state.profile());
            }
            self.news.notify_all();
            // Memory is given back outside the lock.
            drop(state);
            drop(finished);
            state = self.lock();
        }
    }

    /// Shows a task's outputs to whoever traces the run.
    fn show(&self, task: Task, outputs: &[Vec<Value<B>>]) {
        let Some(trace) = self.options.trace else { return };
        let steps = self.schedule.steps_of(task.stage).iter();
        let steps: Vec<usize> =
            steps.flat_map(|&step| repeat_n(step, self.steps[step].outputs())).collect();
        for (group, values) in (task.group..).zip(outputs) {
            let named = steps.iter().zip(self.schedule.outputs(task.stage)).zip(values);
            for ((&step, &value), output) in named {
                trace(Place { step, group }, value, output);
            }
        }
    }
}

/// Ends the run when the thread that holds it panics, so that the other workers do not wait for its task for ever.
struct AbortOnPanic<'a, 'b, B: Backend>(&'a Workshop<'b, B>);

impl<B: Backend> Drop for AbortOnPanic<'_, '_, B> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.fail(None, RunError::Panicked);
        }
    }
}
