//! Samples from files, and results to files.

use crate::error::CliError;
use adyton_samples::Samples;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

/// Reads the samples of all files, in order; at most `limit` of them.
pub(crate) fn read(paths: &[PathBuf], limit: Option<u32>) -> Result<Vec<Vec<f64>>, CliError> {
    let limit = limit.map_or(usize::MAX, |n| n as usize);
    let mut samples = Vec::new();
    for path in paths {
        let file = Samples::open(path).map_err(|error| {
            CliError::part(format!("{} cannot be used as input", path.display()))(error)
        })?;
        samples.extend(file.iter().take(limit - samples.len()).map(<[f64]>::to_vec));
    }
    Ok(samples)
}

/// A file of results that appears whole or not at all; whether it can be made is known before there is anything to write.
pub(crate) struct NewFile {
    path: PathBuf,
    target: Target,
}

enum Target {
    /// Takes the name at the end.
    Whole(tempfile::NamedTempFile),
    /// A pipe or a device: written as it is.
    Stream(File),
}

impl NewFile {
    /// A file that `path` will name.
    pub(crate) fn begin(path: &Path) -> Result<Self, CliError> {
        let fail = || CliError::file("write", path);
        // Through links, so that they stay.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let target = match std::fs::metadata(&path) {
            Ok(found) if !found.is_file() => {
                Target::Stream(File::options().write(true).open(&path).map_err(fail())?)
            }
            _ => {
                let folder = match path.parent() {
                    Some(folder) if folder != Path::new("") => folder,
                    _ => Path::new("."),
                };
                Target::Whole(tempfile::NamedTempFile::new_in(folder).map_err(fail())?)
            }
        };
        Ok(Self { path, target })
    }

    /// Writes one row a sample, as .npy.
    pub(crate) fn finish_npy(self, rows: &[Vec<f64>]) -> Result<(), CliError> {
        let width = rows.first().map_or(0, Vec::len);
        let table = Samples::new(rows.len(), vec![width], rows.concat())
            .map_err(CliError::part("the results are not a table"))?;
        match self.target {
            Target::Whole(file) => table
                .write_npy(BufWriter::new(file.as_file()))
                .and_then(|()| file.persist(&self.path).map(drop).map_err(|e| e.error)),
            Target::Stream(file) => table.write_npy(BufWriter::new(file)),
        }
        .map_err(CliError::file("write", &self.path))
    }
}

/// Writes one row a sample.
pub(crate) fn write_npy(path: &Path, rows: &[Vec<f64>]) -> Result<(), CliError> {
    NewFile::begin(path)?.finish_npy(rows)
}

/// Index of the largest output; the first of equals.
pub(crate) fn label(logits: &[f64]) -> u32 {
    let mut best = (0, f64::NEG_INFINITY);
    for (index, &value) in logits.iter().enumerate() {
        if value > best.1 {
            best = (index, value);
        }
    }
    // A network has far fewer than 2^32 outputs.
    best.0 as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_is_the_first_of_the_largest() {
        assert_eq!(label(&[0.0, 2.0, 2.0, -1.0]), 1);
        assert_eq!(label(&[-3.0]), 0);
        assert_eq!(label(&[]), 0);
    }

    #[test]
    fn tables_written_are_read_again_up_to_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.npy");
        let rows = vec![vec![1.0, 2.0], vec![3.0, 4.0], vec![5.0, 6.0]];
        write_npy(&path, &rows).unwrap();
        assert_eq!(read(std::slice::from_ref(&path), None).unwrap(), rows);
        let both = [path.clone(), path];
        assert_eq!(read(&both, Some(4)).unwrap(), [&rows[..], &rows[..1]].concat());
    }
}
