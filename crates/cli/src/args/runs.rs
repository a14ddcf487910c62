//! Commands that need no other party: demo, compile, check, inspect.

use super::planning::Planning;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Whether the host sees the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Privacy {
    /// Weights are encrypted under the model key
    Encrypted,
    /// Weights are in the clear: host and model owner are one party
    Plain,
}

/// What a program is laid out for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Objective {
    /// One sample as soon as possible
    Latency,
    /// Most samples per second, many samples per ciphertext
    Throughput,
    /// Least memory for weights and keys on the host
    Memory,
}

impl Privacy {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Encrypted => "encrypted",
            Self::Plain => "plain",
        }
    }
}

impl Objective {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Throughput => "throughput",
            Self::Memory => "memory",
        }
    }
}

/// What demo and bench run.
#[derive(Args, Clone, Debug)]
pub(crate) struct Workload {
    /// A shipped network: mlp, cryptonets, e2dm, or lenet5, which takes 12 GiB; may be repeated [default: the first three]
    #[arg(long = "network", value_name = "NAME")]
    pub(crate) networks: Vec<String>,

    /// Whether the host sees the weights
    #[arg(long, value_enum, default_value = "encrypted")]
    pub(crate) model_privacy: Privacy,

    /// Threads that the host evaluates with [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) threads: Option<u32>,
}

/// Run all four roles on this machine: encrypted networks classify encrypted digits.
///
/// Starts an enclave, a host, a model owner and a data owner as separate processes that talk over real sockets, in a
/// temporary directory, once for each network. Inputs are test images of MNIST. Every step of the protocol runs, from
/// evidence to receipt. The enclave's evidence is SIMULATED: it shows the protocol and proves nothing about hardware.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  adyton demo                                   all three networks, one full batch each
  adyton demo --network mlp --images 8          eight images through one network
  adyton demo --objective latency --images 1    laid out for one image
  adyton demo --json > report.json              the same figures for machines (docs/demo-json.md)
  adyton demo --network mlp --keep ./look       leave every party's files there to look at")]
pub(crate) struct Demo {
    #[command(flatten)]
    pub(crate) workload: Workload,

    /// Test images per network [default: one full batch of the program, at most 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) images: Option<u32>,

    /// What the program is laid out for
    #[arg(long, value_enum, default_value = "throughput")]
    pub(crate) objective: Objective,

    /// Print the report as one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,

    /// Work in this directory and leave it there (must be empty or new)
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
}

/// Compile an ONNX network to a program (public) and its packed weights (secret).
///
/// The program holds shapes, parameters and operations, no weight. Affine layers become sparse matrices, neighbours fold
/// together; the plan chooses layout, levels and scales. What cannot be run yet is refused here, with the node's name.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  adyton compile networks/mlp.onnx -o mlp
  adyton compile net.onnx -o net --objective latency
  adyton compile net.onnx -o net --calibrate samples.npy    measure activation ranges on your own samples

The directory then holds program.adyton (give it to anybody) and weights.adyton (keep it secret).")]
pub(crate) struct Compile {
    /// The network, as PyTorch exports it
    #[arg(value_name = "NET.onnx")]
    pub(crate) network: PathBuf,

    /// Directory for the program and its weights; made when missing
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: PathBuf,

    #[command(flatten)]
    pub(crate) planning: Planning,

    /// Print the summary as one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// Whether a network compiles, agrees with its ONNX meaning, and what it will cost.
///
/// Compiles the network as `adyton compile` does, runs the program in the clear on the samples, and compares with the outputs that --expect names
/// or, without it, with what the ONNX file says. With --encrypted all four roles run on this machine as in the demo, and results, time and memory
/// are compared with what was predicted. A network that cannot be compiled is no error: the report says which node is in the way.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  adyton check net.onnx --samples x.npy                        compiles it, runs the program in the clear
  adyton check net.onnx --samples x.npy --expect y.npy         against outputs of your own
  adyton check net.onnx --samples x.npy --encrypted            runs enclave, host and owners here
  adyton check net.onnx --samples x.npy --json                 for machines (docs/check-json.md)")]
pub(crate) struct Check {
    /// The network, as PyTorch exports it
    #[arg(value_name = "NET.onnx")]
    pub(crate) network: PathBuf,

    /// Samples (.npy, idx, images) to run; without --calibrate, ranges are measured on them too
    #[arg(long, value_name = "FILE")]
    pub(crate) samples: PathBuf,

    /// Outputs for the samples, one row each (.npy)
    #[arg(long, value_name = "FILE")]
    pub(crate) expect: Option<PathBuf>,

    /// Run all roles on this machine, with encryption
    #[arg(long)]
    pub(crate) encrypted: bool,

    /// Threads that the host evaluates with [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) threads: Option<u32>,

    #[command(flatten)]
    pub(crate) planning: Planning,

    /// Print the report as one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// Measure what elementary operations cost on this machine, for predictions and plans.
///
/// Some seconds on one thread, best with nothing else running. The costs are kept in a file that `compile`, `check`, `plan` and `inspect` read.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  adyton calibrate-machine                  measures and keeps the costs for this user
  adyton calibrate-machine -o host.json     writes them there: `adyton compile --machine host.json` on another machine")]
pub(crate) struct CalibrateMachine {
    /// Where to write [default: adyton/machine.json in the user's configuration directory]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Print the costs as one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// Plan a network without compiling its weights: what each objective would choose.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  adyton plan net.onnx --calibrate samples.npy              the plan for throughput
  adyton plan net.onnx --calibrate samples.npy --compare    latency, throughput and memory side by side")]
pub(crate) struct Plan {
    /// The network, as PyTorch exports it
    #[arg(value_name = "NET.onnx")]
    pub(crate) network: PathBuf,

    #[command(flatten)]
    pub(crate) planning: Planning,

    /// Plans for all objectives side by side
    #[arg(long)]
    pub(crate) compare: bool,

    /// Threads of the host [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) threads: Option<u32>,

    /// Print as one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// How functions that are no polynomials (ReLU, GELU, sigmoid, max-pool, …) are fitted by polynomials.
#[derive(Args, Clone, Debug)]
pub(crate) struct Fitting {
    /// Largest error of a fitted function over the range that the samples show, as part of its span: more allows a lower degree
    #[arg(long, value_name = "PART", default_value_t = 0.05)]
    pub(crate) fit_error: f64,

    /// Degree of every fitted function, whatever its error (1 to 32); degree d takes log2(d) squares in a row
    #[arg(long, value_name = "DEGREE", value_parser = clap::value_parser!(u8).range(1..=32))]
    pub(crate) fit_degree: Option<u8>,
}

/// Print what a program, an encrypted object or an evidence file holds.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Examples:
  adyton inspect mlp                    a directory that `adyton compile` made
  adyton inspect mlp/program.adyton     parameters, layout, steps, keys, output
  adyton inspect mlp --svg mlp.svg      a picture of its levels too
  adyton inspect evidence.adyton        what the evidence claims (not verified: see `adyton evidence verify`)")]
pub(crate) struct Inspect {
    /// A compiled directory, or one file that Adyton wrote
    #[arg(value_name = "PATH")]
    pub(crate) path: PathBuf,

    /// List every step of the program
    #[arg(long)]
    pub(crate) steps: bool,

    /// Write a picture of the program's levels there: steps, scales, keys, predicted time
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,

    /// Print as one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}
