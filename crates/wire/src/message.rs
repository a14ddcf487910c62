//! Typed messages and their protobuf encoding. Decoders are pure functions of bytes, safe on any input.

use crate::ids::{Nonce, ObjectId, SessionId};
use crate::limits::{
    AUDIT_PAGE, MAX_CIPHERTEXTS, MAX_EVIDENCE, MAX_FRAME, MAX_KEY, MAX_KIND, MAX_PROGRAM,
    MAX_SMALL_REQUEST,
};
use crate::proto::enclave_request::Body as RequestBody;
use crate::proto::enclave_response::Body as ResponseBody;
use crate::statement::{
    AUDIT_ENTRY_LENGTH, AuditDemand, AuditFinding, DeploymentRegistered, DeploymentStatement,
    EvidenceStatement, JobStatement, KeyStatement, Quarantine, ReceiptStatement, SessionOpened,
    SessionStatement, Statement,
};
use crate::{Problem, Sealed, Signed, WireError, proto};
use prost::Message;

/// Decodes a protobuf message that its own encoder could have written: bounded, no unknown or repeated fields.
pub(crate) fn strict<M: Message + Default>(bytes: &[u8], limit: usize) -> Result<M, WireError> {
    within("message", bytes, limit)?;
    let message = M::decode(bytes).map_err(|_| WireError::Protobuf)?;
    if message.encoded_len() == bytes.len() { Ok(message) } else { Err(WireError::Protobuf) }
}

fn within(what: &'static str, bytes: &[u8], limit: usize) -> Result<(), WireError> {
    let length = bytes.len();
    if length <= limit { Ok(()) } else { Err(WireError::TooLarge { what, length, limit }) }
}

fn present<T>(field: Option<T>, what: &'static str) -> Result<T, WireError> {
    field.ok_or(WireError::Missing(what))
}

fn signed<T: Statement>(field: Option<proto::Signed>) -> Result<Signed<T>, WireError> {
    Signed::from_proto(present(field, "a signed statement")?)
}

fn sealed(field: Option<proto::Sealed>) -> Result<Sealed, WireError> {
    Sealed::from_proto(present(field, "a sealed secret")?)
}

/// `encode` and `decode` of a message that also travels alone.
macro_rules! codec {
    ($name:ident, $limit:expr) => {
        impl $name {
            /// Encodes the message alone, to be carried inside another protocol.
            pub fn encode(&self) -> Vec<u8> {
                self.to_proto().encode_to_vec()
            }

            /// Reads what [`encode`](Self::encode) wrote.
            ///
            /// # Errors
            /// [`WireError`] for any malformed, oversized or unknown content.
            pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
                Self::from_proto(strict(bytes, $limit)?)
            }
        }
    };
}

mod proof;
pub use proof::{AuditProof, Mismatch, ProofError};

/// A model owner's registration.
#[derive(Clone, Debug, PartialEq)]
pub struct RegisterDeployment {
    /// Encoded program.
    pub program: Vec<u8>,
    /// Signed by the model owner.
    pub statement: Signed<DeploymentStatement>,
    /// Seed of the model key under [`DeploymentId::seed_info`](crate::DeploymentId::seed_info).
    pub seed: Sealed,
}

codec!(RegisterDeployment, MAX_FRAME);

impl RegisterDeployment {
    fn to_proto(&self) -> proto::RegisterDeployment {
        proto::RegisterDeployment {
            program: self.program.clone(),
            statement: Some(self.statement.to_proto()),
            seed: Some(self.seed.to_proto()),
        }
    }

    fn from_proto(message: proto::RegisterDeployment) -> Result<Self, WireError> {
        within("program", &message.program, MAX_PROGRAM)?;
        Ok(Self {
            statement: signed(message.statement)?,
            seed: sealed(message.seed)?,
            program: message.program,
        })
    }
}

/// A data owner's request for a session.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenSession {
    /// Signed by the data owner.
    pub statement: Signed<SessionStatement>,
    /// Seed of the input key under [`SessionId::seed_info`].
    pub seed: Sealed,
}

