//! Who waits for whom, and when a value is used for the last time: the static part of an execution.

use std::collections::BTreeMap;

use adyton_program::{Step, ValueId, VerifiedProgram};

use crate::StepKind;

/// Most product steps that are done together: more would save little reading and keep more sums in memory.
const MOST_ROWS: usize = 32;

/// Dependencies and lifetimes of a program's values, independent of backend and groups.
///
/// The steps are arranged in *stages*. A stage is one step, or several `Products` steps with the same operands and masks (rows of one
/// linear layer), which read those once for all. Stages keep the order of their first steps, so that every stage reads what
/// earlier ones define.
#[derive(Clone, Debug)]
pub struct Schedule {
    inputs: usize,
    result: ValueId,
    steps: usize,
    stages: Vec<Stage>,
    values: Vec<Life>,
}

/// One stage's place in the dependency graph.
#[derive(Clone, Debug)]
struct Stage {
    kind: StepKind,
    steps: Vec<usize>,
    operands: Vec<ValueId>,
    outputs: Vec<ValueId>,
}

/// The stages that define and use one value.
#[derive(Clone, Debug, Default)]
struct Life {
    /// `None` for an input ciphertext.
    defined_by: Option<usize>,
    /// Ascending, each once.
    used_by: Vec<usize>,
}

impl Schedule {
    /// Analyses a program.
    #[must_use]
    pub fn new(program: &VerifiedProgram) -> Self {
        let program = program.program();
        let inputs = program.input.ciphertexts.len();
        let masks = |step: &Step| program.masks(step);
        Self::of_steps(inputs, &program.steps, masks, program.output.value)
    }

    /// Analyses steps over `inputs` input ciphertexts; every step reads what is defined before it.
    fn of_steps(
        inputs: usize,
        steps: &[Step],
        masks: impl Fn(&Step) -> Vec<u32>,
        result: ValueId,
    ) -> Self {
        let mut first_output = ValueId::try_from(inputs).unwrap_or(ValueId::MAX);
        let mut outputs = Vec::with_capacity(steps.len());
        for step in steps {
            // Programs define far fewer than 2^32 values.
            let count = ValueId::try_from(step.outputs()).unwrap_or(ValueId::MAX);
            outputs.push(first_output..first_output + count);
            first_output += count;
        }
        let stages: Vec<Stage> = arrange(steps, masks)
            .into_iter()
            .map(|group| Stage {
                kind: StepKind::of(&steps[group[0]]),
                operands: operands(&steps[group[0]]),
                outputs: group.iter().flat_map(|&step| outputs[step].clone()).collect(),
                steps: group,
            })
            .collect();
        let mut values = vec![Life::default(); first_output as usize];
        for (index, stage) in stages.iter().enumerate() {
            for &value in &stage.outputs {
                values[value as usize].defined_by = Some(index);
            }
            for &value in &stage.operands {
                values[value as usize].used_by.push(index);
            }
        }
        Self { inputs, result, steps: steps.len(), stages, values }
    }

    /// Number of input ciphertexts of one group.
    #[must_use]
    pub const fn inputs(&self) -> usize {
        self.inputs
    }

    /// Number of steps.
    #[must_use]
    pub const fn steps(&self) -> usize {
        self.steps
    }

    /// Number of stages.
    #[must_use]
    pub const fn stages(&self) -> usize {
        self.stages.len()
    }

    /// Number of values: input ciphertexts and outputs of all steps.
    #[must_use]
    pub const fn values(&self) -> usize {
        self.values.len()
    }

    /// The value that holds the result; it stays alive to the end.
    #[must_use]
    pub const fn result(&self) -> ValueId {
        self.result
    }

    /// The kind of a stage's steps.
    #[must_use]
    pub fn kind(&self, stage: usize) -> StepKind {
        self.stages[stage].kind
    }

