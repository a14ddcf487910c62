//! Why the enclave refuses, coarse enough to tell an attacker nothing about a secret.

/// A refusal of the enclave. Every one is decided from public data alone, before anything is decrypted; what a decryption
/// shows stands inside the sealed result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Problem {
    /// Not a message of this protocol, or a field out of its range.
    Malformed,
    /// Longer than its limit.
    TooLarge,
    /// A suite or version that this enclave does not know.
    Unsupported,
    /// A signature that does not verify.
    BadSignature,
    /// A secret that does not open with this enclave's key, or is not the one committed to.
    BadSeal,
    /// A program that does not verify, or another than the statement names.
    BadProgram,
    /// No such deployment here.
    UnknownDeployment,
    /// No such session here.
    UnknownSession,
    /// No such key in the manifest.
    UnknownKey,
    /// The policy does not admit this.
    NotAllowed,
    /// Deployment, session or job has expired.
    Expired,
    /// A quota or the ledger is used up.
    QuotaExceeded,
    /// The job id was used for other contents.
    JobReused,
    /// A job that names another deployment, session or program than its session's.
    WrongContext,
    /// Ciphertexts that are not of the program's output form.
    BadCiphertext,
    /// Too many connections, deployments or sessions: try later.
    Busy,
    /// The enclave could not do it: its disk, its platform.
    Internal,
    /// An audit of the deployment found another result than the host's: it releases nothing more.
    Quarantined,
    /// No audit of this job is open, or another auditor was asked.
    NoAudit,
    /// Another job of the deployment waits for its audit: until then nothing is released.
    AuditOpen,
}

impl Problem {
    /// Every problem with its number on the wire and its name; numbers are never used again for another.
    const TABLE: [(Problem, u32, &'static str); 20] = [
        (Problem::Malformed, 1, "malformed"),
        (Problem::TooLarge, 2, "too-large"),
        (Problem::Unsupported, 3, "unsupported"),
        (Problem::BadSignature, 4, "bad-signature"),
        (Problem::BadSeal, 5, "bad-seal"),
        (Problem::BadProgram, 6, "bad-program"),
        (Problem::UnknownDeployment, 7, "unknown-deployment"),
        (Problem::UnknownSession, 8, "unknown-session"),
        (Problem::UnknownKey, 9, "unknown-key"),
        (Problem::NotAllowed, 10, "not-allowed"),
        (Problem::Expired, 11, "expired"),
        (Problem::QuotaExceeded, 12, "quota-exceeded"),
        (Problem::JobReused, 13, "job-reused"),
        (Problem::WrongContext, 14, "wrong-context"),
        (Problem::BadCiphertext, 15, "bad-ciphertext"),
        (Problem::Busy, 16, "busy"),
        (Problem::Internal, 17, "internal"),
        (Problem::Quarantined, 18, "quarantined"),
        (Problem::NoAudit, 19, "no-audit"),
        (Problem::AuditOpen, 20, "audit-open"),
    ];

    /// The number on the wire.
    pub fn code(self) -> u32 {
        Self::TABLE.iter().find(|row| row.0 == self).map_or(0, |row| row.1)
    }

    /// The problem of a number on the wire.
    pub fn from_code(code: u32) -> Option<Self> {
        Self::TABLE.iter().find(|row| row.1 == code).map(|row| row.0)
    }

    /// A short name for machines, such as `quota-exceeded`.
    pub fn name(self) -> &'static str {
        Self::TABLE.iter().find(|row| row.0 == self).map_or("internal", |row| row.2)
    }

    /// The problem of a [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::TABLE.iter().find(|row| row.2 == name).map(|row| row.0)
    }

    /// Every problem.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::TABLE.iter().map(|row| row.0)
    }

    /// Whether the same request may succeed later.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Busy | Self::Internal | Self::AuditOpen)
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::error::Error for Problem {}

impl From<&crate::WireError> for Problem {
    fn from(error: &crate::WireError) -> Self {
        use crate::WireError as E;
        match error {
            E::TooLarge { .. } => Self::TooLarge,
            E::Length { .. } | E::Protobuf | E::Missing(_) | E::Statement(_) => Self::Malformed,
            E::Suite(_) => Self::Unsupported,
            E::PublicKey | E::Signature => Self::BadSignature,
            E::Unsealed => Self::BadSeal,
            E::Entropy => Self::Internal,
        }
    }
}

impl From<crate::WireError> for Problem {
    fn from(error: crate::WireError) -> Self {
        Self::from(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_distinct_and_come_back() {
        for problem in Problem::all() {
            assert_eq!(Problem::from_code(problem.code()), Some(problem));
            assert_eq!(Problem::from_name(problem.name()), Some(problem));
        }
        assert_eq!(Problem::from_code(0), None);
    }
}