codec!(OpenSession, MAX_SMALL_REQUEST);

impl OpenSession {
    fn to_proto(&self) -> proto::OpenSession {
        proto::OpenSession {
            statement: Some(self.statement.to_proto()),
            seed: Some(self.seed.to_proto()),
        }
    }

    fn from_proto(message: proto::OpenSession) -> Result<Self, WireError> {
        Ok(Self { statement: signed(message.statement)?, seed: sealed(message.seed)? })
    }
}

/// The host's request to release a job's results.
#[derive(Clone, Debug, PartialEq)]
pub struct Release {
    /// Signed by the data owner.
    pub job: Signed<JobStatement>,
    /// Encoded result ciphertexts, one a group, joined: all have one length.
    pub ciphertexts: Vec<u8>,
    /// The bundle of evaluation keys that the host evaluated with: part of what it commits to.
    pub keys: ObjectId,
}

codec!(Release, MAX_FRAME);

impl Release {
    fn to_proto(&self) -> proto::Release {
        proto::Release {
            job: Some(self.job.to_proto()),
            ciphertexts: self.ciphertexts.clone(),
            keys: self.keys.0.to_vec(),
        }
    }

    fn from_proto(message: proto::Release) -> Result<Self, WireError> {
        within("ciphertexts", &message.ciphertexts, MAX_CIPHERTEXTS)?;
        Ok(Self {
            job: signed(message.job)?,
            keys: ObjectId::from_slice(&message.keys)?,
            ciphertexts: message.ciphertexts,
        })
    }
}

/// A platform's evidence and what it vouches for.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// Name of the platform, such as `simulated`.
    pub kind: String,
    /// As the platform made it.
    pub evidence: Vec<u8>,
    /// What its report data is the digest of.
    pub statement: EvidenceStatement,
}

codec!(Evidence, MAX_EVIDENCE + MAX_SMALL_REQUEST);

impl Evidence {
    fn to_proto(&self) -> proto::Evidence {
        proto::Evidence {
            kind: self.kind.clone(),
            evidence: self.evidence.clone(),
            statement: self.statement.to_bytes(),
        }
    }

    fn from_proto(message: proto::Evidence) -> Result<Self, WireError> {
        within("platform", message.kind.as_bytes(), MAX_KIND)?;
        within("evidence", &message.evidence, MAX_EVIDENCE)?;
        Ok(Self {
            kind: message.kind,
            evidence: message.evidence,
            statement: EvidenceStatement::from_bytes(&message.statement)?,
        })
    }
}

/// One evaluation key.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyMade {
    /// Encoded seeded evaluation key.
    pub key: Vec<u8>,
    /// Signed by the enclave.
    pub statement: Signed<KeyStatement>,
}

codec!(KeyMade, MAX_FRAME);

impl KeyMade {
    fn to_proto(&self) -> proto::KeyMade {
        proto::KeyMade { key: self.key.clone(), statement: Some(self.statement.to_proto()) }
    }

    fn from_proto(message: proto::KeyMade) -> Result<Self, WireError> {
        within("evaluation key", &message.key, MAX_KEY)?;
        Ok(Self { key: message.key, statement: signed(message.statement)? })
    }
}

/// A released result.
#[derive(Clone, Debug, PartialEq)]
pub struct Released {
    /// Canonical [`ResultPayload`](crate::statement::ResultPayload) under [`SessionId::result_info`].
    pub result: Sealed,
    /// Signed by the enclave.
    pub receipt: Signed<ReceiptStatement>,
}

codec!(Released, MAX_FRAME);

impl Released {
    fn to_proto(&self) -> proto::Released {
        proto::Released {
            result: Some(self.result.to_proto()),
            receipt: Some(self.receipt.to_proto()),
        }
    }

    fn from_proto(message: proto::Released) -> Result<Self, WireError> {
        Ok(Self { result: sealed(message.result)?, receipt: signed(message.receipt)? })
    }
}

pub use crate::proto::HealthReport;

