//! The table of operators, and what a node hands to one.

use super::context::Context;
use super::value::{Activation, Data, Tensor};
use super::{
    Value, activations, constants, convolution, elementwise, forms, linear, maximum, ml, moves,
    normalize, pool, reduce, resize, shape, slices,
};
use crate::onnx::{Attributes, NodeError, NodeProto};

/// What a node's outputs are.
pub(crate) struct Outcome(pub(crate) Vec<Value>);

impl<V: Into<Value>> From<V> for Outcome {
    fn from(value: V) -> Self {
        Self(vec![value.into()])
    }
}

type Apply = fn(&Operands<'_>, &mut Context<'_>) -> Result<Outcome, NodeError>;

/// Which values an operator takes as they are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// Constants and activations; functions not yet applied are applied before.
    Values,
    /// Functions not yet applied too.
    Functions,
    /// Results in a form too.
    Forms,
}

/// One supported operator.
pub(crate) struct Operator {
    name: &'static str,
    domain: Domain,
    /// Least and most inputs over all supported versions.
    inputs: (usize, usize),
    /// Attributes of all supported versions.
    attributes: &'static [&'static str],
    takes: Takes,
    apply: Apply,
}

/// The operator sets that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Domain {
    /// `ai.onnx`, or no name.
    Standard,
    /// `ai.onnx.ml`.
    Learning,
}

impl Domain {
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "" | "ai.onnx" => Some(Self::Standard),
            "ai.onnx.ml" => Some(Self::Learning),
            _ => None,
        }
    }
}

impl Operator {
    pub(crate) fn apply(
        &self,
        operands: &Operands<'_>,
        context: &mut Context<'_>,
    ) -> Result<Outcome, NodeError> {
        (self.apply)(operands, context)
    }

    /// An input as the operator takes it.
    pub(crate) fn accept(
        &self,
        value: &Value,
        context: &mut Context<'_>,
    ) -> Result<Value, NodeError> {
        match (value, self.takes) {
            (Value::Formed(formed), Takes::Values | Takes::Functions) => {
                Err(NodeError::Form(formed.operator))
            }
            (Value::Pending(_), Takes::Values) => context.forced(value).map(Value::Activation),
            _ => Ok(value.clone()),
        }
    }
}

const fn operator(
    name: &'static str,
    inputs: (usize, usize),
    attributes: &'static [&'static str],
    apply: Apply,
) -> Operator {
    let (domain, takes) = (Domain::Standard, Takes::Values);
    Operator { name, domain, inputs, attributes, takes, apply }
}

/// An operator that joins functions not yet applied.
const fn function(
    name: &'static str,
    inputs: (usize, usize),
    attributes: &'static [&'static str],
    apply: Apply,
) -> Operator {
    Operator { takes: Takes::Functions, ..operator(name, inputs, attributes, apply) }
}

/// An operator that may also stand behind an output form.
const fn last(
    name: &'static str,
    inputs: (usize, usize),
    attributes: &'static [&'static str],
    apply: Apply,
) -> Operator {
    Operator { takes: Takes::Forms, ..operator(name, inputs, attributes, apply) }
}

/// The operator as one of `ai.onnx.ml`.
const fn learning(operator: Operator) -> Operator {
    Operator { domain: Domain::Learning, ..operator }
}

const MANY: usize = usize::MAX;
const POOL: &[&str] =
    &["auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides"];
const MAX_POOL: &[&str] =
    &["auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides"];
const LP_POOL: &[&str] =
    &["auto_pad", "ceil_mode", "dilations", "kernel_shape", "p", "pads", "strides"];
