//! `adyton-enclave`: the enclave as a process.
#![forbid(unsafe_code)]

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use adyton_attest::{Places, Platform, PlatformName};
use adyton_enclave::{
    Enclave, Field, Hardening, Level, Listener, Restart, Sandbox, StateFile, SystemClock, VERSION,
    close_inherited, harden, log, serve,
};
use adyton_wire::Address;
use lexopt::prelude::{Long, Short, ValueExt};

#[cfg(adyton_attacks)]
compile_error!("a program whose defences can be taken away is not to be built");

const HELP: &str = "\
The enclave of Adyton: makes evaluation keys and releases results, under the policies of the model owners.

Usage: adyton-enclave --listen ADDRESS --state DIR --platform NAME [--platform-path PATH]

Options:
  --listen ADDRESS    Where the host reaches it: unix:PATH (open to this user alone) or tcp:HOST:PORT.
                      The transport protects nothing and needs not: secrets arrive sealed, statements signed.
                      Keep it to the loopback or a private network all the same.
  --state DIR         Folder of the sealed state. It survives kills and restarts; one process at a time.
                      An older copy put back in its place is refused.
  --platform NAME     What vouches for this program. There is no default. One of:
                      tdx, snp    Linux's configfs-tsm (/sys/kernel/config/tsm/report)
                      nitro       the Nitro Secure Module (/dev/nsm)
                      sgx         Gramine's attestation files (/dev/attestation)
                      tpm         a TPM 2.0 (/dev/tpmrm0): vouches for what was booted, keeps nobody out of the memory
                      auto        the first of sgx, nitro, tdx or snp, tpm that this machine offers
                      simulated   PROTECTS NOTHING (where this build has it): its keys are public or plain files. For
                                  development and tests; owners refuse it unless they allow it by name. Its evidence has SNP's
                                  form; simulated-tdx, -sgx, -nitro, -tpm, -azure-snp and -azure-tdx have the others'
                      With tpm the state outlives the process while the machine boots the same, and an older copy is refused by the TPM's
                      counter. sgx has a lasting sealing key and no counter (--on-restart). With tdx, snp and nitro the state ends with the
                      process: owners register anew, and --state must name a new folder.
  --platform-path PATH  Where the platform's folder, device or socket is, when not in its usual place. Of the simulated one: the
                      folder of its files [default: simulated-platform in the state folder]; put it elsewhere, and a
                      state folder restored from a backup is seen to be old.
  --on-restart WHAT   Where the sealing key lasts and no counter is (sgx), older state that a host puts back is not seen. One of:
                      new-epoch   give up the state before, make fresh keys; owners register anew [default]
                      continue    go on with the state as found. RISKS that quotas, ledgers and audits are rolled back
                      The host writes this option: owners know it only where it is measured (Gramine: loader.argv).
  --no-sandbox        Go on without the sandbox. Without this option the process shuts itself in before it reads anything: no file but
                      the platform's, no socket but its own, no other program, or it refuses to start. For kernels without
                      landlock, and for SGX, where Gramine's manifest takes its place.
  --simulated         Short for --platform simulated.
  -h, --help          This text.
  -V, --version       The version.

Example:
  adyton-enclave --listen unix:/run/adyton/enclave.sock --state /var/lib/adyton/enclave --platform auto

Log lines on standard error are JSON objects: time, level, event, and public ids and numbers.";

struct Arguments {
    listen: Address,
    state: PathBuf,
    platform: PlatformName,
    platform_path: Option<PathBuf>,
    sandbox: bool,
    restart: Restart,
}

enum Command {
    Run(Arguments),
    Print(String),
}

