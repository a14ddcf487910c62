//! `adyton bench`: networks, the core's operations, scaling.

mod core;
mod networks;
mod plot;
mod scale;

use crate::args::{Bench, BenchCommand};
use crate::error::CliError;

/// Measures and prints.
pub(crate) fn run(args: &Bench) -> Result<(), CliError> {
    match &args.command {
        None => networks::run(&args.networks),
        Some(BenchCommand::Core(args)) => core::run(args),
        Some(BenchCommand::Scale(args)) => scale::run(args),
    }
}
