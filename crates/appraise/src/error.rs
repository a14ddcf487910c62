//! Why evidence proves nothing.

use serde::Serialize;

/// Why evidence proves nothing: a verifier stops at the first of these.
///
/// `code` is stable and kebab-case: `malformed`, `truncated`, `unsupported-format`, `unsupported-version`, `bad-signature`,
/// `untrusted-root`, `certificate-expired`, `certificate-not-yet-valid`, `certificate-mismatch`, `certificates-missing`,
/// `revoked`, `collateral-missing`, `collateral-mismatch`, `collateral-not-yet-valid`, `tcb-unknown`, `too-large`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{what}; {help}")]
pub struct VerifyError {
    /// Stable, for machines.
    pub code: &'static str,
    /// What was wrong.
    pub what: String,
    /// What would be right, or help.
    pub help: String,
}

impl VerifyError {
    /// An error from its parts; neither sentence ends with a full stop.
    pub fn new(code: &'static str, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { code, what: what.into(), help: help.into() }
    }

    /// Bytes that are not of their format.
    pub(crate) fn malformed(what: impl Into<String>) -> Self {
        Self::new("malformed", what, "fetch the file again, unaltered")
    }
}
