//! Imports the models that standard input names and runs them in the clear, for comparisons with other executors
//! (testing/onnx-oracle/differential.py).
//!
//! A line holds a path without its extension, and options. The model lies in `PATH.onnx`, samples in `PATH.in` (f64, little-endian, one
//! after the other); the outputs go to `PATH.out`, in their forms, sample by sample. Options: `whole` takes whole tensors as samples,
//! `fit` gives the samples to the import as calibration, `degree=D` fits by
//! that degree, `len=N` is a sample's length. A line of the answer: path, tab, `ok` or `refused`, tab, depth or reason.
#![allow(clippy::print_stdout, clippy::panic, reason = "a tool for tests")]

use std::io::BufRead;
use std::path::Path;

use adyton_compiler::onnx::{ImportOptions, import_file_with};

fn samples(path: &Path, length: usize) -> std::io::Result<Vec<Vec<f64>>> {
    let bytes = std::fs::read(path)?;
    let (chunks, _) = bytes.as_chunks::<8>();
    let values: Vec<f64> = chunks.iter().map(|&chunk| f64::from_le_bytes(chunk)).collect();
    Ok(values.chunks(length.max(1)).map(<[f64]>::to_vec).collect())
}

fn run(path: &Path, options: &[&str]) -> Result<String, String> {
    let say = |error: &dyn std::fmt::Display| error.to_string();
    let model = path.with_extension("onnx");
    let mut import =
        ImportOptions { whole_tensors: options.contains(&"whole"), ..ImportOptions::default() };
    let length = options.iter().find_map(|option| option.strip_prefix("len=")?.parse().ok());
    let inputs = samples(&path.with_extension("in"), length.unwrap_or(1)).map_err(|e| say(&e))?;
    if options.contains(&"fit") {
        import.samples = &inputs;
        import.max_error = 0.1;
    }
    import.degree = options.iter().find_map(|option| option.strip_prefix("degree=")?.parse().ok());
    let imported = import_file_with(&model, &import).map_err(|e| say(&e))?;
    let network = &imported.network;
    let mut bytes = Vec::new();
    for input in &inputs {
        let logits = network.run(input).map_err(|e| say(&e))?;
        let values = network.outputs.iter().flat_map(|output| output.read(&logits));
        values.for_each(|value| bytes.extend(value.to_le_bytes()));
    }
    std::fs::write(path.with_extension("out"), bytes).map_err(|e| say(&e))?;
    let fits = imported.fits.iter().map(|fit| format!("; {fit}")).collect::<String>();
    Ok(format!("{} squares, {} maps{fits}", network.squares(), network.affines().count()))
}

fn main() -> std::io::Result<()> {
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let mut words = line.split('\t');
        let Some(path) = words.next() else { continue };
        let options: Vec<&str> = words.collect();
        match run(Path::new(path), &options) {
            Ok(depth) => println!("{path}\tok\t{depth}"),
            Err(reason) => println!("{path}\trefused\t{}", reason.replace(['\n', '\t'], " ")),
        }
    }
    Ok(())
}
