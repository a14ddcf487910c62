//! What a plan is to be good for: shared by `compile`, `check` and `plan`.

use super::runs::{Fitting, Objective, Privacy};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// The attackers that parameters must withstand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SecurityLevel {
    /// 128 bits, classical
    #[value(name = "128")]
    Classical128,
    /// 128 bits, with a quantum computer
    #[value(name = "128-quantum")]
    Quantum128,
}

/// How a network is planned.
#[derive(Args, Clone, Debug)]
pub(crate) struct Planning {
    /// What the program is laid out for
    #[arg(long, value_enum, default_value = "throughput")]
    pub(crate) objective: Objective,

    /// Samples that are run together: lay out for a batch of this size
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) batch: Option<u32>,

    /// Memory that the expanded weights and a session's keys may take on the host, MiB [default: 1280, or as little as there is a plan for]
    #[arg(long, value_name = "MIB")]
    pub(crate) max_memory: Option<u64>,

    /// Bits of the logits' range that the largest error leaves [default: 7]
    #[arg(long, value_name = "BITS")]
    pub(crate) min_precision_bits: Option<f64>,

    /// The attackers that keys must withstand
    #[arg(long, value_enum, default_value = "128")]
    pub(crate) security: SecurityLevel,

    /// Whether the host sees the weights
    #[arg(long, value_enum, default_value = "encrypted")]
    pub(crate) model_privacy: Privacy,

    /// Samples (.npy, idx, images) on which the ranges of activations and outputs are measured
    #[arg(long, value_name = "FILE")]
    pub(crate) calibrate: Option<PathBuf>,

    /// Unit costs of the host's machine, as `adyton calibrate-machine` wrote them [default: those kept for this machine, or built-in ones]
    #[arg(long, value_name = "FILE")]
    pub(crate) machine: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) fitting: Fitting,
}

impl Planning {
    /// The same options as arguments of `adyton compile` in another directory, samples left out.
    #[cfg(feature = "simulated")]
    pub(crate) fn arguments(&self) -> Result<Vec<String>, crate::error::CliError> {
        let mut arguments = vec![
            format!("--objective={}", self.objective.as_str()),
            format!("--model-privacy={}", self.model_privacy.as_str()),
            format!("--fit-error={}", self.fitting.fit_error),
        ];
        arguments.extend(self.batch.map(|batch| format!("--batch={batch}")));
        arguments.extend(self.max_memory.map(|mib| format!("--max-memory={mib}")));
        arguments
            .extend(self.min_precision_bits.map(|bits| format!("--min-precision-bits={bits}")));
        arguments.extend(self.fitting.fit_degree.map(|degree| format!("--fit-degree={degree}")));
        if let Some(security) = self.security.to_possible_value() {
            arguments.push(format!("--security={}", security.get_name()));
        }
        if let Some(machine) = &self.machine {
            let path =
                machine.canonicalize().map_err(crate::error::CliError::file("find", machine))?;
            arguments.push(format!("--machine={}", path.display()));
        }
        Ok(arguments)
    }
}
