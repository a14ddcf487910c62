//! Every model against onnxruntime, an executor that shares no code with the import; `models/make.py` made both.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use adyton_compiler::network::{Layer, Network};
use adyton_compiler::onnx::{ImportError, InputFault, NodeError, TensorFault, import, import_file};
use adyton_samples::{Samples, open_labels};

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models")
}

fn networks() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../networks")
}

/// Names of the `.onnx` files in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let models = files.filter(|path| path.extension().is_some_and(|extension| extension == "onnx"));
    let mut names: Vec<_> =
        models.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// The largest difference between the network's results and the expected ones.
fn worst<'a>(
    network: &Network,
    inputs: impl ExactSizeIterator<Item = &'a [f64]>,
    expected: &Samples,
) -> f64 {
    assert_eq!(inputs.len(), expected.count());
    let errors = inputs.zip(expected.iter()).map(|(input, expected)| {
        let output = network.run(input).unwrap();
        assert_eq!(output.len(), expected.len());
        output.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    });
    errors.fold(0.0, f64::max)
}

fn largest(samples: &Samples) -> f64 {
    samples.values().iter().fold(0.0, |largest, value| value.abs().max(largest))
}

#[test]
fn operators_compute_what_onnxruntime_does() {
    let names = names(&models());
    assert!(names.len() >= 85, "{} models", names.len());
    for name in names {
        let network = import_file(models().join(format!("{name}.onnx")))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let inputs = Samples::open(models().join(format!("{name}.inputs.npy"))).unwrap();
        let expected = Samples::open(models().join(format!("{name}.outputs.npy"))).unwrap();
        assert_eq!(network.input_len(), inputs.sample_len(), "{name}");
        let error = worst(&network, inputs.iter(), &expected);
        // onnxruntime computes in f32.
        assert!(error <= 3e-6 * (1.0 + largest(&expected)), "{name}: off by {error:e}");
    }
}

#[test]
fn shipped_networks_compute_what_onnxruntime_does() {
    let images = Samples::open(networks().join("data/test-images.idx3.gz")).unwrap();
    let labels = open_labels(networks().join("data/test-labels.idx1.gz")).unwrap();
    assert_eq!((images.count(), labels.len()), (1000, 1000));
    // Squares, non-zero weights of each map (13 windows of 5 taps reach the padding once: 64), right labels of 1,000.
    let expected = [
        ("mlp", 1, vec![784 * 128, 128 * 10], 983),
        ("cryptonets", 2, vec![5 * 64 * 64, 845 * 100, 100 * 10], 994),
        ("e2dm", 2, vec![256 * 49, 256 * 64, 64 * 10], 989),
    ];
    for (name, squares, weights, right) in expected {
        let network = import_file(networks().join(format!("{name}.onnx"))).unwrap();
        assert_eq!((network.name.as_str(), &network.input_shape[..]), (name, &[1, 28, 28][..]));
        assert_eq!(network.squares(), squares);
        let stored: Vec<_> = network.affines().map(|map| map.matrix.nonzeros()).collect();
        assert_eq!(stored, weights, "{name}");

        let logits = models().join(format!("shipped_{name}.outputs.npy"));
        let logits = Samples::open(logits).unwrap();
        let error = worst(&network, images.iter(), &logits);
        assert!(error < 2e-5, "{name}: off by {error:e}");
        let hits = images.iter().zip(&labels).filter(|&(image, &label)| {
            let logits = network.run(image).unwrap();
            let top = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
            top == Some(usize::from(label))
        });
        assert_eq!(hits.count(), right, "{name}");
    }
}

#[test]
fn neighbours_fold_into_alternating_layers() {
    let kinds = |name: &str| -> Vec<&str> {
        let network = import_file(models().join(format!("{name}.onnx"))).unwrap();
        let kind = |layer: &Layer| match layer {
            Layer::Affine(_) => "affine",
            Layer::Square { .. } => "square",
        };
        network.layers.iter().map(kind).collect()
    };
    assert_eq!(kinds("conv_batch_norm_square"), ["affine", "square", "affine"]);
    assert_eq!(kinds("square_mul"), ["affine", "square", "affine"]);
    assert_eq!(kinds("square_pow"), ["affine", "square", "affine"]);
    assert_eq!(kinds("three_squares").len(), 7);
    assert_eq!(kinds("torch_block_dynamo").len(), 5);
    assert_eq!(kinds("transpose_nhwc"), ["affine"]);
}

fn refusal(name: &str) -> ImportError {
    let path = models().join("refused").join(format!("{name}.onnx"));
    import_file(path).err().unwrap_or_else(|| panic!("{name} was imported"))
}

fn node_fault(name: &str) -> (String, String, NodeError) {
    match refusal(name) {
        ImportError::Node { node, operator, fault } => (node, operator, fault),
        other => panic!("{name}: {other}"),
    }
}

