//! What a model owner allows of results: the release policy as flags.

use clap::Args;

/// The release policy, which the enclave enforces. Its defaults admit nobody.
#[derive(Args, Clone, Debug)]
pub(crate) struct Release {
    /// Admit this data owner (public key in hex), or `any`; may be repeated. Without it nobody is admitted
    #[arg(long = "allow-owner", value_name = "KEY|any")]
    pub(crate) allow_owners: Vec<String>,

    /// Jobs of all data owners together
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub(crate) max_jobs: u32,

    /// Jobs of one data owner
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(crate) max_jobs_per_owner: u32,

    /// Sessions of one data owner
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub(crate) max_sessions_per_owner: u32,

    /// Result ciphertexts that one session may release; more of them need more flooding noise
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) max_ciphertexts: u32,

    /// Bits of results that one session may learn (the ledger)
    #[arg(long, value_name = "BITS", default_value_t = 1_000_000_000)]
    pub(crate) bits_per_session: u64,

    /// Bits of results that the deployment may release in all
    #[arg(long, value_name = "BITS", default_value_t = 1_000_000_000_000)]
    pub(crate) bits_total: u64,

    /// Share of jobs that an auditor executes again before they are released, 0 to 1; goes with --auditor
    #[arg(long, value_name = "RATE", default_value_t = 0.0)]
    pub(crate) audit_rate: f64,

    /// The auditor's public key (hex, as `adyton keygen` prints it)
    #[arg(long, value_name = "KEY")]
    pub(crate) auditor: Option<String>,

    /// Days until the deployment expires
    #[arg(long, value_name = "DAYS", default_value_t = 90)]
    pub(crate) expires_in_days: u32,

    /// What is released: `logits:BITS` (rounded to that many bits over the output range), `label`, or `top-k:K:BITS`
    #[arg(long, value_name = "FORM", default_value = "logits:16")]
    pub(crate) output: OutputForm,
}

/// The form in which the enclave releases results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutputForm {
    /// Every output, rounded to this many bits over ± the program's output range.
    Logits { bits: u8 },
    /// The k largest outputs, rounded so, with their indices.
    TopK { k: u16, bits: u8 },
    /// The index of the largest output.
    Label,
}

impl std::str::FromStr for OutputForm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORMS: &str = "one of `logits:BITS` (2 to 30), `label`, `top-k:K:BITS`";
        let bits = |text: &str| match text.parse() {
            Ok(bits @ 2..=30) => Ok(bits),
            _ => Err(format!("`{text}` is not a number of bits from 2 to 30; expected {FORMS}")),
        };
        let parts: Vec<&str> = text.split(':').collect();
        match parts.as_slice() {
            ["label"] => Ok(Self::Label),
            ["logits", b] => Ok(Self::Logits { bits: bits(b)? }),
            ["top-k", k, b] => match k.parse() {
                Ok(k @ 1..) => Ok(Self::TopK { k, bits: bits(b)? }),
                _ => Err(format!("`{k}` is not a count; expected {FORMS}")),
            },
            _ => Err(format!("expected {FORMS}")),
        }
    }
}

impl std::fmt::Display for OutputForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Logits { bits } => write!(f, "logits:{bits}"),
            Self::TopK { k, bits } => write!(f, "top-k:{k}:{bits}"),
            Self::Label => f.write_str("label"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_forms_parse_and_print() {
        for text in ["logits:12", "label", "top-k:3:12"] {
            assert_eq!(text.parse::<OutputForm>().map(|f| f.to_string()), Ok(text.to_owned()));
        }
        for text in
            ["", "logits", "logits:1", "logits:31", "top-k:3", "top-k:0:12", "labels", "label:1"]
        {
            assert!(text.parse::<OutputForm>().is_err(), "{text}");
        }
    }
}
