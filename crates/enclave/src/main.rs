//! `adyton-enclave`: the enclave as a process.
#![forbid(unsafe_code)]

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use adyton_attest::{Platform, Simulated};
use adyton_enclave::{Enclave, Field, Level, SystemClock, VERSION, harden, log, serve};
use adyton_wire::Address;
use lexopt::prelude::{Long, Short, ValueExt};

const HELP: &str = "\
The enclave of Adyton: makes evaluation keys and releases results, under the policies of the model owners.

Usage: adyton-enclave --listen ADDRESS --state DIR --simulated [--platform-dir DIR]

Options:
  --listen ADDRESS    Where the host reaches it: unix:PATH (open to this user alone) or tcp:HOST:PORT.
                      The transport protects nothing and needs not: secrets arrive sealed, statements signed.
                      Keep it to the loopback or a private network all the same.
  --state DIR         Folder of the sealed state. It survives kills and restarts; one process at a time.
                      An older copy put back in its place is refused.
  --simulated         The platform: simulated. IT PROTECTS NOTHING. Its root key is public, its sealing key and
                      counter are plain files. For development and tests; owners refuse it unless they allow
                      it by name. There is no default: without a named platform the enclave does not start.
  --platform-dir DIR  Where the simulated platform keeps its files [default: simulated-platform in the state folder].
                      Put it elsewhere, and a state folder restored from a backup is seen to be old.
  -h, --help          This text.
  -V, --version       The version.

Example:
  adyton-enclave --listen unix:/run/adyton/enclave.sock --state /var/lib/adyton/enclave --simulated

Log lines on standard error are JSON objects: time, level, event, and public ids and numbers.";

struct Arguments {
    listen: Address,
    state: PathBuf,
    platform: PathBuf,
}

enum Command {
    Run(Arguments),
    Print(String),
}

fn arguments() -> Result<Command, Box<dyn Error>> {
    let (mut listen, mut state, mut platform, mut simulated) = (None, None, None, false);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("listen") => listen = Some(parser.value()?.parse()?),
            Long("state") => state = Some(PathBuf::from(parser.value()?)),
            Long("simulated") => simulated = true,
            Long("platform-dir") => platform = Some(PathBuf::from(parser.value()?)),
            Short('h') | Long("help") => return Ok(Command::Print(HELP.to_owned())),
            Short('V') | Long("version") => {
                return Ok(Command::Print(format!("adyton-enclave {VERSION}")));
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if !simulated {
        return Err(
            "name a platform: --simulated is the one there is, and it protects nothing".into()
        );
    }
    let state: PathBuf = state.ok_or("where shall the state be? --state DIR")?;
    Ok(Command::Run(Arguments {
        listen: listen.ok_or("where shall it listen? --listen unix:PATH or tcp:HOST:PORT")?,
        platform: platform.unwrap_or_else(|| state.join("simulated-platform")),
        state,
    }))
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let hardening = harden();
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
    let platform = Arc::new(Simulated::open(&arguments.platform)?) as Arc<dyn Platform>;
    log(
        Level::Warn,
        "simulated-platform",
        &[("consequence", Field::Text(&"this protects nothing"))],
    );
    let enclave = Enclave::open(&arguments.state, platform, Box::new(SystemClock))?;
    log(
        Level::Info,
        "started",
        &[
            ("version", Field::Text(&VERSION)),
            ("all_memory_locked", Field::Number(hardening.all_locked.into())),
        ],
    );
    serve(Arc::new(enclave), &arguments.listen)?;
    Ok(())
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
