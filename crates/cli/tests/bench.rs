//! The benchmarks in a short form: they run, and print every documented field. No time is asserted.
#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use common::adyton;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// Runs the command and keeps what it printed in the target directory, for people and for a later comparison.
fn bench(name: &str, arguments: &[&str]) -> (Value, PathBuf) {
    let output =
        Command::new(adyton()).arg("bench").args(arguments).env_remove("CARGO").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{name}.json"));
    std::fs::write(&path, &output.stdout).unwrap();
    (serde_json::from_slice(&output.stdout).unwrap(), path)
}

/// That the fields are there and filled.
fn fields(value: &Value, names: &[&str]) {
    for name in names {
        assert!(!value[name].is_null(), "{name} in {value:#}");
    }
}

const ROW: [&str; 15] = [
    "operation",
    "ring",
    "log_n",
    "primes",
    "special_primes",
    "digits",
    "prime_bits",
    "log_qp",
    "kernel",
    "rows",
    "groups",
    "terms",
    "nanoseconds",
    "products",
    "memory_bytes",
];

const OPERATIONS: [&str; 17] = [
    "ntt_forward",
    "ntt_inverse",
    "ct_ct_sum_32_cache",
    "ct_ct_sum_32_memory",
    "tile_cache",
    "tile_memory",
    "encode",
    "encrypt_secret",
    "encrypt_public",
    "decrypt_decode",
    "decrypt_decode_2_primes",
    "rescale",
    "square",
    "relinearize",
    "square_relinearize_rescale",
    "rotate",
    "rotate_8_hoisted",
];

#[test]
fn the_core_is_measured_and_compared() {
    let short =
        ["core", "--log-n", "12", "--primes", "3", "--millis", "1", "--no-matrix", "--json"];
    let (report, path) = bench("core", &short);
    fields(&report, &["version", "cpu", "cores", "threads", "security", "peak_rss_mib"]);
    fields(&report["limits"][0], &["kernel", "product_ns", "read_bytes_per_ns"]);
    let rows = report["results"].as_array().unwrap();
    for row in rows {
        fields(row, &ROW);
        let (min, median) = (&row["nanoseconds"]["min"], &row["nanoseconds"]["median"]);
        assert!(min.as_f64().unwrap() > 0.0 && min.as_f64() <= median.as_f64(), "{row:#}");
        let name = row["operation"].as_str().unwrap();
        let sum = name.starts_with("ct_ct_sum") || name.starts_with("tile");
        assert_eq!(row["roofline"].is_null(), !sum, "{row:#}");
        let vector = row["kernel"] != "portable";
        assert_eq!(row["faster_than_portable"].is_null(), !vector, "{row:#}");
        assert!(row["ratio_to_baseline"].is_null());
    }
    for ring in ["standard", "conjugate-invariant"] {
        for operation in OPERATIONS {
            let of = |row: &&Value| row["ring"] == ring && row["operation"] == operation;
            assert!(rows.iter().any(|row| of(&row)), "{operation}, {ring}");
        }
    }

    let path = path.to_str().unwrap();
    let again = [&short[..], &["--only", "ntt", "--baseline", path]].concat();
    let (report, _) = bench("core-compared", &again);
    let rows = report["results"].as_array().unwrap();
    assert!(!rows.is_empty());
    for row in rows {
        assert!(row["operation"].as_str().unwrap().starts_with("ntt"));
        assert!(row["ratio_to_baseline"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let fails = |arguments: &[&str]| {
        let output =
            Command::new(adyton()).arg("bench").args(arguments).env_remove("CARGO").output();
        let output = output.unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    // 20 primes do not fit the bound at N = 2^12.
    let told = fails(&["core", "--log-n", "12", "--primes", "20"]);
    assert!(told.contains("106") && told.contains("take fewer"), "{told}");
    let told = fails(&["core", "--baseline", "/nowhere.json"]);
    assert!(told.contains("/nowhere.json"), "{told}");
}

/// Run by `.ci/run`; the networks' real parameters take a while.
#[test]
#[ignore = "takes a while: run by .ci/run"]
fn networks_matrix_and_scaling_are_measured() {
    let (report, _) = bench(
        "networks",
        &["--network", "mlp", "--objective", "latency", "--repeat", "1", "--json"],
    );
    let row = &report["results"][0];
    fields(row, &["network", "batch", "evaluate_seconds", "wall_seconds", "host_peak_rss_mib"]);

    let short = [
        "core", "--log-n", "12", "--kernel", "portable", "--only", "ntt", "--millis", "1", "--json",
    ];
    let (report, _) = bench("matrix", &short);
    fields(&report["matrix"], &["rows", "columns", "vectors", "objective", "log_n", "max_log_qp"]);
    fields(&report["matrix"], &["lanes", "threads", "kernel", "nanoseconds", "weight_bytes"]);
    let error = report["matrix"]["error"].as_f64().unwrap();
    assert!(error < 0.008, "{error}");

    let drawing = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench-scale.svg");
    let short =
        ["scale", "--network", "mlp", "--groups", "1", "--batches", "2", "--job-groups", "1"];
    let plot = ["--plot", drawing.to_str().unwrap(), "--json"];
    let (report, _) = bench("scale", &[&short[..], &plot].concat());
    let network = &report["networks"][0];
    fields(network, &["network", "lanes", "best_batch", "speedup", "time_growth", "memory_growth"]);
    fields(&network["threads"][1], &["threads", "evaluate_seconds", "per_image_ms"]);
    fields(&network["batches"][1], &["images", "jobs", "sessions", "per_image_ms", "job_seconds"]);
    assert!(std::fs::read_to_string(drawing).unwrap().contains("</svg>"));
}
