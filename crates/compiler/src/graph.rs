//! From ONNX's graph to a network: every node becomes an affine map of what came out of the last square.
//!
//! An activation is held as an affine map of a *stage*: stage 0 is the model's input, every further one the squares of
//! some activation. A linear node composes its sparse matrix with that map, so neighbours fold as they are met, and
//! a square opens a new stage. What is left at the output is the chain of stages behind it.

mod constants;
mod convolution;
mod elementwise;
mod index;
mod linear;
mod normalize;
mod operators;
mod pool;
mod shape;
mod value;
mod window;

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

pub(crate) use operators::names as operator_names;
use operators::{Operands, Outcome};
use value::Activation;
pub(crate) use value::{Data, Tensor, Value};

use crate::network::{Affine, Layer, Network};
use crate::onnx::{ImportError, Model, NodeError, NodeProto, is_standard, read_tensor, volume};

/// Turns a checked model into a network in alternating form.
///
/// # Errors
/// [`ImportError`] for the first node, weight or name that cannot be used. Nodes that the output does not need are not
/// looked at.
pub(crate) fn lower(name: &str, model: Model<'_>) -> Result<Network, ImportError> {
    let needed = needed_names(&model);
    let mut values: HashMap<&str, Value> = HashMap::new();
    for tensor in model.initializers.iter().filter(|tensor| needed.contains(tensor.name())) {
        let constant = read_tensor(tensor)
            .map_err(|fault| ImportError::Tensor { name: tensor.name().to_owned(), fault })?;
        define(&mut values, tensor.name(), Value::Constant(constant))?;
    }
    let input = Activation::input(model.dims.clone());
    define(&mut values, model.input, Value::Activation(input))?;

    let mut stages = Stages::default();
    for node in model.nodes {
        let Some(first) = node.output.first() else { continue };
        if !node.output.iter().any(|output| needed.contains(output.as_str())) {
            continue;
        }
        let value = run(node, model.opset, &values, &needed, &mut stages)?;
        define(&mut values, first, value)?;
    }
    let output = values.remove(model.output).ok_or_else(|| ImportError::Undefined {
        user: "the graph's output".to_owned(),
        name: model.output.to_owned(),
    })?;
    let Value::Activation(output) = output else {
        return Err(ImportError::ConstantOutput { name: model.output.to_owned() });
    };
    drop(values);
    let shape = match model.dims.as_slice() {
        [_, sample @ ..] if !sample.is_empty() => sample.to_vec(),
        whole => whole.to_vec(),
    };
    Ok(Network::new(name, shape, stages.layers(output))?)
}

/// Everything that the output depends on.
fn needed_names<'a>(model: &Model<'a>) -> HashSet<&'a str> {
    let mut needed = HashSet::from([model.output]);
    // ONNX demands that nodes come in order, so one pass from the end finds all.
    for node in model.nodes.iter().rev() {
        if node.output.iter().any(|output| needed.contains(output.as_str())) {
            needed.extend(node.input.iter().map(String::as_str));
        }
    }
    needed.remove("");
    needed
}

fn define<'a>(
    values: &mut HashMap<&'a str, Value>,
    name: &'a str,
    value: Value,
) -> Result<(), ImportError> {
    match values.insert(name, value) {
        None => Ok(()),
        Some(_) => Err(ImportError::Redefined { name: name.to_owned() }),
    }
}

fn run(
    node: &NodeProto,
    opset: i64,
    values: &HashMap<&str, Value>,
    needed: &HashSet<&str>,
    stages: &mut Stages,
) -> Result<Value, ImportError> {
    let title = || match (node.name(), node.output.first()) {
        ("", Some(output)) => format!("the node that gives '{output}'"),
        (name, _) => format!("node '{name}'"),
    };
    let failed =
        |fault| ImportError::Node { node: title(), operator: node.op_type().to_owned(), fault };
    if !is_standard(node.domain()) {
        return Err(failed(NodeError::Domain(node.domain().to_owned())));
    }
    let operator = operators::find(node.op_type()).ok_or(failed(NodeError::Operator))?;
    if let Some(extra) = node.output.iter().skip(1).find(|name| needed.contains(name.as_str())) {
        return Err(failed(NodeError::ExtraOutput(extra.clone())));
    }
    let inputs = node.input.iter().map(|name| match name.as_str() {
        "" => Ok(None),
        name => values
            .get(name)
            .map(Some)
            .ok_or_else(|| ImportError::Undefined { user: title(), name: name.to_owned() }),
    });
    let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
    let outcome = Operands::check(operator, node, opset, inputs)
        .and_then(|operands| operator.apply(&operands))
        .map_err(failed)?;
    let value = match outcome {
        Outcome::Value(value) => value,
        Outcome::Square(activation) => Value::Activation(stages.square(activation)),
    };
    if value.is_finite() { Ok(value) } else { Err(failed(NodeError::NotFinite)) }
}

/// The squares met so far.
#[derive(Default)]
struct Stages {
    /// Stage `k + 1` holds the squares of activation `k`.
    squared: Vec<Activation>,
}

impl Stages {
    fn square(&mut self, activation: Activation) -> Activation {
        let dims = activation.dims.clone();
        self.squared.push(activation);
        Activation::new(dims, self.squared.len())
    }

    /// The alternating layers that end in `output`: stages that it does not come from drop out.
    fn layers(self, output: Activation) -> Vec<Layer> {
        let mut squared: Vec<Option<Activation>> = self.squared.into_iter().map(Some).collect();
        let mut stage = output.stage;
        let mut layers = vec![Layer::Affine(owned(output.map))];
        // A stage's activation belongs to an earlier stage, so this ends at the input.
        while let Some(activation) = stage.checked_sub(1).and_then(|index| squared[index].take()) {
            stage = activation.stage;
            layers.push(Layer::Square { squared: activation.map.matrix.rows() });
            layers.push(Layer::Affine(owned(activation.map)));
        }
        layers.reverse();
        layers
    }
}

fn owned(map: Rc<Affine>) -> Affine {
    Rc::unwrap_or_clone(map)
}
