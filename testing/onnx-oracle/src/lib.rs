//! Runs ONNX models with tract, for tests that hold the import in `adyton-compiler` to it.
#![forbid(unsafe_code)]

use std::path::Path;

use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::Factoid;
use tract_onnx::tract_hir::internal::DimLike;

/// A model that tract has prepared for one sample at a time.
pub struct Executor {
    plan: Arc<TypedRunnableModel>,
    dims: Vec<usize>,
    kind: DatumType,
}

impl Executor {
    /// Reads the model at `path`; axes of unknown length count as 1.
    ///
    /// # Errors
    /// What tract says: it does not support every model that the import does.
    pub fn open(path: &Path) -> TractResult<Self> {
        let mut model = tract_onnx::onnx().with_ignore_value_info(true).model_for_path(path)?;
        let fact = model.input_fact(0)?;
        let kind = fact.datum_type.concretize().unwrap_or(DatumType::F32);
        let dims: Vec<usize> = fact
            .shape
            .dims()
            .map(|dim| dim.concretize().and_then(|dim| dim.to_usize().ok()).unwrap_or(1))
            .collect();
        model.set_input_fact(0, InferenceFact::dt_shape(kind, &dims))?;
        let plan = model.into_optimized()?.into_runnable()?;
        Ok(Self { plan, dims, kind })
    }

    /// The outputs for one sample, row-major.
    ///
    /// # Errors
    /// What tract says.
    pub fn run(&self, input: &[f64]) -> TractResult<Vec<f64>> {
        let input = Tensor::from_shape(&self.dims, input)?.cast_to_dt(self.kind)?.into_owned();
        let outputs = self.plan.run(tvec!(input.into()))?;
        let output = outputs[0].cast_to::<f64>()?.into_owned();
        Ok(output.to_plain_array_view::<f64>()?.iter().copied().collect())
    }
}
