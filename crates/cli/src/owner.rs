//! The owners' commands.

pub(crate) mod evidence;
pub(crate) mod infer;
pub(crate) mod keygen;
pub(crate) mod publish;
mod tickets;
pub(crate) mod trust;

use crate::args::Connection;
use crate::error::CliError;
use crate::output;
use crate::process::Usage;
use adyton_client::Identity;
use adyton_client::transport::{Host, TransportError};
use adyton_client::trust::Challenge;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::{Duration, Instant};

/// One step of a role's work and its wall time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Step {
    /// What was done.
    pub(crate) name: String,
    /// Wall time.
    pub(crate) seconds: f64,
}

/// Takes the time of step after step.
pub(crate) struct Stopwatch {
    steps: Vec<Step>,
    began: Instant,
    last: Instant,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        let now = Instant::now();
        Self { steps: Vec::new(), began: now, last: now }
    }

    /// The time since the last call belongs to `name`.
    pub(crate) fn lap(&mut self, name: &str) {
        let now = Instant::now();
        let seconds = now.duration_since(self.last).as_secs_f64();
        self.last = now;
        self.steps.push(Step { name: name.to_owned(), seconds });
    }

    /// All steps, and the time since the start.
    pub(crate) fn finish(self) -> (Vec<Step>, f64) {
        let seconds = self.began.elapsed().as_secs_f64();
        (self.steps, seconds)
    }
}

/// Bytes over the owner's connection, protocol overhead included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bytes {
    pub(crate) sent: u64,
    pub(crate) received: u64,
}

/// What an owner's process used, for its report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Effort {
    /// Steps in order.
    pub(crate) steps: Vec<Step>,
    /// Wall time of all steps.
    pub(crate) seconds: f64,
    /// Bytes to and from the host.
    pub(crate) bytes: Bytes,
    /// CPU and memory of this process.
    #[serde(flatten)]
    pub(crate) usage: Usage,
}

impl Effort {
    pub(crate) fn of(watch: Stopwatch, host: &Host) -> Result<Self, CliError> {
        let (steps, seconds) = watch.finish();
        let traffic = host.traffic();
        let bytes = Bytes { sent: traffic.sent, received: traffic.received };
        Ok(Self { steps, seconds, bytes, usage: crate::process::of_self()? })
    }
}

/// How long an owner waits for a host or an enclave that is just starting.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it tries.
const RETRY: Duration = Duration::from_millis(50);

/// How long an enclave may take to answer.
const ANSWER: Duration = Duration::from_secs(30);

/// The enclave's evidence for a challenge, waiting a little for an enclave that is just starting.
async fn evidence(host: &Host, challenge: &Challenge) -> Result<Vec<u8>, CliError> {
    const FAIL: &str = "the enclave's evidence cannot be had";
    const HELP: &str = "is the host's address right (one that serves TLS is named https://…), and does its enclave run?";
    let began = Instant::now();
    loop {
        match tokio::time::timeout(ANSWER, host.evidence(challenge.nonce())).await {
            Err(late) => return Err(CliError::part(FAIL)(late).hint(HELP)),
            Ok(Err(TransportError::Unavailable { .. })) if began.elapsed() < PATIENCE => {
                tokio::time::sleep(RETRY).await;
            }
            Ok(result) => return result.map_err(|error| CliError::part(FAIL)(error).hint(HELP)),
        }
    }
}

/// Connects, waiting a little for a host that is just starting.
pub(crate) async fn connect(connection: &Connection) -> Result<Host, CliError> {
    let began = Instant::now();
    loop {
        match Host::connect(&connection.host, connection.tls_ca.as_deref()).await {
            Ok(host) => return Ok(host),
            Err(TransportError::Connect { .. }) if began.elapsed() < PATIENCE => {
                tokio::time::sleep(RETRY).await;
            }
            Err(error) => {
                let help = match &error {
                    TransportError::Connect { .. } => {
                        Some("is it running there? `adyton host --help` tells how to start one")
                    }
                    TransportError::Certificate { .. } => Some(
                        "name the authority that signed it with --tls-ca, and the host as its certificate does",
                    ),
                    _ => None,
                };
                let error = CliError::part("cannot talk to the host")(error);
                return Err(match help {
                    Some(help) => error.hint(help),
                    None => error,
                });
            }
        }
    }
}

/// Reads the identity, or makes it and says so.
pub(crate) fn identity(path: &Path, role: &str) -> Result<Identity, CliError> {
    let (identity, new) = Identity::load_or_create(path)
        .map_err(CliError::part(format!("there is no usable identity for the {role}")))?;
    if new {
        output::note(&format!(
            "Made a new identity for the {role}: {} (readable by you alone; back it up, whoever has it is you)",
            path.display()
        ));
    }
    Ok(identity)
}

/// A runtime for one command's network calls.
pub(crate) fn block_on<T>(
    future: impl Future<Output = Result<T, CliError>>,
) -> Result<T, CliError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(CliError::part("cannot start the network runtime"))?
        .block_on(future)
}
