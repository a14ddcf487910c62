//! Random networks, ONNX's own operator cases and scikit-learn's models against the outputs that other executors gave:
//! a choice of what `testing/onnx-oracle` generates and runs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use adyton_compiler::onnx::{
    ImportOptions, Imported, import_file_with, import_with, supported_operators,
};
use adyton_samples::Samples;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models").join(name)
}

/// Paths of a folder's models without their extension, sorted.
fn models(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let models = files.filter(|path| path.extension().is_some_and(|extension| extension == "onnx"));
    let mut stems: Vec<_> = models.map(|path| path.with_extension("")).collect();
    stems.sort();
    stems
}

/// A model, its inputs as flat samples, and the outputs of another executor.
struct Case {
    imported: Imported,
    inputs: Vec<Vec<f64>>,
    expected: Vec<Vec<f64>>,
}

impl Case {
    fn read(stem: &Path, options: &ImportOptions<'_>, fit: bool) -> Self {
        let file = |kind: &str| {
            let name = format!("{}.{kind}.npy", stem.file_name().unwrap().to_str().unwrap());
            let samples = Samples::open(stem.with_file_name(name)).unwrap();
            samples.iter().map(<[f64]>::to_vec).collect::<Vec<_>>()
        };
        let (inputs, expected) = (file("inputs"), file("outputs"));
        let samples = if fit { &inputs[..] } else { &[] };
        let options = ImportOptions { samples, ..options.clone() };
        let imported = import_file_with(stem.with_extension("onnx"), &options)
            .unwrap_or_else(|error| panic!("{}: {error}", stem.display()));
        assert_eq!(inputs.len(), expected.len());
        Self { imported, inputs, expected }
    }

    /// What the network says of each sample, in the outputs' forms.
    fn outputs(&self) -> Vec<Vec<f64>> {
        let network = &self.imported.network;
        let read = |input: &Vec<f64>| {
            let logits = network.run(input).unwrap();
            network.outputs.iter().flat_map(|output| output.read(&logits)).collect()
        };
        self.inputs.iter().map(read).collect()
    }

    /// The largest difference, as part of the largest value.
    fn error(&self) -> f64 {
        let (mut error, mut largest) = (0f64, 1f64);
        for (output, expected) in self.outputs().iter().zip(&self.expected) {
            assert_eq!(output.len(), expected.len());
            for (found, expected) in output.iter().zip(expected) {
                error = error.max((found - expected).abs());
                largest = largest.max(expected.abs());
            }
        }
        error / largest
    }
}

#[test]
fn random_networks_compute_what_onnxruntime_does() {
    let models = models(&folder("random"));
    assert!(models.len() >= 100, "{}", models.len());
    let mut deep = 0;
    for stem in models {
        let case = Case::read(&stem, &ImportOptions::default(), false);
        let error = case.error();
        assert!(error <= 1e-5, "{}: off by {error:e}", stem.display());
        deep += usize::from(case.imported.network.squares() > 1);
    }
    assert!(deep > 20, "{deep}");
}

#[test]
fn operators_pass_the_onnx_projects_cases() {
    let models = models(&folder("cases"));
    assert!(models.len() >= 80, "{}", models.len());
    for stem in models {
        let options =
            ImportOptions { whole_tensors: true, degree: Some(32), ..ImportOptions::default() };
        let case = Case::read(&stem, &options, true);
        let error = case.error();
        let fits = case.imported.fits.iter().map(|fit| fit.largest_error).sum::<f64>();
        assert!(error <= 1e-5 + 2.0 * fits, "{}: off by {error:e}", stem.display());
    }
}

#[test]
fn models_of_scikit_learn_are_read() {
    let names = |stem: &Path| stem.file_name().unwrap().to_str().unwrap().to_owned();
    let models = models(&folder("sklearn"));
    assert!(models.len() >= 9, "{}", models.len());
    for stem in models {
        let case = Case::read(&stem, &ImportOptions::default(), true);
        if case.imported.fits.is_empty() {
            let error = case.error();
            assert!(error <= 1e-5, "{}: off by {error:e}", stem.display());
            continue;
        }
        // Fitted: most labels are the same, here the first output.
        let outputs = case.outputs();
        let same = outputs.iter().zip(&case.expected).filter(|(a, b)| a[0] == b[0]).count();
        assert!(same * 10 >= outputs.len() * 9, "{}: {same} of {}", names(&stem), outputs.len());
    }
}

