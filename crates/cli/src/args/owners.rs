//! Commands of the two owners.

use super::release::Release;
use super::trust::{Answering, Trust};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// How to reach the host, and who one is.
#[derive(Args, Clone, Debug)]
pub(crate) struct Connection {
    /// The host's address, as in `http://127.0.0.1:7700` or `https://host.example:7700`
    #[arg(long, value_name = "URL", env = "ADYTON_HOST")]
    pub(crate) host: String,

    /// PEM file with the authority that signed the host's TLS certificate
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_ca: Option<PathBuf>,
}

/// [`Connection`], with the address in front of the options.
#[derive(Args, Clone, Debug)]
pub(crate) struct Reach {
    /// The host's address, as in `http://127.0.0.1:7700` or `https://host.example:7700`
    #[arg(value_name = "HOST", required_unless_present = "named")]
    address: Option<String>,

    /// The same as an option, for a HOST that is not given
    #[arg(id = "named", long = "host", value_name = "URL", env = "ADYTON_HOST")]
    named: Option<String>,

    /// PEM file with the authority that signed the host's TLS certificate
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
}

impl Reach {
    pub(crate) fn connection(&self) -> Connection {
        // The parser demands one of them.
        let host = self.address.clone().or_else(|| self.named.clone()).unwrap_or_default();
        Connection { host, tls_ca: self.tls_ca.clone() }
    }
}

/// Model owner: register a deployment with an attested enclave and upload the encrypted weights.
///
/// Appraises the enclave's evidence, seals the model key's seed to it, registers the program with a release policy that
/// the enclave enforces, then encrypts the weights and uploads them. Nobody may use a deployment unless the policy says so.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  adyton publish mlp --host http://127.0.0.1:7700 --allow-simulated --measurement $M --allow-owner any
  adyton publish mlp --host $URL --policy $P --allow-owner $KEY --max-jobs 100 --output label
  adyton publish mlp --host $URL --policy $P --allow-owner any --audit-rate 0.1 --auditor $AUDITOR

$P is a policy (`adyton policy new`), $M the enclave's measurement (`adyton evidence show`); $KEY is what the data owner's
`adyton keygen` prints. The deployment id that is printed goes to the data owners.")]
pub(crate) struct Publish {
    /// The directory that `adyton compile` made
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,

    #[command(flatten)]
    pub(crate) connection: Connection,

    #[command(flatten)]
    pub(crate) trust: Trust,

    /// The model owner's identity file; made on first use
    #[arg(long, value_name = "FILE", default_value = "model-owner.identity")]
    pub(crate) identity: PathBuf,

    #[command(flatten)]
    pub(crate) release: Release,

    /// Number of the model key; a new number makes a new key (renewal), and a new deployment
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) model_key: u32,

    /// Print the result as one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `infer` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum InferOutput {
    /// The label of each sample
    Labels,
    /// Every output of each sample (when the deployment releases logits)
    Logits,
}

/// Data owner: encrypt inputs, have them evaluated, open the result and verify its receipt.
///
/// Appraises the enclave's evidence, opens a session with it (its input key's seed and its reply key go there sealed),
/// encrypts the inputs on this machine, uploads them as a signed job, waits, opens the sealed result and verifies the
/// enclave's receipt. The host sees none of the inputs and none of the results.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  adyton infer --host http://127.0.0.1:7700 --deployment $ID --allow-simulated --measurement $M digits.npy
  adyton infer --host $URL --deployment $ID --policy $P a.png b.png --output logits
  adyton infer --host $URL --deployment $ID --policy $P t10k-images-idx3-ubyte --limit 64 --out logits.npy
  adyton infer --host $URL --deployment $ID --policy $P mine.npy --canaries 8 --canary-inputs known.npy \\
      --canary-answers answers.npy                                         known inputs in 8 random lanes, checked
  adyton infer --host $URL --deployment $ID --policy $P --collect     results of an interrupted run

