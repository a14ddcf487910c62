//! The four parties as processes, for demo and bench.

use crate::args::{Objective, Privacy};
use crate::compile::CompileReport;
use crate::error::CliError;
use crate::owner::infer::InferReport;
use crate::owner::publish::PublishReport;
use crate::process::{Child, Launch, Sibling};
use crate::program_files;
use crate::progress::Progress;
use crate::samples;
use crate::shipped::{self, Shipped};
use adyton_appraise::Bytes;
use adyton_attest::Simulated;
use adyton_client::transport::Host as HostClient;
use adyton_program::VerifiedProgram;
use adyton_rpc::v1::StatsReply;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long enclave and host may take to start.
const PATIENCE: Duration = Duration::from_secs(30);
/// Directory that the model owner compiles into.
const COMPILED: &str = "compiled";
/// The calibration samples' file in the model owner's directory.
const CALIBRATION: &str = "calibration.npy";
/// The samples' file in the data owner's directory.
const INPUTS: &str = "inputs.npy";

/// Enclave and host, running, and a directory for each party.
pub(crate) struct Parties {
    directory: PathBuf,
    measurement: String,
    url: String,
    pub(crate) enclave: Child,
    pub(crate) host: Child,
}

/// A line of the host's log that tells where it listens.
#[derive(Deserialize)]
struct Serving {
    fields: ServingFields,
}

#[derive(Deserialize)]
struct ServingFields {
    message: String,
    address: Option<String>,
}

/// What `keygen --json` prints.
#[derive(Deserialize)]
struct Key {
    public_key: String,
}

/// What to compile for, and for whom.
#[derive(Clone, Copy)]
pub(crate) struct Setup<'a> {
    pub(crate) network: &'a Shipped,
    pub(crate) objective: Objective,
    pub(crate) privacy: Privacy,
}

/// What the host may use; its own defaults where nothing is said.
#[derive(Clone, Copy, Default)]
pub(crate) struct Capacity {
    pub(crate) threads: Option<u32>,
    /// Memory for evaluation, MiB.
    pub(crate) memory_mib: Option<u64>,
}

impl Capacity {
    /// What a shipped network needs, on so many threads.
    pub(crate) fn of(network: &Shipped, threads: Option<u32>) -> Self {
        Self { threads, memory_mib: network.memory.map(|memory| memory.host_mib) }
    }
}

/// Finds the programs of enclave and host, builds them where that is due, and measures the enclave as the simulated
/// platform does: what the owners will demand.
pub(crate) fn measurement() -> Result<String, CliError> {
    Sibling::Host.find()?;
    let enclave = Sibling::Enclave.find()?;
    Simulated::measurement_of(&enclave)
        .map(|measurement| Bytes::from(measurement).to_string())
        .map_err(CliError::part("the enclave's program cannot be measured"))
}

impl Parties {
    /// Makes the parties' directories in `directory` and starts enclave and host; call from the main thread.
    pub(crate) async fn start(
        directory: &Path,
        measurement: &str,
        capacity: Capacity,
        progress: &mut Progress,
    ) -> Result<Self, CliError> {
        progress.begin("start enclave and host");
        let party = |name: &str| -> Result<PathBuf, CliError> {
            let path = directory.join(name);
            std::fs::create_dir_all(&path).map_err(CliError::file("make", &path))?;
            Ok(path)
        };
        party("model-owner")?;
        party("data-owner")?;
        // Relative to the parties' directories: a socket's path may have at most about 100 bytes.
        let arguments =
            ["enclave", "--listen", "unix:enclave.sock", "--state", "state", "--simulated"];
        let mut enclave = Launch::new("enclave", &party("enclave")?, arguments).start()?;
        let socket = directory.join("enclave/enclave.sock");
        enclave.ready(PATIENCE, |_| socket.exists().then_some(())).await?;

        let mut arguments = vec!["host", "--listen", "127.0.0.1:0"];
        arguments.extend(["--enclave", "unix:../enclave/enclave.sock", "--data", "data"]);
        let threads = capacity.threads.map(|n| n.to_string());
        if let Some(threads) = &threads {
            arguments.extend(["--threads", threads]);
        }
        let memory = capacity.memory_mib.map(|mib| format!("{mib}M"));
        if let Some(memory) = &memory {
            arguments.extend(["--memory", memory]);
        }
        let launch = Launch::new("host", &party("host")?, arguments).env("ADYTON_LOG", "info");
        let mut host = launch.start()?;
        let url = host.ready(PATIENCE, address).await?;
        let measurement = measurement.to_owned();
        Ok(Self { directory: directory.to_owned(), measurement, url, enclave, host })
    }

    /// Runs one of an owner's commands to its end and reads the JSON that it prints.
    async fn owner<T: DeserializeOwned>(
        &mut self,
        name: &'static str,
        directory: &str,
        arguments: &[String],
        progress: &mut Progress,
    ) -> Result<T, CliError> {
        let directory = self.directory.join(directory);
        let mut child =
            Launch::new(name, &directory, arguments).env("ADYTON_HOST", &self.url).start()?;
        let ended = child.finish(|line| progress.detail(line)).await;
        // When an owner fails because the host or the enclave died, that is what should be told.
        self.enclave.alive()?;
        self.host.alive()?;
        serde_json::from_str(&ended?).map_err(|source| CliError::ChildOutput { name, source })
    }

