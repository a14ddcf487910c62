//! `adyton audit`: the auditor, and whoever checks what one found.

mod fetch;
mod log;
mod run;
mod verify;

use crate::args::{Audit, AuditCommand};
use crate::error::CliError;

/// Runs one of the audit commands.
pub(crate) fn run(args: &Audit) -> Result<(), CliError> {
    match &args.command {
        AuditCommand::Run(run) => run::run(run, args.json),
        AuditCommand::Proof { connection, deployment, output } => {
            verify::fetch(connection, deployment, output)
        }
        AuditCommand::Log(log) => log::run(log, args.json),
        AuditCommand::Verify { proof, enclave } => verify::run(proof, enclave, args.json),
        AuditCommand::Repeat { proof, connection, enclave, threads } => {
            verify::repeat(proof, connection, enclave, *threads, args.json)
        }
    }
}

/// Threads to execute with.
fn threads(wanted: Option<u32>) -> Result<usize, CliError> {
    match wanted {
        Some(threads) => Ok(threads as usize),
        None => std::thread::available_parallelism().map(usize::from).map_err(CliError::usage),
    }
}
