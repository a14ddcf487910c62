//! The files of a compiled network: the public program and the secret weights.

use crate::error::CliError;
use adyton_compiler::plan::PackedWeights;
use adyton_program::limits::MAX_PROGRAM_BYTES;
use adyton_program::{Program, VerifiedProgram};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Name of the program's file in a compiled directory.
pub(crate) const PROGRAM: &str = "program.adyton";
/// Name of the weights' file in a compiled directory.
pub(crate) const WEIGHTS: &str = "weights.adyton";

/// A compiled network as read from its directory.
pub(crate) struct Compiled {
    pub(crate) program: VerifiedProgram,
    pub(crate) weights: PackedWeights,
}

/// Reads and verifies a program file.
pub(crate) fn load_program(path: &Path) -> Result<VerifiedProgram, CliError> {
    let length = match std::fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) => {
            return Err(CliError::part(format!("there is no program {}", path.display()))(error)
                .hint("name a directory that `adyton compile NET.onnx -o DIR` made"));
        }
    };
    if length > MAX_PROGRAM_BYTES as u64 {
        let reason = format!("{length} bytes are more than a program has");
        return Err(CliError::Content { path: path.to_owned(), reason });
    }
    let bytes = std::fs::read(path).map_err(CliError::file("read", path))?;
    let program = Program::decode(&bytes)
        .map_err(CliError::part(format!("{} is no program", path.display())))?;
    VerifiedProgram::new(program)
        .map_err(CliError::part(format!("the program in {} is refused", path.display())))
}

/// Reads a compiled directory.
pub(crate) fn load(directory: &Path) -> Result<Compiled, CliError> {
    let program = load_program(&directory.join(PROGRAM))?;
    let path = directory.join(WEIGHTS);
    let bytes = Zeroizing::new(std::fs::read(&path).map_err(CliError::file("read", &path))?);
    let weights = PackedWeights::decode(&bytes, &program)
        .map_err(CliError::part(format!("{} does not belong to the program", path.display())))?;
    Ok(Compiled { program, weights })
}

/// Writes a compiled directory; the weights can be read by this user alone.
pub(crate) fn store(
    directory: &Path,
    program: &Program,
    weights: &PackedWeights,
) -> Result<(PathBuf, PathBuf), CliError> {
    std::fs::create_dir_all(directory).map_err(CliError::file("make", directory))?;
    let program_path = directory.join(PROGRAM);
    std::fs::write(&program_path, program.encode())
        .map_err(CliError::file("write", &program_path))?;
    let weights_path = directory.join(WEIGHTS);
    let bytes = Zeroizing::new(weights.encode());
    let write = || {
        // A file that is there keeps its permissions when it is opened again, so it goes first.
        match std::fs::remove_file(&weights_path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        options.open(&weights_path)?.write_all(&bytes)
    };
    write().map_err(CliError::file("write", &weights_path))?;
    Ok((program_path, weights_path))
}
