//! Errors of the command: what was wrong, and what would be right.

use serde::Serialize;
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// What went wrong in a command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// Standard output is gone.
    #[error("cannot write to standard output")]
    Output(#[source] std::io::Error),
    /// This program cannot tell where it lies.
    #[error("cannot find this program's own path")]
    OwnPath(#[source] std::io::Error),
    /// A sibling program is not beside this one.
    #[error("the program {name} is missing: expected it at {}", path.display())]
    MissingSibling { name: &'static str, path: PathBuf },
    /// Cargo could not build the siblings.
    #[error("cannot build adyton-enclave and adyton-host")]
    BuildSiblings(#[source] std::io::Error),
    /// A process could not be started or watched.
    #[error("cannot run the {name}")]
    Start { name: &'static str, source: std::io::Error },
    /// A process ended that should have run on, or ended without success.
    #[error("the {name} ended ({status})")]
    ChildEnded { name: &'static str, status: String, log: String },
    /// A process did not become ready.
    #[error("the {name} was not ready after {seconds} s")]
    NotReady { name: &'static str, seconds: u64, log: String },
    /// A child's output is not what its version writes.
    #[error("the {name} printed something unexpected")]
    ChildOutput { name: &'static str, source: serde_json::Error },
    /// The parent ended before this process began.
    #[error("the process that started this one has ended")]
    Orphaned,
    /// The run was stopped from outside.
    #[error("stopped by a signal; all processes were ended")]
    Interrupted,
    /// The kernel tells no CPU time or memory.
    #[error("cannot measure CPU time and memory: {0}")]
    Usage(String),
    /// A network that is not shipped.
    #[error("there is no network `{name}`")]
    UnknownNetwork { name: String, known: String },
    /// A file cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    File { action: &'static str, path: PathBuf, source: std::io::Error },
    /// A directory that should be new has something in it.
    #[error("{} is not empty", path.display())]
    NotEmpty { path: PathBuf },
    /// An argument cannot be used.
    #[error("{what}: `{value}` is not valid: {reason}")]
    Argument { what: &'static str, value: String, reason: String },
    /// A file holds something else than the command needs.
    #[error("{}: {reason}", path.display())]
    Content { path: PathBuf, reason: String },
    /// The enclave's checks on the decrypted slots did not hold.
    #[error("the enclave's checks on the result failed ({}): nothing was released", checks(*.0))]
    Checks(u32),
    /// The policy refuses the evidence; the reasons were printed.
    #[error("the evidence is refused, for {reasons} {}", if *.reasons == 1 { "reason" } else { "reasons" })]
    Refused { reasons: usize },
    /// A part that cannot work on.
    #[error("{context}")]
    Part { context: String, help: Option<String>, source: Box<dyn std::error::Error + Send + Sync> },
}

/// The checks that failed, in words.
fn checks(bits: u32) -> String {
    use adyton_wire::statement::Checks;
    let named = [
        (Checks::UNDECLARED, "a slot without an output was not ≈ 0"),
        (Checks::COPIES, "copies of an output disagreed"),
        (Checks::RANGE, "an output was beyond the program's range"),
    ];
    let failed: Vec<&str> = named.iter().filter(|c| bits & c.0 != 0).map(|c| c.1).collect();
    failed.join("; ")
}

impl CliError {
    pub(crate) fn usage(error: impl Display) -> Self {
        Self::Usage(error.to_string())
    }

    /// `map_err` for file operations.
    pub(crate) fn file(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }

    /// `map_err` for errors of other crates.
    pub(crate) fn part<E: std::error::Error + Send + Sync + 'static>(
        context: impl Into<String>,
    ) -> impl FnOnce(E) -> Self {
        let context = context.into();
        move |source| Self::Part { context, help: None, source: Box::new(source) }
    }

    /// The same error with a hint, where it can carry one.
    pub(crate) fn hint(mut self, text: impl Into<String>) -> Self {
        if let Self::Part { help, .. } = &mut self {
            *help = Some(text.into());
        }
        self
    }

    /// What would be right.
    fn help(&self) -> Option<String> {
        match self {
            Self::MissingSibling { name, .. } => Some(format!(
                "install it beside this program, or build it: cargo build --release -p adyton-cli -p adyton-enclave -p adyton-host \
                 (in a checkout, `cargo run --release -- …` builds {name} by itself)"
            )),
            Self::BuildSiblings(_) => {
                Some("build them by hand to see why: cargo build --release -p adyton-enclave -p adyton-host".into())
            }
            Self::UnknownNetwork { known, .. } => Some(format!("known are: {known}")),
            Self::NotEmpty { .. } => Some("name a new directory, or an empty one".into()),
            Self::ChildEnded { log, .. } | Self::NotReady { log, .. } if !log.is_empty() => {
                Some(format!("it said last:\n{log}"))
            }
            Self::Checks(_) => Some(
                "inputs far from the calibration samples may leave the output range; otherwise the host computed \
                 something else than the program"
                    .into(),
            ),
            Self::Part { help, .. } => help.clone(),
            _ => None,
        }
    }

    /// A short stable name for machines.
    fn kind(&self) -> &'static str {
        match self {
            Self::Output(_) => "output",
            Self::OwnPath(_) | Self::MissingSibling { .. } | Self::BuildSiblings(_) => {
                "missing-program"
            }
            Self::Start { .. } | Self::ChildEnded { .. } | Self::NotReady { .. } => "process",
            Self::ChildOutput { .. } | Self::Orphaned => "process",
            Self::Interrupted => "interrupted",
            Self::Usage(_) => "measurement",
            Self::UnknownNetwork { .. } | Self::Argument { .. } | Self::NotEmpty { .. } => {
                "argument"
            }
            Self::File { .. } => "file",
            Self::Content { .. } => "content",
            Self::Checks(_) => "checks-failed",
            Self::Refused { .. } => "refused",
            Self::Part { .. } => "failed",
        }
    }

    /// The error's causes; one that the text before it already tells is left out.
    fn causes(&self) -> Vec<String> {
        let mut causes: Vec<String> = Vec::new();
        let mut told = self.to_string();
        let mut next: Option<&dyn std::error::Error> = std::error::Error::source(self);
        while let Some(cause) = next {
            let text = cause.to_string();
            if !told.contains(&text) {
                told.clone_from(&text);
                causes.push(text);
            }
            next = cause.source();
        }
        causes
    }

    /// For people, several lines.
    pub(crate) fn render(&self) -> String {
        let mut out = format!("error: {self}");
        for cause in self.causes() {
            out.push_str(&format!("\n  because: {cause}"));
        }
        if let Some(help) = self.help() {
            out.push_str(&format!("\n  help: {}", help.replace('\n', "\n    ")));
        }
        out
    }

    /// For machines, one line of JSON.
    pub(crate) fn render_json(&self) -> String {
        #[derive(Serialize)]
        struct Report {
            error: Body,
        }
        #[derive(Serialize)]
        struct Body {
            kind: &'static str,
            message: String,
            causes: Vec<String>,
            help: Option<String>,
        }
        let body = Body {
            kind: self.kind(),
            message: self.to_string(),
            causes: self.causes(),
            help: self.help(),
        };
        serde_json::to_string(&Report { error: body }).unwrap_or_else(|_| self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_why_and_what_would_be_right() {
        let e = CliError::part::<std::fmt::Error>("cannot do it")(std::fmt::Error).hint("do this");
        assert_eq!(
            e.render(),
            "error: cannot do it\n  because: an error occurred when formatting an argument\n  help: do this"
        );
        let json: serde_json::Value = serde_json::from_str(&e.render_json()).unwrap();
        assert_eq!(json["error"]["message"], "cannot do it");
        assert_eq!(json["error"]["help"], "do this");
    }
}
