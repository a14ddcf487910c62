//! A world for tests: real enclave and host processes, a small real network, and owners who speak through the client.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, unreachable_pub, reason = "every test file takes what it needs")]

use std::io::Cursor;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use adyton_appraise::{Bytes, UnixTime};
use adyton_attest::Simulated;
use adyton_client::transport::{Host, JobOutcome, TransportError};
use adyton_client::trust::{Challenge, Trust, VerifiedEnclave};
use adyton_client::{DataOwner, Deployment, Identity, Job, ModelOwner, Outcome, Session};
use adyton_compiler::network::{Affine, Layer, Network, SparseMatrix};
use adyton_compiler::plan::{CompileOptions, Compiled, compile};
use adyton_program::VerifiedProgram;
use adyton_rpc::v1::ObjectKind;
use adyton_wire::statement::{DataOwners, DeploymentStatement, OutputForm, Policy, Values};
use adyton_wire::{DeploymentId, ObjectId, ProgramId, Signed};

/// Long enough for a job on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// A second that no test lives to see.
pub const NEVER: u64 = 1 << 40;

/// Result ciphertexts of one session.
pub const RELEASES: u32 = 8;

/// Features of a sample of the test network.
pub const FEATURES: usize = 16;

/// The enclave's program, built with this test's profile.
pub fn enclave_program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let host = Path::new(env!("CARGO_BIN_EXE_adyton-host"));
        let folder = host.parent().unwrap();
        let profile = folder.file_name().unwrap().to_str().unwrap();
        let profile = if profile == "debug" { "dev" } else { profile };
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "-p", "adyton-enclave", "--profile", profile])
            .args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
            .status()
            .unwrap();
        assert!(built.success(), "the enclave does not build");
        folder.join("adyton-enclave")
    })
}

/// A process that is killed when dropped.
pub struct Process(Child);

impl Process {
    fn start(program: &Path, arguments: &[String]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
        if std::env::var_os("ADYTON_TEST_LOG").is_none() {
            command.stderr(Stdio::null());
        }
        Self(command.spawn().unwrap())
    }