$ID is what `adyton publish` printed.")]
pub(crate) struct Infer {
    /// Samples: .npy or idx files (.gz too), or images (png, pgm)
    #[arg(value_name = "INPUTS", required_unless_present = "collect")]
    pub(crate) inputs: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) connection: Connection,

    /// The deployment's id, from the model owner
    #[arg(long, value_name = "ID")]
    pub(crate) deployment: String,

    #[command(flatten)]
    pub(crate) trust: Trust,

    /// The data owner's identity file; made on first use
    #[arg(long, value_name = "FILE", default_value = "data-owner.identity")]
    pub(crate) identity: PathBuf,

    /// Number of the session with this deployment; a new number opens a new session, with new keys and a fresh ledger
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) session: u32,

    /// Use only the first N samples
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: Option<u32>,

    /// What to print
    #[arg(long, value_enum, default_value = "labels")]
    pub(crate) output: InferOutput,

    /// Also write the logits there, as samples × outputs in float64
    #[arg(long, value_name = "FILE.npy")]
    pub(crate) out: Option<PathBuf>,

    /// Hide this many canaries among the samples: known inputs in random lanes, whose answers are checked. Weaker than an audit
    #[arg(long, value_name = "N", default_value_t = 0, requires_all = ["canary_inputs", "canary_answers"])]
    pub(crate) canaries: u32,

    /// Known inputs to draw canaries from, in any form that INPUTS take
    #[arg(long, value_name = "FILE", requires = "canaries")]
    pub(crate) canary_inputs: Option<PathBuf>,

    /// The network's outputs on the known inputs (.npy, one row an input): from the model owner, or `--out` of an audited job
    #[arg(long, value_name = "FILE", requires = "canaries")]
    pub(crate) canary_answers: Option<PathBuf>,

    /// Send no inputs: collect the results of this session's earlier jobs that were submitted and never fetched
    #[arg(long, conflicts_with_all = ["inputs", "out", "limit", "repeat", "canaries"])]
    pub(crate) collect: bool,

    /// Submit the inputs this many times, each time as a job of its own, and report the times of each (for measuring)
    #[arg(long, value_name = "N", default_value_t = 1, hide = true)]
    pub(crate) repeat: u32,

    /// Print the result as one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// Fetch, show and verify an enclave's evidence.
///
/// Evidence binds the enclave's keys and the challenger's nonce to what the platform measured. `verify` appraises it by a
/// policy that denies by default; the owners' commands do the same before they seal anything.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  adyton evidence fetch http://127.0.0.1:7700 -o evidence.adyton
  adyton evidence show evidence.adyton
  adyton evidence verify evidence.adyton --measurement $M --allow-simulated
  adyton evidence verify evidence.adyton --policy policy.json --collateral collateral.json
  adyton evidence verify quote.bin --collateral collateral.json --policy policy.json --at 2025-07-01T00:00:00Z
  adyton evidence verify report.bin --certs vcek.der --policy policy.json --at 2025-07-01T00:00:00Z --json

FILE is what `fetch` wrote, or evidence of any known format, told by its content: SGX and TDX quotes, SNP reports, Nitro
documents, TPM 2.0 quotes, Azure's vTPM bundles; raw, as hex or base64, or in a cloud's JSON. Nothing is fetched. The simulated
platform's evidence has a vendor's form under a test root of ours; what proves something differs from it in that root alone.")]
pub(crate) struct Evidence {
    #[command(subcommand)]
    pub(crate) command: EvidenceCommand,

    /// Print as one JSON object on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Subcommand, Debug)]
pub(crate) enum EvidenceCommand {
    /// Challenge the enclave with a fresh nonce and store its evidence
    Fetch {
        #[command(flatten)]
        host: Reach,
        /// File for the evidence and its nonce
        #[arg(short, long, value_name = "FILE", default_value = "evidence.adyton")]
        output: PathBuf,
    },
    /// Print what evidence claims, without verifying it
    Show {
        /// The file that `fetch` wrote
        file: PathBuf,
    },
    /// Appraise evidence: vendor root, measurement, freshness, binding of the keys
    Verify {
        /// The file that `fetch` wrote, or evidence of any known format
        file: PathBuf,
        #[command(flatten)]
        trust: Box<Trust>,
        #[command(flatten)]
        answering: Answering,
    },
}

/// Make an owner's identity, or show an existing one's public key.
///
/// An identity is one secret from which an owner's signing key, reply key, model keys and input keys derive. The file can
/// be read by you alone (mode 0600); whoever has it reads the owner's results or weights, so back it up and guard it.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  adyton keygen -o data-owner.identity           make one; prints the public key
  adyton keygen --show data-owner.identity       print the public key of an existing one")]
pub(crate) struct Keygen {
    /// File for the new identity; refused when it exists
    #[arg(
        short,
        long,
        value_name = "FILE",
        conflicts_with = "show",
        required_unless_present = "show"
    )]
    pub(crate) output: Option<PathBuf>,

    /// Show the public key of this identity
    #[arg(long, value_name = "FILE")]
    pub(crate) show: Option<PathBuf>,

    /// Print as one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use crate::args::{Cli, Command, EvidenceCommand};
    use clap::Parser;

    #[test]
    fn evidence_is_fetched_from_a_host_named_either_way() {
        let host = |arguments: &[&str]| {
            let all = [&["adyton", "evidence", "fetch"][..], arguments].concat();
            match Cli::try_parse_from(all).map(|cli| cli.command) {
                Ok(Command::Evidence(evidence)) => match evidence.command {
                    EvidenceCommand::Fetch { host, .. } => host.connection().host,
                    other => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(host(&["http://a"]), "http://a");
        assert_eq!(host(&["--host", "http://b", "-o", "file"]), "http://b");
        assert_eq!(host(&["http://a", "--host", "http://b"]), "http://a");
        assert!(Cli::try_parse_from(["adyton", "evidence", "fetch"]).is_err());
    }
}