/// A request to the enclave.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Prove which enclave this is.
    GetEvidence {
        /// Chosen by the challenger.
        nonce: Nonce,
    },
    /// Register a deployment; again for the same answer.
    RegisterDeployment(RegisterDeployment),
    /// Open a session; again for the same answer.
    OpenSession(OpenSession),
    /// Make an evaluation key; again for the same key.
    MakeKey {
        /// The session.
        session: SessionId,
        /// Index into the program's key manifest.
        index: u32,
    },
    /// Release a job's results; again for the same reply.
    Release(Release),
    /// Take an auditor's finding; again for the same answer.
    SubmitFinding(Signed<AuditFinding>),
    /// Report resource use and counts.
    Health,
    /// Give audit entries from a sequence number on.
    GetAudit {
        /// First entry wanted.
        from: u64,
    },
}

impl Request {
    /// Protobuf bytes of `EnclaveRequest`.
    pub fn encode(&self) -> Vec<u8> {
        let body = match self {
            Self::GetEvidence { nonce } => {
                RequestBody::GetEvidence(proto::GetEvidence { nonce: nonce.0.to_vec() })
            }
            Self::RegisterDeployment(message) => {
                RequestBody::RegisterDeployment(message.to_proto())
            }
            Self::OpenSession(message) => RequestBody::OpenSession(message.to_proto()),
            Self::MakeKey { session, index } => {
                RequestBody::MakeKey(proto::MakeKey { session: session.0.to_vec(), index: *index })
            }
            Self::Release(message) => RequestBody::Release(message.to_proto()),
            Self::SubmitFinding(finding) => {
                let finding = Some(finding.to_proto());
                RequestBody::SubmitFinding(proto::SubmitFinding { finding })
            }
            Self::Health => RequestBody::Health(proto::Health {}),
            Self::GetAudit { from } => RequestBody::GetAudit(proto::GetAudit { from: *from }),
        };
        proto::EnclaveRequest { body: Some(body) }.encode_to_vec()
    }

    /// Reads a request; the statements inside are parsed, their signatures not verified.
    ///
    /// # Errors
    /// [`WireError`] for any malformed, oversized or unknown content.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let message: proto::EnclaveRequest = strict(bytes, MAX_FRAME)?;
        let body = present(message.body, "a body")?;
        if !matches!(body, RequestBody::RegisterDeployment(_) | RequestBody::Release(_)) {
            within("request", bytes, MAX_SMALL_REQUEST)?;
        }
        Ok(match body {
            RequestBody::GetEvidence(message) => {
                Self::GetEvidence { nonce: Nonce::from_slice(&message.nonce)? }
            }
            RequestBody::RegisterDeployment(message) => {
                Self::RegisterDeployment(RegisterDeployment::from_proto(message)?)
            }
            RequestBody::OpenSession(message) => {
                Self::OpenSession(OpenSession::from_proto(message)?)
            }
            RequestBody::MakeKey(message) => Self::MakeKey {
                session: SessionId::from_slice(&message.session)?,
                index: message.index,
            },
            RequestBody::Release(message) => Self::Release(Release::from_proto(message)?),
            RequestBody::SubmitFinding(message) => Self::SubmitFinding(signed(message.finding)?),
            RequestBody::Health(_) => Self::Health,
            RequestBody::GetAudit(message) => Self::GetAudit { from: message.from },
        })
    }
}

/// An answer of the enclave.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    /// Evidence for the nonce.
    Evidence(Evidence),
    /// The deployment stands; signed by the enclave.
    DeploymentRegistered(Signed<DeploymentRegistered>),
    /// The session is open; signed by the enclave.
    SessionOpened(Signed<SessionOpened>),
    /// An evaluation key.
    KeyMade(KeyMade),
    /// A result.
    Released(Released),
    /// The job was drawn for an audit and waits for its finding; signed by the enclave.
    AuditDemanded(Signed<AuditDemand>),
    /// A finding was taken. `None` when it agrees with the host, else the quarantine, signed by the enclave.
    AuditSettled(Option<Signed<Quarantine>>),
    /// Resource use and counts.
    Health(HealthReport),
    /// Audit entries, joined.
    AuditLog {
        /// Entries of [`AUDIT_ENTRY_LENGTH`] bytes, at most [`AUDIT_PAGE`].
        entries: Vec<u8>,
        /// Number of entries in the whole log.
        length: u64,
    },
    /// Nothing was changed.
    Refused(Problem),
}