const CONV: &[&str] = &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"];
const CONV_TRANSPOSE: &[&str] = &[
    "auto_pad",
    "dilations",
    "group",
    "kernel_shape",
    "output_padding",
    "output_shape",
    "pads",
    "strides",
];
const NORM: &[&str] = &["epsilon", "momentum", "spatial", "training_mode"];
const CONSTANT: &[&str] = &["value", "value_float", "value_floats", "value_int", "value_ints"];
const REDUCE: &[&str] = &["axes", "keepdims", "noop_with_empty_axes"];
const RESIZE: &[&str] = &[
    "antialias",
    "axes",
    "coordinate_transformation_mode",
    "cubic_coeff_a",
    "exclude_outside",
    "extrapolation_value",
    "keep_aspect_ratio_policy",
    "mode",
    "nearest_mode",
];
const CLASSIFIER: &[&str] = &[
    "classlabels_ints",
    "classlabels_strings",
    "coefficients",
    "intercepts",
    "multi_class",
    "post_transform",
];

/// Every supported operator, by name.
const OPERATORS: &[Operator] = &[
    function("Abs", (1, 1), &[], activations::abs),
    function("Add", (2, 2), &[], elementwise::add),
    last("ArgMax", (1, 1), &["axis", "keepdims", "select_last_index"], forms::argmax),
    operator("AveragePool", (1, 1), POOL, pool::average),
    operator("BatchNormalization", (5, 5), NORM, normalize::batch),
    last("Cast", (1, 1), &["to", "saturate", "round_mode"], constants::cast),
    operator("Ceil", (1, 1), &[], constants::ceil),
    function("Celu", (1, 1), &["alpha"], activations::celu),
    function("Clip", (1, 3), &["min", "max"], activations::clip),
    function("Concat", (1, MANY), &["axis"], moves::concat),
    operator("Constant", (0, 0), CONSTANT, constants::constant),
    operator("ConstantOfShape", (1, 1), &["value"], constants::of_shape),
    operator("Conv", (2, 3), CONV, convolution::conv),
    operator("ConvTranspose", (2, 3), CONV_TRANSPOSE, convolution::transposed),
    function("Cos", (1, 1), &[], activations::cos),
    operator("DepthToSpace", (1, 1), &["blocksize", "mode"], moves::depth_to_space),
    function("Div", (2, 2), &[], elementwise::div),
    last("Dropout", (1, 3), &["ratio", "seed", "training_mode"], normalize::dropout),
    operator("Einsum", (1, MANY), &["equation"], linear::einsum),
    function("Elu", (1, 1), &["alpha"], activations::elu),
    operator("Equal", (2, 2), &[], constants::equal),
    function("Erf", (1, 1), &[], activations::erf),
    function("Exp", (1, 1), &[], activations::exp),
    operator("Expand", (2, 2), &[], moves::expand),
    last("Flatten", (1, 1), &["axis"], shape::flatten),
    operator("Floor", (1, 1), &[], constants::floor),
    operator("Gather", (2, 2), &["axis"], slices::gather),
    function("Gelu", (1, 1), &["approximate"], activations::gelu),
    operator("Gemm", (2, 3), &["alpha", "beta", "transA", "transB"], linear::gemm),
    operator("GlobalAveragePool", (1, 1), &[], reduce::global_average),
    operator("GlobalMaxPool", (1, 1), &[], maximum::global),
    function("HardSigmoid", (1, 1), &["alpha", "beta"], activations::hard_sigmoid),
    function("HardSwish", (1, 1), &[], activations::hard_swish),
    last("Identity", (1, 1), &[], shape::identity),
    function("LeakyRelu", (1, 1), &["alpha"], activations::leaky_relu),
    function("Log", (1, 1), &[], activations::log),
    operator("LogSoftmax", (1, 1), &["axis"], forms::log_softmax),
    operator("LpPool", (1, 1), LP_POOL, pool::lp),
    operator("MatMul", (2, 2), &[], linear::matmul),
    function("Max", (1, MANY), &[], maximum::max),
    operator("MaxPool", (1, 1), MAX_POOL, maximum::pool),
    function("Mean", (1, MANY), &[], elementwise::mean),
    function("Min", (1, MANY), &[], maximum::min),
    function("Mish", (1, 1), &[], activations::mish),
    function("Mul", (2, 2), &[], elementwise::mul),
    function("Neg", (1, 1), &[], elementwise::neg),
    operator("Pad", (1, 4), &["mode", "pads", "value"], slices::pad),
    function("Pow", (2, 2), &[], elementwise::pow),
    function("PRelu", (2, 2), &[], activations::prelu),
    operator("Range", (3, 3), &[], constants::range),
    function("Reciprocal", (1, 1), &[], activations::reciprocal),
    operator("ReduceMean", (1, 2), REDUCE, reduce::mean),
    operator("ReduceProd", (1, 2), REDUCE, reduce::product),
    operator("ReduceSum", (1, 2), REDUCE, reduce::sum),
    operator("ReduceSumSquare", (1, 2), REDUCE, reduce::sum_square),
    function("Relu", (1, 1), &[], activations::relu),
    last("Reshape", (2, 2), &["allowzero"], shape::reshape),
    operator("Resize", (1, 4), RESIZE, resize::resize),
    function("Selu", (1, 1), &["alpha", "gamma"], activations::selu),
    operator("Shape", (1, 1), &["start", "end"], constants::shape),
    function("Sigmoid", (1, 1), &[], activations::sigmoid),
    function("Sin", (1, 1), &[], activations::sin),
    operator("Size", (1, 1), &[], constants::size),
    operator("Slice", (1, 5), &["axes", "ends", "starts"], slices::slice),
    operator("Softmax", (1, 1), &["axis"], forms::softmax),
    function("Softplus", (1, 1), &[], activations::softplus),
    function("Softsign", (1, 1), &[], activations::softsign),
    operator("SpaceToDepth", (1, 1), &["blocksize", "mode"], moves::space_to_depth),
    operator("Split", (1, 2), &["axis", "num_outputs", "split"], slices::split),
    function("Sqrt", (1, 1), &[], activations::sqrt),
    last("Squeeze", (1, 2), &["axes"], shape::squeeze),
    function("Sub", (2, 2), &[], elementwise::sub),
    function("Sum", (1, MANY), &[], elementwise::sum),
    function("Swish", (1, 1), &["alpha"], activations::swish),
    function("Tanh", (1, 1), &[], activations::tanh),
    function("ThresholdedRelu", (1, 1), &["alpha"], activations::thresholded_relu),
    operator("Tile", (2, 2), &[], moves::tile),
    operator("Transpose", (1, 1), &["perm"], shape::transpose),
    last("Unsqueeze", (1, 2), &["axes"], shape::unsqueeze),
    operator("Upsample", (1, 2), &["mode", "scales"], resize::upsample),
    operator("Where", (3, 3), &[], moves::choose),
    learning(last("ArrayFeatureExtractor", (2, 2), &[], ml::features)),
    learning(operator("FeatureVectorizer", (1, MANY), &["inputdimensions"], ml::vectorizer)),
    learning(operator("LinearClassifier", (1, 1), CLASSIFIER, ml::classifier)),
    learning(operator(
        "LinearRegressor",
        (1, 1),
        &["coefficients", "intercepts", "post_transform", "targets"],
        ml::regressor,
    )),
    learning(last("Normalizer", (1, 1), &["norm"], ml::normalizer)),
    learning(operator("Scaler", (1, 1), &["offset", "scale"], ml::scaler)),
    learning(last(
        "ZipMap",
        (1, 1),
        &["classlabels_int64s", "classlabels_strings"],
        shape::identity,
    )),
];