    /// The steps of a stage, ascending.
    #[must_use]
    pub fn steps_of(&self, stage: usize) -> &[usize] {
        &self.stages[stage].steps
    }

    /// The values that a stage reads, ascending, each once.
    #[must_use]
    pub fn operands(&self, stage: usize) -> &[ValueId] {
        &self.stages[stage].operands
    }

    /// The values that a stage defines, step by step.
    #[must_use]
    pub fn outputs(&self, stage: usize) -> &[ValueId] {
        &self.stages[stage].outputs
    }

    /// The stages that read a value, ascending, each once.
    #[must_use]
    pub fn users(&self, value: ValueId) -> &[usize] {
        &self.values[value as usize].used_by
    }

    /// Number of reasons to keep a value after it is defined: the stages that read it, and one more for the result.
    #[must_use]
    pub fn holds(&self, value: ValueId) -> usize {
        self.users(value).len() + usize::from(value == self.result)
    }

    /// Whether one task does the stage for all groups.
    #[must_use]
    pub fn joins_groups(&self, stage: usize) -> bool {
        self.kind(stage) == StepKind::Products
    }

    /// The largest sum of `size` over the values of one group that can be alive at one moment, when no stage starts
    /// that is `window` or more stages after the earliest unfinished one (`window` = 1: execution stage by stage).
    ///
    /// A value is counted from the start of the stage that defines it until the end of the last one that uses it.
    #[must_use]
    pub fn peak(&self, window: usize, size: impl Fn(ValueId) -> u64) -> u64 {
        // With f the earliest unfinished stage, a value is alive at most if it is defined before stage f + window and its
        // last user is not before f: it enters at f = definition + 1 − window and leaves after f = last use.
        let last_stage = self.stages.len().saturating_sub(1);
        let mut enters = vec![0_u64; self.stages.len() + 1];
        let mut leaves = vec![0_u64; self.stages.len() + 1];
        for (value, life) in (0..).zip(&self.values) {
            let from = life.defined_by.map_or(0, |stage| (stage + 1).saturating_sub(window.max(1)));
            let to = match (value == self.result, life.used_by.last(), life.defined_by) {
                (true, _, _) => last_stage,
                (false, Some(&last), _) => last,
                (false, None, Some(definition)) => definition,
                // An unused input is dropped before the first stage.
                (false, None, None) => continue,
            };
            enters[from] = enters[from].saturating_add(size(value));
            leaves[to] = leaves[to].saturating_add(size(value));
        }
        let mut alive = 0_u64;
        let mut peak = 0;
        for (enter, leave) in enters.into_iter().zip(leaves) {
            alive = alive.saturating_add(enter);
            peak = peak.max(alive);
            alive = alive.saturating_sub(leave);
        }
        peak
    }
}

/// The stages of a program, each the steps of it, in the order of their first steps.
fn arrange(steps: &[Step], masks: impl Fn(&Step) -> Vec<u32>) -> Vec<Vec<usize>> {
    let mut stages = Vec::new();
    let mut alike: BTreeMap<(Vec<ValueId>, Vec<u32>), Vec<usize>> = BTreeMap::new();
    for (index, step) in steps.iter().enumerate() {
        match step {
            Step::Products { .. } => {
                let place = (step.operands().collect(), masks(step));
                alike.entry(place).or_default().push(index);
            }
            _ => stages.push(vec![index]),
        }
    }
    for rows in alike.values() {
        stages.extend(rows.chunks(MOST_ROWS).map(<[usize]>::to_vec));
    }
    stages.sort_unstable();
    stages
}

