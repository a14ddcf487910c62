//! The real binary: sockets, kills, restarts, tampering; parameters that are secure.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use adyton_wire::frame;
use adyton_wire::statement::*;
use adyton_wire::*;
use tempfile::TempDir;

mod common;
use common::*;

const BINARY: &str = env!("CARGO_BIN_EXE_adyton-enclave");
const LOG_N: u8 = 13;
const SAMPLES: [[f64; 3]; 2] = [[1.0, 2.0, 3.0], [-4.0, 0.5, -0.25]];

/// A folder for state, platform and socket, and the process that runs there.
struct Machine {
    folder: TempDir,
    process: Option<Child>,
}

impl Machine {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), process: None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(BINARY);
        command
            .arg("--listen")
            .arg(format!("unix:{}", self.path("socket").display()))
            .arg("--state")
            .arg(self.path("state"))
            .arg("--platform-dir")
            .arg(self.path("platform"))
            .stderr(Stdio::null());
        command
    }

    fn start(&mut self) {
        self.kill();
        self.process = Some(self.command().arg("--simulated").spawn().unwrap());
        let deadline = Instant::now() + Duration::from_secs(20);
        while UnixStream::connect(self.path("socket")).is_err() {
            let status = self.process.as_mut().unwrap().try_wait().unwrap();
            assert!(status.is_none(), "it stopped: {status:?}");
            assert!(Instant::now() < deadline, "it does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGKILL, as `Child::kill` does.
    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Runs until it stops by itself, which it must soon.
    fn runs_and_stops(&self) -> std::process::ExitStatus {
        let mut process = self.command().arg("--simulated").spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = process.try_wait().unwrap() {
                return status;
            }
            if Instant::now() > deadline {
                process.kill().unwrap();
                process.wait().unwrap();
                panic!("it does not stop");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn connect(&self) -> UnixStream {
        UnixStream::connect(self.path("socket")).unwrap()
    }

    fn call(&self, request: &Request) -> Reply {
        let mut stream = self.connect();
        frame::write(&mut stream, &request.encode()).unwrap();
        let reply = frame::read(&mut stream, limits::MAX_FRAME).unwrap().unwrap();
        Reply::decode(&reply).unwrap()
    }

    /// Sends a request and kills the process after `delay`, whatever it is doing then; then starts it again.
    fn call_and_kill(&mut self, request: &Request, delay: Duration) {
        let mut stream = self.connect();
        frame::write(&mut stream, &request.encode()).unwrap();
        std::thread::sleep(delay);
        self.start();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill();
    }
}

fn values(payload: &ResultPayload) -> Vec<f64> {
    match &payload.values {
        Values::Logits { step, codes } => {
            codes.iter().map(|&code| f64::from(code) * step).collect()
        }
        other => panic!("not logits: {other:?}"),
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn it_does_not_start_without_a_named_platform() {
    let machine = Machine::new();
    let output = machine.command().stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("name a platform"));
    assert!(!machine.path("state").exists());
    let help = Command::new(BINARY).arg("--help").output().unwrap();
    assert!(help.status.success());
    assert!(String::from_utf8_lossy(&help.stdout).contains("PROTECTS NOTHING"));
}

/// Killed at any moment of registration, opening, key generation and release, it opens again, gives the same answers, and
/// releases once.
#[test]
fn kills_at_any_moment_lose_nothing() {
    let mut machine = Machine::new();
    machine.start();
    let known = Known::challenge(&mut |r| machine.call(&r));
    let key = SigningKey::generate().unwrap();
    let model = ModelOwner::new(program(LOG_N), policy([key.public_key()]));
    let delays = || [0, 300, 1000, 2000, 4000, 8000, 15_000].map(Duration::from_micros);

    let registration = Request::RegisterDeployment(model.registration(&known));
    for delay in delays() {
        machine.call_and_kill(&registration, delay);
    }
    register(&mut |r| machine.call(&r), &known, &model);

    let data = DataOwner::new(&key, model.id());
    let opening = Request::OpenSession(data.opening(&known));
    for delay in delays() {
        machine.call_and_kill(&opening, delay);
    }
    open(&mut |r| machine.call(&r), &known, &data);

    let keys = Request::MakeKey { session: data.id(), index: 1 };
    let before = key_bytes(machine.call(&keys));
    for delay in delays() {
        machine.call_and_kill(&keys, delay);
    }
    assert_eq!(key_bytes(machine.call(&keys)), before);

    let host = Host::new(&mut |r| machine.call(&r), &known, &model, data.id());
    let result = host.evaluate(&model, &data.input(&model, &SAMPLES));
    let mut jobs = Vec::new();
    for delay in delays().into_iter().chain(delays()) {
        let job = data.job(&model, SAMPLES.len() as u32, 1);
        let release = Request::Release(data.release(&job, result.clone()));
        machine.call_and_kill(&release, delay);
        let first = released(machine.call(&release));
        machine.start();
        assert_eq!(released(machine.call(&release)), first, "the stored reply, not a second one");
        assert!(data.open(&known, &job, &first).checks.passed());
        jobs.push(first.receipt.verify(&known.signing).unwrap());
    }
    let Response::AuditLog { entries, .. } = machine.call(&Request::GetAudit { from: 0 }).response
    else {
        panic!("no audit log");
    };
    let (entries, head) = verify_audit(AuditHead::default(), &entries).unwrap();
    assert_eq!(entries.len(), 3 + jobs.len(), "every change once");
    assert_eq!(jobs.last().unwrap().audit, head);
    for (entry, receipt) in entries[3..].iter().zip(&jobs) {
        assert_eq!((entry.job, entry.object), (receipt.job.job.0, receipt.result));
    }
    assert_eq!(jobs.last().unwrap().session_bits, jobs.len() as u64 * (2 * 3 * 16 + Checks::BITS));
}

fn key_bytes(reply: Reply) -> Vec<u8> {
    match reply.response {
        Response::KeyMade(made) => made.key,
        other => panic!("no key: {other:?}"),
    }
}

#[test]
fn results_at_real_parameters_are_as_accurate_as_the_flooding_allows() {
    let mut machine = Machine::new();
    machine.start();
    let known = Known::challenge(&mut |r| machine.call(&r));
    let key = SigningKey::generate().unwrap();
    let model = ModelOwner::new(program(LOG_N), policy([key.public_key()]));
    register(&mut |r| machine.call(&r), &known, &model);
    let data = DataOwner::new(&key, model.id());
    open(&mut |r| machine.call(&r), &known, &data);
    let host = Host::new(&mut |r| machine.call(&r), &known, &model, data.id());
    // Two groups: four samples in the first, one in the second.
    let groups = [
        &[[1.0, 2.0, 3.0], [3.9, -3.0, -1.5], [0.1, 0.2, 0.3], [-4.0, 4.0, 4.0]][..],
        &[[2.0, -1.0, 0.5]],
    ];
    let result: Vec<u8> =
        groups.iter().flat_map(|group| host.evaluate(&model, &data.input(&model, group))).collect();
    let job = data.job(&model, 5, 2);
    let reply = released(machine.call(&Request::Release(data.release(&job, result))));
    let payload = data.open(&known, &job, &reply);
    assert!(payload.checks.passed());
    let want: Vec<f64> =
        groups.concat().iter().flatten().zip(WEIGHTS.iter().cycle()).map(|(x, w)| x * w).collect();
    let deviation = flooding();
    for (got, want) in values(&payload).iter().zip(want) {
        assert!((got - want).abs() < 6.0 * deviation + RANGE / 32768.0, "{got} {want}");
    }
}

#[test]
fn an_older_state_put_back_is_refused() {
    let mut machine = Machine::new();
    machine.start();
    let known = Known::challenge(&mut |r| machine.call(&r));
    let old = machine.path("old");
    machine.kill();
    copy(&machine.path("state"), &old);
    machine.start();
    let model = ModelOwner::new(program(LOG_N), policy([]));
    register(&mut |r| machine.call(&r), &known, &model);
    machine.kill();
    let new = machine.path("new");
    copy(&machine.path("state"), &new);
    copy(&old, &machine.path("state"));
    assert_eq!(machine.runs_and_stops().code(), Some(1));
    copy(&new, &machine.path("state"));
    machine.start();
    register(&mut |r| machine.call(&r), &known, &model);
}

#[test]
fn an_altered_state_is_refused() {
    let mut machine = Machine::new();
    machine.start();
    Known::challenge(&mut |r| machine.call(&r));
    machine.kill();
    let file = machine.path("state").join("state.sealed");
    let whole = std::fs::read(&file).unwrap();
    for at in [0, 10, 24, 30, 60, whole.len() - 1] {
        let mut bent = whole.clone();
        bent[at] ^= 1;
        std::fs::write(&file, bent).unwrap();
        assert_eq!(machine.runs_and_stops().code(), Some(1), "byte {at}");
    }
    std::fs::write(&file, &whole).unwrap();
    machine.start();
    Known::challenge(&mut |r| machine.call(&r));
    assert_eq!(machine.runs_and_stops().code(), Some(1), "one process at a time");
}

#[test]
fn broken_frames_end_their_connection_alone() {
    let mut machine = Machine::new();
    machine.start();
    let mut oversized = machine.connect();
    oversized.write_all(&u32::MAX.to_le_bytes()).unwrap();
    let reply = frame::read(&mut oversized, limits::MAX_FRAME).unwrap().unwrap();
    assert_eq!(refusal(&Reply::decode(&reply).unwrap()), Problem::TooLarge);
    assert!(frame::read(&mut oversized, limits::MAX_FRAME).unwrap().is_none());

    let mut truncated = machine.connect();
    truncated.write_all(&100u32.to_le_bytes()).unwrap();
    truncated.write_all(&[1; 50]).unwrap();
    truncated.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(frame::read(&mut truncated, limits::MAX_FRAME).unwrap().is_none());

    let mut garbage = machine.connect();
    for _ in 0..2 {
        frame::write(&mut garbage, b"garbage").unwrap();
        let reply = frame::read(&mut garbage, limits::MAX_FRAME).unwrap().unwrap();
        assert_eq!(refusal(&Reply::decode(&reply).unwrap()), Problem::Malformed);
    }
    Known::challenge(&mut |r| machine.call(&r));
}
