//! What evidence of an image will name, computed from the image's own files: for policies, before anything runs.
//!
//! Nothing here judges evidence. A launch digest says what starts, if the machine starts these files in this way.

pub mod eif;
mod reader;
pub mod sigstruct;
pub mod snp;

/// A file is not what its format says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {file} {problem}")]
pub struct ImageError {
    /// What the file should be.
    file: &'static str,
    /// What is wrong with it and what would be right.
    problem: String,
}

impl ImageError {
    fn new(file: &'static str, problem: impl Into<String>) -> Self {
        Self { file, problem: problem.into() }
    }
}
