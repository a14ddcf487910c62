//! The four roles as real processes over real sockets, with a small real network: to be killed.

pub(crate) mod ledger;

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use adyton_samples::Samples;
use serde_json::Value;
use tempfile::TempDir;

/// A network of a convolution, a normalization, a square and another normalization; its inputs, and what an independent
/// executor says that it computes.
const NETWORK: &str = "../compiler/tests/models/conv_batch_norm_square";
/// Longer than anything takes on a loaded machine: beyond it, something hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// What can be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    Enclave,
    Host,
    /// `adyton publish` or `adyton infer`.
    Owner,
}

/// A server process, killed when dropped.
struct Server(Child);

impl Server {
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Repeatable randomness: xorshift64*.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16) % limit.max(1)
    }

    /// Up to `most`.
    pub(crate) fn time(&mut self, most: Duration) -> Duration {
        Duration::from_micros(self.below(u64::try_from(most.as_micros()).unwrap()))
    }
}

/// Enclave and host with their folders, and a folder for the owners.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    adyton: PathBuf,
    url: String,
    measurement: String,
    /// Bytes of a result of one group of lanes.
    pub(crate) result_bytes: u64,
    servers: Option<(Server, Server)>,
}

impl World {
    /// Starts enclave and host, and compiles the network.
    pub(crate) fn new(adyton: PathBuf) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let program = adyton.with_file_name("adyton-enclave");
        let measurement = adyton_attest::Simulated::measurement_of(&program).unwrap();
        let measurement = adyton_appraise::Bytes::from(measurement).to_string();
        let url = format!("http://127.0.0.1:{port}");
        let mut world = Self { folder, adyton, url, measurement, result_bytes: 0, servers: None };
        world.start();
        let inputs = format!("{NETWORK}.inputs.npy");
        let network = format!("{NETWORK}.onnx");
        let compiled = world.path("compiled");
        let arguments = ["compile", &network, "--calibrate", &inputs, "-o", &compiled, "--json"];
        let run = world.run(&arguments);
        assert!(run.status.success(), "{}", run.log);
        world.result_bytes = run.json().unwrap()["result_bytes"].as_u64().unwrap();
        world
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    fn server(&self, arguments: &[&str], log: &str) -> Server {
        let log = std::fs::File::options().create(true).append(true).open(self.path(log)).unwrap();
        let mut command = Command::new(&self.adyton);
        command.args(arguments).env_remove("CARGO").stdin(Stdio::null()).stdout(Stdio::null());
        Server(command.stderr(log).spawn().unwrap())
    }

    fn start_enclave(&self) -> Server {
        let listen = format!("unix:{}", self.path("socket"));
        let state = self.path("enclave");
        self.server(
            &["enclave", "--listen", &listen, "--state", &state, "--simulated"],
            "enclave.log",
        )
    }

    fn start_host(&self) -> Server {
        let listen = self.url.trim_start_matches("http://");
        let (enclave, data) = (format!("unix:{}", self.path("socket")), self.path("host"));
        self.server(
            &["host", "--listen", listen, "--enclave", &enclave, "--data", &data],
            "host.log",
        )
    }

    fn start(&mut self) {
        self.servers = Some((self.start_enclave(), self.start_host()));
    }

    /// SIGKILL to a server, and its restart after a while.
    pub(crate) fn kill_and_restart(&mut self, victim: Victim, after: Duration) {
        self.while_away(victim, |_| std::thread::sleep(after));
    }

    /// SIGKILL to a server, then `work`, then its restart.
    pub(crate) fn while_away(&mut self, victim: Victim, work: impl FnOnce(&Self)) {
        let (enclave, host) = self.servers.as_mut().unwrap();
        let (killed, other) =
            if victim == Victim::Host { (host, enclave) } else { (enclave, host) };
        assert_eq!(other.0.try_wait().unwrap(), None, "another process ended: {}", self.logs());
        killed.kill();
        work(self);
        let started = if victim == Victim::Host { self.start_host() } else { self.start_enclave() };
        let (enclave, host) = self.servers.as_mut().unwrap();
        *(if victim == Victim::Host { host } else { enclave }) = started;
    }

    /// Both servers run, as they should.
    pub(crate) fn assert_servers_run(&mut self) {
        let (enclave, host) = self.servers.as_mut().unwrap();
        let ended = (enclave.0.try_wait().unwrap(), host.0.try_wait().unwrap());
        assert_eq!(ended, (None, None), "{}", self.logs());
    }

