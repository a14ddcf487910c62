//! Largest lengths and counts on the wire. Each is checked before anything of that size is allocated.

/// Largest frame in bytes, whatever it carries.
pub const MAX_FRAME: usize = 64 << 20;
/// Largest encoded program in bytes.
pub const MAX_PROGRAM: usize = 48 << 20;
/// Largest sum of the result ciphertexts of one release, in bytes.
pub const MAX_CIPHERTEXTS: usize = 60 << 20;
/// Largest request but [`RegisterDeployment`](crate::message::RegisterDeployment) and
/// [`Release`](crate::message::Release), in bytes.
pub const MAX_SMALL_REQUEST: usize = 64 << 10;
/// Largest encoded evaluation key in bytes.
pub const MAX_KEY: usize = 63 << 20;
/// Largest platform evidence in bytes.
pub const MAX_EVIDENCE: usize = 64 << 10;
/// Largest statement in bytes.
pub const MAX_STATEMENT: usize = 512 << 10;
/// Largest sealed plaintext in bytes.
pub const MAX_SEALED: usize = 16 << 20;
/// Most data owners that a policy may name.
pub const MAX_OWNERS: usize = 8192;
/// Most samples of one job.
pub const MAX_SAMPLES: u32 = 1 << 22;
/// Most outputs of one sample.
pub const MAX_OUTPUTS: u32 = 1 << 16;
/// Most audit entries in one response.
pub const AUDIT_PAGE: usize = 4096;
/// Longest name of a platform, in bytes.
pub const MAX_KIND: usize = 64;