    /// SIGKILL: the process gets no chance to put anything in order.
    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// SIGTERM, then waits for the end.
    pub fn terminate(&mut self) -> std::process::ExitStatus {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the process does not end");
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One enclave and one host, their folders, and how to start them again.
pub struct World {
    pub folder: tempfile::TempDir,
    pub enclave: Process,
    pub host: Process,
    pub address: SocketAddr,
    options: Vec<String>,
}

impl World {
    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    /// With further options of the host.
    pub async fn with(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let options: Vec<String> = options.iter().map(|option| option.to_string()).collect();
        let enclave = start_enclave(folder.path());
        let host = start_host(folder.path(), address, &options);
        Self { folder, enclave, host, address, options }
    }

    pub fn restart_host(&mut self) {
        self.host.kill();
        self.start_host();
    }

    pub fn start_host(&mut self) {
        self.host = start_host(self.folder.path(), self.address, &self.options);
    }

    pub fn restart_enclave(&mut self) {
        self.enclave.kill();
        self.start_enclave();
    }

    pub fn start_enclave(&mut self) {
        self.enclave = start_enclave(self.folder.path());
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("host")
    }

    /// A connection, as soon as the host listens.
    pub async fn connect(&self) -> Host {
        let url = format!("http://{}", self.address);
        let started = Instant::now();
        loop {
            match Host::connect(&url, None).await {
                Ok(host) => return host,
                Err(error) if started.elapsed() > PATIENCE => panic!("{error}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// The enclave, appraised; waits until it is there.
    pub async fn appraise(&self, host: &Host) -> VerifiedEnclave {
        let measurement = Simulated::measurement_of(enclave_program()).unwrap();
        let trust = Trust::simulated([Bytes::from(measurement)]).unwrap();
        let started = Instant::now();
        loop {
            let challenge = Challenge::new().unwrap();
            match host.evidence(challenge.nonce()).await {
                Ok(evidence) => {
                    return challenge.appraise(&evidence, &trust, UnixTime(1_780_000_000)).unwrap();
                }
                Err(error) if started.elapsed() > PATIENCE => panic!("{error}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

fn start_enclave(folder: &Path) -> Process {
    let state = folder.join("enclave");
    std::fs::create_dir_all(&state).unwrap();
    let listen = format!("unix:{}", folder.join("enclave.sock").display());
    let arguments = ["--listen", &listen, "--state", state.to_str().unwrap(), "--simulated"];
    Process::start(enclave_program(), &arguments.map(str::to_owned))
}

fn start_host(folder: &Path, address: SocketAddr, options: &[String]) -> Process {
    let enclave = format!("unix:{}", folder.join("enclave.sock").display());
    let (data, address) = (folder.join("host"), address.to_string());
    let arguments = ["--listen", &address, "--enclave", &enclave, "--data", data.to_str().unwrap()];
    let mut arguments = arguments.map(str::to_owned).to_vec();
    arguments.extend_from_slice(options);
    Process::start(Path::new(env!("CARGO_BIN_EXE_adyton-host")), &arguments)
}

/// A small network with a square in the middle, compiled.
pub struct Model {
    pub network: Network,
    pub compiled: Compiled,
    pub program: Arc<VerifiedProgram>,
}

/// Deterministic values within ±`bound`.
pub fn values(count: usize, seed: u64, bound: f64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 11) as f64 / (1u64 << 53) as f64 * 2.0 - 1.0) * bound
    };
    (0..count).map(|_| next()).collect()
}

fn affine(outputs: usize, inputs: usize, seed: u64) -> Layer {
    let weights = values(outputs * inputs, seed, 0.4);
    let rows: Vec<Vec<(usize, f64)>> =
        weights.chunks(inputs).map(|row| row.iter().copied().enumerate().collect()).collect();
    let matrix = SparseMatrix::from_rows(inputs, rows).unwrap();
    Layer::Affine(Affine::new(matrix, values(outputs, seed + 1, 0.2)).unwrap())
}

/// The test network, or another one of the same shape.
pub fn model(other: bool) -> &'static Model {
    static MODELS: [OnceLock<Model>; 2] = [const { OnceLock::new() }; 2];
    MODELS[usize::from(other)].get_or_init(|| make_model(if other { 31 } else { 1 }))
}

fn make_model(seed: u64) -> Model {
    let layers =
        vec![affine(8, FEATURES, seed), Layer::Square { squared: 8 }, affine(4, 8, seed + 10)];
    let network = Network::new(format!("test-{seed}"), vec![FEATURES], layers).unwrap();
    let calibration: Vec<Vec<f64>> = (1..40).map(|n| values(FEATURES, n, 1.0)).collect();
    // Small and fast rather than precise.
    let options = CompileOptions {
        log_n: 13..=14,
        precision: 0.3,
        releases: RELEASES,
        ..CompileOptions::new(&calibration)
    };
    let compiled = compile(&network, &options).unwrap();
    let program = Arc::new(VerifiedProgram::new(compiled.program.clone()).unwrap());
    Model { network, compiled, program }
}

/// A policy that admits anybody to much.
pub fn open_policy() -> Policy {
    Policy {
        owners: DataOwners::Any,
        sessions_per_owner: 8,
        ciphertexts_per_session: RELEASES,
        jobs_per_owner: 100,
        jobs_total: 1000,
        bits_per_session: 1 << 40,
        bits_total: 1 << 50,
        expires: NEVER,
        output: OutputForm::Logits { bits: 20 },
        ..Policy::deny()
    }
}

pub fn model_owner() -> ModelOwner {
    ModelOwner::new(Identity::from_secret([1; 32]))
}

pub fn data_owner(number: u8) -> DataOwner {
    DataOwner::new(Identity::from_secret([number; 32]))
}

/// The encrypted model as the owner uploads it.
pub fn encrypted(model: &Model) -> (Vec<u8>, ObjectId) {
    let weights = model.compiled.weights.vectors();
    let (bytes, written) =
        model_owner().encrypt_model(&model.program, weights, 0, Vec::new()).unwrap();
    (bytes, written.object)
}

pub fn sha256(bytes: &[u8]) -> ObjectId {
    ObjectId(adyton_wire::digest::sha256(bytes))
}

pub async fn put_program(host: &Host, model: &Model) -> ObjectId {
    let bytes = model.compiled.program.encode();
    let object = sha256(&bytes);
    host.put_object(ObjectKind::Program, object, None, Cursor::new(bytes)).await.unwrap();
    object
}

pub async fn put(
    host: &Host,
    kind: ObjectKind,
    model: &Model,
    bytes: Vec<u8>,
) -> Result<ObjectId, TransportError> {
    let object = sha256(&bytes);
    let program = Some(ProgramId(model.program.id()));
    host.put_object(kind, object, program, Cursor::new(bytes)).await.map(|_| object)
}

/// Uploads program and model and registers the deployment.
pub async fn publish(
    host: &Host,
    enclave: &VerifiedEnclave,
    model: &Model,
    policy: Policy,
) -> Result<DeploymentId, TransportError> {
    put_program(host, model).await;
    let (bytes, object) = encrypted(model);
    put(host, ObjectKind::Model, model, bytes).await?;
    let registration = model_owner().register(enclave, &model.program, object, 0, policy).unwrap();
    let answer = host.register(registration.message().to_vec(), object).await?;
    let id = registration.id();
    registration.confirm(&answer).unwrap();
    Ok(id)
}

/// The deployment as a data owner gets it from the host.
pub async fn deployment(host: &Host, id: DeploymentId) -> Deployment {
    let listed = host.deployment(&id).await.unwrap().unwrap();
    let statement = Signed::<DeploymentStatement>::decode(&listed.deployment_message).unwrap();
    let program = host.program(&id, 1 << 24).await.unwrap();
    Deployment::verify(id, &statement, &program).unwrap()
}

pub async fn open_session(
    host: &Host,
    enclave: &VerifiedEnclave,
    owner: &DataOwner,
    id: DeploymentId,
    number: u32,
) -> Result<Session, TransportError> {
    let deployment = deployment(host, id).await;
    let opening = owner.open(enclave, &deployment, number).unwrap();
    let answer = host.open_session(opening.message().to_vec(), |_| ()).await?;
    Ok(opening.confirm(&answer).unwrap())
}

pub fn samples(count: usize, seed: u64) -> Vec<Vec<f64>> {
    (0..count as u64).map(|n| values(FEATURES, seed * 1000 + n + 1, 1.0)).collect()
}

/// Encrypts and uploads inputs and signs a job about them.
pub async fn prepare(host: &Host, model: &Model, session: &Session, inputs: &[Vec<f64>]) -> Job {
    let (bytes, written) = session.encrypt_inputs(inputs, Vec::new()).unwrap();
    put(host, ObjectKind::Input, model, bytes).await.unwrap();
    session.job(written.object, inputs.len(), NEVER).unwrap()
}

/// Waits for a job's end, over restarts of the host.
pub async fn outcome(world: &World, session: &Session, job: &Job) -> JobOutcome {
    let started = Instant::now();
    loop {
        let host = world.connect().await;
        let job = &job.statement().job;
        match tokio::time::timeout(PATIENCE, host.outcome(&session.id(), job, |_| ())).await {
            Ok(Ok(outcome)) => return outcome,
            Ok(Err(TransportError::Unavailable { .. })) if started.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Ok(Err(error)) => panic!("{error}"),
            Err(_) => panic!("the job does not end"),
        }
    }
}

/// Holds a result against the network in the clear: it may be off by what the compiler predicts, flooding included.
pub fn check_result(model: &Model, inputs: &[Vec<f64>], outcome: &Outcome) {
    assert!(outcome.payload.checks.passed(), "{:?}", outcome.payload.checks);
    let Values::Logits { step, codes } = &outcome.payload.values else {
        panic!("{:?}", outcome.payload.values)
    };
    let outputs = outcome.payload.outputs as usize;
    assert_eq!(codes.len(), inputs.len() * outputs);
    let expected = inputs.iter().flat_map(|input| model.network.run(input).unwrap());
    let error = |(expected, code): (f64, &i32)| (expected - f64::from(*code) * step).abs();
    let largest = expected.zip(codes).map(error).fold(0.0, f64::max);
    let precision = &model.compiled.report.precision;
    // The prediction holds but for one run in hundred; a test run shall not be that one.
    let allowed = 1.5 * precision.relative * precision.span + step;
    assert!(largest <= allowed, "off by {largest}, {allowed} allowed");
}

/// The problem that a call was refused with.
pub fn problem<T>(outcome: Result<T, TransportError>) -> String {
    match outcome {
        Err(TransportError::Refused { problem: Some(problem), .. }) => problem,
        Err(error) => panic!("refused without a problem: {error}"),
        Ok(_) => panic!("accepted"),
    }
}
