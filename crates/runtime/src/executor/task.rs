//! One task: operands in the forms that the step takes, the backend's call, outputs by group.

use std::sync::Arc;

use adyton_program::{Step, ValueId};

use super::{Workshop, state::OperandValues};
use crate::{Backend, Operands, Place, Rotatable, RunError, Switchable, Value, ValueForm};

impl<B: Backend> Workshop<'_, B> {
    /// Carries out a task. The outputs are listed by group, beginning with the task's own, as are its operands.
    pub(super) fn perform(
        &self,
        at: Place,
        groups: &OperandValues<B>,
    ) -> Result<Vec<Vec<Value<B>>>, RunError<B::Error>> {
        let kind = self.schedule.kind(at.step);
        let fault = |source| RunError::Step { step: at.step, kind, group: at.group, source };
        let operand = |value: ValueId| {
            let operands = groups.first().ok_or(RunError::Missing { value })?;
            self.operand(at, operands, value)
        };
        let outputs = match &self.steps[at.step] {
            Step::Products { terms, bias } => {
                let weights: Vec<_> = terms.iter().map(|&(weight, _)| weight).collect();
                let operands = self.product_operands(at, terms, groups)?;
                let sums = self.backend.products(at.step, &weights, operands, *bias);
                sums.map_err(fault)?.into_iter().map(|sum| vec![Value::Sum(sum)]).collect()
            }
            Step::Rotations { of, by } => {
                let of = match operand(*of)? {
                    Value::Fresh(fresh) => Rotatable::Fresh(fresh),
                    Value::Result(result) => Rotatable::Result(result),
                    other => return Err(self.wrong_form(at, *of, other.form())),
                };
                let rotated = self.backend.rotations(at, of, by).map_err(fault)?;
                vec![rotated.into_iter().map(Value::Result).collect()]
            }
            Step::SwitchSum { terms, rescale } => {
                let switchable = |&(value, rotation): &(ValueId, u32)| match operand(value)? {
                    Value::Sum(sum) => Ok((Switchable::Sum(sum), rotation)),
                    Value::Result(result) => Ok((Switchable::Result(result), rotation)),
                    other => Err(self.wrong_form(at, value, other.form())),
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
                other => return Err(self.wrong_form(at, *of, other.form())),
            },
            Step::Relinearize { of, rescale } => match operand(*of)? {
                Value::Degree2(degree2) => {
                    let linear = self.backend.relinearize(at, degree2, *rescale).map_err(fault)?;
                    vec![vec![Value::Result(linear)]]
                }
                other => return Err(self.wrong_form(at, *of, other.form())),
            },
        };
        self.check_count(at, &outputs)?;
        Ok(outputs)
    }

    /// The operands of a product step by group and term, all of the form that the first one is in.
    fn product_operands<'v>(
        &self,
        at: Place,
        terms: &[(u32, ValueId)],
        groups: &'v OperandValues<B>,
    ) -> Result<Operands<'v, B>, RunError<B::Error>> {
        let first = terms.first().zip(groups.first());
        let fresh = match first {
            Some((&(_, value), operands)) => {
                matches!(self.operand(at, operands, value)?, Value::Fresh(_))
            }
            None => false,
        };
        Ok(if fresh {
            Operands::Fresh(self.gather(at, terms, groups, |value| match value {
                Value::Fresh(fresh) => Some(fresh),
                _ => None,
            })?)
        } else {
            Operands::Result(self.gather(at, terms, groups, |value| match value {
                Value::Result(result) => Some(result),
                _ => None,
            })?)
        })
    }

    /// One list for each group, one reference for each term; every value must be in the form that `pick` takes.
    fn gather<'v, T>(
        &self,
        at: Place,
        terms: &[(u32, ValueId)],
        groups: &'v OperandValues<B>,
        pick: impl Fn(&'v Value<B>) -> Option<&'v T>,
    ) -> Result<Vec<Vec<&'v T>>, RunError<B::Error>> {
        let one = |operands: &'v Vec<Arc<Value<B>>>, value: ValueId| {
            let operand = self.operand(at, operands, value)?;
            pick(operand).ok_or_else(|| self.wrong_form(at, value, operand.form()))
        };
        groups
            .iter()
            .map(|operands| terms.iter().map(|&(_, value)| one(operands, value)).collect())
            .collect()
    }

    /// An operand of a task by its id.
    fn operand<'v>(
        &self,
        at: Place,
        operands: &'v [Arc<Value<B>>],
        value: ValueId,
    ) -> Result<&'v Value<B>, RunError<B::Error>> {
        let position = self.schedule.operands(at.step).binary_search(&value).ok();
        let operand = position.and_then(|position| operands.get(position));
        operand.map(AsRef::as_ref).ok_or(RunError::Missing { value })
    }

    fn wrong_form(&self, at: Place, value: ValueId, form: ValueForm) -> RunError<B::Error> {
        RunError::Form { step: at.step, kind: self.schedule.kind(at.step), value, form }
    }

    /// A backend must give every group its outputs.
    fn check_count(&self, at: Place, outputs: &[Vec<Value<B>>]) -> Result<(), RunError<B::Error>> {
        let kind = self.schedule.kind(at.step);
        let groups = if self.schedule.joins_groups(at.step) { self.groups } else { 1 };
        let expected = self.schedule.outputs(at.step).len() * groups;
        let given = outputs.iter().map(Vec::len).sum();
        if given == expected && outputs.len() == groups {
            Ok(())
        } else {
            Err(RunError::OutputCount { step: at.step, kind, given, expected })
        }
    }
}
