//! Why a model was not imported.

use super::{
    MAX_ACTIVATION_VALUES, MAX_CONSTANT_VALUES, MAX_FILE_BYTES, MAX_HELD_VALUES, MAX_NODES,
    MAX_PORTS, MAX_RANK, NEWEST_OPSET, OLDEST_OPSET,
};
use crate::network::ShapeError;

/// Why a model was not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file could not be read.
    #[error("cannot read the model: {0}")]
    Io(#[from] std::io::Error),
    /// Longer than [`MAX_FILE_BYTES`].
    #[error("the model is longer than {MAX_FILE_BYTES} bytes")]
    FileTooLarge,
    /// Not a protobuf message of ONNX's form.
    #[error("not an ONNX model: {0}")]
    Decode(#[from] prost::DecodeError),
    /// A model without a graph.
    #[error("the model has no graph")]
    NoGraph,
    /// More nodes than [`MAX_NODES`].
    #[error("the graph has {0} nodes; at most {MAX_NODES} are read")]
    TooManyNodes(usize),
    /// No version of ONNX's own operator set, or one that is not known.
    #[error("operator set {}; supported: {OLDEST_OPSET} to {NEWEST_OPSET}",
        found.map_or("not stated".into(), |version| version.to_string()))]
    Opset {
        /// The version that the model states for ONNX's own domain.
        found: Option<i64>,
    },
    /// A model-local function that would replace one of ONNX's operators.
    #[error("the model redefines ONNX's operator {name}; functions of its own are not supported")]
    LocalFunction {
        /// The operator.
        name: String,
    },
    /// Sparse initializers.
    #[error("sparse initializers are not supported; store the weights dense")]
    SparseInitializer,
    /// No input besides the weights, or more than [`MAX_PORTS`].
    #[error("the model has {0} inputs besides its weights; supported: 1 to {MAX_PORTS}")]
    Inputs(usize),
    /// No output, or more than [`MAX_PORTS`].
    #[error("the model has {0} outputs; supported: 1 to {MAX_PORTS}")]
    Outputs(usize),
    /// Calibration samples that do not fit the model.
    #[error("calibration sample {sample} has {actual} values; the model takes {expected}")]
    Sample {
        /// Which one, counted from 0.
        sample: usize,
        /// Values of the model's inputs together.
        expected: usize,
        /// Values of the sample.
        actual: usize,
    },
    /// An input of a kind that is not supported.
    #[error("input '{name}' {fault}")]
    Input {
        /// The input.
        name: String,
        /// What is wrong with it.
        fault: InputFault,
    },
    /// A tensor that cannot be read.
    #[error("tensor '{name}' {fault}")]
    Tensor {
        /// The tensor.
        name: String,
        /// What is wrong with it.
        fault: TensorFault,
    },
    /// A name that is used before anything gives it a value.
    #[error("{user} uses '{name}', which nothing before it gives a value")]
    Undefined {
        /// Who uses the name: a node, or the graph's output.
        user: String,
        /// The name.
        name: String,
    },
    /// A name that gets a value twice.
    #[error("'{name}' gets a value twice")]
    Redefined {
        /// The name.
        name: String,
    },
    /// A node that cannot be run.
    #[error("{node} ({operator}): {fault}")]
    Node {
        /// The node's name, or its first output's where it has none.
        node: String,
        /// Its operator.
        operator: String,
        /// What is wrong with it.
        fault: NodeError,
    },
    /// More numbers at once than [`MAX_HELD_VALUES`].
    #[error("with '{name}' there are more than {MAX_HELD_VALUES} numbers in use at once")]
    TooLarge {
        /// The value that is too much.
        name: String,
    },
    /// An output that is the same whatever the input.
    #[error("output '{name}' does not depend on the input")]
    ConstantOutput {
        /// The output.
        name: String,
    },
    /// Layers that do not fit; a fault of the import itself.
    #[error("the imported layers do not fit: {0}")]
    Layers(#[from] ShapeError),
}

impl ImportError {
    /// A node's fault, or the earlier node's that it tells of.
    pub(crate) fn node(node: &str, operator: &str, fault: NodeError) -> Self {
        match fault {
            NodeError::At { node, operator, fault } => Self::node(&node, &operator, *fault),
            fault => Self::Node { node: node.to_owned(), operator: operator.to_owned(), fault },
        }
    }
}

/// What is wrong with the model's input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputFault {
    /// No type, no shape, or not a tensor.
    #[error("has no tensor type with a shape")]
    Untyped,
    /// Neither f32 nor f64.
    #[error("has element type {0}; supported: FLOAT (1) and DOUBLE (11)")]
    Type(i32),
    /// More than [`MAX_RANK`] axes, or none.
    #[error("has {0} axes; supported: 1 to {MAX_RANK}")]
    Rank(usize),
    /// An axis of unknown length besides the first.
    #[error("leaves the length of axis {0} open; only the first one, the batch, may be open")]
    OpenAxis(usize),
    /// A fixed batch of several samples.
    #[error(
        "has a fixed batch of {0}; export the model with an open batch axis or a batch of 1, or import whole tensors as samples"
    )]
    FixedBatch(usize),
    /// Too many values with the inputs before it.
    #[error("holds, with the inputs before it, more than {MAX_ACTIVATION_VALUES} values")]
    Together,
    /// Lengths below 1 or in sum too large.
    #[error(
        "has the shape {0:?}; supported: positive lengths, at most {MAX_ACTIVATION_VALUES} values"
    )]
    Shape(Vec<i64>),
}