#[test]
fn fits_tell_what_they_did() {
    let stem = folder("sklearn").join("mlp_relu");
    let none = import_file_with(stem.with_extension("onnx"), &ImportOptions::default());
    let message = none.err().unwrap().to_string();
    assert!(message.starts_with("node 'Relu' (Relu): is not a polynomial"), "{message}");

    let mut errors = Vec::new();
    for degree in [2, 4, 8, 16] {
        let options = ImportOptions { degree: Some(degree), ..ImportOptions::default() };
        let case = Case::read(&stem, &options, true);
        let [fit] = case.imported.fits.as_slice() else { panic!("{:?}", case.imported.fits) };
        assert_eq!((fit.operator.as_str(), fit.function.as_str()), ("Relu", "Relu(x)"));
        assert_eq!(fit.degree, degree);
        assert!(fit.least < 0.0 && fit.most > 0.0 && fit.typical_error < fit.largest_error);
        assert_eq!(case.imported.network.squares(), degree.ilog2() as usize);
        errors.push(fit.relative_error);
    }
    assert!(errors.is_sorted_by(|a, b| a > b), "{errors:?}");

    let strict = ImportOptions { max_error: 1e-6, ..ImportOptions::default() };
    let inputs = Samples::open(stem.with_file_name("mlp_relu.inputs.npy")).unwrap();
    let samples: Vec<Vec<f64>> = inputs.iter().map(<[f64]>::to_vec).collect();
    let strict = ImportOptions { samples: &samples, ..strict };
    let message = import_file_with(stem.with_extension("onnx"), &strict).err().unwrap().to_string();
    assert!(message.contains("--fit-error") && message.contains("--fit-degree"), "{message}");

    let short = [vec![0.0; 3]];
    let short = ImportOptions { samples: &short, ..ImportOptions::default() };
    let message = import_file_with(stem.with_extension("onnx"), &short).err().unwrap().to_string();
    assert!(message.contains("calibration sample 0 has 3 values; the model takes 30"), "{message}");
}

#[test]
fn the_documents_name_every_operator() {
    let page = include_str!("../../../docs/bring-your-network.md");
    let words: std::collections::HashSet<&str> =
        page.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    for operator in supported_operators() {
        assert!(words.contains(operator), "docs/bring-your-network.md does not name {operator}");
    }
}

/// Every model broken in a few places each: refused or imported, never a panic, a hang or a large allocation.
#[test]
fn broken_models_never_panic() {
    let mut state = 7u64;
    let mut random = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize
    };
    for name in ["random", "cases", "sklearn"] {
        for stem in models(&folder(name)) {
            let whole = std::fs::read(stem.with_extension("onnx")).unwrap();
            for round in 0..24 {
                let mut bytes = whole.clone();
                match round % 3 {
                    0 => bytes.truncate(random() % whole.len()),
                    1 => {
                        let at = random() % bytes.len();
                        bytes[at] ^= 1 << (random() % 8);
                    }
                    // Lengths and attributes of small size become large ones.
                    _ => {
                        let at = random() % bytes.len();
                        let large = [0xff, 0xff, 0xff, 0x7f];
                        let end = (at + large.len()).min(bytes.len());
                        bytes[at..end].copy_from_slice(&large[..end - at]);
                    }
                }
                let samples = [vec![0.5; 4]];
                let fitted = ImportOptions { samples: &samples, ..ImportOptions::default() };
                let whole = ImportOptions { whole_tensors: round % 2 == 0, ..Default::default() };
                let _ =
                    import_with("broken", &bytes, if round % 5 == 0 { &fitted } else { &whole });
            }
        }
    }
}
