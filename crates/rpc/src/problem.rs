//! Machine-readable problems in gRPC statuses.

use std::fmt;

use adyton_wire::Problem as SharedProblem;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::{Code, Status};

/// Metadata key under which a status carries its problem.
pub const PROBLEM_KEY: &str = "adyton-problem";

/// A problem that only the host has; the ones it shares with the enclave are in [`adyton_wire::Problem`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HostProblem {
    /// No such object is stored.
    UnknownObject,
    /// The object is of another kind than this call takes.
    WrongKind,
    /// The object or message belongs to another program.
    WrongProgram,
    /// More or fewer bytes than announced, or than the program fixes.
    WrongLength,
    /// The content's digest is not the announced object id.
    WrongDigest,
    /// Not a bundle, or one of another version.
    BadBundle,
    /// The evaluation needs more memory than this host has for it.
    ExceedsMemory,
    /// No disk space within the host's bound.
    StoreFull,
    /// Too many jobs wait, in total or of this session.
    QueueFull,
    /// No such job.
    UnknownJob,
    /// The job is not finished.
    NotDone,
    /// The session's keys are not all stored: open it again to go on.
    KeysMissing,
    /// The enclave cannot be reached or broke off.
    EnclaveUnreachable,
    /// The evaluation failed.
    EvaluationFailed,
}

impl HostProblem {
    /// Every problem with its name and the status code that carries it.
    const TABLE: [(Self, &'static str, Code); 14] = [
        (Self::UnknownObject, "unknown-object", Code::NotFound),
        (Self::WrongKind, "wrong-kind", Code::InvalidArgument),
        (Self::WrongProgram, "wrong-program", Code::InvalidArgument),
        (Self::WrongLength, "wrong-length", Code::InvalidArgument),
        (Self::WrongDigest, "wrong-digest", Code::InvalidArgument),
        (Self::BadBundle, "bad-bundle", Code::InvalidArgument),
        (Self::ExceedsMemory, "exceeds-memory", Code::FailedPrecondition),
        (Self::StoreFull, "store-full", Code::ResourceExhausted),
        (Self::QueueFull, "queue-full", Code::ResourceExhausted),
        (Self::UnknownJob, "unknown-job", Code::NotFound),
        (Self::NotDone, "not-done", Code::FailedPrecondition),
        (Self::KeysMissing, "keys-missing", Code::FailedPrecondition),
        (Self::EnclaveUnreachable, "enclave-unreachable", Code::Unavailable),
        (Self::EvaluationFailed, "evaluation-failed", Code::Internal),
    ];

    fn row(self) -> Option<&'static (Self, &'static str, Code)> {
        Self::TABLE.iter().find(|row| row.0 == self)
    }
}

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Problem {
    /// One that host and enclave share, whoever of them found it.
    Shared(SharedProblem),
    /// One of the host's own.
    Host(HostProblem),
}

impl Problem {
    /// A short name for machines, such as `unknown-object`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shared(problem) => problem.name(),
            // The table has a row for every variant; a test says so.
            Self::Host(problem) => problem.row().map_or("internal", |row| row.1),
        }
    }

    /// The problem of a [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        let own = HostProblem::TABLE.iter().find(|row| row.1 == name).map(|row| Self::Host(row.0));
        own.or_else(|| SharedProblem::from_name(name).map(Self::Shared))
    }

    /// The status code that carries it.
    pub fn code(self) -> Code {
        use SharedProblem as P;
        match self {
            Self::Host(problem) => problem.row().map_or(Code::Internal, |row| row.2),
            Self::Shared(problem) => match problem {
                P::Malformed
                | P::TooLarge
                | P::BadSeal
                | P::BadProgram
                | P::WrongContext
                | P::BadCiphertext => Code::InvalidArgument,
                P::Unsupported => Code::Unimplemented,
                P::BadSignature => Code::Unauthenticated,
                P::UnknownDeployment | P::UnknownSession | P::UnknownKey => Code::NotFound,
                P::NotAllowed => Code::PermissionDenied,
                P::Expired | P::Quarantined => Code::FailedPrecondition,
                P::NoAudit => Code::NotFound,
                P::QuotaExceeded => Code::ResourceExhausted,
                P::JobReused => Code::AlreadyExists,
                P::Busy | P::AuditOpen => Code::Unavailable,
                _ => Code::Internal,
            },
        }
    }

    /// A status that carries this problem, with a message for people.
    pub fn status(self, message: impl Into<String>) -> Status {
        with_problem(self.code(), self.name(), message)
    }

    /// The problem that a status carries, if it is one that this version knows.
    pub fn of(status: &Status) -> Option<Self> {
        Self::from_name(problem(status)?)
    }
}

impl From<SharedProblem> for Problem {
    fn from(problem: SharedProblem) -> Self {
        Self::Shared(problem)
    }
}

impl From<HostProblem> for Problem {
    fn from(problem: HostProblem) -> Self {
        Self::Host(problem)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

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

/// The name of the problem that a status carries, if any.
pub fn problem(status: &Status) -> Option<&str> {
    status.metadata().get(PROBLEM_KEY).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_come_back() {
        let own = HostProblem::TABLE.iter().map(|row| Problem::Host(row.0));
        for expected in own.chain(SharedProblem::all().map(Problem::Shared)) {
            let status = expected.status("message");
            assert_eq!(Problem::of(&status), Some(expected));
            assert_eq!((status.code(), status.message()), (expected.code(), "message"));
        }
    }

    #[test]
    fn a_status_without_problem_has_none() {
        assert_eq!(problem(&Status::internal("x")), None);
        assert_eq!(Problem::of(&with_problem(Code::Internal, "of-another-version", "x")), None);
    }

    #[test]
    fn what_metadata_cannot_hold_is_left_out() {
        let status = with_problem(Code::Internal, "a\nb", "message");
        assert_eq!(problem(&status), None);
        assert_eq!(status.message(), "message");
    }
}