/// What is wrong with a stored tensor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TensorFault {
    /// Data in another file.
    #[error("keeps its data in another file; store it within the model")]
    External,
    /// Data in several parts.
    #[error("is a segment of a larger one, which is not supported")]
    Segment,
    /// A type that is not read.
    #[error(
        "has element type {0}; supported: FLOAT (1), INT32 (6), INT64 (7), BOOL (9), DOUBLE (11)"
    )]
    Type(i32),
    /// Negative lengths, too many axes or too many values.
    #[error(
        "has the shape {0:?}; supported: at most {MAX_RANK} axes and {MAX_CONSTANT_VALUES} values"
    )]
    Shape(Vec<i64>),
    /// Data that does not fill the shape exactly, or lies in the field of another type.
    #[error("should hold {expected} values, {actual} are stored for its type")]
    Length {
        /// The shape's volume.
        expected: usize,
        /// Values present (whole and broken ones for raw bytes).
        actual: usize,
    },
    /// Infinity or not a number.
    #[error("holds a value that is not finite, at {0}")]
    NotFinite(usize),
}

/// Why a node cannot be run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NodeError {
    /// An operator outside the supported ones.
    #[error("operator is not supported; supported: {}", names(super::supported_operators()))]
    Operator,
    /// An operator of a domain other than ONNX's own two.
    #[error("operator is of domain '{0}'; supported: ai.onnx and ai.onnx.ml")]
    Domain(String),
    /// An attribute that the operator does not have, or not in a supported version.
    #[error("attribute '{name}' is not supported; supported: {}", names(supported.iter().copied()))]
    UnknownAttribute {
        /// The attribute.
        name: String,
        /// The operator's attributes.
        supported: &'static [&'static str],
    },
    /// An attribute with a value that is not supported.
    #[error("attribute '{name}' is {found}; supported: {supported}")]
    Attribute {
        /// The attribute.
        name: &'static str,
        /// Its value.
        found: String,
        /// Values that would do.
        supported: &'static str,
    },
    /// Too few or too many inputs.
    #[error("has {found} inputs; supported: {least} to {most}")]
    InputCount {
        /// Inputs of the node.
        found: usize,
        /// Least.
        least: usize,
        /// Most.
        most: usize,
    },
    /// An input of the wrong kind.
    #[error("input {index} must be {expected}")]
    Input {
        /// Which input, counted from 0.
        index: usize,
        /// What it must be.
        expected: &'static str,
    },
    /// A tensor in an attribute that cannot be read.
    #[error("the tensor in attribute 'value' {0}")]
    Tensor(#[from] TensorFault),
    /// Shapes that do not fit.
    #[error("shapes {shapes:?}: {rule}")]
    Shapes {
        /// The shapes in question.
        shapes: Vec<Vec<usize>>,
        /// What they break.
        rule: &'static str,
    },
    /// Something above a limit.
    #[error("needs {what} beyond the limit of {limit}")]
    TooLarge {
        /// What there would be too much of.
        what: &'static str,
        /// How much is allowed.
        limit: usize,
    },
    /// A second output (mask, statistics) that something uses.
    #[error("output '{0}' is used, which is not supported")]
    ExtraOutput(String),
    /// A division by an activation.
    #[error(
        "divides by an activation; supported: sums, differences and products of activations, and divisions by constants"
    )]
    Product,
    /// Something after an operator that is an output form.
    #[error(
        "uses the result of {0}, which is supported at the very end of a model alone, as a form in which the results are read"
    )]
    Form(&'static str),
    /// A function that is no polynomial, and nothing to fit it over.
    #[error(
        "is not a polynomial; it can be fitted by one over the range that samples show: give calibration samples (--calibrate \
         SAMPLES.npy)"
    )]
    NeedsSamples,
    /// An earlier node's fault that showed when its values were needed.
    #[error("{fault}")]
    At {
        /// The node.
        node: String,
        /// Its operator.
        operator: String,
        /// What is wrong with it.
        fault: Box<NodeError>,
    },
    /// No polynomial up to the highest degree comes close enough.
    #[error(
        "the best polynomial (degree 32) is off by {:.1} % of the function's span; the budget is {:.1} %: allow more \
         (--fit-error), state a degree (--fit-degree), or train with a smoother activation",
        100.0 * error, 100.0 * budget
    )]
    Fit {
        /// Largest error as part of the function's span.
        error: f64,
        /// What was allowed.
        budget: f64,
    },
    /// A result that is infinite or not a number.
    #[error("gives a value that is not finite")]
    NotFinite,
    /// Sizes that do not fit; a fault of the import itself.
    #[error(transparent)]
    Sizes(#[from] ShapeError),
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let joined = names.collect::<Vec<_>>().join(", ");
    if joined.is_empty() { "none".into() } else { joined }
}
