//! Operators that may stand at the very end alone, as a form of the results: softmax, its logarithm, the largest value's number.

use super::context::Context;
use super::index::axis;
use super::operators::{Operands, Outcome};
use super::value::{Activation, Formed, Pending, Value};
use crate::network::OutputForm;
use crate::onnx::NodeError;

pub(crate) fn softmax(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let (classes, stride) = group(operands)?;
    formed(operands, context, "Softmax", OutputForm::Softmax { classes, stride })
}

pub(crate) fn log_softmax(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let (classes, stride) = group(operands)?;
    formed(operands, context, "LogSoftmax", OutputForm::LogSoftmax { classes, stride })
}

/// The values of a group and the step between them: before operator set 13 all axes from the named one on are one.
fn group(operands: &Operands<'_>) -> Result<(usize, usize), NodeError> {
    let dims = operands.input(0)?.dims();
    let default = if operands.opset < 13 { 1 } else { -1 };
    let along = axis(operands.attributes.int("axis")?.unwrap_or(default), dims.len(), "axis")?;
    let from: usize = dims[along..].iter().product();
    Ok(match operands.opset < 13 {
        true => (from, 1),
        false => (dims[along], dims[along + 1..].iter().product()),
    })
}

pub(crate) fn argmax(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let dims = operands.input(0)?.dims();
    let along = axis(operands.attributes.int("axis")?.unwrap_or(0), dims.len(), "axis")?;
    let keep = operands.attributes.flag("keepdims", true)?;
    if operands.attributes.flag("select_last_index", false)? {
        return Err(NodeError::Attribute {
            name: "select_last_index",
            found: "1".to_owned(),
            supported: "0, the first of equal values",
        });
    }
    let (classes, stride) = (dims[along], dims[along + 1..].iter().product());
    let mut result = dims.to_vec();
    match keep {
        true => result[along] = 1,
        false => drop(result.remove(along)),
    }
    let form = OutputForm::ArgMax { classes, stride };
    // What rises with the logits has its largest value where they have theirs.
    let logits = match operands.input(0)? {
        Value::Formed(formed) => match formed.form {
            OutputForm::Softmax { classes: c, stride: s }
            | OutputForm::LogSoftmax { classes: c, stride: s }
                if (c, s) == (classes, stride) =>
            {
                formed.logits.clone()
            }
            OutputForm::Sigmoid => formed.logits.clone(),
            _ => return Err(NodeError::Form(formed.operator)),
        },
        Value::Pending(pending) => match logits_of_sigmoid(context, pending)? {
            Some(logits) => logits,
            None => context.applied(pending)?,
        },
        value => context.forced(value)?,
    };
    Ok(Value::Formed(Formed { logits, form, dims: result, operator: "ArgMax" }).into())
}

/// What stands within a sigmoid that is the whole function.
pub(crate) fn logits_of_sigmoid(
    context: &mut Context<'_>,
    pending: &Pending,
) -> Result<Option<Activation>, NodeError> {
    let Some(inner) = pending.expression.within_sigmoid() else { return Ok(None) };
    context.applied(&Pending::new(pending.base.clone(), inner, &pending.node)).map(Some)
}

fn formed(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
    operator: &'static str,
    form: OutputForm,
) -> Result<Outcome, NodeError> {
    let logits = context.forced(operands.input(0)?)?;
    let dims = logits.dims.clone();
    Ok(Value::Formed(Formed { logits, form, dims, operator }).into())
}