fn arguments() -> Result<Command, Box<dyn Error>> {
    let (mut listen, mut state, mut platform, mut platform_path) = (None, None, None, None);
    let (mut sandbox, mut restart) = (true, Restart::default());
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("listen") => listen = Some(parser.value()?.parse()?),
            Long("state") => state = Some(PathBuf::from(parser.value()?)),
            // By name, so that a build without it says what there is.
            Long("simulated") => platform = Some("simulated".parse()?),
            Long("platform") => platform = Some(parser.value()?.parse()?),
            Long("platform-path" | "platform-dir") => {
                platform_path = Some(PathBuf::from(parser.value()?))
            }
            Long("on-restart") => restart = parser.value()?.parse()?,
            Long("no-sandbox") => sandbox = false,
            Short('h') | Long("help") => return Ok(Command::Print(HELP.to_owned())),
            Short('V') | Long("version") => {
                return Ok(Command::Print(format!("adyton-enclave {VERSION}")));
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if platform == Some(PlatformName::Auto) && platform_path.is_some() {
        return Err("--platform-path is of one platform: name it by --platform".into());
    }
    Ok(Command::Run(Arguments {
        listen: listen.ok_or("where shall it listen? --listen unix:PATH or tcp:HOST:PORT")?,
        platform: platform
            .ok_or("name a platform: --platform auto takes the one that this machine offers")?,
        platform_path,
        sandbox,
        restart,
        state: state.ok_or("where shall the state be? --state DIR")?,
    }))
}

/// Opens the named platform, and says in the log what it does not give.
fn platform(arguments: &Arguments) -> Result<Arc<dyn Platform>, Box<dyn Error>> {
    let path = arguments.platform_path.as_deref();
    let platform: Box<dyn Platform> = match arguments.platform {
        #[cfg(feature = "simulated")]
        PlatformName::Simulated(form) => {
            let own = arguments.state.join("simulated-platform");
            Box::new(adyton_attest::Simulated::open(path.unwrap_or(&own))?.in_form(form))
        }
        name => {
            let usual = Places::default();
            adyton_attest::open(name, &path.map_or(usual.clone(), |path| usual.with(name, path)))?
        }
    };
    let warn = |event, consequence: &str| {
        log(Level::Warn, event, &[("consequence", Field::Text(&consequence))]);
    };
    if platform.simulated() {
        warn("simulated-platform", "this protects nothing");
    }
    if !platform.lasting() {
        warn(
            "sealing-key-of-the-process",
            "the state ends with this process: owners register anew after a restart",
        );
    } else if platform.counter()?.is_none() {
        match arguments.restart {
            Restart::Continue => warn(
                "no-counter",
                "a host that puts older state back is not seen: quotas, ledgers and audits can be rolled back",
            ),
            Restart::NewEpoch => warn(
                "no-counter",
                "every restart begins a new epoch: owners register anew after it",
            ),
        }
    }
    log(Level::Info, "platform", &[("kind", Field::Text(&platform.kind()))]);
    Ok(platform.into())
}

/// Says in the log what the operating system did not grant.
fn report(hardening: &Hardening) {
    if !hardening.undumpable {
        log(Level::Warn, "core-dumps-possible", &[]);
    }
    if let Some(limit) = hardening.lock_limit {
        log(
            Level::Warn,
            "memory-lock-limited",
            &[
                ("limit_bytes", Field::Number(limit)),
                (
                    "consequence",
                    Field::Text(
                        &"seeds are locked, working copies of keys are not: raise ulimit -l to lock all",
                    ),
                ),
            ],
        );
    }
}

/// Shuts the process in, unless it was asked not to.
fn shut_in(
    arguments: &Arguments,
    listener: &Listener,
    platform: &dyn Platform,
) -> Result<(), Box<dyn Error>> {
    if !arguments.sandbox {
        let consequence = "a flaw in this program opens this user's files, sockets and programs to whoever uses it";
        log(Level::Error, "NO-SANDBOX", &[("consequence", Field::Text(&consequence))]);
        return Ok(());
    }
    let sandbox = Sandbox::enter(listener, &platform.paths())?;
    if !sandbox.all_of_landlock {
        let consequence =
            "files are shut off; this kernel is too old to shut off all else that landlock can";
        log(
            Level::Warn,
            "sandbox-of-an-older-kernel",
            &[("consequence", Field::Text(&consequence))],
        );
    }
    log(Level::Info, "sandbox", &[]);
    Ok(())
}

/// The order matters: what somebody else had open is closed, what must be open is opened, then the process shuts itself in, and only then anything is read that
/// a host may have written.
fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    close_inherited();
    let hardening = harden();
    report(&hardening);
    let state = StateFile::claim(&arguments.state)?;
    let listener = Listener::bind(&arguments.listen)?;
    let platform = platform(arguments)?;
    shut_in(arguments, &listener, platform.as_ref())?;
    let enclave = Enclave::open(state, platform, Box::new(SystemClock), arguments.restart)?;
    log(
        Level::Info,
        "started",
        &[
            ("version", Field::Text(&VERSION)),
            ("all_memory_locked", Field::Number(hardening.all_locked.into())),
        ],
    );
    serve(Arc::new(enclave), &listener)
}

/// An error with its causes.
fn explain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn main() -> ExitCode {
    match arguments() {
        Ok(Command::Print(text)) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stdout(), "{text}");
            ExitCode::SUCCESS
        }
        Ok(Command::Run(arguments)) => match run(&arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                log(Level::Error, "stopped", &[("cause", Field::Text(&explain(error.as_ref())))]);
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "adyton-enclave: {error}\n\n{HELP}");
            ExitCode::from(2)
        }
    }
}
