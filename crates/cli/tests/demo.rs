//! The demo for real: four processes, one network, a few images, JSON out; and no process left behind.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod common;

use common::adyton;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn run(adyton: &Path, arguments: &[&str]) -> Output {
    // Not as under `cargo run`: the siblings were built above.
    Command::new(adyton).args(arguments).env_remove("CARGO").output().unwrap()
}

fn number(value: &Value, name: &str) -> f64 {
    value[name].as_f64().unwrap_or_else(|| panic!("{name} in {value:#}"))
}

#[test]
fn the_demo_classifies_encrypted_digits_with_encrypted_weights() {
    let adyton = adyton();
    let output = run(&adyton, &["demo", "--network", "mlp", "--images", "8", "--json"]);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    assert!(log.contains("SIMULATED"), "{log}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["simulated_evidence"], true);
    assert!(!report["cpu"].as_str().unwrap().is_empty());
    let [network] = report["networks"].as_array().unwrap().as_slice() else {
        panic!("one network in {report:#}");
    };
    assert_eq!(network["name"], "mlp");
    assert_eq!(network["images"], 8);
    assert_eq!(network["model_privacy"], "encrypted");
    assert_eq!(number(network, "label_agreement"), 1.0);
    assert_eq!(number(network, "accuracy"), number(network, "plaintext_accuracy"));
    let (error, range) = (number(network, "max_logit_error"), number(network, "logit_range"));
    assert!(error > 0.0 && error < 0.01 * range, "{error} of {range}");
    for field in ["evaluate_seconds", "job_seconds", "wall_seconds", "host_cpu_seconds"] {
        assert!(number(network, field) > 0.0, "{field}");
    }
    assert!(number(network, "evaluate_seconds") < number(network, "job_seconds"));
    assert!(number(network, "job_seconds") < number(network, "wall_seconds"));
    assert!(number(network, "enclave_cpu_seconds") > 0.0);
    for role in ["enclave", "host", "model_owner", "data_owner"] {
        let peak = number(&network["peak_rss_mib"], role);
        assert!(peak > 1.0 && peak < 2048.0, "{role}: {peak}");
        assert!(number(&network["cpu_seconds"], role) > 0.0, "{role}");
    }
    assert!(number(&network["peak_rss_mib"], "enclave") < ENCLAVE_PEAK);
    let bytes = &network["bytes"];
    assert!(number(bytes, "model_owner_to_host") > number(network, "model_bytes"));
    assert!(number(bytes, "data_owner_to_host") > number(network, "input_bytes"));
    assert!(number(bytes, "enclave_to_host") > number(network, "key_bytes"));
    for edge in ["host_to_model_owner", "host_to_data_owner", "host_to_enclave"] {
        assert!(number(bytes, edge) > 0.0, "{edge}");
    }
    assert!((12.0..=16.0).contains(&number(network, "log_n")));
    assert!(number(network, "max_log_qp") > 100.0);
    assert!(network["steps"].as_array().unwrap().len() >= 8);
}

/// Of the enclave's memory, MiB: room is left in the 128 MiB that the first SGX processors have.
const ENCLAVE_PEAK: f64 = 96.0;

#[test]
#[ignore = "runs all shipped networks at full batches: half a minute in the release profile"]
fn the_enclave_stays_small_for_every_shipped_network() {
    let adyton = adyton();
    let output = run(&adyton, &["demo", "--images", "1000", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let networks = report["networks"].as_array().unwrap();
    assert_eq!(networks.len(), 3);
    for network in networks {
        let peak = number(&network["peak_rss_mib"], "enclave");
        assert!(peak > 1.0 && peak < ENCLAVE_PEAK, "{}: {peak} MiB", network["name"]);
    }
}

#[test]
fn errors_are_json_when_json_was_asked_for() {
    let output = run(&adyton(), &["demo", "--network", "lenet", "--json"]);
    assert!(!output.status.success());
    assert!(output.stdout.is_empty());
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["error"]["kind"], "argument");
    assert!(error["error"]["help"].as_str().unwrap().contains("cryptonets"));
}

/// Processes whose parent is `parent`, by the kernel's own table.
fn children(parent: u32) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            std::fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| {
                status.lines().any(|line| {
                    line.strip_prefix("PPid:").is_some_and(|p| p.trim() == parent.to_string())
                })
            })
        })
        .collect()
}

/// Kills a running demo with `signal` and sees that its processes end too.
#[cfg(target_os = "linux")]
fn killed_with(signal: &str) {
    let adyton = adyton();
    // A killed demo cannot remove its directory.
    let temporary = tempfile::tempdir().unwrap();
    let mut demo = Command::new(&adyton)
        .env("TMPDIR", temporary.path())
        .args(["demo", "--network", "mlp", "--images", "1"])
        .env_remove("CARGO")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let patience = Instant::now() + Duration::from_secs(30);
    let started = loop {
        let found = children(demo.id());
        if found.len() >= 2 {
            break found;
        }
        assert!(Instant::now() < patience, "enclave and host do not start");
        std::thread::sleep(Duration::from_millis(5));
    };
    let sent = Command::new("kill").args([signal, &demo.id().to_string()]).status().unwrap();
    assert!(sent.success());
    assert!(!demo.wait().unwrap().success());
    let patience = Instant::now() + Duration::from_secs(10);
    // A process that has ended may stay in the table until somebody reaps it: state Z.
    let runs = |pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/status"))
            .is_ok_and(|s| !s.lines().any(|l| l.starts_with("State:") && l.contains('Z')))
    };
    while started.iter().any(runs) {
        assert!(Instant::now() < patience, "processes are left after {signal}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn no_process_outlives_a_demo_that_is_stopped() {
    killed_with("-TERM");
}

#[cfg(target_os = "linux")]
#[test]
fn no_process_outlives_a_demo_that_is_killed() {
    killed_with("-KILL");
}
