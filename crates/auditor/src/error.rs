//! Why there is no finding.

use adyton_program::bundle::BundleError;
use adyton_runtime::{CrewError, EncryptedError, ItemError, LoadError, RunError};
use adyton_wire::WireError;

/// Why an auditor finds nothing: neither that a host cheated nor that it did not.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A signed statement is malformed or not signed by whom it should be.
    #[error("the {what} cannot be believed")]
    Statement {
        /// Which statement.
        what: &'static str,
        /// Why.
        source: WireError,
    },
    /// Statements that do not belong together.
    #[error("{0}")]
    Apart(&'static str),
    /// The program does not decode.
    #[error("the program does not decode")]
    Decode(#[from] adyton_program::DecodeError),
    /// The program does not verify.
    #[error("the program does not verify")]
    Verify(#[from] adyton_program::VerifyError),
    /// An object is not the one that the demand names.
    #[error("the {what} from the host is not the one that the demand names: its digest is another")]
    Object {
        /// Which object.
        what: &'static str,
    },
    /// An evaluation key that the enclave did not make.
    #[error("evaluation key {index} is not the one that the enclave signed")]
    Key {
        /// Its place in the manifest.
        index: usize,
    },
    /// An item that cannot be read.
    #[error(transparent)]
    Item(#[from] ItemError),
    /// A bundle that is malformed or cut off.
    #[error("an object is malformed")]
    Bundle(#[from] BundleError),
    /// Reading failed.
    #[error("the {what} cannot be read")]
    Read {
        /// Which object.
        what: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// Weights or inputs that do not fit the program.
    #[error("the {what} does not fit the program")]
    Load {
        /// Which object.
        what: &'static str,
        /// Why not.
        source: Box<LoadError<ItemError>>,
    },
    /// Keys that do not fit the program.
    #[error("the evaluation keys do not fit the program")]
    Keys(#[source] Box<LoadError<AuditError>>),
    /// No threads to evaluate with.
    #[error(transparent)]
    Crew(#[from] CrewError),
    /// The evaluator cannot begin.
    #[error("the evaluation cannot begin")]
    Backend(#[from] EncryptedError),
    /// The evaluation failed.
    #[error("the evaluation failed")]
    Run(#[source] RunError<EncryptedError>),
    /// A result that does not encode.
    #[error("a result does not encode")]
    Encode(#[source] adyton_ckks::CkksError),
}