/// The values that a step reads, ascending, each once.
fn operands(step: &Step) -> Vec<ValueId> {
    let mut operands: Vec<ValueId> = step.operands().collect();
    operands.sort_unstable();
    operands.dedup();
    operands
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_masks(_: &Step) -> Vec<u32> {
        Vec::new()
    }

    fn chain() -> Vec<Step> {
        vec![
            Step::Rotations { of: 0, by: vec![0, 1, 2] }, // 1, 2, 3
            Step::Products { terms: vec![(0, 1), (1, 2), (2, 1)], bias: None }, // 4
            Step::SwitchSum { terms: vec![(4, 0), (4, 1)], rescale: true }, // 5
            Step::Square { of: 5 },                       // 6
            Step::Relinearize { of: 6, rescale: true },   // 7
        ]
    }

    #[test]
    fn operands_are_listed_once_and_users_in_order() {
        let schedule = Schedule::of_steps(1, &chain(), no_masks, 7);
        assert_eq!(schedule.operands(1), [1, 2]);
        assert_eq!(schedule.operands(2), [4]);
        assert_eq!(schedule.outputs(0), [1, 2, 3]);
        assert_eq!(schedule.users(1), [1]);
        assert_eq!(schedule.holds(3), 0);
        assert_eq!(schedule.holds(7), 1);
        assert!(schedule.joins_groups(1) && !schedule.joins_groups(2));
    }

    #[test]
    fn peak_of_sequential_execution() {
        let schedule = Schedule::of_steps(1, &chain(), no_masks, 7);
        // Step 0 holds the input and its three rotations.
        assert_eq!(schedule.peak(1, |_| 1), 4);
        // A large product sum: alive with its operands (step 1), then with the result ciphertext (step 2).
        assert_eq!(schedule.peak(1, |value| if value == 4 { 10 } else { 1 }), 12);
    }

    #[test]
    fn wider_windows_never_need_less_and_end_at_everything() {
        let schedule = Schedule::of_steps(1, &chain(), no_masks, 7);
        let peaks: Vec<u64> = (1..8).map(|window| schedule.peak(window, |_| 1)).collect();
        assert!(peaks.is_sorted());
        assert_eq!(peaks.last(), Some(&8));
    }

    #[test]
    fn rows_with_the_same_operands_are_done_together() {
        let row = |values: [ValueId; 2], weight| Step::Products {
            terms: vec![(weight, values[0]), (weight + 1, values[1])],
            bias: None,
        };
        let switch = |value| Step::SwitchSum { terms: vec![(value, 0)], rescale: true };
        // Two inputs; rows 0, 2, 3 read them in one order, row 5 in the other.
        let steps = [
            row([0, 1], 0),                                                 // 2
            switch(2),                                                      // 3
            row([0, 1], 2),                                                 // 4
            row([0, 1], 4),                                                 // 5
            Step::SwitchSum { terms: vec![(4, 0), (5, 1)], rescale: true }, // 6
            row([1, 0], 6),                                                 // 7
        ];
        let schedule = Schedule::of_steps(2, &steps, no_masks, 6);
        let stages: Vec<&[usize]> =
            (0..schedule.stages()).map(|stage| schedule.steps_of(stage)).collect();
        let expected: [&[usize]; 4] = [&[0, 2, 3], &[1], &[4], &[5]];
        assert_eq!(stages, expected);
        assert_eq!(schedule.outputs(0), [2, 4, 5]);
        assert_eq!(schedule.users(4), [2]);
        assert_eq!(schedule.steps(), 6);

        let many: Vec<Step> = (0..40).map(|weight| row([0, 1], weight)).collect();
        let schedule = Schedule::of_steps(2, &many, no_masks, 2);
        let rows: Vec<usize> =
            (0..schedule.stages()).map(|stage| schedule.steps_of(stage).len()).collect();
        assert_eq!(rows, [32, 8]);

        // Rows share what their masks give as long as they have the same ones.
        let by_half = |step: &Step| step.weights().map(|weight| weight / 20).collect();
        let schedule = Schedule::of_steps(2, &many, by_half, 2);
        let rows: Vec<usize> =
            (0..schedule.stages()).map(|stage| schedule.steps_of(stage).len()).collect();
        assert_eq!(rows, [19, 1, 19, 1]);
    }
}
