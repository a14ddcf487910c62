//! The `adyton` command: all roles of Adyton, and a demonstration of them together.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(feature = "simulated"),
    expect(dead_code, reason = "what the demonstration and the benchmark alone use")
)]

mod appraisal;
mod args;
mod audit;
#[cfg(feature = "simulated")]
mod bench;
mod calibrate;
mod check;
mod compile;
#[cfg(feature = "simulated")]
mod demo;
#[cfg(feature = "simulated")]
mod digits;
mod error;
mod import;
mod inspect;
mod machine;
mod measure;
mod output;
mod owner;
mod planning;
mod policy;
mod process;
mod program_files;
mod progress;
mod release;
mod samples;
mod shipped;

use args::{Cli, Command};
use clap::Parser;
use error::CliError;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.command.json();
    match process::follow_parent().and_then(|()| run(cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        // A reader that closes the pipe has seen enough.
        Err(CliError::Output(e)) if e.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            output::note(&if json { error.render_json() } else { error.render() });
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), CliError> {
    match command {
        Command::Enclave(a) => Err(process::exec(process::Sibling::Enclave, &a.arguments)),
        Command::Host(a) => Err(process::exec(process::Sibling::Host, &a.arguments)),
        #[cfg(feature = "simulated")]
        Command::Demo(a) => demo::run(&a),
        Command::Compile(a) => compile::run(&a),
        Command::Check(a) => check::run(&a),
        Command::Plan(a) => planning::run(&a),
        Command::CalibrateMachine(a) => calibrate::run(&a),
        Command::Inspect(a) => inspect::run(&a),
        Command::Publish(a) => owner::publish::run(&a),
        Command::Infer(a) => owner::infer::run(&a),
        Command::Audit(a) => audit::run(&a),
        Command::Evidence(a) => owner::evidence::run(&a),
        Command::Policy(a) => policy::run(&a),
        Command::Measure(a) => measure::run(&a),
        Command::Keygen(a) => owner::keygen::run(&a),
        #[cfg(feature = "simulated")]
        Command::Bench(a) => bench::run(&a),
    }
}
