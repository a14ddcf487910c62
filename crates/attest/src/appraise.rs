//! From claims to trust.

use crate::claims::{Claims, Measurement, VerificationError, verify};
use adyton_wire::message::Evidence;
use adyton_wire::seal::SealingKey;
use adyton_wire::statement::EvidenceStatement;
use adyton_wire::{InstanceId, Nonce, PublicKey};

/// What an owner accepts. The default accepts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppraisalPolicy {
    /// Names of accepted platforms.
    pub kinds: Vec<String>,
    /// Accepted programs.
    pub measurements: Vec<Measurement>,
    /// Whether a simulated platform may be accepted at all; it must be named in `kinds` besides.
    pub allow_simulated: bool,
}

impl AppraisalPolicy {
    /// Accepts the simulated platform, which protects nothing, running one of these programs.
    pub fn simulated(measurements: impl IntoIterator<Item = Measurement>) -> Self {
        Self {
            kinds: vec![crate::SIMULATED.to_owned()],
            measurements: measurements.into_iter().collect(),
            allow_simulated: true,
        }
    }
}

/// Why an enclave is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppraisalError {
    /// The evidence proves nothing.
    #[error(transparent)]
    Verification(#[from] VerificationError),
    /// The platform is not one that the policy names.
    #[error("the policy does not accept the platform {0:?}")]
    Kind(String),
    /// A simulated platform where the policy allows none, or one that does not call itself so.
    #[error("the platform is simulated and the policy does not allow that")]
    Simulated,
    /// A platform that a debugger may enter.
    #[error("the platform has debugging enabled")]
    Debug,
    /// Another program than the policy names.
    #[error("the policy does not accept the program {0}")]
    Measurement(Measurement),
    /// The evidence answers another challenge.
    #[error("the evidence answers another nonce")]
    Nonce,
    /// The report data is not the digest of the statement.
    #[error("the evidence vouches for another statement")]
    ReportData,
    /// The statement's sealing key is no key.
    #[error("the statement's sealing key is invalid")]
    SealingKey,
}

/// An enclave whose evidence was appraised: the only source of keys to trust. Only [`appraise`] makes it.
#[derive(Clone, Debug)]
pub struct VerifiedEnclave {
    claims: Claims,
    statement: EvidenceStatement,
    sealing_key: SealingKey,
}

impl VerifiedEnclave {
    /// What the platform says.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// What the evidence vouches for.
    pub fn statement(&self) -> &EvidenceStatement {
        &self.statement
    }

    /// Verifies the enclave's statements.
    pub fn signing_key(&self) -> &PublicKey {
        &self.statement.signing_key
    }

    /// Owners seal their seeds to it.
    pub fn sealing_key(&self) -> &SealingKey {
        &self.sealing_key
    }

    /// The enclave state behind these keys.
    pub fn instance(&self) -> &InstanceId {
        &self.statement.instance
    }
}

/// Judges evidence that answers `nonce`.
///
/// # Errors
/// [`AppraisalError`] with the first rule that does not hold.
pub fn appraise(
    evidence: &Evidence,
    nonce: &Nonce,
    policy: &AppraisalPolicy,
) -> Result<VerifiedEnclave, AppraisalError> {
    let claims = verify(evidence)?;
    let statement = &evidence.statement;
    if !policy.kinds.contains(&claims.kind) {
        return Err(AppraisalError::Kind(claims.kind));
    }
    if claims.simulated != statement.simulated || (claims.simulated && !policy.allow_simulated) {
        return Err(AppraisalError::Simulated);
    }
    if claims.debug {
        return Err(AppraisalError::Debug);
    }
    if !policy.measurements.contains(&claims.measurement) {
        return Err(AppraisalError::Measurement(claims.measurement));
    }
    if statement.nonce != *nonce {
        return Err(AppraisalError::Nonce);
    }
    if statement.report_data() != claims.report_data {
        return Err(AppraisalError::ReportData);
    }
    let sealing_key =
        SealingKey::from_bytes(&statement.sealing_key).map_err(|_| AppraisalError::SealingKey)?;
    Ok(VerifiedEnclave { claims, statement: statement.clone(), sealing_key })
}