    /// The last lines of the servers' logs.
    pub(crate) fn logs(&self) -> String {
        ["enclave.log", "host.log"]
            .map(|name| {
                let log = std::fs::read_to_string(self.path(name)).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                format!("{name}:\n{}\n", lines[lines.len().saturating_sub(15)..].join("\n"))
            })
            .concat()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.adyton);
        command.args(arguments).env_remove("CARGO").env("ADYTON_HOST", &self.url);
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        self.begin(arguments).end()
    }

    /// Starts one of the owners' commands.
    pub(crate) fn begin(&self, arguments: &[&str]) -> Running {
        Running::new(self.command(arguments))
    }

    /// Arguments of `publish` for this network, with further ones.
    pub(crate) fn publish(&self) -> Vec<String> {
        let (compiled, identity) = (self.path("compiled"), self.path("model-owner"));
        let mut arguments = strings(&["publish", &compiled, "--identity", &identity, "--json"]);
        arguments.extend(strings(&["--allow-owner", "any", "--max-sessions-per-owner", "100000"]));
        arguments.extend(self.trust());
        arguments
    }

    /// Arguments of `infer` for one session of one data owner.
    pub(crate) fn infer(&self, deployment: &str, owner: &str, session: usize) -> Vec<String> {
        let (identity, session) = (self.path(owner), session.to_string());
        let mut arguments = strings(&["infer", "--deployment", deployment, "--json"]);
        arguments.extend(strings(&["--identity", &identity, "--session", &session]));
        arguments.extend(self.trust());
        arguments
    }

    /// The samples that are sent.
    pub(crate) fn inputs() -> String {
        format!("{NETWORK}.inputs.npy")
    }

    pub(crate) fn trust(&self) -> Vec<String> {
        strings(&["--allow-simulated", "--measurement", &self.measurement])
    }

    /// Sends a frame to the enclave itself, past the host.
    pub(crate) fn ask_enclave(&self, request: &adyton_wire::Request) -> adyton_wire::Response {
        let deadline = Instant::now() + PATIENCE;
        let mut stream = loop {
            match UnixStream::connect(self.path("socket")) {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < deadline, "{error}: {}", self.logs()),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        adyton_wire::frame::write(&mut stream, &request.encode()).unwrap();
        let limit = adyton_wire::limits::MAX_FRAME;
        let reply = adyton_wire::frame::read(&mut stream, limit).unwrap().unwrap();
        adyton_wire::Reply::decode(&reply).unwrap().response
    }
}

fn strings(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|&argument| argument.to_owned()).collect()
}

/// Every logit is what the independent executor says, but for noise and rounding.
pub(crate) fn assert_right(logits: &Value) {
    let expected = Samples::open(format!("{NETWORK}.outputs.npy")).unwrap();
    let rows = logits.as_array().unwrap();
    assert_eq!(rows.len(), expected.iter().len());
    let range = expected.iter().flatten().fold(0.0, |most: f64, v| most.max(v.abs()));
    for (row, expected) in rows.iter().zip(expected.iter()) {
        let row = row.as_array().unwrap();
        assert_eq!(row.len(), expected.len());
        for (found, expected) in row.iter().zip(expected) {
            let error = (found.as_f64().unwrap() - expected).abs();
            assert!(error < 0.03 * range, "{found} where {expected} is right");
        }
    }
}

/// A command that ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) log: String,
}

impl Ended {
    /// What it printed, if it printed all of it.
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.out).ok()
    }

    /// It told an error as errors are told.
    pub(crate) fn assert_orderly(&self) {
        let orderly = self.status.success()
            || (self.status.code() == Some(1) && self.log.contains("{\"error\":"));
        assert!(orderly && !self.log.contains("panicked"), "{}: {}", self.status, self.log);
    }
}

/// A command under way; its log is read line by line, so that one can wait for a phase.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<(Instant, String)>,
    out: Receiver<String>,
    /// Lines so far, and when each came.
    pub(crate) log: Vec<(Instant, String)>,
}

impl Running {
    fn new(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (said, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || pass_on(stderr, &said));
        let (printed, out) = channel();
        let mut stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            let mut text = String::new();
            // A killed process may have printed half a character.
            let _ = stdout.read_to_string(&mut text);
            let _ = printed.send(text);
        });
        Self { child, lines, out, log: Vec::new() }
    }

    /// Waits for a line of the log that begins with `phase`; false when the command ends before.
    pub(crate) fn wait_for(&mut self, phase: &str) -> bool {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let found = line.1.trim_start().starts_with(phase);
                    self.log.push(line);
                    if found {
                        return true;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => panic!("no `{phase}` in time: {:?}", self.log),
            }
        }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Waits for the end.
    pub(crate) fn end(mut self) -> Ended {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            self.log.extend(self.lines.try_iter());
            if Instant::now() > deadline {
                self.kill();
                panic!("it does not end: {:#?}", self.log);
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        self.log.extend(self.lines.iter());
        let lines: Vec<&str> = self.log.iter().map(|(_, line)| line.as_str()).collect();
        Ended { status, out: self.out.recv().unwrap(), log: lines.join("\n") }
    }
}

fn pass_on(lines: impl BufRead, to: &Sender<(Instant, String)>) {
    for line in lines.lines() {
        let Ok(line) = line else { return };
        if to.send((Instant::now(), line)).is_err() {
            return;
        }
    }
}

/// Stored jobs beside a data owner's identity: file name and content.
pub(crate) fn tickets(identity: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(entries) = std::fs::read_dir(format!("{identity}.jobs")) else { return Vec::new() };
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "job"))
        // One may be delivered and forgotten meanwhile.
        .filter_map(|path| Some((path.clone(), std::fs::read(&path).ok()?)))
        .collect()
}

/// Puts stored jobs back, as one who kept a copy would.
pub(crate) fn put_back(tickets: &[(PathBuf, Vec<u8>)]) {
    for (path, content) in tickets {
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).unwrap();
        std::fs::write(path, content).unwrap();
    }
}
