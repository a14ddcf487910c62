//! Arguments of evidence and policies.

use super::Release;
use adyton_appraise::{Allowance, Bytes, TcbStatus, UnixTime, Vendor};
use clap::{Args, Subcommand};
use serde::de::DeserializeOwned;
use std::path::PathBuf;

/// Beside what evidence is verified: everything that a verifier may need, since nothing is fetched.
#[derive(Args, Clone, Debug)]
pub(crate) struct Endorsing {
    /// Intel's collateral (one JSON object in dcap-qvl's form), or a revocation list; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) collateral: Vec<PathBuf>,

    /// Certificates that go with the evidence (PEM or DER), such as AMD's VCEK; may be repeated
    #[arg(long = "certs", value_name = "FILE")]
    pub(crate) certificates: Vec<PathBuf>,

    /// Believe this root too, a certificate or public key: `tpm=FILE` for a TPM's attestation key or its authority;
    /// `intel=`, `amd=`, `aws=` for a TEST root, whose evidence counts as simulated. May be repeated
    #[arg(long = "root", value_name = "VENDOR=FILE", value_parser = extra_root)]
    pub(crate) roots: Vec<(Vendor, PathBuf)>,

    /// Verify as of this time, such as 2025-07-01T12:00:00Z (or seconds since 1970) [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<UnixTime>,
}

/// What is demanded of an enclave before a secret is sealed to it. Denies by default.
#[derive(Args, Clone, Debug)]
pub(crate) struct Trust {
    /// Accept what this policy accepts (`adyton policy new`)
    #[arg(long = "policy", value_name = "FILE")]
    #[cfg_attr(feature = "simulated", arg(conflicts_with = "measurements"))]
    pub(crate) appraisal: Option<PathBuf>,

    /// Accept SIMULATED evidence, which proves nothing: for trying things out only. Without --policy, by the built-in policy for
    /// the programs of --measurement
    #[cfg(feature = "simulated")]
    #[arg(long)]
    pub(crate) allow_simulated: bool,

    /// With --allow-simulated: accept an enclave with this measurement (hex); may be repeated
    #[cfg(feature = "simulated")]
    #[arg(long = "measurement", value_name = "HEX", value_parser = hex)]
    pub(crate) measurements: Vec<Bytes>,

    #[command(flatten)]
    pub(crate) endorsing: Endorsing,
}

/// What evidence that an enclave did not hand out to us must answer.
#[derive(Args, Clone, Debug)]
pub(crate) struct Answering {
    /// Expect this report data (hex; shorter than the field, it is followed by zeros). What `fetch` stored expects its own
    #[arg(long, value_name = "HEX", value_parser = hex)]
    pub(crate) report_data: Option<Bytes>,

    /// Expect this nonce (hex; Nitro)
    #[arg(long, value_name = "HEX", value_parser = hex)]
    pub(crate) nonce: Option<Bytes>,

    /// Demand that this event log (TCG's form: a TPM's `binary_bios_measurements`, a TDX guest's CCEL) account for the registers
    #[arg(long, value_name = "FILE")]
    pub(crate) event_log: Option<PathBuf>,
}

/// Make, explain and hash policies of evidence: what an owner accepts of hardware. Explain release policies: what may leave.
///
/// A policy is data: which kinds of evidence, roots, processor generations, measurements and firmware are accepted. What it does
/// not name is refused; the empty policy refuses everything. Its hash names it where parties must agree on one.
///
/// A release policy is what `adyton publish` registers and the enclave enforces. Explained over a program: how many bits a query,
/// a session and the deployment release at most, and what that means for the keys and the weights.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  adyton policy new -o policy.json                  a template that refuses everything, to fill in
  adyton policy new --from quote.bin --collateral collateral.json --at 2025-07-01T00:00:00Z -o policy.json
  adyton policy new --from report.bin --certs vcek.der --at 2025-07-01T00:00:00Z --allow debug
  adyton policy explain policy.json                 what it accepts and refuses, in sentences
  adyton policy hash policy.json
  adyton policy explain mlp --output label --bits-total 20000            what `publish` with these flags may leak
  adyton policy explain mlp --audit-rate 0.1 --auditor $AUDITOR --json")]
pub(crate) struct Policy {
    #[command(subcommand)]
    pub(crate) command: PolicyCommand,

    /// Print as one JSON object on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Subcommand, Debug)]
pub(crate) enum PolicyCommand {
    /// Write a policy: one that refuses everything, or with --from one for exactly that evidence's program
    New(Box<PolicyNew>),
    /// Print in sentences what a policy of evidence accepts and refuses, or what a release policy may leak
    Explain {
        /// A policy of evidence; or a program, or the directory that `adyton compile` made: then the other options are the release
        /// policy, as for `adyton publish`
        #[arg(value_name = "POLICY|PROGRAM")]
        file: PathBuf,
        #[command(flatten)]
        release: Box<Release>,
    },
    /// Print a policy's hash: SHA-256 of its canonical form
    Hash {
        /// The policy
        file: PathBuf,
    },
}

/// Arguments of `policy new`.
#[derive(Args, Debug)]
pub(crate) struct PolicyNew {
    /// File for the policy [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Accept the program of this evidence, which is verified first
    #[arg(long, value_name = "EVIDENCE")]
    pub(crate) from: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) endorsing: Endorsing,

    /// Accept this weakness: debug, simulated, migratable, smt, dynamic-platform, cached-keys, zero-measurements,
    /// expired-collateral; may be repeated
    #[arg(long, value_name = "NAME", requires = "from", value_parser = named::<Allowance>)]
    pub(crate) allow: Vec<Allowance>,

    /// Accept this TCB status besides, such as sw-hardening-needed; may be repeated
    #[arg(long = "tcb-status", value_name = "STATUS", requires = "from", value_parser = named::<TcbStatus>)]
    pub(crate) tcb_statuses: Vec<TcbStatus>,

    /// Accept that this advisory applies, such as INTEL-SA-00289; may be repeated
    #[arg(long = "advisory", value_name = "ID", requires = "from")]
    pub(crate) advisories: Vec<String>,
}

fn hex(text: &str) -> Result<Bytes, String> {
    Bytes::from_hex(text).ok_or_else(|| "expected hexadecimal digits".to_owned())
}

/// A value by its name in JSON.
fn named<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

fn extra_root(text: &str) -> Result<(Vendor, PathBuf), String> {
    const FORM: &str = "expected `tpm=FILE`, `intel=FILE`, `amd=FILE` or `aws=FILE`";
    let (vendor, file) = text.split_once('=').ok_or(FORM)?;
    let vendor = match vendor {
        "tpm" => Vendor::Tpm,
        "intel" => Vendor::Intel,
        "amd" => Vendor::Amd,
        "aws" => Vendor::Aws,
        _ => return Err(FORM.to_owned()),
    };
    Ok((vendor, file.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_parse_by_name() {
        assert_eq!(named::<Allowance>("dynamic-platform"), Ok(Allowance::DynamicPlatform));
        assert!(named::<TcbStatus>("fine").is_err());
        assert_eq!(extra_root("tpm=a=b"), Ok((Vendor::Tpm, "a=b".into())));
        assert!(extra_root("ak.pem").is_err() && extra_root("arm=x").is_err());
        assert!(hex("0g").is_err());
    }
}
