//! Who waits for whom, and when a value is used for the last time: the static part of an execution.

use std::ops::Range;

use adyton_program::{Step, ValueId, VerifiedProgram};

use crate::StepKind;

/// Dependencies and lifetimes of a program's values, independent of backend, groups and threads.
///
/// Step `s` of the program *defines* the values `outputs(s)`; input ciphertexts are defined before step 0.
#[derive(Clone, Debug)]
pub struct Schedule {
    inputs: usize,
    result: ValueId,
    steps: Vec<Node>,
    values: Vec<Life>,
}

/// One step's place in the dependency graph.
#[derive(Clone, Debug)]
struct Node {
    kind: StepKind,
    operands: Vec<ValueId>,
    outputs: Range<usize>,
}

/// The steps that use one value, ascending, each once.
#[derive(Clone, Debug, Default)]
struct Life {
    /// `None` for an input ciphertext.
    defined_by: Option<usize>,
    used_by: Vec<usize>,
}

impl Schedule {
    /// Analyses a program.
    #[must_use]
    pub fn new(program: &VerifiedProgram) -> Self {
        let program = program.program();
        Self::of_steps(program.input.ciphertexts.len(), &program.steps, program.output.value)
    }

    /// Analyses steps over `inputs` input ciphertexts; every step reads what is defined before it.
    fn of_steps(inputs: usize, steps: &[Step], result: ValueId) -> Self {
        let mut nodes = Vec::with_capacity(steps.len());
        let mut values = vec![Life::default(); inputs];
        for (index, step) in steps.iter().enumerate() {
            let operands = operands(step);
            for &value in &operands {
                values[value as usize].used_by.push(index);
            }
            let first = values.len();
            let life = Life { defined_by: Some(index), used_by: Vec::new() };
            values.resize(first + step.outputs(), life);
            nodes.push(Node { kind: StepKind::of(step), operands, outputs: first..values.len() });
        }
        Self { inputs, result, steps: nodes, values }
    }

    /// Number of input ciphertexts of one group.
    #[must_use]
    pub const fn inputs(&self) -> usize {
        self.inputs
    }

    /// Number of steps.
    #[must_use]
    pub const fn steps(&self) -> usize {
        self.steps.len()
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

    /// The kind of a step.
    #[must_use]
    pub fn kind(&self, step: usize) -> StepKind {
        self.steps[step].kind
    }

    /// The values that a step reads, ascending, each once.
    #[must_use]
    pub fn operands(&self, step: usize) -> &[ValueId] {
        &self.steps[step].operands
    }

    /// The values that a step defines.
    #[must_use]
    pub fn outputs(&self, step: usize) -> Range<usize> {
        self.steps[step].outputs.clone()
    }

    /// The steps that read a value, ascending, each once.
    #[must_use]
    pub fn users(&self, value: usize) -> &[usize] {
        &self.values[value].used_by
    }

    /// Number of reasons to keep a value after it is defined: the steps that read it, and one more for the result.
    #[must_use]
    pub fn holds(&self, value: usize) -> usize {
        self.users(value).len() + usize::from(value == self.result as usize)
    }

    /// Whether one task does the step for all groups.
    #[must_use]
    pub fn joins_groups(&self, step: usize) -> bool {
        self.kind(step) == StepKind::Products
    }

    /// The largest sum of `size` over the values of one group that can be alive at one moment, when no step starts that
    /// is `window` or more steps after the earliest unfinished one (`window` = 1: execution step by step).
    ///
    /// A value is counted from the start of the step that defines it until the end of the last step that uses it.
    #[must_use]
    pub fn peak(&self, window: usize, size: impl Fn(ValueId) -> u64) -> u64 {
        // With f the earliest unfinished step, a value is alive at most if it is defined before step f + window and its
        // last user is not before f: it enters at f = definition + 1 − window and leaves after f = last use.
        let last_step = self.steps.len().saturating_sub(1);
        let mut enters = vec![0_u64; self.steps.len() + 1];
        let mut leaves = vec![0_u64; self.steps.len() + 1];
        for (value, life) in (0..).zip(&self.values) {
            let from = life.defined_by.map_or(0, |step| (step + 1).saturating_sub(window.max(1)));
            let to = match (value == self.result, life.used_by.last(), life.defined_by) {
                (true, _, _) => last_step,
                (false, Some(&last), _) => last,
                (false, None, Some(definition)) => definition,
                // An unused input is dropped before the first step.
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
        let schedule = Schedule::of_steps(1, &chain(), 7);
        assert_eq!(schedule.operands(1), [1, 2]);
        assert_eq!(schedule.operands(2), [4]);
        assert_eq!(schedule.outputs(0), 1..4);
        assert_eq!(schedule.users(1), [1]);
        assert_eq!(schedule.holds(3), 0);
        assert_eq!(schedule.holds(7), 1);
        assert!(schedule.joins_groups(1) && !schedule.joins_groups(2));
    }

    #[test]
    fn peak_of_sequential_execution() {
        let schedule = Schedule::of_steps(1, &chain(), 7);
        // Step 0 holds the input and its three rotations.
        assert_eq!(schedule.peak(1, |_| 1), 4);
        // A large product sum: alive with its operands (step 1), then with the result ciphertext (step 2).
        assert_eq!(schedule.peak(1, |value| if value == 4 { 10 } else { 1 }), 12);
    }

    #[test]
    fn wider_windows_never_need_less_and_end_at_everything() {
        let schedule = Schedule::of_steps(1, &chain(), 7);
        let peaks: Vec<u64> = (1..8).map(|window| schedule.peak(window, |_| 1)).collect();
        assert!(peaks.is_sorted());
        assert_eq!(peaks.last(), Some(&8));
    }
}
