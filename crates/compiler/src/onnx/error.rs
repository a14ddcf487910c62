//! Why a model was not imported.

use super::{
    MAX_ACTIVATION_VALUES, MAX_CONSTANT_VALUES, MAX_FILE_BYTES, MAX_NODES, MAX_RANK, NEWEST_OPSET,
    OLDEST_OPSET,
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
    /// Not exactly one input besides the weights.
    #[error("the model has the inputs {names:?}; exactly one is supported")]
    Inputs {
        /// Inputs that no initializer fills.
        names: Vec<String>,
    },
    /// Not exactly one output.
    #[error("the model has the outputs {names:?}; exactly one is supported")]
    Outputs {
        /// All outputs.
        names: Vec<String>,
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
    #[error("has a fixed batch of {0}; export the model with an open batch axis or a batch of 1")]
    FixedBatch(usize),
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
    /// An operator of a domain other than ONNX's own.
    #[error("operator is of domain '{0}'; supported: ONNX's own")]
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
    #[error("output '{0}' is used; only the first output is supported")]
    ExtraOutput(String),
    /// A product of two different activations, or a division by one.
    #[error(
        "two different activations meet; supported: an activation and a constant, or a square (x · x, x to the power of 2)"
    )]
    Product,
    /// A sum of activations with different squares behind them.
    #[error(
        "adds activations of different depth or from different squares; a residual sum is supported only where no square \
         lies between the point at which its branches part and the sum"
    )]
    Branches,
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
