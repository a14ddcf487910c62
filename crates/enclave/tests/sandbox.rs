//! What a process that shut itself in cannot do, each tried from inside; and what it must still be able to do.
//!
//! Every attempt runs in a process of its own: this test's program, started again with the attempt's name. It tries the forbidden
//! thing before and after shutting itself in, so that an attempt that fails for another reason is seen.
#![allow(
    unsafe_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test; the system calls have no safe wrappers"
)]

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use adyton_enclave::{Listener, Sandbox, close_inherited, harden};

const BINARY: &str = env!("CARGO_BIN_EXE_adyton-enclave");
const ATTEMPT: &str = "ADYTON_TEST_ATTEMPT";
const FOLDER: &str = "ADYTON_TEST_FOLDER";

type Attempt = fn(&Path) -> io::Result<()>;

/// What works outside and must fail inside.
const FORBIDDEN: &[(&str, Attempt)] = &[
    ("execute", |_| Command::new("/bin/true").status().map(drop)),
    ("replace itself", |_| {
        // Only its refusal returns; outside it would end the attempt, so there it is not tried.
        if shut_in() { Err(Command::new("/bin/true").exec()) } else { Ok(()) }
    }),
    // SAFETY: the child ends at once.
    ("fork", |_| match unsafe { libc::fork() } {
        // SAFETY: it runs no destructors of the parent's.
        0 => unsafe { libc::_exit(0) },
        made => answer(made.into()),
    }),
    ("open a TCP socket", |_| TcpListener::bind("127.0.0.1:0").map(drop)),
    ("connect by TCP", |_| match TcpStream::connect("127.0.0.1:1") {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        done => done.map(drop),
    }),
    ("open a UDP socket", |_| UdpSocket::bind("127.0.0.1:0").map(drop)),
    ("open a Unix socket", |folder| {
        let path = folder.join("another");
        let _ = std::fs::remove_file(&path);
        UnixListener::bind(path).map(drop)
    }),
    ("connect to a Unix socket", |folder| UnixStream::connect(folder.join("neighbour")).map(drop)),
    ("accept on a socket that it inherited", |_| {
        let Some(other) = NEIGHBOUR.get() else { return Ok(()) };
        match other.accept() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            done => done.map(drop),
        }
    }),
    ("read a file", |_| File::open("/etc/passwd").map(drop)),
    ("read its own program", |_| File::open(std::env::current_exe()?).map(drop)),
    ("list a folder", |_| std::fs::read_dir("/").map(drop)),
    ("make a file", |folder| {
        let path = folder.join(if shut_in() { "inside" } else { "outside" });
        File::create(path).map(drop)
    }),
    ("write to a file", |folder| File::options().write(true).open(folder.join("file")).map(drop)),
    ("truncate a file", |folder| {
        File::options().write(true).truncate(true).open(folder.join("file")).map(drop)
    }),
    ("make a file in a folder of the platform", |folder| {
        let path = folder.join("platform").join(if shut_in() { "inside" } else { "outside" });
        File::create(path).map(drop)
    }),
    ("rename a file", |folder| {
        std::fs::copy(folder.join("file"), folder.join("from"))
            .and_then(|_| std::fs::rename(folder.join("from"), folder.join("to")))
    }),
    ("remove a file", |folder| {
        std::fs::remove_file(folder.join(if shut_in() { "file" } else { "spare" }))
    }),
    ("make a device or a pipe", |folder| {
        let name = if shut_in() { "pipe-inside" } else { "pipe-outside" };
        let path = std::ffi::CString::new(folder.join(name).to_str().unwrap()).unwrap();
        // SAFETY: the path is a C string that lives through the call.
        answer(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }.into())
    }),
    // SAFETY: of these calls, none reads or writes memory of ours, and what is mapped is never touched.
    ("make memory executable", |_| unsafe {
        let (read, anonymous) = (libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let page = libc::mmap(std::ptr::null_mut(), 4096, read, anonymous, -1, 0);
        answer(libc::mprotect(page, 4096, read | libc::PROT_EXEC).into())
    }),
    // SAFETY: as above.
    ("map executable memory", |_| unsafe {
        let (access, anonymous) =
            (libc::PROT_READ | libc::PROT_EXEC, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let page = libc::mmap(std::ptr::null_mut(), 4096, access, anonymous, -1, 0);
        answer(if page == libc::MAP_FAILED { -1 } else { 0 })
    }),
    // SAFETY: the name is a C string; no memory of ours is written.
    ("make a file in memory", |_| answer(unsafe { libc::memfd_create(c"x".as_ptr(), 0) }.into())),
    // SAFETY: signal 0 is none.
    ("signal another process", |_| answer(unsafe { libc::kill(libc::getppid(), 0) }.into())),
    // SAFETY: the call touches no memory.
    ("watch another process", |_| unsafe {
        if !shut_in() {
            return Ok(());
        }
        answer(libc::ptrace(libc::PTRACE_ATTACH, libc::getppid(), 0, 0))
    }),
    // SAFETY: reads a struct of ours.
    ("allow core dumps again", |_| unsafe {
        let limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        answer(libc::setrlimit(libc::RLIMIT_CORE, &raw const limit).into())
    }),
    // SAFETY: the call touches no memory.
    ("become dumpable again", |_| unsafe {
        answer(libc::prctl(libc::PR_SET_DUMPABLE, u64::from(!shut_in()), 0, 0, 0).into())
    }),
];

/// A socket that is not the enclave's.
static NEIGHBOUR: std::sync::OnceLock<UnixListener> = std::sync::OnceLock::new();
static SHUT_IN: std::sync::OnceLock<()> = std::sync::OnceLock::new();

fn shut_in() -> bool {
    SHUT_IN.get().is_some()
}

fn answer(code: i64) -> io::Result<()> {
    if code < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn refused(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES))
}

