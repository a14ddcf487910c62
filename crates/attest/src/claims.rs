//! From evidence to claims: what the platform says, its signature verified.

use adyton_wire::message::Evidence;

/// Digest of the program that a platform started.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Measurement(Vec<u8>);

impl Measurement {
    /// A measurement from its bytes, at most 64 of them.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        (1..=64).contains(&bytes.len()).then(|| Self(bytes.to_vec()))
    }

    /// A measurement from hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits: Option<Vec<u8>> =
            text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
        let digits = digits?;
        let bytes: Option<Vec<u8>> = digits
            .chunks(2)
            .map(|pair| match pair {
                [high, low] => Some((high << 4) | low),
                _ => None,
            })
            .collect();
        Self::from_bytes(&bytes?)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Display for Measurement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Measurement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Measurement({self})")
    }
}

/// What evidence says, its signatures verified up to a vendor's root. Not yet judged: see [`appraise`](crate::appraise).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Name of the platform.
    pub kind: String,
    /// Whether the platform is simulated.
    pub simulated: bool,
    /// Whether the platform would let a debugger in.
    pub debug: bool,
    /// The program that runs.
    pub measurement: Measurement,
    /// What the program asked to be vouched for.
    pub report_data: [u8; 64],
}

/// Why evidence proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerificationError {
    /// No verifier for this platform in this build.
    #[error("no verifier for the platform {0:?}")]
    UnknownPlatform(String),
    /// The evidence is not of its platform's format.
    #[error("the evidence is malformed")]
    Malformed,
    /// A signature in the evidence does not verify.
    #[error("a signature in the evidence does not verify")]
    Signature,
}

/// Verifies evidence by its platform's rules.
///
/// # Errors
/// [`VerificationError`]; the evidence then proves nothing.
pub fn verify(evidence: &Evidence) -> Result<Claims, VerificationError> {
    match evidence.kind.as_str() {
        #[cfg(feature = "simulated")]
        crate::SIMULATED => crate::simulated::verify(&evidence.evidence),
        other => Err(VerificationError::UnknownPlatform(other.to_owned())),
    }
}
