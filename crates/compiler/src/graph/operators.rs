//! The table of operators, and what a node hands to one.

use super::value::{Activation, Data, Tensor};
use super::{Value, constants, convolution, elementwise, linear, normalize, pool, shape};
use crate::onnx::{Attributes, NodeError, NodeProto};

/// What an operator makes of its operands.
pub(crate) enum Outcome {
    Value(Value),
    /// The squares of an activation, which open a new stage.
    Square(Activation),
}

impl From<Activation> for Outcome {
    fn from(activation: Activation) -> Self {
        Self::Value(Value::Activation(activation))
    }
}

impl From<Value> for Outcome {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

type Apply = fn(&Operands<'_>) -> Result<Outcome, NodeError>;

/// One supported operator.
pub(crate) struct Operator {
    name: &'static str,
    /// Least and most inputs over all supported versions.
    inputs: (usize, usize),
    /// Attributes of all supported versions.
    attributes: &'static [&'static str],
    apply: Apply,
}

impl Operator {
    pub(crate) fn apply(&self, operands: &Operands<'_>) -> Result<Outcome, NodeError> {
        (self.apply)(operands)
    }
}

const fn operator(
    name: &'static str,
    inputs: (usize, usize),
    attributes: &'static [&'static str],
    apply: Apply,
) -> Operator {
    Operator { name, inputs, attributes, apply }
}

const POOL: &[&str] =
    &["auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides"];
const CONV: &[&str] = &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"];
const NORM: &[&str] = &["epsilon", "momentum", "spatial", "training_mode"];
const CONSTANT: &[&str] = &["value", "value_float", "value_floats", "value_int", "value_ints"];
const MEAN: &[&str] = &["axes", "keepdims", "noop_with_empty_axes"];

/// Every supported operator, by name.
const OPERATORS: &[Operator] = &[
    operator("Add", (2, 2), &[], elementwise::add),
    operator("AveragePool", (1, 1), POOL, pool::average),
    operator("BatchNormalization", (5, 5), NORM, normalize::batch),
    operator("Cast", (1, 1), &["to", "saturate", "round_mode"], constants::cast),
    operator("Concat", (1, usize::MAX), &["axis"], constants::concat),
    operator("Constant", (0, 0), CONSTANT, constants::constant),
    operator("Conv", (2, 3), CONV, convolution::conv),
    operator("Div", (2, 2), &[], elementwise::div),
    operator("Dropout", (1, 3), &["ratio", "seed"], normalize::dropout),
    operator("Flatten", (1, 1), &["axis"], shape::flatten),
    operator("Gather", (2, 2), &["axis"], constants::gather),
    operator("Gemm", (2, 3), &["alpha", "beta", "transA", "transB"], linear::gemm),
    operator("GlobalAveragePool", (1, 1), &[], pool::global_average),
    operator("Identity", (1, 1), &[], shape::identity),
    operator("MatMul", (2, 2), &[], linear::matmul),
    operator("Mul", (2, 2), &[], elementwise::mul),
    operator("Pow", (2, 2), &[], elementwise::pow),
    operator("ReduceMean", (1, 2), MEAN, pool::reduce_mean),
    operator("Reshape", (2, 2), &["allowzero"], shape::reshape),
    operator("Shape", (1, 1), &["start", "end"], constants::shape),
    operator("Squeeze", (1, 2), &["axes"], shape::squeeze),
    operator("Sub", (2, 2), &[], elementwise::sub),
    operator("Transpose", (1, 1), &["perm"], shape::transpose),
    operator("Unsqueeze", (1, 2), &["axes"], shape::unsqueeze),
];

pub(crate) fn find(name: &str) -> Option<&'static Operator> {
    OPERATORS.iter().find(|operator| operator.name == name)
}

pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    OPERATORS.iter().map(|operator| operator.name)
}

/// A node's inputs and attributes.
pub(crate) struct Operands<'a> {
    /// Version of ONNX's operator set.
    pub(crate) opset: i64,
    pub(crate) attributes: Attributes<'a>,
    inputs: Vec<Option<&'a Value>>,
}

impl<'a> Operands<'a> {
    pub(crate) fn check(
        operator: &Operator,
        node: &'a NodeProto,
        opset: i64,
        inputs: Vec<Option<&'a Value>>,
    ) -> Result<Self, NodeError> {
        let (least, most) = operator.inputs;
        if !(least..=most).contains(&inputs.len()) {
            return Err(NodeError::InputCount { found: inputs.len(), least, most });
        }
        let attributes = Attributes::check(&node.attribute, operator.attributes)?;
        Ok(Self { opset, attributes, inputs })
    }

    /// All inputs, none left out.
    pub(crate) fn all(&self) -> Result<Vec<&'a Value>, NodeError> {
        (0..self.inputs.len()).map(|index| self.input(index)).collect()
    }

    pub(crate) fn input(&self, index: usize) -> Result<&'a Value, NodeError> {
        self.optional(index).ok_or(NodeError::Input { index, expected: "given" })
    }

    pub(crate) fn optional(&self, index: usize) -> Option<&'a Value> {
        self.inputs.get(index).copied().flatten()
    }

    pub(crate) fn activation(&self, index: usize) -> Result<&'a Activation, NodeError> {
        match self.input(index)? {
            Value::Activation(activation) => Ok(activation),
            Value::Constant(_) => Err(NodeError::Input { index, expected: "an activation" }),
        }
    }

    pub(crate) fn constant(&self, index: usize) -> Result<&'a Tensor, NodeError> {
        match self.input(index)? {
            Value::Constant(tensor) => Ok(tensor),
            Value::Activation(_) => Err(NodeError::Input { index, expected: "a constant" }),
        }
    }

    /// Shape and values of a constant float tensor.
    pub(crate) fn reals(&self, index: usize) -> Result<(&'a [usize], &'a [f64]), NodeError> {
        let tensor = self.constant(index)?;
        Ok((&tensor.dims, tensor.reals(index)?))
    }

    /// Values of a constant integer tensor of at most one axis.
    pub(crate) fn integers(&self, index: usize) -> Result<&'a [i64], NodeError> {
        let tensor = self.constant(index)?;
        match &*tensor.data {
            Data::Integer(values) if tensor.dims.len() <= 1 => Ok(values),
            _ => Err(NodeError::Input { index, expected: "a constant list of integers" }),
        }
    }

    /// The axes of an operator that had them as an attribute before `version` and has them as its second input since.
    pub(crate) fn axes(&self, version: i64) -> Result<Option<&'a [i64]>, NodeError> {
        if self.opset < version {
            if self.inputs.len() > 1 {
                return Err(NodeError::InputCount { found: self.inputs.len(), least: 1, most: 1 });
            }
            return self.attributes.ints("axes");
        }
        if self.attributes.has("axes") {
            return Err(NodeError::Attribute {
                name: "axes",
                found: format!("an attribute in operator set {}", self.opset),
                supported: "axes as the second input",
            });
        }
        self.optional(1).map(|_| self.integers(1)).transpose()
    }
}
