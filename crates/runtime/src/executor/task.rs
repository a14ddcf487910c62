//! One task: operands in the forms that the step takes, the backend's call, outputs by group.

use std::sync::Arc;

use adyton_program::{Step, ValueId};

use super::{
    Workshop,
    state::{OperandValues, Task},
};
use crate::{
    Backend, Operands, Place, ProductRow, Rotatable, RunError, Switchable, Value, ValueForm,
};

impl<B: Backend> Workshop<'_, B> {
    /// Carries out a task. The outputs are listed by group, beginning with the task's own, as are its operands.
    pub(super) fn perform(
        &self,
        task: Task,
        groups: &OperandValues<B>,
    ) -> Result<Vec<Vec<Value<B>>>, RunError<B::Error>> {
        let kind = self.schedule.kind(task.stage);
        let steps = self.schedule.steps_of(task.stage);
        let at = Place { step: self.first_step(task), group: task.group };
        let fault = |source| RunError::Step { step: at.step, kind, group: at.group, source };
        let operand = |value: ValueId| {
            let operands = groups.first().ok_or(RunError::Missing { value })?;
            self.operand(task, operands, value)
        };
        let outputs = match &self.steps[at.step] {
            Step::Products { terms, .. } => {
                let operands = self.product_operands(task, terms, groups)?;
                let rows: Vec<ProductRow<'_>> =
                    steps.iter().filter_map(|&step| self.row(step)).collect();
                let sums = self.backend.products(&rows, operands).map_err(fault)?;
                sums.into_iter().map(|group| group.into_iter().map(Value::Sum).collect()).collect()
            }
            Step::Rotations { of, by } => {
                let of = match operand(*of)? {
                    Value::Fresh(fresh) => Rotatable::Fresh(fresh),
                    Value::Result(result) => Rotatable::Result(result),
                    other => return Err(self.wrong_form(task, *of, other.form())),
                };
                let rotated = self.backend.rotations(at, of, by).map_err(fault)?;
                vec![rotated.into_iter().map(Value::Result).collect()]
            }
            Step::SwitchSum { terms, rescale } => {
                let switchable = |&(value, rotation): &(ValueId, u32)| match operand(value)? {
                    Value::Sum(sum) => Ok((Switchable::Sum(sum), rotation)),
                    Value::Result(result) => Ok((Switchable::Result(result), rotation)),
                    other => Err(self.wrong_form(task, value, other.form())),
                };
                let terms = terms.iter().map(switchable).collect::<Result<Vec<_>, _>>()?;
                let sum = self.backend.switch_sum(at, &terms, *rescale).map_err(fault)?;
                vec![vec![Value::Result(sum)]]
            }
            Step::Square { of } => match operand(*of)? {
                Value::Result(result) => {
                    let square = self.backend.square(at, result).map_err(fault)?;
                    vec![vec![Value::Degree2(square)]]
                }
                other => return Err(self.wrong_form(task, *of, other.form())),
            },
            Step::Relinearize { of, rescale } => match operand(*of)? {
                Value::Degree2(degree2) => {
                    let linear = self.backend.relinearize(at, degree2, *rescale).map_err(fault)?;
                    vec![vec![Value::Result(linear)]]
                }
                other => return Err(self.wrong_form(task, *of, other.form())),
            },
            Step::Lower { of } => match operand(*of)? {
                Value::Result(result) => {
                    let lowered = self.backend.lower(at, result).map_err(fault)?;
                    vec![vec![Value::Result(lowered)]]
                }
                other => return Err(self.wrong_form(task, *of, other.form())),
            },
        };
        self.check_count(task, &outputs)?;
        Ok(outputs)
    }

    /// A product step as a backend takes it.
    fn row(&self, step: usize) -> Option<ProductRow<'_>> {
        match self.steps.get(step) {
            Some(Step::Products { terms, bias }) => Some(ProductRow { step, terms, bias: *bias }),
            _ => None,
        }
    }

    /// The operands of product steps by group and term, all of the form that the first one is in.
    fn product_operands<'v>(
        &self,
        task: Task,
        terms: &[(u32, ValueId)],
        groups: &'v OperandValues<B>,
    ) -> Result<Operands<'v, B>, RunError<B::Error>> {
        let first = terms.first().zip(groups.first());
        let fresh = match first {
            Some((&(_, value), operands)) => {
                matches!(self.operand(task, operands, value)?, Value::Fresh(_))
            }
            None => false,
        };
        Ok(if fresh {
            Operands::Fresh(self.gather(task, terms, groups, |value| match value {
                Value::Fresh(fresh) => Some(fresh),
                _ => None,
            })?)
        } else {
            Operands::Result(self.gather(task, terms, groups, |value| match value {
                Value::Result(result) => Some(result),
                _ => None,
            })?)
        })
    }

    /// One list for each group, one reference for each term; every value must be in the form that `pick` takes.
    fn gather<'v, T>(
        &self,
        task: Task,
        terms: &[(u32, ValueId)],
        groups: &'v OperandValues<B>,
        pick: impl Fn(&'v Value<B>) -> Option<&'v T>,
    ) -> Result<Vec<Vec<&'v T>>, RunError<B::Error>> {
        let one = |operands: &'v Vec<Arc<Value<B>>>, value: ValueId| {
            let operand = self.operand(task, operands, value)?;
            pick(operand).ok_or_else(|| self.wrong_form(task, value, operand.form()))
        };
        groups
            .iter()
            .map(|operands| terms.iter().map(|&(_, value)| one(operands, value)).collect())
            .collect()
    }

    /// An operand of a task by its id.
    fn operand<'v>(
        &self,
        task: Task,
        operands: &'v [Arc<Value<B>>],
        value: ValueId,
    ) -> Result<&'v Value<B>, RunError<B::Error>> {
        let position = self.schedule.operands(task.stage).binary_search(&value).ok();
        let operand = position.and_then(|position| operands.get(position));
        operand.map(AsRef::as_ref).ok_or(RunError::Missing { value })
    }

    /// The step that names a task in errors.
    fn first_step(&self, task: Task) -> usize {
        // A stage has at least one step.
        self.schedule.steps_of(task.stage).first().copied().unwrap_or(0)
    }

    fn wrong_form(&self, task: Task, value: ValueId, form: ValueForm) -> RunError<B::Error> {
        RunError::Form {
            step: self.first_step(task),
            kind: self.schedule.kind(task.stage),
            value,
            form,
        }
    }

    /// A backend must give every group its outputs.
    fn check_count(&self, task: Task, outputs: &[Vec<Value<B>>]) -> Result<(), RunError<B::Error>> {
        let kind = self.schedule.kind(task.stage);
        let groups = if self.schedule.joins_groups(task.stage) { self.groups } else { 1 };
        let of_group = self.schedule.outputs(task.stage).len();
        if outputs.len() == groups && outputs.iter().all(|group| group.len() == of_group) {
            return Ok(());
        }
        let (given, expected) = (outputs.iter().map(Vec::len).sum(), of_group * groups);
        Err(RunError::OutputCount { step: self.first_step(task), kind, given, expected })
    }
}