pub(crate) fn find(domain: Domain, name: &str) -> Option<&'static Operator> {
    OPERATORS.iter().find(|operator| operator.domain == domain && operator.name == name)
}

pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    OPERATORS.iter().map(|operator| operator.name)
}

/// A node's inputs and attributes.
pub(crate) struct Operands<'a> {
    /// Version of the operator's set.
    pub(crate) opset: i64,
    pub(crate) attributes: Attributes<'a>,
    /// Outputs that the node names.
    pub(crate) outputs: usize,
    inputs: Vec<Option<Value>>,
}

impl<'a> Operands<'a> {
    pub(crate) fn check(
        operator: &Operator,
        node: &'a NodeProto,
        opset: i64,
        inputs: Vec<Option<Value>>,
    ) -> Result<Self, NodeError> {
        let (least, most) = operator.inputs;
        if !(least..=most).contains(&inputs.len()) {
            return Err(NodeError::InputCount { found: inputs.len(), least, most });
        }
        let attributes = Attributes::check(&node.attribute, operator.attributes)?;
        Ok(Self { opset, attributes, outputs: node.output.len(), inputs })
    }

    /// All inputs, none left out.
    pub(crate) fn all(&self) -> Result<Vec<&Value>, NodeError> {
        (0..self.inputs.len()).map(|index| self.input(index)).collect()
    }

