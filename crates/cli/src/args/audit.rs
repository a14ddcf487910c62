//! Commands of the auditor.

use super::{Connection, Trust};
use adyton_wire::statement::AuditHead;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Execute jobs again before they are released, and check the proof of an audit that failed.
///
/// A deployment may name an auditor and a share of its jobs (`adyton publish --audit-rate 0.1 --auditor KEY`). The enclave draws
/// that share, unforeseeably, after the host has committed to its result, and releases a drawn job only when the auditor has
/// found the same. When it finds another result, the deployment is closed, with a proof that anybody can check.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  adyton keygen -o auditor.identity                                     its public key goes to the model owner (--auditor)
  adyton audit run --host http://127.0.0.1:7700 --allow-simulated --measurement $M
  adyton audit run --host $URL --policy $P --once --json           settle what is open now, then end
  adyton audit proof --host $URL --deployment $ID -o failed.proof       the proof that a host keeps
  adyton audit verify failed.proof --enclave-key $KEY                   offline
  adyton audit verify failed.proof --evidence evidence.adyton --policy $P
  adyton audit log --host $URL --enclave-key $KEY --deployment $ID      what the enclave did, by its own chain of digests
  adyton audit repeat failed.proof --host $URL --enclave-key $KEY       a third execution: who was right?

An auditor should run where the host has no say. It needs the same memory and processors as the host, and no secret: it sees
ciphertexts and evaluation keys. $KEY is the enclave's signing key, as `adyton evidence show` prints it.")]
pub(crate) struct Audit {
    #[command(subcommand)]
    pub(crate) command: AuditCommand,

    /// Print as JSON on standard output: `run` one line for each finding, the others one object
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Subcommand, Debug)]
pub(crate) enum AuditCommand {
    /// Be the auditor: wait for jobs that are drawn, execute each, sign what it came to
    Run(AuditRun),
    /// Fetch the proof of a deployment's failed audit from the host
    Proof {
        #[command(flatten)]
        connection: Connection,
        /// The deployment's id
        #[arg(long, value_name = "ID")]
        deployment: String,
        /// File for the proof
        #[arg(short, long, value_name = "FILE", default_value = "failed.proof")]
        output: PathBuf,
    },
    /// Print the enclave's log of what it did, from the host that keeps it, held against what the enclave signed
    Log(AuditLog),
    /// Check the proof of a failed audit, offline
    Verify {
        /// The proof
        proof: PathBuf,
        #[command(flatten)]
        enclave: EnclaveKey,
    },
    /// Execute the job of a proof a third time, and say whose result it is
    Repeat {
        /// The proof
        proof: PathBuf,
        #[command(flatten)]
        connection: Connection,
        #[command(flatten)]
        enclave: EnclaveKey,
        /// Threads [default: all cores]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
        threads: Option<u32>,
    },
}

/// Arguments of `audit run`.
#[derive(Args, Debug)]
pub(crate) struct AuditRun {
    #[command(flatten)]
    pub(crate) connection: Connection,

    #[command(flatten)]
    pub(crate) trust: Trust,

    /// The auditor's identity file; made on first use
    #[arg(long, value_name = "FILE", default_value = "auditor.identity")]
    pub(crate) identity: PathBuf,

    /// Settle the audits that are open now, then end
    #[arg(long)]
    pub(crate) once: bool,

    /// Seconds between two looks for new audits
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    pub(crate) every: f64,

    /// Folder for the proofs of failed audits; made when missing
    #[arg(long, value_name = "DIR", default_value = "proofs")]
    pub(crate) proofs: PathBuf,

    /// Threads to execute with [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) threads: Option<u32>,
}

/// Arguments of `audit log`.
#[derive(Args, Debug)]
pub(crate) struct AuditLog {
    #[command(flatten)]
    pub(crate) connection: Connection,

    #[command(flatten)]
    pub(crate) enclave: EnclaveKey,

    /// Print this deployment's part alone
    #[arg(long, value_name = "ID")]
    pub(crate) deployment: Option<String>,

    /// A place of the log that the enclave signed, LENGTH:DIGEST: of a receipt (`adyton infer --json`: audit_length, audit_digest), or what this
    /// command printed before; may be repeated
    #[arg(long = "head", value_name = "LENGTH:DIGEST")]
    pub(crate) heads: Vec<Head>,
}

/// Where a log stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head(pub(crate) AuditHead);

impl std::str::FromStr for Head {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "expected LENGTH:DIGEST, a number and 64 hexadecimal digits";
        let (length, digest) = text.split_once(':').ok_or(FORM)?;
        let length = length.parse().map_err(|_| FORM)?;
        let digest = adyton_client::hex::decode(digest).ok_or(FORM)?;
        Ok(Self(AuditHead { length, digest }))
    }
}

/// How the enclave's signing key is known.
#[derive(Args, Clone, Debug)]
pub(crate) struct EnclaveKey {
    /// The enclave's signing key (hex), known from elsewhere
    #[arg(long, value_name = "HEX", required_unless_present = "evidence")]
    pub(crate) enclave_key: Option<String>,

    /// The enclave's evidence (`adyton evidence fetch`), appraised by --policy, or by --measurement and --allow-simulated
    #[arg(long, value_name = "FILE", conflicts_with = "enclave_key")]
    pub(crate) evidence: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) trust: Trust,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.01..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected seconds from 0.01 to 86400".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_whole() {
        let text = format!("12:{}", "ab".repeat(32));
        assert_eq!(text.parse(), Ok(Head(AuditHead { length: 12, digest: [0xAB; 32] })));
        for bad in
            ["12", "x:00", &text[..20], &format!("{text}00"), &format!(":{}", "ab".repeat(32))]
        {
            assert!(bad.parse::<Head>().is_err(), "{bad}");
        }
    }
}
