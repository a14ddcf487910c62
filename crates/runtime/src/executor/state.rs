//! What changes during a run: which values are there, who waits for them, which tasks are ready.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use adyton_program::ValueId;

use super::{Outcome, Progress};
use crate::{Backend, Profile, RunError, Schedule, Value};

/// One task: a stage of one group, or of all groups (then `group` is 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Task {
    pub(super) stage: usize,
    pub(super) group: usize,
}

/// The operands of a task by group, each list in the order of [`Schedule::operands`].
pub(super) type OperandValues<B> = Vec<Vec<Arc<Value<B>>>>;

/// The changing part of a run.
pub(super) struct State<B: Backend> {
    groups: Vec<Group<B>>,
    /// Tasks of each stage that are unfinished.
    unfinished: Vec<usize>,
    /// Operands that the tasks of a stage wait for: one count for each group, or one alone if the stage joins them.
    waiting: Vec<Vec<usize>>,
    ready: BTreeSet<Task>,
    /// The earliest unfinished stage.
    low: usize,
    window: usize,
    progress: Progress,
    profile: Profile,
    failure: Option<(Option<Task>, RunError<B::Error>)>,
}

/// The values of one group.
struct Group<B: Backend> {
    values: Vec<Option<Arc<Value<B>>>>,
    /// Reasons left to keep each value.
    holds: Vec<usize>,
}

impl<B: Backend> State<B> {
    /// The state before the first task. Inputs that no stage uses are dropped here.
    pub(super) fn new(schedule: &Schedule, groups: Vec<Vec<B::Fresh>>, window: usize) -> Self {
        let count = groups.len();
        let tasks = |stage| if schedule.joins_groups(stage) { 1 } else { count };
        let stages = 0..schedule.stages();
        let mut state = Self {
            groups: groups.into_iter().map(|inputs| Group::new(schedule, inputs)).collect(),
            unfinished: stages.clone().map(tasks).collect(),
            waiting: stages
                .clone()
                .map(|stage| {
                    let operands = schedule.operands(stage).len();
                    vec![operands * (count / tasks(stage)); tasks(stage)]
                })
                .collect(),
            ready: stages
                .filter(|&stage| schedule.operands(stage).is_empty())
                .flat_map(|stage| (0..tasks(stage)).map(move |group| Task { stage, group }))
                .collect(),
            low: 0,
            window,
            progress: Progress { done: 0, total: schedule.steps() * count },
            profile: Profile::default(),
            failure: None,
        };
        for group in 0..count {
            for input in (0..).take(schedule.inputs()) {
                state.announce(schedule, input, group);
            }
        }
        state
    }

    /// Whether there is nothing left to do, or no sense in doing it.
    pub(super) const fn is_over(&self) -> bool {
        self.failure.is_some() || self.progress.done == self.progress.total
    }

    pub(super) const fn progress(&self) -> Progress {
        self.progress
    }

    pub(super) const fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Takes the earliest ready task, unless it is too far ahead.
    ///
    /// The earliest unfinished stage is always ready or running, for its operands come from finished stages: as long as
    /// the run is not over, some worker has a task.
    pub(super) fn next_task(&mut self) -> Option<Task> {
        let limit = self.low.saturating_add(self.window);
        self.ready.first().filter(|task| task.stage < limit)?;
        self.ready.pop_first()
    }

    /// The operands of a task.
    pub(super) fn operands(
        &self,
        schedule: &Schedule,
        task: Task,
    ) -> Result<OperandValues<B>, RunError<B::Error>> {
        let groups = match schedule.joins_groups(task.stage) {
            true => &self.groups[..],
            false => &self.groups[task.group..=task.group],
        };
        let fetch = |group: &Group<B>| {
            let operands = schedule.operands(task.stage).iter();
            operands
                .map(|&value| {
                    group.values[value as usize].clone().ok_or(RunError::Missing { value })
                })
                .collect()
        };
        groups.iter().map(fetch).collect()
    }

    /// Stores a task's outputs, makes ready what waited for them, and hands out the values that nobody needs any more
    /// (for the caller to drop outside the lock).
    pub(super) fn finish(
        &mut self,
        schedule: &Schedule,
        task: Task,
        outputs: Vec<Vec<Value<B>>>,
        elapsed: Duration,
    ) -> Vec<Arc<Value<B>>> {
        let stage = task.stage;
        let mut freed = Vec::new();
        self.profile.record(schedule.kind(stage), elapsed);
        self.progress.done += outputs.len() * schedule.steps_of(stage).len();
        self.unfinished[stage] -= 1;
        while self.unfinished.get(self.low) == Some(&0) {
            self.low += 1;
        }
        for (group, values) in (task.group..).zip(outputs) {
            for &operand in schedule.operands(stage) {
                freed.extend(self.groups[group].release(operand as usize));
            }
            for (&value, output) in schedule.outputs(stage).iter().zip(values) {
                let output = Arc::new(output);
                if schedule.holds(value) == 0 {
                    freed.push(output);
                } else {
                    self.groups[group].values[value as usize] = Some(output);
                    self.announce(schedule, value, group);
                }
            }
        }
        freed
    }

    /// Ends the run. Of several failures the earliest in program order is kept.
    pub(super) fn fail(&mut self, at: Option<Task>, error: RunError<B::Error>) {
        let earlier = match &self.failure {
            None => true,
            Some((kept, _)) => at.is_some_and(|at| kept.is_some_and(|kept| at < kept)),
        };
        if earlier {
            self.failure = Some((at, error));
        }
    }

    /// The results, or why there are none.
    pub(super) fn into_outcome(
        self,
        schedule: &Schedule,
    ) -> Result<Outcome<B::Result>, RunError<B::Error>> {
        if let Some((_, error)) = self.failure {
            return Err(error);
        }
        let value = schedule.result();
        let take = |mut group: Group<B>| {
            let result = group.values[value as usize].take().and_then(Arc::into_inner);
            match result.ok_or(RunError::Missing { value })? {
                Value::Result(result) => Ok(result),
                other => Err(RunError::ResultForm { form: other.form() }),
            }
        };
        let results = self.groups.into_iter().map(take).collect::<Result<_, _>>()?;
        Ok(Outcome { results, profile: self.profile })
    }

    /// A value of a group is there: tasks that wait for nothing else become ready.
    fn announce(&mut self, schedule: &Schedule, value: ValueId, group: usize) {
        for &stage in schedule.users(value) {
            let group = if schedule.joins_groups(stage) { 0 } else { group };
            let waiting = &mut self.waiting[stage][group];
            *waiting -= 1;
            if *waiting == 0 {
                self.ready.insert(Task { stage, group });
            }
        }
    }
}

impl<B: Backend> Group<B> {
    fn new(schedule: &Schedule, inputs: Vec<B::Fresh>) -> Self {
        let holds: Vec<usize> =
            (0..).take(schedule.values()).map(|value| schedule.holds(value)).collect();
        let mut values: Vec<_> = inputs
            .into_iter()
            .zip(&holds)
            .map(|(input, &holds)| (holds > 0).then(|| Arc::new(Value::Fresh(input))))
            .collect();
        values.resize_with(schedule.values(), || None);
        Self { values, holds }
    }

    /// One reason less to keep a value; the value itself if it was the last one.
    fn release(&mut self, value: usize) -> Option<Arc<Value<B>>> {
        self.holds[value] -= 1;
        if self.holds[value] == 0 { self.values[value].take() } else { None }
    }
}