/// A response and the audit entries that the request appended.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The answer.
    pub response: Response,
    /// New audit entries of [`AUDIT_ENTRY_LENGTH`] bytes, joined; empty when nothing changed.
    pub audit: Vec<u8>,
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        Self { response, audit: Vec::new() }
    }
}

impl From<Problem> for Reply {
    fn from(problem: Problem) -> Self {
        Response::Refused(problem).into()
    }
}

impl Reply {
    /// Protobuf bytes of `EnclaveResponse`.
    pub fn encode(&self) -> Vec<u8> {
        let body = match &self.response {
            Response::Evidence(message) => ResponseBody::Evidence(message.to_proto()),
            Response::DeploymentRegistered(message) => {
                ResponseBody::DeploymentRegistered(message.to_proto())
            }
            Response::SessionOpened(message) => ResponseBody::SessionOpened(message.to_proto()),
            Response::KeyMade(message) => ResponseBody::KeyMade(message.to_proto()),
            Response::Released(message) => ResponseBody::Released(message.to_proto()),
            Response::AuditDemanded(message) => ResponseBody::AuditDemanded(message.to_proto()),
            Response::AuditSettled(quarantine) => {
                let quarantine = quarantine.as_ref().map(Signed::to_proto);
                ResponseBody::AuditSettled(proto::AuditSettled { quarantine })
            }
            Response::Health(message) => ResponseBody::Health(message.clone()),
            Response::AuditLog { entries, length } => ResponseBody::AuditLog(proto::AuditLog {
                entries: entries.clone(),
                length: *length,
            }),
            Response::Refused(problem) => {
                ResponseBody::Refused(proto::Refused { problem: problem.code() })
            }
        };
        proto::EnclaveResponse { body: Some(body), audit: self.audit.clone() }.encode_to_vec()
    }

    /// Reads a response; the statements inside are parsed, their signatures not verified.
    ///
    /// # Errors
    /// [`WireError`] for any malformed, oversized or unknown content.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let message: proto::EnclaveResponse = strict(bytes, MAX_FRAME)?;
        let response = match present(message.body, "a body")? {
            ResponseBody::Evidence(message) => Response::Evidence(Evidence::from_proto(message)?),
            ResponseBody::DeploymentRegistered(message) => {
                Response::DeploymentRegistered(Signed::from_proto(message)?)
            }
            ResponseBody::SessionOpened(message) => {
                Response::SessionOpened(Signed::from_proto(message)?)
            }
            ResponseBody::KeyMade(message) => Response::KeyMade(KeyMade::from_proto(message)?),
            ResponseBody::Released(message) => Response::Released(Released::from_proto(message)?),
            ResponseBody::AuditDemanded(message) => {
                Response::AuditDemanded(Signed::from_proto(message)?)
            }
            ResponseBody::AuditSettled(message) => {
                Response::AuditSettled(message.quarantine.map(Signed::from_proto).transpose()?)
            }
            ResponseBody::Health(message) => Response::Health(message),
            ResponseBody::AuditLog(message) => {
                entries(&message.entries)?;
                Response::AuditLog { entries: message.entries, length: message.length }
            }
            ResponseBody::Refused(message) => Response::Refused(
                Problem::from_code(message.problem)
                    .ok_or(WireError::Statement("unknown problem"))?,
            ),
        };
        entries(&message.audit)?;
        Ok(Self { response, audit: message.audit })
    }
}

/// A page of whole entries.
fn entries(bytes: &[u8]) -> Result<(), WireError> {
    within("audit page", bytes, AUDIT_PAGE * AUDIT_ENTRY_LENGTH)?;
    if bytes.len().is_multiple_of(AUDIT_ENTRY_LENGTH) {
        Ok(())
    } else {
        Err(WireError::Statement("a broken audit entry"))
    }
}