    /// The model owner compiles the network.
    pub(crate) async fn compile(
        &mut self,
        setup: Setup<'_>,
        progress: &mut Progress,
    ) -> Result<CompileReport, CliError> {
        let calibration: Vec<Vec<f64>> =
            shipped::calibration()?.iter().map(<[f64]>::to_vec).collect();
        let Shipped { name, onnx, memory, .. } = setup.network;
        let mut options = strings(&[
            "--objective",
            setup.objective.as_str(),
            "--model-privacy",
            setup.privacy.as_str(),
        ]);
        options.extend(memory.map(|memory| format!("--max-memory={}", memory.plan_mib)));
        self.compile_file((name, onnx), &calibration, &options, progress).await
    }

    /// The model owner compiles an ONNX file of this name.
    pub(crate) async fn compile_file(
        &mut self,
        (name, onnx): (&str, &[u8]),
        calibration: &[Vec<f64>],
        options: &[String],
        progress: &mut Progress,
    ) -> Result<CompileReport, CliError> {
        progress.begin("model owner: compile the network");
        let file = format!("{name}.onnx");
        let path = self.directory.join("model-owner").join(&file);
        std::fs::write(&path, onnx).map_err(CliError::file("write", &path))?;
        samples::write_npy(&self.directory.join("model-owner").join(CALIBRATION), calibration)?;
        let arguments =
            strings(&["compile", &file, "-o", COMPILED, "--calibrate", CALIBRATION, "--json"]);
        let arguments = [arguments, options.to_vec()].concat();
        self.owner("compile", "model-owner", &arguments, progress).await
    }

    /// The program that the model owner compiled.
    pub(crate) fn program(&self) -> Result<VerifiedProgram, CliError> {
        program_files::load_program(
            &self.directory.join("model-owner").join(COMPILED).join(program_files::PROGRAM),
        )
    }

    /// The model owner encrypts the weights and registers the deployment for this data owner alone.
    pub(crate) async fn publish(
        &mut self,
        progress: &mut Progress,
    ) -> Result<PublishReport, CliError> {
        progress.begin("data owner: make an identity");
        let keygen = strings(&["keygen", "-o", "data-owner.identity", "--json"]);
        let key: Key = self.owner("keygen", "data-owner", &keygen, progress).await?;
        progress.begin("model owner: publish");
        let arguments = [
            strings(&["publish", COMPILED, "--json", "--allow-owner", &key.public_key]),
            self.trust(),
        ]
        .concat();
        self.owner("publish", "model-owner", &arguments, progress).await
    }

    /// The data owner sends samples and opens the results.
    pub(crate) async fn infer(
        &mut self,
        deployment: &str,
        samples: &[Vec<f64>],
        repeat: u32,
        progress: &mut Progress,
    ) -> Result<InferReport, CliError> {
        self.infer_in(0, deployment, samples, repeat, progress).await
    }

    /// As [`Self::infer`], in the session with this number.
    pub(crate) async fn infer_in(
        &mut self,
        session: u32,
        deployment: &str,
        samples: &[Vec<f64>],
        repeat: u32,
        progress: &mut Progress,
    ) -> Result<InferReport, CliError> {
        progress.begin("data owner: predict");
        samples::write_npy(&self.directory.join("data-owner").join(INPUTS), samples)?;
        let (repeat, session) = (repeat.to_string(), session.to_string());
        let arguments = [
            strings(&["infer", INPUTS, "--deployment", deployment, "--session", &session]),
            strings(&["--repeat", &repeat, "--json"]),
            self.trust(),
        ]
        .concat();
        self.owner("infer", "data-owner", &arguments, progress).await
    }

    /// What the host counted, its edge to the enclave above all.
    pub(crate) async fn stats(&self) -> Result<StatsReply, CliError> {
        let fail = "the host's statistics cannot be had";
        let host = HostClient::connect(&self.url, None).await.map_err(CliError::part(fail))?;
        host.stats().await.map_err(CliError::part(fail))
    }

    /// What owners demand here: this build's enclave on the simulated platform.
    fn trust(&self) -> Vec<String> {
        strings(&["--allow-simulated", "--measurement", &self.measurement])
    }
}

/// Where the host listens, when its log tells.
fn address(log: &str) -> Option<String> {
    log.lines()
        .filter_map(|line| serde_json::from_str::<Serving>(line).ok())
        .filter(|line| line.fields.message == "serving")
        .find_map(|line| line.fields.address)
        .map(|address| format!("http://{address}"))
}

fn strings(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|&a| a.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_address_is_read_from_its_log() {
        let log = "noise\n{\"level\":\"INFO\",\"fields\":{\"message\":\"opening\"}}\n\
            {\"fields\":{\"message\":\"serving\",\"address\":\"127.0.0.1:4242\",\"threads\":2}}\n";
        assert_eq!(address(log), Some("http://127.0.0.1:4242".to_owned()));
        assert_eq!(address("{\"fields\":{\"message\":\"opening\"}}"), None);
    }
}
