//! Machine-readable problems in gRPC statuses.

use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::{Code, Status};

/// Metadata key under which a status carries its problem.
pub const PROBLEM_KEY: &str = "adyton-problem";

/// Builds a status that carries `problem`, a short identifier in printable ASCII such as `unknown-object`.
///
/// A problem that metadata cannot hold is left out rather than made into another error: the code and the message stay.
pub fn with_problem(code: Code, problem: &str, message: impl Into<String>) -> Status {
    let mut metadata = MetadataMap::new();
    if let Ok(value) = problem.parse::<MetadataValue<Ascii>>() {
        metadata.insert(PROBLEM_KEY, value);
    }
    Status::with_metadata(code, message, metadata)
}

/// The problem that a status carries, if any.
pub fn problem(status: &Status) -> Option<&str> {
    status.metadata().get(PROBLEM_KEY).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_comes_back() {
        let status = with_problem(Code::NotFound, "unknown-object", "no such object");
        assert_eq!(problem(&status), Some("unknown-object"));
        assert_eq!(status.code(), Code::NotFound);
    }

    #[test]
    fn a_status_without_problem_has_none() {
        assert_eq!(problem(&Status::internal("x")), None);
    }

    #[test]
    fn what_metadata_cannot_hold_is_left_out() {
        let status = with_problem(Code::Internal, "a\nb", "message");
        assert_eq!(problem(&status), None);
        assert_eq!(status.message(), "message");
    }
}
