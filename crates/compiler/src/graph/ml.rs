//! Operators of `ai.onnx.ml`, as scikit-learn's exporters write them.

use super::context::Context;
use super::moves;
use super::operators::{Operands, Outcome};
use super::slices;
use super::value::{Activation, Formed, Tensor, Value};
use crate::network::OutputForm;
use crate::onnx::NodeError;

fn attribute(name: &'static str, found: impl ToString, supported: &'static str) -> NodeError {
    NodeError::Attribute { name, found: found.to_string(), supported }
}

/// `x · coefficientsᵀ + intercepts` for a matrix of one row for each target.
fn scores(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
    targets: usize,
) -> Result<Activation, NodeError> {
    let x = operands.activation(0)?;
    let (batch, features) = match x.dims.as_slice() {
        [features] => (1, *features),
        [batch, features] => (*batch, *features),
        _ => return Err(NodeError::Input { index: 0, expected: "of one or two axes" }),
    };
    let coefficients = operands.attributes.floats("coefficients")?.unwrap_or_default();
    if targets == 0 || coefficients.len() != targets.saturating_mul(features) {
        let supported = "one coefficient for each target and feature";
        return Err(attribute("coefficients", format!("{} values", coefficients.len()), supported));
    }
    let intercepts: Vec<f64> = match operands.attributes.floats("intercepts")?.unwrap_or_default() {
        [] => vec![0.0; targets],
        given if given.len() == targets => given.iter().map(|&v| f64::from(v)).collect(),
        given => {
            let supported = "one for each target";
            return Err(attribute("intercepts", format!("{} values", given.len()), supported));
        }
    };
    let rows = (0..batch).flat_map(|sample| {
        coefficients.chunks(features.max(1)).map(move |row| {
            let weights = row.iter().enumerate();
            weights.map(|(i, &weight)| (sample * features + i, f64::from(weight))).collect()
        })
    });
    let bias = (0..batch).flat_map(|_| intercepts.iter().copied()).collect();
    context.linear(x, vec![batch, targets], batch * coefficients.len(), rows, Some(bias))
}

pub(crate) fn regressor(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    match operands.attributes.string("post_transform")?.unwrap_or("NONE") {
        "NONE" => {}
        other => return Err(attribute("post_transform", other, "NONE")),
    }
    let targets = operands.attributes.int("targets")?.unwrap_or(1);
    let targets =
        usize::try_from(targets).map_err(|_| attribute("targets", targets, "a positive number"))?;
    Ok(Value::Activation(scores(operands, context, targets)?).into())
}

/// Two outputs: the number of the class (its place in the list of labels), and the scores in their form.
pub(crate) fn classifier(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let intercepts = operands.attributes.floats("intercepts")?.unwrap_or_default().len();
    let coefficients = operands.attributes.floats("coefficients")?.unwrap_or_default().len();
    let features = operands.input(0)?.dims().last().copied().unwrap_or(1).max(1);
    let targets = if intercepts > 0 { intercepts } else { coefficients / features };
    let mut logits = scores(operands, context, targets)?;
    let transform = operands.attributes.string("post_transform")?.unwrap_or("NONE");
    if targets == 1 {
        // One score for two classes: the other is its negative.
        if transform != "LOGISTIC" {
            let supported = "LOGISTIC where one score stands for two classes";
            return Err(attribute("post_transform", transform, supported));
        }
        let batch = logits.len();
        let negative = logits.scaled(&[-1.0], &[0.0])?;
        let sources: Vec<_> = (0..batch).flat_map(|sample| [(0, sample), (1, sample)]).collect();
        logits = context.joined(vec![batch, 2], &[negative, logits], &sources)?;
    }
    let classes = logits.dims[1];
    let form = match transform {
        "NONE" => OutputForm::Logits,
        "LOGISTIC" => OutputForm::Sigmoid,
        "SOFTMAX" => OutputForm::Softmax { classes, stride: 1 },
        other => return Err(attribute("post_transform", other, "NONE, LOGISTIC, SOFTMAX")),
    };
    let label = Formed {
        logits: logits.clone(),
        form: OutputForm::ArgMax { classes, stride: 1 },
        dims: logits.dims[..1].to_vec(),
        operator: "LinearClassifier's label",
    };
    let scores = match form {
        OutputForm::Logits => Value::Activation(logits),
        form => {
            let dims = logits.dims.clone();
            Value::Formed(Formed { logits, form, dims, operator: "LinearClassifier's scores" })
        }
    };
    Ok(Outcome(vec![Value::Formed(label), scores]))
}

/// `(x − offset) · scale`.
pub(crate) fn scaler(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let x = operands.activation(0)?;
    let features = x.dims.last().copied().unwrap_or(1);
    let list = |name: &'static str, default: f64| -> Result<Vec<f64>, NodeError> {
        match operands.attributes.floats(name)?.unwrap_or_default() {
            [] => Ok(vec![default; features]),
            [one] => Ok(vec![f64::from(*one); features]),
            all if all.len() == features => Ok(all.iter().map(|&v| f64::from(v)).collect()),
            other => {
                let found = format!("{} values", other.len());
                Err(attribute(name, found, "one value, or one for each feature"))
            }
        }
    };
    let (offset, scale) = (list("offset", 0.0)?, list("scale", 1.0)?);
    let factors: Vec<f64> = (0..x.len()).map(|index| scale[index % features]).collect();
    let bias: Vec<f64> =
        (0..x.len()).map(|index| -offset[index % features] * scale[index % features]).collect();
    let _ = context;
    Ok(x.scaled(&factors, &bias)?.into())
}

/// Divides by a norm, which is not linear: supported where probabilities are made to sum to 1 at the very end.
pub(crate) fn normalizer(
    operands: &Operands<'_>,
    _context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    let norm = operands.attributes.string("norm")?.unwrap_or("MAX");
    match operands.input(0)? {
        Value::Formed(formed) if norm == "L1" => {
            let classes = formed.dims.last().copied().unwrap_or(1);
            let form = match formed.form {
                OutputForm::Sigmoid => OutputForm::NormalizedSigmoid { classes },
                OutputForm::Softmax { classes: all, stride: 1 } if all == classes => formed.form,
                _ => return Err(NodeError::Form(formed.operator)),
            };
            Ok(Value::Formed(Formed { form, ..formed.clone() }).into())
        }
        _ => Err(attribute(
            "norm",
            norm,
            "L1 over a classifier's probabilities at the very end; a norm of activations is not linear",
        )),
    }
}

/// All inputs side by side.
pub(crate) fn vectorizer(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    Ok(moves::joined(context, &operands.all()?, -1)?.into())
}

/// Columns of the last axis, by constant numbers.
pub(crate) fn features(
    operands: &Operands<'_>,
    context: &mut Context<'_>,
) -> Result<Outcome, NodeError> {
    if let (Value::Constant(_), Value::Formed(chosen)) = (operands.input(0)?, operands.input(1)?) {
        // The label of the largest score, out of the list of labels: read as its number.
        return match chosen.form {
            OutputForm::ArgMax { .. } => Ok(Value::Formed(chosen.clone()).into()),
            _ => Err(NodeError::Form(chosen.operator)),
        };
    }
    if let Value::Formed(formed) = operands.input(0)? {
        return Err(NodeError::Form(formed.operator));
    }
    let indices: Tensor = operands.constant(1)?.clone();
    Ok(slices::columns(context, operands.input(0)?, &indices)?.into())
}