/// What an enclave does all day.
fn allowed(folder: &Path, listener: UnixStream, state: &mut File) {
    let number = std::thread::Builder::new()
        .name("connection".to_owned())
        .spawn(|| vec![1u8; 64 << 20].iter().map(|&byte| u64::from(byte)).sum::<u64>())
        .unwrap();
    assert_eq!(number.join().unwrap(), 64 << 20);
    assert!(std::panic::catch_unwind(|| panic!("a panic unwinds")).is_err());
    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(2));
    assert!(
        start.elapsed() >= Duration::from_millis(2) && SystemTime::now() > SystemTime::UNIX_EPOCH
    );
    adyton_wire::random_bytes::<32>().unwrap();
    state.write_all(b"record").unwrap();
    state.sync_data().unwrap();
    state.set_len(3).unwrap();
    state.sync_all().unwrap();
    let blob = folder.join("platform/inblob");
    std::fs::write(&blob, b"report data").unwrap();
    assert_eq!(std::fs::read(&blob).unwrap(), b"report data");
    drop(listener);
}

/// The inside of every test here; by itself it does nothing.
#[test]
#[ignore = "started by the other tests, in a process of its own"]
fn attempt() {
    let (Ok(name), Some(folder)) = (std::env::var(ATTEMPT), std::env::var_os(FOLDER)) else {
        return;
    };
    let folder = PathBuf::from(folder);
    if name == "no landlock" {
        without_landlock(&folder);
        println!("attempted: {name}");
        return;
    }
    if name == "inherited" {
        closes_what_it_inherited();
        println!("attempted: {name}");
        return;
    }
    assert!(harden().undumpable);
    let address = format!("unix:{}", folder.join("socket").display()).parse().unwrap();
    let listener = Listener::bind(&address).unwrap();
    let neighbour = UnixListener::bind(folder.join("neighbour")).unwrap();
    neighbour.set_nonblocking(true).unwrap();
    NEIGHBOUR.set(neighbour).unwrap();
    let peer = UnixStream::connect(folder.join("socket")).unwrap();
    let mut state =
        File::options().append(true).create(true).mode(0o600).open(folder.join("state")).unwrap();
    let forbidden = FORBIDDEN.iter().find(|(known, _)| *known == name);
    if let Some((_, attempt)) = forbidden {
        attempt(&folder).unwrap_or_else(|error| panic!("{name} fails outside: {error}"));
    }
    let sandbox = Sandbox::enter(&listener, &[folder.join("platform")]).unwrap();
    SHUT_IN.set(()).unwrap();
    assert!(sandbox.all_of_landlock, "this kernel is too old for the test");
    match forbidden {
        Some((_, attempt)) => match attempt(&folder) {
            Err(error) => assert!(refused(&error), "{name}: {error}"),
            Ok(()) => panic!("{name} was done inside"),
        },
        None => allowed(&folder, peer, &mut state),
    }
    // Told by the last words, since a process that is killed early looks like success to nobody.
    println!("attempted: {name}");
}

