//! From a challenge to a trusted enclave.

use crate::ClientError;
use adyton_appraise::{
    Accepted, Claims, Endorsements, Expected, Kind, Policy, Reason, TrustStore, UnixTime, Verdict,
    VerifyError, appraise_challenged, verify,
};
use adyton_wire::message::Evidence;
use adyton_wire::seal::SealingKey;
use adyton_wire::statement::EvidenceStatement;
use adyton_wire::{InstanceId, Nonce, PublicKey, digest, random_bytes};

/// What an owner demands of an enclave, and beside what it verifies. The default accepts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// What is accepted.
    pub policy: Policy,
    /// The roots that are believed.
    pub roots: TrustStore,
    /// Collateral and certificates beside those that the evidence carries.
    pub endorsements: Endorsements,
}

impl Trust {
    /// Accepts the simulated platform, which protects nothing, running one of these programs.
    ///
    /// # Errors
    /// [`VerifyError`] never in practice: the test root is compiled in.
    #[cfg(feature = "simulated")]
    pub fn simulated(
        programs: impl IntoIterator<Item = adyton_appraise::Bytes>,
    ) -> Result<Self, VerifyError> {
        Ok(Self {
            policy: Policy::simulated(programs),
            roots: TrustStore::production().with_simulated()?,
            endorsements: Endorsements::default().with_simulated(),
        })
    }
}

/// Why an enclave is not trusted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AppraisalError {
    /// The evidence proves nothing.
    #[error("the evidence proves nothing")]
    Verification(#[from] VerifyError),
    /// The policy refuses what the evidence says.
    #[error("the policy refuses the evidence: {}", listed(reasons))]
    Refused {
        /// Every reason.
        reasons: Vec<Reason>,
        /// What the evidence says.
        claims: Box<Claims>,
    },
    /// The evidence answers another challenge.
    #[error("the evidence answers another nonce")]
    Nonce,
    /// The enclave names another kind of platform than made its evidence.
    #[error("the enclave says it runs on {stated:?}, its evidence is of {found}")]
    Kind {
        /// What it says.
        stated: String,
        /// What the evidence is.
        found: Kind,
    },
    /// A simulated platform that does not call itself so, or a real one that does.
    #[error("evidence and statement disagree whether the platform is simulated")]
    Simulated,
    /// The statement's sealing key is no key.
    #[error("the statement's sealing key is invalid")]
    SealingKey,
}

fn listed(reasons: &[Reason]) -> String {
    let told: Vec<String> =
        reasons.iter().map(|r| format!("{} ({}; {})", r.sentence, r.code, r.help)).collect();
    told.join("; ")
}

/// An enclave whose evidence was appraised: the only source of keys to trust. Only [`Challenge::appraise`] makes it.
#[derive(Clone, Debug)]
pub struct VerifiedEnclave {
    accepted: Accepted,
    statement: EvidenceStatement,
    sealing_key: SealingKey,
}

impl VerifiedEnclave {
    /// What the platform says, and until when the verdict holds.
    pub fn accepted(&self) -> &Accepted {
        &self.accepted
    }

    /// What the platform says.
    pub fn claims(&self) -> &Claims {
        self.accepted.claims()
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

/// What evidence of this kind must carry to vouch for a statement. A TPM takes no more than its largest hash is long, which
/// may be 32 bytes, and gets SHA-256 of the report data; Azure's evidence is answered by its vTPM.
pub fn bound_data(kind: Kind, statement: &EvidenceStatement) -> Vec<u8> {
    let data = statement.report_data();
    match kind {
        Kind::Tpm | Kind::AzureSnp | Kind::AzureTdx => digest::sha256(&data).to_vec(),
        _ => data.to_vec(),
    }
}

/// One challenge: a fresh nonce that evidence must answer.
#[derive(Debug)]
pub struct Challenge {
    nonce: Nonce,
}

impl Challenge {
    /// A challenge with a random nonce.
    ///
    /// # Errors
    /// [`ClientError::Random`].
    pub fn new() -> Result<Self, ClientError> {
        Ok(Self { nonce: Nonce(random_bytes().map_err(ClientError::Random)?) })
    }

    /// A challenge made earlier, whose evidence was stored with its nonce.
    #[must_use]
    pub fn of_nonce(nonce: Nonce) -> Self {
        Self { nonce }
    }

    /// The nonce to send.
    #[must_use]
    pub fn nonce(&self) -> &Nonce {
        &self.nonce
    }

    /// Verifies the evidence that came back, wire's `Evidence` encoded, and judges it as of `at`.
    ///
    /// # Errors
    /// [`ClientError::Message`] or [`ClientError::Appraisal`]: then nothing may be sealed to that enclave.
    pub fn appraise(
        self,
        evidence: &[u8],
        trust: &Trust,
        at: UnixTime,
    ) -> Result<VerifiedEnclave, ClientError> {
        let evidence = Evidence::decode(evidence).map_err(ClientError::message("the evidence"))?;
        Ok(judge(evidence, &self.nonce, trust, at)?)
    }
}

fn judge(
    evidence: Evidence,
    nonce: &Nonce,
    trust: &Trust,
    at: UnixTime,
) -> Result<VerifiedEnclave, AppraisalError> {
    let Evidence { kind, evidence, statement } = evidence;
    let claims = verify(&evidence, &trust.endorsements, &trust.roots, at)?;
    if claims.kind.name() != kind {
        return Err(AppraisalError::Kind { stated: kind, found: claims.kind });
    }
    if claims.simulated != statement.simulated {
        return Err(AppraisalError::Simulated);
    }
    if statement.nonce != *nonce {
        return Err(AppraisalError::Nonce);
    }
    let report_data = Some(bound_data(claims.kind, &statement).into());
    let expected = Expected { report_data, nonce: None };
    let accepted = match appraise_challenged(&claims, &trust.policy, &expected, at) {
        Verdict::Accepted(accepted) => *accepted,
        Verdict::Refused { reasons } => {
            return Err(AppraisalError::Refused { reasons, claims: Box::new(claims) });
        }
    };
    let sealing_key =
        SealingKey::from_bytes(&statement.sealing_key).map_err(|_| AppraisalError::SealingKey)?;
    Ok(VerifiedEnclave { accepted, statement, sealing_key })
}
