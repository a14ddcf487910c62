//! What goes wrong in the host, and what its callers are told.

use adyton_program::bundle::BundleError;
use adyton_rpc::{HostProblem, Problem};
use adyton_wire::{Problem as SharedProblem, WireError};
use tokio::task::JoinError;
use tonic::Status;

use crate::link::LinkError;
use crate::memory::TooLarge;
use crate::store::StoreError;

/// Why a call or a job failed.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The request is at fault, or cannot be served now.
    #[error("{message}")]
    Refused {
        /// For machines.
        problem: Problem,
        /// For people.
        message: String,
    },
    /// The store failed or refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The enclave failed or refused.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A task of the host panicked or was cancelled at shutdown.
    #[error("interrupted: {0}")]
    Interrupted(#[from] JoinError),
    /// Stored data that was checked when it came is not what it was.
    #[error("stored data is damaged: {0}")]
    Damaged(String),
}

impl HostError {
    /// A refusal.
    pub fn refused(problem: impl Into<Problem>, message: impl Into<String>) -> Self {
        Self::Refused { problem: problem.into(), message: message.into() }
    }

    /// The problem for machines.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Refused { problem, .. } => *problem,
            Self::Store(error) => match error {
                StoreError::Length { .. } => HostProblem::WrongLength.into(),
                StoreError::Digest => HostProblem::WrongDigest.into(),
                StoreError::Full { .. } => HostProblem::StoreFull.into(),
                error if error.is_out_of_space() => HostProblem::StoreFull.into(),
                _ => SharedProblem::Internal.into(),
            },
            Self::Link(error) => match error {
                LinkError::Refused(problem) => (*problem).into(),
                LinkError::Unreachable(_) | LinkError::Timeout => {
                    HostProblem::EnclaveUnreachable.into()
                }
                LinkError::Overloaded => SharedProblem::Busy.into(),
                LinkError::RequestTooLarge(_) => SharedProblem::TooLarge.into(),
                _ => SharedProblem::Internal.into(),
            },
            Self::Interrupted(_) | Self::Damaged(_) => SharedProblem::Internal.into(),
        }
    }

    /// Whether the same work may succeed later without anybody changing it.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Refused { problem, .. } => {
                matches!(problem, Problem::Shared(problem) if problem.is_transient())
            }
            Self::Link(error) => error.is_transient(),
            Self::Store(error) => !matches!(error, StoreError::Length { .. } | StoreError::Digest),
            Self::Interrupted(_) => true,
            Self::Damaged(_) => false,
        }
    }

    /// What a caller is told: internal failures only that there was one.
    pub fn message(&self) -> String {
        match self {
            _ if self.problem() == Problem::Shared(SharedProblem::Internal) => {
                "the host failed; its log says more".to_owned()
            }
            // Its paths are nobody's business.
            Self::Store(error) if error.is_out_of_space() => {
                "the host's disk is full; try again when its operator has made room".to_owned()
            }
            _ => self.to_string(),
        }
    }
}

impl From<HostError> for Status {
    fn from(error: HostError) -> Self {
        let problem = error.problem();
        let is_full = matches!(&error, HostError::Store(error) if error.is_out_of_space());
        if is_full || problem == Problem::Shared(SharedProblem::Internal) {
            tracing::error!(error = chain(&error), "call failed");
        } else {
            tracing::info!(%problem, %error, "call refused");
        }
        problem.status(error.message())
    }
}

impl From<WireError> for HostError {
    fn from(error: WireError) -> Self {
        Self::refused(SharedProblem::from(&error), error.to_string())
    }
}

impl From<TooLarge> for HostError {
    fn from(error: TooLarge) -> Self {
        Self::refused(HostProblem::ExceedsMemory, error.to_string())
    }
}

impl From<BundleError> for HostError {
    fn from(error: BundleError) -> Self {
        let problem = match &error {
            BundleError::WrongLength { .. } => HostProblem::WrongLength,
            BundleError::WrongProgram => HostProblem::WrongProgram,
            BundleError::WrongKind { .. } => HostProblem::WrongKind,
            _ => HostProblem::BadBundle,
        };
        Self::refused(problem, error.to_string())
    }
}

/// An error with its causes, in one line; one that the text before it already tells is left out.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        if !text.ends_with(&told) {
            text.push_str(": ");
            text.push_str(&told);
        }
        cause = error.source();
    }
    text
}
