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

/// Writes one row a sample.
pub(crate) fn write_npy(path: &Path, rows: &[Vec<f64>]) -> Result<(), CliError> {
    let width = rows.first().map_or(0, Vec::len);
    let table = Samples::new(rows.len(), vec![width], rows.concat())
        .map_err(CliError::part("the results are not a table"))?;
    File::create(path)
        .and_then(|file| table.write_npy(BufWriter::new(file)))
        .map_err(CliError::file("write", path))
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
