//! What changes during a run: which values are there, who waits for them, which tasks are ready.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{Outcome, Progress};
use crate::{Backend, Place, Profile, RunError, Schedule, Value};

/// The operands of a task by group, each list in the order of [`Schedule::operands`].
pub(super) type OperandValues<B> = Vec<Vec<Arc<Value<B>>>>;

/// The changing part of a run. A task is named by its [`Place`]; that of a step which joins the groups has group 0.
pub(super) struct State<B: Backend> {
    groups: Vec<Group<B>>,
    /// Steps that have a task unfinished: how many.
    unfinished: Vec<usize>,
    /// Operands that the tasks of a step wait for: one count for each group, or one alone if the step joins them.
    waiting: Vec<Vec<usize>>,
    ready: BTreeSet<Place>,
    /// The earliest unfinished step.
    low: usize,
    window: usize,
    progress: Progress,
    profile: Profile,
    failure: Option<(Option<Place>, RunError<B::Error>)>,
}

/// The values of one group.
struct Group<B: Backend> {
    values: Vec<Option<Arc<Value<B>>>>,
    /// Reasons left to keep each value.
    holds: Vec<usize>,
}

impl<B: Backend> State<B> {
    /// The state before the first task. Inputs that no step uses are dropped here.
    pub(super) fn new(schedule: &Schedule, groups: Vec<Vec<B::Fresh>>, window: usize) -> Self {
        let count = groups.len();
        let tasks = |step| if schedule.joins_groups(step) { 1 } else { count };
        let steps = 0..schedule.steps();
        let mut state = Self {
            groups: groups.into_iter().map(|inputs| Group::new(schedule, inputs)).collect(),
            unfinished: steps.clone().map(tasks).collect(),
            waiting: steps
                .clone()
                .map(|step| {
                    let operands = schedule.operands(step).len();
                    vec![operands * (count / tasks(step)); tasks(step)]
                })
                .collect(),
            ready: steps
                .filter(|&step| schedule.operands(step).is_empty())
                .flat_map(|step| (0..tasks(step)).map(move |group| Place { step, group }))
                .collect(),
            low: 0,
            window,
            progress: Progress { done: 0, total: schedule.steps() * count },
            profile: Profile::default(),
            failure: None,
        };
        for group in 0..count {
            for input in 0..schedule.inputs() {
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
    /// The earliest unfinished step is always ready or running, for its operands come from finished steps: as long as
    /// the run is not over, some worker has a task.
    pub(super) fn next_task(&mut self) -> Option<Place> {
        let limit = self.low.saturating_add(self.window);
        self.ready.first().filter(|place| place.step < limit)?;
        self.ready.pop_first()
    }

    /// The operands of a task.
    pub(super) fn operands(
        &self,
        schedule: &Schedule,
        place: Place,
    ) -> Result<OperandValues<B>, RunError<B::Error>> {
        let groups = match schedule.joins_groups(place.step) {
            true => &self.groups[..],
            false => &self.groups[place.group..=place.group],
        };
        let fetch = |group: &Group<B>| {
            let operands = schedule.operands(place.step).iter();
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
        place: Place,
        outputs: Vec<Vec<Value<B>>>,
        elapsed: Duration,
    ) -> Vec<Arc<Value<B>>> {
        let step = place.step;
        let mut freed = Vec::new();
        self.profile.record(schedule.kind(step), elapsed);
        self.progress.done += outputs.len();
        self.unfinished[step] -= 1;
        while self.unfinished.get(self.low) == Some(&0) {
            self.low += 1;
        }
        for (group, values) in (place.group..).zip(outputs) {
            for &operand in schedule.operands(step) {
                freed.extend(self.groups[group].release(operand as usize));
            }
            for (value, output) in schedule.outputs(step).zip(values) {
                let output = Arc::new(output);
                if schedule.holds(value) == 0 {
                    freed.push(output);
                } else {
                    self.groups[group].values[value] = Some(output);
                    self.announce(schedule, value, group);
                }
            }
        }
        freed
    }

    /// Ends the run. Of several failures the earliest in program order is kept.
    pub(super) fn fail(&mut self, at: Option<Place>, error: RunError<B::Error>) {
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
    fn announce(&mut self, schedule: &Schedule, value: usize, group: usize) {
        for &step in schedule.users(value) {
            let group = if schedule.joins_groups(step) { 0 } else { group };
            let waiting = &mut self.waiting[step][group];
            *waiting -= 1;
            if *waiting == 0 {
                self.ready.insert(Place { step, group });
            }
        }
    }
}

impl<B: Backend> Group<B> {
    fn new(schedule: &Schedule, inputs: Vec<B::Fresh>) -> Self {
        let holds: Vec<usize> = (0..schedule.values()).map(|value| schedule.holds(value)).collect();
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
