//! The end of the import: outputs side by side, in their forms.

use super::context::{Context, Stage};
use super::emit;
use super::forms;
use super::value::{Activation, Value};
use crate::network::{Input, Layer, Network, Output, OutputForm};
use crate::onnx::{ImportError, ImportOptions, Imported};

/// A tensor's shape without the batch.
pub(crate) fn sample_shape(dims: &[usize], options: &ImportOptions<'_>) -> Vec<usize> {
    match dims {
        [_, sample @ ..] if !sample.is_empty() && !options.whole_tensors => sample.to_vec(),
        whole => whole.to_vec(),
    }
}

/// The network that gives `outputs`, one after the other.
pub(crate) fn finish(
    name: &str,
    mut context: Context<'_>,
    inputs: Vec<Input>,
    outputs: Vec<(&str, Value)>,
) -> Result<Imported, ImportError> {
    let mut parts: Vec<Activation> = Vec::new();
    let mut described = Vec::new();
    for (output, value) in outputs {
        let (logits, form) = read(&mut context, output, &value)?;
        let shape = match logits.dims.as_slice() {
            [1, sample @ ..] if !sample.is_empty() => sample_shape(&logits.dims, context.options),
            _ => logits.dims.clone(),
        };
        // Two forms of the same logits share them.
        let known = parts.iter().position(|part| part.same_as(&logits));
        let part = known.unwrap_or(parts.len());
        let first = parts[..part].iter().map(Activation::len).sum();
        if known.is_none() {
            parts.push(logits);
        }
        described.push(Output { name: output.to_owned(), shape, first, form });
    }
    let failed = |fault| ImportError::node("the graph's outputs", "side by side", fault);
    let sources: Vec<(usize, usize)> = parts
        .iter()
        .enumerate()
        .flat_map(|(part, activation)| (0..activation.len()).map(move |place| (part, place)))
        .collect();
    let output = match parts.as_slice() {
        [one] => one.clone(),
        _ => context.joined(vec![sources.len()], &parts, &sources).map_err(failed)?,
    };
    drop(parts);
    let Context { mut stages, fits, .. } = context;
    stages.iter_mut().for_each(Stage::settle);
    let layers = emit::layers(stages, output)?;
    let empty = |layer: &Layer| match layer {
        Layer::Affine(affine) => affine.matrix.rows() == 0 || affine.matrix.nonzeros() == 0,
        Layer::Square { .. } => false,
    };
    if layers.iter().any(empty) {
        let name = described.first().map_or_else(String::new, |output| output.name.clone());
        return Err(ImportError::ConstantOutput { name });
    }
    let shape = match inputs.as_slice() {
        [one] => one.shape.clone(),
        all => vec![all.iter().map(|input| input.shape.iter().product::<usize>()).sum()],
    };
    let network = Network::new(name, shape, layers)?.with_ports(inputs, described)?;
    Ok(Imported { network, fits })
}

/// An output's logits and form. A sigmoid at the very end is a form, as a softmax is.
fn read(
    context: &mut Context<'_>,
    name: &str,
    value: &Value,
) -> Result<(Activation, OutputForm), ImportError> {
    let constant = || ImportError::ConstantOutput { name: name.to_owned() };
    let failed = |fault| ImportError::node(&format!("output '{name}'"), "its last function", fault);
    let (logits, form) = match value {
        Value::Constant(_) => return Err(constant()),
        Value::Formed(formed) => (formed.logits.clone(), formed.form),
        Value::Pending(pending) => {
            match forms::logits_of_sigmoid(context, pending).map_err(failed)? {
                Some(logits) => (logits, OutputForm::Sigmoid),
                None => (context.forced(value).map_err(failed)?, OutputForm::Logits),
            }
        }
        Value::Activation(activation) => (activation.clone(), OutputForm::Logits),
    };
    if logits.is_constant() { Err(constant()) } else { Ok((logits, form)) }
}
