//! What a model says about itself: versions, inputs, outputs, weights.

use super::proto::tensor_proto::DataType;
use super::proto::tensor_shape_proto::dimension::Value as Dimension;
use super::proto::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};
use super::{
    ImportError, InputFault, MAX_ACTIVATION_VALUES, MAX_NODES, MAX_PORTS, MAX_RANK, NEWEST_OPSET,
    OLDEST_OPSET, volume,
};

/// A model whose frame is sound; its nodes are not looked at yet.
pub(crate) struct Model<'a> {
    /// Version of ONNX's own operator set.
    pub(crate) opset: i64,
    /// Version of `ai.onnx.ml`.
    pub(crate) learning: i64,
    /// Names and shapes of the inputs, for a batch of one.
    pub(crate) inputs: Vec<(&'a str, Vec<usize>)>,
    /// The outputs' names.
    pub(crate) outputs: Vec<&'a str>,
    pub(crate) nodes: &'a [NodeProto],
    pub(crate) initializers: &'a [TensorProto],
}

/// Whether a domain is ONNX's own, under either of its names.
pub(crate) fn is_standard(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

impl<'a> Model<'a> {
    /// Checks a model's frame; the first axis of its inputs is a batch unless `whole`.
    ///
    /// # Errors
    /// Any [`ImportError`] that is not about nodes or the data of tensors.
    pub(crate) fn check(model: &'a ModelProto, whole: bool) -> Result<Self, ImportError> {
        let mut versions = model.opset_import.iter().filter(|set| is_standard(set.domain()));
        let found = versions.next().map(|set| set.version());
        let opset = found
            .filter(|version| (OLDEST_OPSET..=NEWEST_OPSET).contains(version))
            .ok_or(ImportError::Opset { found })?;
        let learning = model.opset_import.iter().find(|set| set.domain() == "ai.onnx.ml");
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
        if !(1..=MAX_PORTS).contains(&graph.output.len()) {
            return Err(ImportError::Outputs(graph.output.len()));
        }
        Ok(Self {
            opset,
            learning: learning.map_or(1, |set| set.version()),
            inputs: inputs(graph, whole)?,
            outputs: graph.output.iter().map(ValueInfoProto::name).collect(),
            nodes: &graph.node,
            initializers: &graph.initializer,
        })
    }
}

/// The inputs that no initializer fills: until IR version 4 weights had to be listed among the inputs.
fn inputs(graph: &GraphProto, whole: bool) -> Result<Vec<(&str, Vec<usize>)>, ImportError> {
    let weights: std::collections::HashSet<&str> =
        graph.initializer.iter().map(TensorProto::name).collect();
    let inputs = || graph.input.iter().filter(|input| !weights.contains(input.name()));
    let count = inputs().count();
    if !(1..=MAX_PORTS).contains(&count) {
        return Err(ImportError::Inputs(count));
    }
    let mut values = 0;
    let read = |input: &'_ ValueInfoProto| {
        let dims = shape(input, whole)?;
        values += dims.iter().product::<usize>();
        if values > MAX_ACTIVATION_VALUES { Err(InputFault::Together) } else { Ok(dims) }
    };
    let mut read = read;
    inputs()
        .map(|input| {
            let dims = read(input)
                .map_err(|fault| ImportError::Input { name: input.name().to_owned(), fault })?;
            Ok((input.name(), dims))
        })
        .collect()
}

/// The shape of the input for a batch of one.
fn shape(input: &ValueInfoProto, whole: bool) -> Result<Vec<usize>, InputFault> {
    let tensor = input.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    let tensor = tensor.ok_or(InputFault::Untyped)?;
    let kind = tensor.elem_type();
    if !matches!(DataType::try_from(kind), Ok(DataType::Float | DataType::Double)) {
        return Err(InputFault::Type(kind));
    }
    let axes = &tensor.shape.as_ref().ok_or(InputFault::Untyped)?.dim;
    let least = usize::from(!whole);
    if !(least..=MAX_RANK).contains(&axes.len()) {
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
        [batch, _, ..] if *batch > 1 && !whole => Err(InputFault::FixedBatch(*batch)),
        _ => Ok(dims),
    }
}
