//! From ONNX's graph to a network: every node becomes an affine map of what stands behind so many squares.
//!
//! An activation is held as an affine map of a *stage* (see [`context`]). A linear node composes its sparse matrix with that map, so
//! neighbours fold as they are met; a function of one value waits, and joins others of the same value, till something needs its
//! values. What the outputs need of the stages becomes the layers ([`emit`]).

mod activations;
mod constants;
mod context;
mod convolution;
mod elementwise;
mod emit;
mod expression;
mod fit;
mod forms;
mod function;
mod index;
mod least_squares;
mod linear;
mod maximum;
mod ml;
mod moves;
mod normalize;
mod operators;
mod outputs;
mod polynomial;
mod pool;
mod product;
mod reduce;
mod resize;
mod shape;
mod slices;
mod value;
mod window;

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use context::Context;
pub(crate) use operators::names as operator_names;
use operators::{Domain, Operands, Operator};
use value::Activation;
pub(crate) use value::{Data, Tensor, Value};

use crate::network::Input;
use crate::onnx::{
    ImportError, ImportOptions, Imported, MAX_HELD_VALUES, Model, NodeError, NodeProto,
    read_tensor, volume,
};

/// Turns a checked model into a network in alternating form.
///
/// # Errors
/// [`ImportError`] for the first node, weight or name that cannot be used. Nodes that the outputs do not need are not
/// looked at.
pub(crate) fn lower(
    name: &str,
    model: Model<'_>,
    options: &ImportOptions<'_>,
) -> Result<Imported, ImportError> {
    let sizes = model.inputs.iter().map(|(_, dims)| dims.iter().product::<usize>());
    let length = sizes.clone().sum();
    for (sample, values) in options.samples.iter().enumerate() {
        if values.len() != length {
            return Err(ImportError::Sample { sample, expected: length, actual: values.len() });
        }
    }
    let mut graph = Graph {
        uses: needed_names(&model),
        values: HashMap::new(),
        defined: HashSet::new(),
        held: 0,
        context: Context::new(options, length),
    };
    for tensor in model.initializers {
        if !graph.needs(tensor.name()) {
            continue;
        }
        let constant = read_tensor(tensor)
            .map_err(|fault| ImportError::Tensor { name: tensor.name().to_owned(), fault })?;
        graph.define(tensor.name(), Value::Constant(constant))?;
    }
    let mut first = 0;
    for ((name, dims), size) in model.inputs.iter().zip(sizes) {
        let input = Activation::part(dims.clone(), length, first)?;
        graph.define(name, Value::Activation(input))?;
        first += size;
    }
    for node in model.nodes {
        if node.output.iter().any(|output| graph.needs(output)) {
            graph.run(node, &model)?;
        }
    }
    let outputs = model.outputs.iter().map(|output| Ok((*output, graph.take(output)?)));
    let outputs = outputs.collect::<Result<Vec<_>, ImportError>>()?;
    let inputs: Vec<Input> = model
        .inputs
        .iter()
        .map(|(name, dims)| {
            let shape = outputs::sample_shape(dims, options);
            Input { name: (*name).to_owned(), shape }
        })
        .collect();
    outputs::finish(name, graph.context, inputs, outputs)
}

/// How often everything that the outputs depend on is used.
fn needed_names<'a>(model: &Model<'a>) -> HashMap<&'a str, usize> {
    let mut uses: HashMap<&str, usize> = HashMap::new();
    model.outputs.iter().for_each(|output| *uses.entry(output).or_default() += 1);
    // ONNX demands that nodes come in order, so one pass from the end finds all.
    for node in model.nodes.iter().rev() {
        if node.output.iter().any(|output| uses.contains_key(output.as_str())) {
            node.input.iter().for_each(|input| *uses.entry(input).or_default() += 1);
        }
    }
    uses.remove("");
    uses
}

/// The values met so far.
struct Graph<'a, 'o> {
    /// How many uses of a name are still to come; names that nothing needs are missing.
    uses: HashMap<&'a str, usize>,
    values: HashMap<&'a str, Value>,
    defined: HashSet<&'a str>,
    /// Numbers in `values`.
    held: usize,
    context: Context<'o>,
}

impl<'a> Graph<'a, '_> {
    fn needs(&self, name: &str) -> bool {
        self.uses.contains_key(name)
    }

    fn define(&mut self, name: &'a str, value: Value) -> Result<(), ImportError> {
        if !self.defined.insert(name) {
            return Err(ImportError::Redefined { name: name.to_owned() });
        }
        self.held = self.held.saturating_add(value.size());
        if self.held > MAX_HELD_VALUES {
            return Err(ImportError::TooLarge { name: name.to_owned() });
        }
        self.values.insert(name, value);
        Ok(())
    }

    /// An output's value.
    fn take(&mut self, name: &str) -> Result<Value, ImportError> {
        let user = "the graph's output";
        self.used(name)
            .ok_or_else(|| ImportError::Undefined { user: user.to_owned(), name: name.to_owned() })
    }

    /// A value for one of its users; forgotten with the last one.
    fn used(&mut self, name: &str) -> Option<Value> {
        let left = self.uses.get_mut(name)?;
        *left = left.saturating_sub(1);
        if *left > 0 {
            return self.values.get(name).cloned();
        }
        let value = self.values.remove(name)?;
        self.held -= value.size();
        Some(value)
    }

    fn run(&mut self, node: &'a NodeProto, model: &Model<'a>) -> Result<(), ImportError> {
        let title = match (node.name(), node.output.first()) {
            ("", Some(output)) => format!("the node that gives '{output}'"),
            (name, _) => format!("node '{name}'"),
        };
        self.context.node = Rc::new((title.clone(), node.op_type().to_owned()));
        let failed = |fault| ImportError::node(&title, node.op_type(), fault);
        let domain = Domain::named(node.domain())
            .ok_or_else(|| failed(NodeError::Domain(node.domain().to_owned())))?;
        let operator =
            operators::find(domain, node.op_type()).ok_or(failed(NodeError::Operator))?;
        let mut inputs = Vec::with_capacity(node.input.len());
        for name in &node.input {
            inputs.push(match name.as_str() {
                "" => None,
                name => Some(self.used(name).ok_or_else(|| ImportError::Undefined {
                    user: title.clone(),
                    name: name.to_owned(),
                })?),
            });
        }
        let opset = match domain {
            Domain::Standard => model.opset,
            Domain::Learning => model.learning,
        };
        let values = self.apply(operator, node, opset, inputs).map_err(failed)?;
        for (index, name) in node.output.iter().enumerate() {
            if !self.needs(name) {
                continue;
            }
            let value =
                values.get(index).ok_or_else(|| failed(NodeError::ExtraOutput(name.clone())))?;
            // Each number is looked at a few times on the way.
            self.context.spend(value.size().saturating_mul(4)).map_err(&failed)?;
            if !value.is_finite() {
                return Err(failed(NodeError::NotFinite));
            }
            self.define(name, value.clone())?;
        }
        Ok(())
    }

    fn apply(
        &mut self,
        operator: &Operator,
        node: &NodeProto,
        opset: i64,
        inputs: Vec<Option<Value>>,
    ) -> Result<Vec<Value>, NodeError> {
        let inputs = inputs
            .into_iter()
            .map(|value| value.map(|value| operator.accept(&value, &mut self.context)).transpose());
        let inputs = inputs.collect::<Result<_, _>>()?;
        let operands = Operands::check(operator, node, opset, inputs)?;
        Ok(operator.apply(&operands, &mut self.context)?.0)
    }
}
