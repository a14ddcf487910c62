//! `adyton evidence verify` and `adyton policy` on the vendors' samples, through the program.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn adyton(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_adyton"))
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap()
}

/// The samples' folder, in the crate that verifies them.
fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../appraise/tests/vectors")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// What a row of the table says that `evidence verify` needs beside evidence and policy.
fn options(row: &Value) -> Vec<String> {
    let mut options = vec!["--at".to_owned(), row["at"].as_str().unwrap().to_owned()];
    for (field, option) in
        [("collateral", "--collateral"), ("certs", "--certs"), ("roots", "--root")]
    {
        for file in row[field].as_array().into_iter().flatten() {
            options.extend([option.to_owned(), file.as_str().unwrap().to_owned()]);
        }
    }
    options
}

#[test]
fn every_sample_gets_its_verdict() {
    let (vectors, scratch) = (vectors(), tempfile::tempdir().unwrap());
    let table = std::fs::read(vectors.join("verdicts.json")).unwrap();
    let rows: Vec<Value> = serde_json::from_slice(&table).unwrap();
    let (own, empty) = (scratch.path().join("own.json"), scratch.path().join("empty.json"));
    std::fs::write(&empty, r#"{"version": 1}"#).unwrap();
    for row in &rows {
        let evidence = row["evidence"].as_str().unwrap();
        let options = options(row);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let valid = row["signature_valid"].as_bool().unwrap();
        // A policy for the sample's own program; where the sample proves nothing, none can be made.
        let new = ["policy", "new", "--from", evidence, "-o", own.to_str().unwrap()];
        let made = adyton(&vectors, &[&new, options.as_slice()].concat());
        assert_eq!(made.status.success(), valid, "{row}");

        let verify = |policy: &Path| {
            let policy = policy.to_str().unwrap();
            let mut arguments = vec!["evidence", "verify", evidence, "--json", "--policy", policy];
            arguments.extend(&options);
            if let Some(data) = row["report_data"].as_str() {
                arguments.extend(["--report-data", data]);
            }
            adyton(&vectors, &arguments)
        };
        let output = verify(if valid { &own } else { &empty });
        let report = json(&output);
        let codes: Vec<&Value> =
            report["reasons"].as_array().unwrap().iter().map(|reason| &reason["code"]).collect();
        assert_eq!(report["verdict"], row["verdict"], "{row}\n{report:#}");
        assert_eq!(codes, row["codes"].as_array().unwrap().iter().collect::<Vec<_>>(), "{row}");
        assert_eq!(report["signature_valid"], valid, "{row}");
        assert_eq!(output.status.success(), report["verdict"] == "accepted", "{row}");
        assert_eq!(report["expires_at"].is_string(), output.status.success(), "{row}");
        assert_eq!(report["claims"].is_object(), valid, "{row}");
        assert!(report["kind"].is_string(), "{row}");

        let refused = verify(&empty);
        assert!(!refused.status.success() && json(&refused)["verdict"] == "refused", "{row}");
    }
}

#[test]
fn policies_are_made_explained_and_hashed() {
    let scratch = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = adyton(scratch.path(), arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let quote = vectors().join("intel-tdx/tdx_quote_v4.bin");
    let collateral = vectors().join("intel-tdx/tdx_quote_v4.collateral.json");
    let (quote, collateral) = (quote.to_str().unwrap(), collateral.to_str().unwrap());
    let evidence = ["--collateral", collateral, "--at", "2025-07-01T00:00:00Z"];
    let new = ["policy", "new", "--from", quote, "-o", "own.json", "--allow", "dynamic-platform"];
    run(&[&new[..], &["--allow", "cached-keys"], &evidence].concat());
    let text =
        run(&[&["evidence", "verify", quote, "--policy", "own.json"][..], &evidence].concat());
    for part in
        ["ACCEPTED as of 2025-07-01T00:00:00Z, until 2025-07-19T10:00:34Z", "mrtd", "unbound"]
    {
        assert!(text.contains(part), "{part}\nin\n{text}");
    }
    let hash = run(&["policy", "hash", "own.json"]);
    assert_eq!(hash.trim().len(), 64);
    let explained = run(&["policy", "explain", "own.json"]);
    assert!(explained.contains(hash.trim()) && explained.contains("dynamic-platform"));
    let template = run(&["policy", "new"]);
    assert!(template.contains("mrenclave"));
    std::fs::write(scratch.path().join("typo.json"), r#"{"version":1,"acept":{}}"#).unwrap();
    assert!(!adyton(scratch.path(), &["policy", "hash", "typo.json"]).status.success());
}

/// What a policy accepts is refused when its event log does not account for the registers.
#[test]
fn an_event_log_must_account_for_the_registers() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = vectors();
    let (bundle, root) = (folder.join("swtpm/bundle.json"), folder.join("swtpm/ak.pem"));
    let (bundle, root) = (bundle.to_str().unwrap(), format!("tpm={}", root.to_str().unwrap()));
    let trust = ["--root", &root, "--at", "2026-11-23T00:00:00Z"];
    let new = [&["policy", "new", "--from", bundle, "-o", "own.json"][..], &trust].concat();
    assert!(adyton(scratch.path(), &new).status.success());
    let verify = |more: &[&str]| {
        let all = ["evidence", "verify", bundle, "--policy", "own.json", "--json"];
        adyton(scratch.path(), &[&all[..], &trust, more].concat())
    };
    assert!(verify(&[]).status.success());
    // No log, and a log of SHA-256 without an event: the registers that were extended stand against it.
    std::fs::write(scratch.path().join("none"), b"no log").unwrap();
    let none = verify(&["--event-log", "none"]);
    assert!(!none.status.success() && json(&none)["verdict"] == "refused");
    let specification = [
        b"Spec ID Event03\0".as_slice(),
        &[0; 4],
        &[0, 2, 0, 2],
        &1u32.to_le_bytes(),
        &[0x0B, 0, 32, 0],
        &[0],
    ]
    .concat();
    let header = [
        &0u32.to_le_bytes()[..],
        &3u32.to_le_bytes(),
        &[0; 20],
        &(specification.len() as u32).to_le_bytes(),
        &specification,
    ]
    .concat();
    std::fs::write(scratch.path().join("empty"), header).unwrap();
    let report = json(&verify(&["--event-log", "empty"]));
    assert_eq!(report["reasons"][0]["code"], "event-log-mismatch", "{report}");
    assert_eq!((&report["verdict"], &report["expires_at"]), (&"refused".into(), &Value::Null));
    let compared = report["event_log"].as_array().unwrap();
    assert!(compared.iter().any(|one| one["agrees"] == true));
    assert!(compared.iter().any(|one| one["agrees"] == false));
}

#[test]
fn a_release_policy_is_explained_over_its_program() {
    let scratch = tempfile::tempdir().unwrap();
    let network =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../compiler/tests/models/conv_batch_norm_square");
    let (onnx, inputs) = (format!("{network}.onnx"), format!("{network}.inputs.npy"));
    let compile = ["compile", &onnx, "--calibrate", &inputs, "-o", "net"];
    assert!(adyton(scratch.path(), &compile).status.success());
    let explain = |more: &[&str]| {
        let output = adyton(scratch.path(), &[&["policy", "explain"][..], more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    };
    let plain = json(&explain(&["net", "--json"]));
    assert_eq!(plain["model_key_within_reach"], true, "{plain}");
    assert_eq!(plain["explanation"].as_array().unwrap().len(), 5);
    let bits = |report: &Value, name: &str| report[name].as_u64().unwrap();
    assert!(bits(&plain, "bits_per_sample") < bits(&plain, "bits_per_query"));
    assert!(bits(&plain, "bits_per_query") <= bits(&plain, "bits_per_session"));
    // The program's file alone does; a ledger below the key's entropy leaves the key undetermined.
    let small = ["net/program.adyton", "--output", "label", "--bits-total", "2000", "--json"];
    let small = json(&explain(&small));
    assert_eq!(small["model_key_within_reach"], false, "{small}");
    assert_eq!((bits(&small, "bits_total"), &small["program"]), (2000, &plain["program"]));
    let key = "11".repeat(32);
    let audited = explain(&["net", "--audit-rate", "0.1", "--auditor", &key]);
    let text = String::from_utf8(audited.stdout).unwrap();
    assert!(text.contains("before an audit catches it (rate 0.1)"), "{text}");
    let too_many = ["policy", "explain", "net", "--output", "top-k:60000:8"];
    assert!(!adyton(scratch.path(), &too_many).status.success());
}

#[test]
fn without_a_policy_nothing_is_accepted() {
    let quote = vectors().join("intel-tdx/tdx_quote_v4.bin");
    let quote = quote.to_str().unwrap();
    for options in [["--at", "1"], ["--collateral", quote], ["--certs", quote], ["--policy", quote]]
    {
        let arguments = [&["evidence", "verify", quote][..], &options].concat();
        assert!(!adyton(Path::new("."), &arguments).status.success(), "{options:?}");
    }
}
