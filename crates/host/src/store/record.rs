//! What the metadata tables hold. Encoded as protobuf: fields may be added later without a migration.

use prost::Message;

/// A stored object.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ObjectRecord {
    /// `adyton_rpc::v1::ObjectKind`.
    #[prost(int32, tag = "1")]
    pub(crate) kind: i32,
    #[prost(uint64, tag = "2")]
    pub(crate) length: u64,
    /// Program id: what a program object holds, or what a bundle belongs to.
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) program: Vec<u8>,
}

/// A deployment that the enclave has registered.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct DeploymentRecord {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) program: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) program_object: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) model_object: Vec<u8>,
    #[prost(string, tag = "4")]
    pub(crate) name: String,
    /// wire `Signed` by the model owner.
    #[prost(bytes = "vec", tag = "5")]
    pub(crate) statement: Vec<u8>,
    /// wire `Signed` by the enclave.
    #[prost(bytes = "vec", tag = "6")]
    pub(crate) registered: Vec<u8>,
    #[prost(uint64, tag = "7")]
    pub(crate) created_unix_ms: u64,
    /// Order of registration.
    #[prost(uint64, tag = "8")]
    pub(crate) sequence: u64,
    /// wire `AuditProof` of a failed audit; empty while there is none.
    #[prost(bytes = "vec", tag = "9")]
    pub(crate) proof: Vec<u8>,
}

/// A session that the enclave has opened.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SessionRecord {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) deployment: Vec<u8>,
    /// The data owner's Ed25519 key.
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) owner: Vec<u8>,
    /// wire `Signed` by the enclave.
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) opened: Vec<u8>,
    /// The key bundle; empty until every key is stored.
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) keys_object: Vec<u8>,
    /// wire `Signed` by the data owner.
    #[prost(bytes = "vec", tag = "5")]
    pub(crate) statement: Vec<u8>,
    /// wire `Signed` by the enclave, one for each key of the bundle.
    #[prost(bytes = "vec", repeated, tag = "6")]
    pub(crate) key_statements: Vec<Vec<u8>>,
}

/// A job from its acceptance on. Exactly one of three: open, released, refused.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct JobRecord {
    /// Order of acceptance.
    #[prost(uint64, tag = "1")]
    pub(crate) sequence: u64,
    /// wire `Signed` by the data owner.
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) signed: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) input_object: Vec<u8>,
    #[prost(uint64, tag = "4")]
    pub(crate) accepted_unix_ms: u64,
    /// The evaluated ciphertexts; empty until they are stored.
    #[prost(bytes = "vec", tag = "5")]
    pub(crate) result_object: Vec<u8>,
    /// wire `Released`; empty until the enclave has released.
    #[prost(bytes = "vec", tag = "6")]
    pub(crate) released: Vec<u8>,
    /// Why the job was refused after acceptance.
    #[prost(message, optional, tag = "7")]
    pub(crate) refusal: Option<RefusalRecord>,
    #[prost(message, optional, tag = "8")]
    pub(crate) timings: Option<adyton_rpc::v1::Timings>,
    /// The evaluation keys that the job was evaluated with; empty until it is.
    #[prost(bytes = "vec", tag = "9")]
    pub(crate) keys_object: Vec<u8>,
    /// wire `Signed` by the enclave: the demand for an audit that the job's release waits for; empty when it waits for none.
    #[prost(bytes = "vec", tag = "10")]
    pub(crate) demand: Vec<u8>,
}

/// A problem as it is told to the job's owner.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RefusalRecord {
    #[prost(string, tag = "1")]
    pub(crate) problem: String,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
}

impl JobRecord {
    /// Whether there is work left to do.
    pub(crate) fn is_open(&self) -> bool {
        self.released.is_empty() && self.refusal.is_none()
    }
}
