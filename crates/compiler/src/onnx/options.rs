//! How a model is imported, and what comes of it.

use crate::network::Network;

/// How a model is imported.
#[derive(Clone, Debug)]
pub struct ImportOptions<'a> {
    /// Calibration samples, flat like the network's input: functions that are no polynomials are fitted over the ranges that they
    /// show. At most 100 are looked at.
    pub samples: &'a [Vec<f64>],
    /// Degree of every fit (1 to 32), whatever its error; none: the least of 1, 2, 4, 8, 16, 32 that keeps `max_error`.
    pub degree: Option<usize>,
    /// Largest error of a fit within its range, as part of the function's span there.
    pub max_error: f64,
    /// How much wider than the samples a range is taken, as part of it.
    pub margin: f64,
    /// Whether the inputs' first axis is part of the sample, not a batch.
    pub whole_tensors: bool,
}

impl Default for ImportOptions<'_> {
    fn default() -> Self {
        Self { samples: &[], degree: None, max_error: 0.05, margin: 0.1, whole_tensors: false }
    }
}

/// An imported model.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The network.
    pub network: Network,
    /// What was fitted by polynomials, in the graph's order.
    pub fits: Vec<Fit>,
}

/// A function that was replaced by polynomials.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// The node that needed the function's values.
    pub node: String,
    /// That node's operator.
    pub operator: String,
    /// The function, in terms of its argument x.
    pub function: String,
    /// Degree of the polynomials.
    pub degree: usize,
    /// How many ranges (one for each channel, or one for all values) have a polynomial of their own.
    pub ranges: usize,
    /// Least argument over all ranges, the margin included.
    pub least: f64,
    /// Most.
    pub most: f64,
    /// Largest error within a range.
    pub largest_error: f64,
    /// The same as part of the function's largest span.
    pub relative_error: f64,
    /// Root of the mean squared error where the samples lie.
    pub typical_error: f64,
}

impl std::fmt::Display for Fit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { node, operator, function, degree, ranges, least, most, .. } = self;
        write!(
            f,
            "{node} ({operator}): {function} by degree {degree} over [{least:.3}, {most:.3}], {ranges} range{}: off by {:.2e} at most \
             ({:.2} % of its span), {:.2e} on the samples",
            if *ranges == 1 { "" } else { "s" },
            self.largest_error,
            100.0 * self.relative_error,
            self.typical_error,
        )
    }
}
