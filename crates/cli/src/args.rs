//! The command line as types. Every command's long help teaches by example.

mod audit;
#[cfg(feature = "simulated")]
mod bench;
mod measure;
mod owners;
mod planning;
mod release;
mod runs;
mod trust;

pub(crate) use audit::{Audit, AuditCommand, AuditLog, AuditRun, EnclaveKey, Head};
#[cfg(feature = "simulated")]
pub(crate) use bench::{
    Bench, BenchCommand, BenchCore, BenchNetworks, BenchScale, KernelChoice, Ring,
};
pub(crate) use owners::{
    Connection, Evidence, EvidenceCommand, Infer, InferOutput, Keygen, Publish,
};
pub(crate) use planning::{Planning, SecurityLevel};
pub(crate) use release::{OutputForm, Release};
#[cfg(feature = "simulated")]
pub(crate) use runs::Demo;
pub(crate) use runs::{
    CalibrateMachine, Check, Compile, Fitting, Inspect, Objective, Plan, Privacy,
};

pub(crate) use measure::Measure;
pub(crate) use trust::{Answering, Endorsing, Policy, PolicyCommand, PolicyNew, Trust};

use clap::{Parser, Subcommand};
use std::ffi::OsString;

/// Neural-network inference where the server sees neither the model nor the inputs nor the results.
#[derive(Parser, Debug)]
#[command(name = "adyton", version, propagate_version = true, max_term_width = 110)]
#[command(after_long_help = "\
Four roles take part, each a process of its own:
  enclave       makes keys, releases results       adyton enclave
  host          stores, evaluates; trusted by none adyton host
  model owner   compiles and encrypts a network    adyton compile, adyton publish
  data owner    encrypts inputs, opens results     adyton infer
An auditor may join them: it executes drawn jobs again (adyton audit).

See it work first:
  adyton demo

Then run the roles by hand: docs/tutorial.md")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Run all four roles on this machine: encrypted networks classify encrypted digits
    #[cfg(feature = "simulated")]
    Demo(Demo),
    /// Compile an ONNX network to a program (public) and its packed weights (secret)
    Compile(Compile),
    /// Whether a network compiles, agrees with its ONNX meaning, and what it will cost
    Check(Check),
    /// Plan a network: what each objective would choose, and what that costs
    Plan(Plan),
    /// Measure what elementary operations cost on this machine, for predictions and plans
    CalibrateMachine(CalibrateMachine),
    /// Print what a program, an encrypted object or an evidence file holds
    Inspect(Inspect),
    /// Model owner: register a deployment with an attested enclave and upload the encrypted weights
    Publish(Publish),
    /// Data owner: encrypt inputs, have them evaluated, open the result and verify its receipt
    Infer(Infer),
    /// Auditor: execute drawn jobs again before they are released; check the proof of a failed audit
    Audit(Audit),
    /// Fetch, show and verify an enclave's evidence
    Evidence(Evidence),
    /// Make, explain and hash policies of evidence; explain what a release policy may leak
    Policy(Policy),
    /// Print the digests of an enclave's program, and what evidence of it must name
    Measure(Measure),
    /// Make an owner's identity, or show an existing one's public key
    Keygen(Keygen),
    /// Measure on this machine: networks, the core's operations, scaling
    #[cfg(feature = "simulated")]
    Bench(Bench),
    /// Start the enclave (runs the sibling program adyton-enclave; `adyton enclave --help` shows its options)
    #[command(disable_help_flag = true)]
    Enclave(Sibling),
    /// Start the host (runs the sibling program adyton-host; `adyton host --help` shows its options)
    #[command(disable_help_flag = true)]
    Host(Sibling),
}

/// Arguments passed through to a sibling program untouched.
#[derive(clap::Args, Debug)]
pub(crate) struct Sibling {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    pub(crate) arguments: Vec<OsString>,
}

impl Command {
    /// Whether errors should be printed as JSON too.
    pub(crate) fn json(&self) -> bool {
        match self {
            #[cfg(feature = "simulated")]
            Self::Demo(a) => a.json,
            Self::Compile(a) => a.json,
            Self::Check(a) => a.json,
            Self::Plan(a) => a.json,
            Self::CalibrateMachine(a) => a.json,
            Self::Inspect(a) => a.json,
            Self::Publish(a) => a.json,
            Self::Infer(a) => a.json,
            Self::Audit(a) => a.json,
            Self::Evidence(a) => a.json,
            Self::Policy(a) => a.json,
            Self::Measure(a) => a.json,
            Self::Keygen(a) => a.json,
            #[cfg(feature = "simulated")]
            Self::Bench(a) => a.json(),
            Self::Enclave(_) | Self::Host(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_of_ours_shows_an_example() {
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            if matches!(name, "enclave" | "host" | "help") {
                continue;
            }
            let help = command.clone().render_long_help().to_string();
            assert!(help.contains(&format!("adyton {name}")), "{name}: no example in\n{help}");
        }
    }

    #[test]
    fn sibling_arguments_pass_through_untouched() {
        let cli = Cli::try_parse_from(["adyton", "host", "--listen", "127.0.0.1:1", "--help"]);
        match cli.map(|c| c.command) {
            Ok(Command::Host(s)) => {
                assert_eq!(s.arguments, ["--listen", "127.0.0.1:1", "--help"]);
            }
            other => panic!("{other:?}"),
        }
    }
}
