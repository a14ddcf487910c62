//! What a model says about itself: versions, its one input, its one output, its weights.

use super::proto::tensor_proto::DataType;
use super::proto::tensor_shape_proto::dimension::Value as Dimension;
use super::proto::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};
use super::{
    ImportError, InputFault, MAX_ACTIVATION_VALUES, MAX_NODES, MAX_RANK, NEWEST_OPSET,
    OLDEST_OPSET, volume,
};

/// A model whose frame is sound; its nodes are not looked at yet.
pub(crate) struct Model<'a> {
    /// Version of ONNX's own operator set.
    pub(crate) opset: i64,
    /// The input's name.
    pub(crate) input: &'a str,
    /// The input's shape for a batch of one.
    pub(crate) dims: Vec<usize>,
    /// The output's name.
    pub(crate) output: &'a str,
    pub(crate) nodes: &'a [NodeProto],
    pub(crate) initializers: &'a [TensorProto],
}

/// Whether a domain is ONNX's own, under either of its names.
pub(crate) fn is_standard(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

impl<'a> Model<'a> {
    /// Checks a model's frame.
    ///
    /// # Errors
    /// Any [`ImportError`] that is not about nodes or the data of tensors.
    pub(crate) fn check(model: &'a ModelProto) -> Result<Self, ImportError> {
        let mut versions = model.opset_import.iter().filter(|set| is_standard(set.domain()));
        let found = versions.next().map(|set| set.version());
        let opset = found
            .filter(|version| (OLDEST_OPSET..=NEWEST_OPSET).contains(version))
            .ok_or(ImportError::Opset { found })?;
        if let Some(function) = model.functions.iter().find(|f| is_standard(f.domain())) {
            return Err(ImportError::LocalFunction { name: function.name().to_owned() });
        }
        let graph = model.graph.as_ref().ok_or(ImportError::NoGraph)?;
        if graph.node.len() > MAX_NODES {
            return Err(ImportError::TooManyNodes(graph.node.len()));
        }
        if !graph.sparse_initializer.is_empty() {
            return Err(ImportError::SparseInitializer);
        }
        let input = only_input(graph)?;
        let [output] = graph.output.as_slice() else {
            return Err(ImportError::Outputs { names: names(graph.output.iter()) });
        };
        let dims = shape(input)
            .map_err(|fault| ImportError::Input { name: input.name().to_owned(), fault })?;
        Ok(Self {
            opset,
            input: input.name(),
            dims,
            output: output.name(),
            nodes: &graph.node,
            initializers: &graph.initializer,
        })
    }
}

/// The input that no initializer fills: until IR version 4 weights had to be listed among the inputs.
fn only_input(graph: &GraphProto) -> Result<&ValueInfoProto, ImportError> {
    let weights: std::collections::HashSet<&str> =
        graph.initializer.iter().map(TensorProto::name).collect();
    let mut inputs = graph.input.iter().filter(|input| !weights.contains(input.name()));
    match (inputs.next(), inputs.next()) {
        (Some(input), None) => Ok(input),
        _ => {
            let inputs = graph.input.iter().filter(|input| !weights.contains(input.name()));
            Err(ImportError::Inputs { names: names(inputs) })
        }
    }
}

fn names<'a>(values: impl Iterator<Item = &'a ValueInfoProto>) -> Vec<String> {
    values.take(8).map(|value| value.name().to_owned()).collect()
}

/// The shape of the input for a batch of one.
fn shape(input: &ValueInfoProto) -> Result<Vec<usize>, InputFault> {
    let tensor = input.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    let tensor = tensor.ok_or(InputFault::Untyped)?;
    let kind = tensor.elem_type();
    if !matches!(DataType::try_from(kind), Ok(DataType::Float | DataType::Double)) {
        return Err(InputFault::Type(kind));
    }
    let axes = &tensor.shape.as_ref().ok_or(InputFault::Untyped)?.dim;
    if !(1..=MAX_RANK).contains(&axes.len()) {
        return Err(InputFault::Rank(axes.len()));
    }
    let mut lengths = Vec::with_capacity(axes.len());
    for (axis, dimension) in axes.iter().enumerate() {
        lengths.push(match dimension.value {
            Some(Dimension::DimValue(length)) => length,
            _ if axis == 0 => 1,
            _ => return Err(InputFault::OpenAxis(axis)),
        });
    }
    let dims = lengths.iter().map(|&length| usize::try_from(length).ok().filter(|&dim| dim > 0));
    let dims = dims.collect::<Option<Vec<_>>>().ok_or(InputFault::Shape(lengths.clone()))?;
    volume(&dims, MAX_ACTIVATION_VALUES).ok_or(InputFault::Shape(lengths))?;
    match dims.as_slice() {
        [batch, _, ..] if *batch > 1 => Err(InputFault::FixedBatch(*batch)),
        _ => Ok(dims),
    }
}