/// Where [`inside`] leaves a file open for the process that it starts.
const INHERITED: libc::c_int = 200;

fn is_open(descriptor: libc::c_int) -> bool {
    // SAFETY: asks for a flag of a descriptor, whether it is one or not.
    unsafe { libc::fcntl(descriptor, libc::F_GETFD) >= 0 }
}

/// A process that is handed an open file reads it, until it closes what it inherited; then it has its standard streams alone.
fn closes_what_it_inherited() {
    let mut read = [0; 8];
    // SAFETY: writes at most as many bytes as there is room for.
    let length = unsafe { libc::read(INHERITED, read.as_mut_ptr().cast(), read.len()) };
    assert_eq!((length, read), (8, *b"contents"));
    // The test's own output goes on by a copy that is made anew below.
    // SAFETY: the new descriptor is nobody's.
    let output = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_DUPFD, 0) };
    assert!(output >= 0);
    // SAFETY: standard error is open; 2 is kept, so it lends the output a place to survive.
    assert_eq!(unsafe { libc::dup2(output, libc::STDERR_FILENO) }, libc::STDERR_FILENO);
    close_inherited();
    let open: Vec<_> = (0..1024).filter(|&descriptor| is_open(descriptor)).collect();
    assert_eq!(open, [0, 1, 2]);
    let mut byte = [0; 1];
    assert_eq!(io::stdin().read(&mut byte).unwrap(), 0);
    // SAFETY: both are open.
    assert_eq!(unsafe { libc::dup2(libc::STDERR_FILENO, libc::STDOUT_FILENO) }, 1);
}

