//! Why an owner stops.

use crate::trust::AppraisalError;
use adyton_program::bundle::BundleError;
use adyton_program::{DecodeError, VerifyError};
use adyton_wire::WireError;

/// Why an owner stops. Nothing secret has left it unless the enclave was appraised.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The enclave is not trusted.
    #[error("the enclave is not trusted")]
    Appraisal(#[from] AppraisalError),
    /// A message is malformed, or a signature in it does not verify.
    #[error("{what} cannot be accepted")]
    Message {
        /// Which message.
        what: &'static str,
        /// What is wrong with it.
        source: WireError,
    },
    /// A message that is well-formed and signed, but says something else than what was asked.
    #[error("{what} {problem}")]
    Mismatch {
        /// Which message.
        what: &'static str,
        /// Where it differs.
        problem: &'static str,
    },
    /// The program's bytes are not a program.
    #[error("the program cannot be read")]
    Program(#[from] DecodeError),
    /// The program is not sound or not secure.
    #[error("the program is refused")]
    Verify(#[from] VerifyError),
    /// A bundle cannot be written.
    #[error("the encrypted object cannot be written")]
    Bundle(#[from] BundleError),
    /// Inputs that do not fit the program.
    #[error(transparent)]
    Layout(#[from] crate::LayoutError),
    /// Weights that are not the program's.
    #[error("the weights do not fit the program: {0}")]
    Weights(String),
    /// Encoding failed.
    #[error("a value cannot be encoded")]
    Encode(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The operating system gives no random bytes.
    #[error("no random bytes")]
    Random(#[source] WireError),
}

impl ClientError {
    /// `map_err` for a message's errors.
    pub(crate) fn message(what: &'static str) -> impl FnOnce(WireError) -> Self {
        move |source| Self::Message { what, source }
    }

    /// An error unless `holds`.
    pub(crate) fn unless(
        holds: bool,
        what: &'static str,
        problem: &'static str,
    ) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self::Mismatch { what, problem }) }
    }
}
