//! Child processes that end when this one ends, however it ends.

use super::usage::{self, Usage};
use crate::error::CliError;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Set on children to the parent's process id: they end when it does, even if it is killed.
const EXIT_WITH_PARENT: &str = "ADYTON_EXIT_WITH_PARENT";

/// Asks the kernel to end this process with its parent, when the parent wished so. Survives an exec.
///
/// # Errors
/// The kernel refuses, or the parent has already ended.
pub(crate) fn follow_parent() -> Result<(), CliError> {
    let Some(parent) = std::env::var_os(EXIT_WITH_PARENT) else { return Ok(()) };
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).map_err(CliError::usage)?;
    // The parent may have ended before the line above.
    if parent.to_str().and_then(|p| p.parse().ok()) != Some(nix::unistd::getppid().as_raw()) {
        return Err(CliError::Orphaned);
    }
    Ok(())
}

/// A child to start: this very program with other arguments.
pub(crate) struct Launch {
    name: &'static str,
    arguments: Vec<OsString>,
    directory: PathBuf,
    environment: Vec<(&'static str, OsString)>,
}

impl Launch {
    /// `adyton ARGUMENTS…`, run in `directory`; its output goes to the files `NAME.out` and `NAME.log` there.
    pub(crate) fn new<S: AsRef<OsStr>>(
        name: &'static str,
        directory: &Path,
        arguments: impl IntoIterator<Item = S>,
    ) -> Self {
        let arguments = arguments.into_iter().map(|a| a.as_ref().to_owned()).collect();
        Self { name, arguments, directory: directory.to_owned(), environment: Vec::new() }
    }

    /// Sets a variable of the child's environment.
    pub(crate) fn env(mut self, name: &'static str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name, value.as_ref().to_owned()));
        self
    }

    /// Starts it. Call from the main thread: the child lives no longer than the thread that starts it.
    pub(crate) fn start(self) -> Result<Child, CliError> {
        let fail = |source| CliError::Start { name: self.name, source };
        let stdout = self.directory.join(format!("{}.out", self.name));
        let stderr = self.directory.join(format!("{}.log", self.name));
        let mut command = Command::new(std::env::current_exe().map_err(CliError::OwnPath)?);
        command
            .args(&self.arguments)
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(File::create(&stdout).map_err(fail)?)
            .stderr(File::create(&stderr).map_err(fail)?)
            .env(EXIT_WITH_PARENT, std::process::id().to_string())
            // Ctrl-C in a terminal is for the parent alone: it ends the children in order and says why.
            .process_group(0)
            // The siblings were found before; children must not build them again.
            .env_remove("CARGO");
        for (name, value) in &self.environment {
            command.env(name, value);
        }
        let process = command.spawn().map_err(fail)?;
        Ok(Child { name: self.name, process, stdout, stderr, started: Instant::now() })
    }
}

/// A running child. Dropping it kills it and waits for its end.
pub(crate) struct Child {
    name: &'static str,
    process: std::process::Child,
    stdout: PathBuf,
    stderr: PathBuf,
    started: Instant,
}

/// How often a child's end is looked for.
const POLL: Duration = Duration::from_millis(4);

impl Child {
    /// What it has used so far.
    pub(crate) fn usage(&self) -> Result<Usage, CliError> {
        usage::of_process(self.process.id())
    }

    /// The last line of its log so far, for progress.
    fn last_line(&self) -> Option<String> {
        let log = std::fs::read_to_string(&self.stderr).ok()?;
        log.lines()
            .rev()
            .find(|l| !l.trim().is_empty())
            .map(|l| l.trim().trim_end_matches(" …").to_owned())
    }

    /// Waits until `probe`, given its log so far, finds what it looks for.
    ///
    /// # Errors
    /// It ends before, or the time is over.
    pub(crate) async fn ready<T>(
        &mut self,
        patience: Duration,
        probe: impl Fn(&str) -> Option<T>,
    ) -> Result<T, CliError> {
        loop {
            let log = std::fs::read_to_string(&self.stderr).unwrap_or_default();
            if let Some(found) = probe(&log) {
                return Ok(found);
            }
            self.alive()?;
            if self.started.elapsed() > patience {
                let seconds = patience.as_secs();
                return Err(CliError::NotReady { name: self.name, seconds, log });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// An error when it has ended: for children that should run on.
    pub(crate) fn alive(&mut self) -> Result<(), CliError> {
        match self.process.try_wait().map_err(|source| self.lost(source))? {
            None => Ok(()),
            Some(status) => Err(self.ended(status)),
        }
    }

    /// Waits for its successful end, calling `progress` with its last log line now and then, and returns its output.
    ///
    /// # Errors
    /// It ends without success; the error carries the end of its log.
    pub(crate) async fn finish(
        &mut self,
        mut progress: impl FnMut(&str),
    ) -> Result<String, CliError> {
        let mut shown = Instant::now();
        let status = loop {
            if let Some(status) = self.process.try_wait().map_err(|source| self.lost(source))? {
                break status;
            }
            if shown.elapsed() > Duration::from_millis(150) {
                shown = Instant::now();
                if let Some(line) = self.last_line() {
                    progress(&line);
                }
            }
            tokio::time::sleep(POLL).await;
        };
        if !status.success() {
            return Err(self.ended(status));
        }
        std::fs::read_to_string(&self.stdout).map_err(|source| self.lost(source))
    }

    fn lost(&self, source: std::io::Error) -> CliError {
        CliError::Start { name: self.name, source }
    }

    fn ended(&self, status: ExitStatus) -> CliError {
        let log = std::fs::read_to_string(&self.stderr).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n");
        CliError::ChildEnded { name: self.name, status: status.to_string(), log: tail }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