fn inside(name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::create_dir(path.join("platform")).unwrap();
    for file in ["file", "spare", "platform/inblob"] {
        std::fs::write(path.join(file), b"contents").unwrap();
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    let lent = File::open(path.join("file")).unwrap();
    let descriptor = lent.as_raw_fd();
    // SAFETY: between fork and exec one descriptor is copied.
    unsafe {
        command.pre_exec(move || answer(libc::dup2(descriptor, INHERITED).into()));
    }
    let output = command
        .args(["attempt", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(ATTEMPT, name)
        .env(FOLDER, path)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {told}{log}");
    assert!(told.contains(&format!("attempted: {name}")), "{name}: {told}{log}");
    assert!(!path.join("inside").exists() && !path.join("platform/inside").exists(), "{name}");
    assert!(path.join("file").exists(), "{name}");
}

#[test]
fn what_is_forbidden_works_outside_and_not_inside() {
    for (name, _) in FORBIDDEN {
        inside(name);
    }
}

#[test]
fn nothing_that_was_inherited_stays_open() {
    inside("inherited");
}

#[test]
fn what_an_enclave_does_all_day_works_inside() {
    inside("allowed");
}

/// The field of `/proc/PID/status`.
fn field(status: &str, name: &str) -> String {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {status}")).trim().to_owned()
}

fn started(folder: &Path, more: &[&str], log: Stdio) -> std::process::Child {
    Command::new(BINARY)
        .arg("--listen")
        .arg(format!("unix:{}", folder.join("socket").display()))
        .arg("--state")
        .arg(folder.join("state"))
        .arg("--simulated")
        .args(more)
        .stderr(log)
        .spawn()
        .unwrap()
}

fn wait_for(log: &Path, event: &str) -> String {
    let patience = Instant::now() + Duration::from_secs(20);
    loop {
        let text = std::fs::read_to_string(log).unwrap();
        if text.contains(&format!("\"event\":\"{event}\"")) {
            return text;
        }
        assert!(Instant::now() < patience, "no {event}: {text}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Every thread of the real process is filtered, privileges cannot be gained, no core is dumped; and it serves.
#[test]
fn the_real_process_is_shut_in() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut process = started(folder.path(), &[], File::create(&log).unwrap().into());
    let text = wait_for(&log, "listening");
    let at = |event: &str| text.find(&format!("\"event\":\"{event}\"")).unwrap();
    assert!(at("sandbox") < at("started") && !text.contains("NO-SANDBOX"), "{text}");
    // A connection has a thread of its own.
    let mut stream = UnixStream::connect(folder.path().join("socket")).unwrap();
    stream.write_all(&[4, 0, 0, 0, 1, 2, 3, 4]).unwrap();
    stream.read_exact(&mut [0; 4]).unwrap();
    let proc = PathBuf::from(format!("/proc/{}", process.id()));
    let tasks: Vec<_> = std::fs::read_dir(proc.join("task")).unwrap().collect();
    assert!(tasks.len() >= 2);
    for task in tasks {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        assert_eq!(field(&status, "Seccomp:"), "2");
        assert_eq!(field(&status, "Seccomp_filters:"), "2");
        assert_eq!(field(&status, "NoNewPrivs:"), "1");
    }
    let limits = std::fs::read_to_string(proc.join("limits")).unwrap();
    let cores = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(cores.split_whitespace().filter(|word| *word == "0").count(), 2, "{cores}");
    process.kill().unwrap();
    process.wait().unwrap();
}

#[test]
fn without_the_sandbox_it_runs_only_when_asked_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut process = started(folder.path(), &["--no-sandbox"], File::create(&log).unwrap().into());
    let text = wait_for(&log, "listening");
    assert!(text.contains("\"level\":\"error\",\"event\":\"NO-SANDBOX\""), "{text}");
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    assert_eq!(field(&status, "Seccomp:"), "0");
    process.kill().unwrap();
    process.wait().unwrap();
}

/// A kernel without landlock, played by a filter that answers as such a kernel does.
fn without_landlock(folder: &Path) {
    let rules = [(libc::SYS_landlock_create_ruleset, Vec::new())].into();
    let filter = seccompiler::SeccompFilter::new(
        rules,
        seccompiler::SeccompAction::Allow,
        seccompiler::SeccompAction::Errno(libc::ENOSYS as u32),
        std::env::consts::ARCH.try_into().unwrap(),
    );
    let program: seccompiler::BpfProgram = filter.unwrap().try_into().unwrap();
    seccompiler::apply_filter(&program).unwrap();
    let mut process = started(folder, &[], Stdio::piped());
    let mut told = String::new();
    process.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(process.wait().unwrap().code(), Some(1));
    assert!(told.contains("landlock") && told.contains("--no-sandbox"), "{told}");
    assert_eq!(
        std::fs::metadata(folder.join("state/state.sealed")).unwrap().len(),
        0,
        "nothing was done yet"
    );
}

#[test]
fn a_kernel_without_landlock_is_refused() {
    inside("no landlock");
}
