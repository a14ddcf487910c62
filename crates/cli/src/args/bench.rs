//! `adyton bench` and what it measures.

use super::runs::{Objective, Workload};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Measure on this machine: networks with the real processes, the core's operations, scaling.
///
/// Without a subcommand, networks: starts enclave, host, model owner and data owner like the demo. A warm-up job first loads weights and
/// keys into the host's memory, so `evaluate_seconds` is evaluation alone; the fastest of several jobs counts. For throughput,
/// jobs of one and of several groups of lanes are measured and each is a result; for latency, one image.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_long_help = "\
Examples:
  adyton bench                                        all networks, both objectives
  adyton bench --network mlp --objective throughput   one of them
  adyton bench --json > bench.json                    for machines (docs/bench-json.md)
  adyton bench core                                   the core's operations, one thread
  adyton bench core --json > now.json                 for machines, and to compare with later
  adyton bench core --baseline now.json               with the ratio of each operation to a run before
  adyton bench scale --plot scale.svg                 one thread against two; memory and time from one batch to fifty")]
pub(crate) struct Bench {
    #[command(subcommand)]
    pub(crate) command: Option<BenchCommand>,

    #[command(flatten)]
    pub(crate) networks: BenchNetworks,
}

#[derive(Subcommand, Debug)]
pub(crate) enum BenchCommand {
    /// The core's operations on one thread, their distance from the roofline, and an encrypted matrix
    Core(BenchCore),
    /// One thread against two, and time and memory from the best batch to fifty times that
    Scale(BenchScale),
}

impl Bench {
    /// Whether errors should be printed as JSON too.
    pub(crate) fn json(&self) -> bool {
        match &self.command {
            None => self.networks.json,
            Some(BenchCommand::Core(core)) => core.json,
            Some(BenchCommand::Scale(scale)) => scale.json,
        }
    }
}

/// Networks with the real processes.
#[derive(Args, Debug)]
pub(crate) struct BenchNetworks {
    #[command(flatten)]
    pub(crate) workload: Workload,

    /// What the programs are laid out for; may be repeated [default: both]
    #[arg(long = "objective", value_enum, value_name = "OBJECTIVE")]
    pub(crate) objectives: Vec<Objective>,

    /// Measured jobs for each batch size, after one to warm up
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) repeat: u32,

    /// Groups of lanes in a throughput job; may be repeated [default: 1, 2 and 4]
    #[arg(long = "groups", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) groups: Vec<u32>,

    /// Unit costs for the predictions, as `adyton calibrate-machine` wrote them [default: those kept for this machine, or built-in ones]
    #[arg(long, value_name = "FILE")]
    pub(crate) machine: Option<PathBuf>,

    /// Print the results as one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// Kind of ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ring {
    /// Integer polynomials modulo X^N + 1: N/2 slots
    Standard,
    /// Its real subring: N slots
    ConjugateInvariant,
}

/// Implementation of the inner loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KernelChoice {
    /// 64-bit integer arithmetic
    Portable,
    /// AVX-512 IFMA
    Avx512,
}

/// Measure the core's operations on one thread.
///
/// Each operation is run again and again for a while; the fastest round and the median count. Sums of products are held against the roofline of this
/// machine, which is measured first: multiply-accumulate in registers, and a sequential read of memory. At the end an encrypted
/// 128×1024 matrix is multiplied with 8 encrypted vectors by the best layout and parameters that the compiler finds.
/// Parameters keep 128 bits of classical security; keys of the size are made for that, so large N take a while to begin.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  adyton bench core                                     N = 2^12 … 2^15, both rings, every kernel of this processor
  adyton bench core --log-n 13 --kernel avx512 --only rotate
  adyton bench core --log-n 15 --primes 16 --digits 4 --special 4
  adyton bench core --json > new.json
  adyton bench core --baseline bench/baseline/zen5.json  ratio to a run before: below 1 is faster now")]
pub(crate) struct BenchCore {
    /// log2 of the ring degree N; may be repeated [default: 12, 13, 14 and 15]
    #[arg(long = "log-n", value_name = "LOG_N", value_parser = clap::value_parser!(u8).range(12..=16))]
    pub(crate) log_n: Vec<u8>,

    /// Primes of a ciphertext, without special primes [default: 2, 5, 8, 16, 30 for N = 2^12 … 2^16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=60))]
    pub(crate) primes: Option<u8>,

    /// Digits of a key switch [default: one for each prime]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=60))]
    pub(crate) digits: Option<u8>,

    /// Special primes [default: as many as a digit has primes]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=30))]
    pub(crate) special: Option<u8>,

    /// Kernels; may be repeated [default: every one that this processor has]
    #[arg(long = "kernel", value_enum, value_name = "KERNEL")]
    pub(crate) kernels: Vec<KernelChoice>,

    /// Kinds of ring; may be repeated [default: both]
    #[arg(long = "ring", value_enum, value_name = "RING")]
    pub(crate) rings: Vec<Ring>,

    /// Only operations whose name contains this; may be repeated
    #[arg(long = "only", value_name = "TEXT")]
    pub(crate) only: Vec<String>,

    /// Milliseconds for each operation, after one round to warm up
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub(crate) millis: u64,

    /// Threads for the matrix (the operations take one)
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) matrix_threads: u32,

    /// Leave the matrix out
    #[arg(long)]
    pub(crate) no_matrix: bool,

    /// Draw the sums of products below the roofline into this SVG file
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,

    /// Print ratios to this run (the file holds its JSON)
    #[arg(long, value_name = "FILE.json")]
    pub(crate) baseline: Option<PathBuf>,

    /// Print the results as one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// Measure how evaluation scales, with the real processes.
///
/// Threads: one best batch with one thread, then with two. Batches: jobs of rising size, up to the given multiple of the best batch; a
/// session releases at most 64 groups, so larger numbers of images go as several jobs one after the other, of at most `--job-groups` groups
/// each, in several sessions.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  adyton bench scale                                       all networks
  adyton bench scale --network mlp --plot scale.svg        with a drawing
  adyton bench scale --network mlp --job-groups 32 --json  jobs of at most 32 groups")]
pub(crate) struct BenchScale {
    #[command(flatten)]
    pub(crate) workload: Workload,

    /// Groups of lanes in the best batch
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub(crate) groups: u32,

    /// Most groups of one job; more images go as several jobs
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) job_groups: u32,

    /// How many best batches the largest number of images is
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) batches: u32,

    /// Draw the results into this SVG file
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,

    /// Print the results as one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}
