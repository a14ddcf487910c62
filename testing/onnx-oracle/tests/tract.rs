//! Every shipped network and every operator model of the compiler's tests, in tract and in the import's network.

use std::path::{Path, PathBuf};

use adyton_compiler::onnx::import_file;
use adyton_onnx_oracle::Executor;
use adyton_samples::Samples;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs a model both ways; the largest difference, relative to 1 and the largest output.
fn compare<'a>(model: &Path, inputs: impl Iterator<Item = &'a [f64]>) -> Result<f64, String> {
    let network = import_file(model).map_err(|error| error.to_string())?;
    let executor = Executor::open(model).map_err(|error| format!("tract: {error:#}"))?;
    let (mut error, mut largest) = (0f64, 1f64);
    for input in inputs {
        let expected = executor.run(input).map_err(|error| format!("tract: {error:#}"))?;
        let output = network.run(input).map_err(|error| error.to_string())?;
        assert_eq!(output.len(), expected.len(), "{}", model.display());
        for (output, expected) in output.iter().zip(&expected) {
            error = error.max((output - expected).abs());
            largest = largest.max(expected.abs());
        }
    }
    Ok(error / largest)
}

#[test]
fn shipped_networks() {
    let images = Samples::open(root().join("networks/data/test-images.idx3.gz")).unwrap();
    for name in ["mlp", "cryptonets", "e2dm"] {
        let model = root().join(format!("networks/{name}.onnx"));
        let error = compare(&model, images.iter().take(200)).unwrap();
        assert!(error < 5e-6, "{name}: off by {error:e}");
    }
}

#[test]
fn operators() {
    let folder = root().join("crates/compiler/tests/models");
    let (mut compared, mut failed) = (0, Vec::new());
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "onnx") {
            continue;
        }
        let name = path.file_stem().unwrap().to_string_lossy();
        let inputs = Samples::open(path.with_extension("inputs.npy")).unwrap();
        match compare(&path, inputs.iter()) {
            Ok(error) if error < 5e-6 => compared += 1,
            Ok(error) => failed.push(format!("{name}: off by {error:e}")),
            Err(reason) => failed.push(format!("{name}: {reason}")),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(compared >= 85, "{compared} models compared");
}
