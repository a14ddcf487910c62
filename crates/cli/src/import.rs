//! A network from an ONNX file, as the commands that compile one read it.

use crate::args::Fitting;
use crate::error::CliError;
use adyton_compiler::onnx::{self, Fit, ImportOptions, Imported};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What `--json` says of a function that was fitted by polynomials.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FitReport {
    /// The node.
    pub(crate) node: String,
    /// Its operator.
    pub(crate) operator: String,
    /// The function of x.
    pub(crate) function: String,
    /// Degree of the polynomials.
    pub(crate) degree: usize,
    /// Ranges with a polynomial of their own.
    pub(crate) ranges: usize,
    /// Least argument.
    pub(crate) least: f64,
    /// Most.
    pub(crate) most: f64,
    /// Largest error within a range.
    pub(crate) largest_error: f64,
    /// The same as part of the function's span.
    pub(crate) relative_error: f64,
    /// Root of the mean squared error on the samples.
    pub(crate) typical_error: f64,
}

impl FitReport {
    /// The fit, for machines.
    pub(crate) fn of(fit: &Fit) -> Self {
        Self {
            node: fit.node.clone(),
            operator: fit.operator.clone(),
            function: fit.function.clone(),
            degree: fit.degree,
            ranges: fit.ranges,
            least: fit.least,
            most: fit.most,
            largest_error: fit.largest_error,
            relative_error: fit.relative_error,
            typical_error: fit.typical_error,
        }
    }
}

/// Imports a file; `samples` may be empty where nothing has to be fitted.
pub(crate) fn network(
    path: &Path,
    samples: &[Vec<f64>],
    fitting: &Fitting,
) -> Result<Imported, CliError> {
    let options = ImportOptions {
        samples,
        degree: fitting.fit_degree.map(usize::from),
        max_error: fitting.fit_error,
        ..ImportOptions::default()
    };
    onnx::import_file_with(path, &options)
        .map_err(CliError::part(format!("{} cannot be compiled", path.display())))
}