#[test]
fn refusals_name_node_operator_and_what_is_supported() {
    let message = refusal("relu").to_string();
    assert!(message.starts_with("node 'Relu_y' (Relu): is not a polynomial"), "{message}");
    assert!(message.contains("--calibrate"), "{message}");
    let message = NodeError::Operator.to_string();
    assert!(message.contains("AveragePool, BatchNormalization") && message.contains("Unsqueeze"));
    let message = refusal("unknown_attribute").to_string();
    assert!(
        message.contains("(Gemm): attribute 'broadcast' is not supported; supported: alpha, beta")
    );
    let message = refusal("conv_3d").to_string();
    assert!(message.contains("node 'Conv_y' (Conv)") && message.contains("1D"), "{message}");
}

#[test]
fn every_refused_model_is_refused_for_its_own_reason() {
    let node = |name: &str| node_fault(name).2;
    let mut checked = Vec::new();
    let mut check = |name: &'static str, as_expected: bool| {
        assert!(as_expected, "{name}: {}", refusal(name));
        checked.push(name.to_owned());
    };
    for name in ["relu", "max_pool"] {
        check(name, node(name) == NodeError::NeedsSamples);
    }
    for name in ["weights_from_input", "training_dropout", "conv_3d"] {
        check(name, matches!(node(name), NodeError::Input { .. }));
    }
    for name in ["wrong_attribute_type", "training_batch_norm", "negative_pads"] {
        check(name, matches!(node(name), NodeError::Attribute { .. }));
    }
    for name in ["inner_lengths", "reshape_volume", "group_misfit", "window_too_large", "huge_gemm"]
    {
        check(name, matches!(node(name), NodeError::Shapes { .. }));
    }
    check("division_by_activation", node("division_by_activation") == NodeError::Product);
    check("foreign_domain", node("foreign_domain") == NodeError::Domain("com.microsoft".into()));
    check(
        "unknown_attribute",
        matches!(node("unknown_attribute"), NodeError::UnknownAttribute { .. }),
    );
    check("dropout_mask", node("dropout_mask") == NodeError::ExtraOutput("mask".into()));
    check("division_by_zero", node("division_by_zero") == NodeError::NotFinite);
    check("huge_broadcast", matches!(node("huge_broadcast"), NodeError::TooLarge { .. }));

    let input = |name: &str| match refusal(name) {
        ImportError::Input { fault, .. } => fault,
        other => panic!("{name}: {other}"),
    };
    check("fixed_batch", input("fixed_batch") == InputFault::FixedBatch(8));
    check("open_axis", input("open_axis") == InputFault::OpenAxis(2));
    check("half_precision", input("half_precision") == InputFault::Type(10));

    let tensor = |name: &str| match refusal(name) {
        ImportError::Tensor { name, fault } if name == "w" => fault,
        other => panic!("{name}: {other}"),
    };
    check("half_weights", tensor("half_weights") == TensorFault::Type(10));
    check("not_finite", tensor("not_finite") == TensorFault::NotFinite(0));
    check("external_data", tensor("external_data") == TensorFault::External);
    check(
        "short_tensor",
        tensor("short_tensor") == TensorFault::Length { expected: 16, actual: 16 },
    );
    check("vast_tensor", tensor("vast_tensor") == TensorFault::Shape(vec![1 << 40, 1 << 40]));

    let frame = |name: &str| refusal(name);
    check("old_opset", matches!(frame("old_opset"), ImportError::Opset { found: Some(6) }));
    check(
        "constant_output",
        matches!(frame("constant_output"), ImportError::ConstantOutput { .. }),
    );
    check(
        "sparse_initializer",
        matches!(frame("sparse_initializer"), ImportError::SparseInitializer),
    );
    check("local_function", matches!(frame("local_function"), ImportError::LocalFunction { .. }));
    check(
        "undefined",
        matches!(frame("undefined"), ImportError::Undefined { name, .. } if name == "nothing"),
    );
    check(
        "redefined",
        matches!(frame("redefined"), ImportError::Redefined { name } if name == "a"),
    );

    checked.sort();
    assert_eq!(checked, names(&models().join("refused")), "models without a check");
}

#[test]
fn broken_files_never_panic() {
    let whole = std::fs::read(models().join("torch_block_torchscript.onnx")).unwrap();
    for length in (0..whole.len()).step_by(7) {
        // A cut between fields can leave a model that is whole but for its output.
        let _ = import("cut", &whole[..length]);
    }
    for position in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[position] ^= 0xff;
        let _ = import("flipped", &bytes);
    }
    assert!(matches!(import("empty", &[]), Err(ImportError::Opset { found: None })));
    assert!(matches!(import("text", b"not an ONNX model"), Err(ImportError::Decode(_))));
    assert!(matches!(import_file(models().join("none.onnx")), Err(ImportError::Io(_))));
}