    /// How many inputs there are, those left out included.
    pub(crate) fn count(&self) -> usize {
        self.inputs.len()
    }

    pub(crate) fn input(&self, index: usize) -> Result<&Value, NodeError> {
        self.optional(index).ok_or(NodeError::Input { index, expected: "given" })
    }

    pub(crate) fn optional(&self, index: usize) -> Option<&Value> {
        self.inputs.get(index).and_then(Option::as_ref)
    }

    pub(crate) fn activation(&self, index: usize) -> Result<&Activation, NodeError> {
        match self.input(index)? {
            Value::Activation(activation) => Ok(activation),
            _ => Err(NodeError::Input { index, expected: "an activation" }),
        }
    }

    pub(crate) fn constant(&self, index: usize) -> Result<&Tensor, NodeError> {
        match self.input(index)? {
            Value::Constant(tensor) => Ok(tensor),
            _ => Err(NodeError::Input { index, expected: "a constant" }),
        }
    }

    /// Shape and values of a constant float tensor.
    pub(crate) fn reals(&self, index: usize) -> Result<(&[usize], &[f64]), NodeError> {
        let tensor = self.constant(index)?;
        Ok((&tensor.dims, tensor.reals(index)?))
    }

    /// A constant float of one value.
    pub(crate) fn real(&self, index: usize) -> Result<f64, NodeError> {
        match self.reals(index)? {
            (_, [one]) => Ok(*one),
            _ => Err(NodeError::Input { index, expected: "one constant float" }),
        }
    }

    /// Values of a constant integer tensor of at most one axis.
    pub(crate) fn integers(&self, index: usize) -> Result<&[i64], NodeError> {
        let tensor = self.constant(index)?;
        match &*tensor.data {
            Data::Integer(values) if tensor.dims.len() <= 1 => Ok(values),
            _ => Err(NodeError::Input { index, expected: "a constant list of integers" }),
        }
    }

    /// A list that was attribute `name` before operator set `version` and is input `index` since.
    pub(crate) fn list(
        &self,
        name: &'static str,
        index: usize,
        version: i64,
    ) -> Result<Option<&[i64]>, NodeError> {
        if self.opset < version {
            if self.inputs.len() > index {
                let (found, most) = (self.inputs.len(), index);
                return Err(NodeError::InputCount { found, least: 1, most });
            }
            return self.attributes.ints(name);
        }
        if self.attributes.has(name) {
            return Err(NodeError::Attribute {
                name,
                found: format!("an attribute in operator set {}", self.opset),
                supported: "a constant input",
            });
        }
        self.optional(index).map(|_| self.integers(index)).transpose()
    }

    /// The axes of an operator that had them as an attribute before `version` and has them as its second input since.
    pub(crate) fn axes(&self, version: i64) -> Result<Option<&[i64]>, NodeError> {
        self.list("axes", 1, version)
    }
}
