//! The programs `adyton-enclave` and `adyton-host`, which live beside this one.

use crate::error::CliError;
use crate::output;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program that lives beside this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sibling {
    Enclave,
    Host,
}

impl Sibling {
    /// Name of the program and of its cargo package.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Enclave => "adyton-enclave",
            Self::Host => "adyton-host",
        }
    }

    /// The program's path. When it is missing and this process was started by `cargo run`, both siblings are built first.
    ///
    /// # Errors
    /// The program is missing and cannot be built.
    pub(crate) fn find(self) -> Result<PathBuf, CliError> {
        let own = std::env::current_exe().map_err(CliError::OwnPath)?;
        let directory = own.parent().unwrap_or(Path::new("."));
        // Under `cargo test`, this executable lies in the folder `deps` of the one that holds the programs.
        let directory = match directory.file_name() {
            Some(name) if name == "deps" => directory.parent().unwrap_or(directory),
            _ => directory,
        };
        let path = directory.join(format!("{}{}", self.name(), std::env::consts::EXE_SUFFIX));
        let checkout = cargo_checkout();
        if let Some((cargo, manifest)) = checkout {
            // Cargo decides whether the programs are up to date; a stale sibling would speak another version.
            build(&cargo, &manifest, directory)?;
        }
        if path.is_file() {
            Ok(path)
        } else {
            Err(CliError::MissingSibling { name: self.name(), path })
        }
    }
}

/// Cargo and this workspace's manifest, when `cargo run` started this process.
fn cargo_checkout() -> Option<(OsString, PathBuf)> {
    let cargo = std::env::var_os("CARGO")?;
    let package = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR")?);
    let manifest = package.parent()?.parent()?.join("Cargo.toml");
    manifest.is_file().then_some((cargo, manifest))
}

/// Builds both siblings into the directory of this executable, in the profile it was built in.
fn build(cargo: &OsString, manifest: &Path, directory: &Path) -> Result<(), CliError> {
    static BUILT: std::sync::OnceLock<()> = std::sync::OnceLock::new();
    if BUILT.get().is_some() {
        return Ok(());
    }
    let mut command = Command::new(cargo);
    command.arg("build").arg("--manifest-path").arg(manifest);
    for sibling in [Sibling::Enclave, Sibling::Host] {
        command.args(["-p", sibling.name()]);
    }
    match directory.file_name().and_then(|n| n.to_str()) {
        Some("debug") | None => {}
        Some(profile) => {
            command.args(["--profile", profile]);
        }
    }
    if let Some(target) = directory.parent() {
        command.env("CARGO_TARGET_DIR", target);
    }
    output::note(
        "Building adyton-enclave and adyton-host (cargo builds only this program by itself) …",
    );
    let status = command.stdout(Stdio::null()).status().map_err(CliError::BuildSiblings)?;
    if !status.success() {
        return Err(CliError::BuildSiblings(std::io::Error::other(format!("cargo: {status}"))));
    }
    let _ = BUILT.set(());
    Ok(())
}

/// Replaces this process by the sibling, passing arguments through. Returns only on error.
pub(crate) fn exec(sibling: Sibling, arguments: &[OsString]) -> CliError {
    let path = match sibling.find() {
        Ok(path) => path,
        Err(error) => return error,
    };
    use std::os::unix::process::CommandExt;
    let error = Command::new(&path).args(arguments).exec();
    CliError::Start { name: sibling.name(), source: error }
}
