//! `adyton measure` against the system's own tools.
#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use common::adyton;
use serde_json::Value;
use std::process::Command;

fn digest(tool: &str, file: &str) -> String {
    let output = Command::new(tool).arg(file).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

#[test]
fn the_enclave_is_measured() {
    let adyton = adyton();
    let run = |arguments: &[&str]| {
        Command::new(&adyton).args(arguments).env_remove("CARGO").output().unwrap()
    };
    let output = run(&["measure", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let program = report["program"].as_str().unwrap();
    assert_eq!(report["sha256"], digest("sha256sum", program));
    let sha384 = digest("sha384sum", program);
    assert_eq!(report["sha384"], sha384);
    assert_eq!(report["bytes"], std::fs::metadata(program).unwrap().len());
    for platform in report["platforms"].as_array().unwrap() {
        let simulated = platform["platform"] == "simulated";
        let want = if simulated { Value::from(sha384.clone()) } else { Value::Null };
        assert_eq!(platform["value"], want);
    }
    let text = String::from_utf8(run(&["measure", program]).stdout).unwrap();
    assert!(text.contains(&sha384) && text.contains("not of the program alone"), "{text}");
    let missing = run(&["measure", "/nowhere/enclave", "--json"]);
    assert!(!missing.status.success() && missing.stdout.is_empty());
    assert!(String::from_utf8_lossy(&missing.stderr).contains("/nowhere/enclave"));
}

/// Through the command: files, options, both forms of output. What the values must be, adyton-appraise's tests say.
#[test]
fn images_are_measured() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let run = |arguments: &[&str]| Command::new(adyton()).args(arguments).output().unwrap();
    let json = |arguments: &[&str]| -> Value {
        let output = run(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let signed = concat!(env!("CARGO_MANIFEST_DIR"), "/../appraise/tests/image/made.sig");
    let report = json(&["measure", "--sigstruct", signed, "--json"]);
    let mrenclave = "74ff58e6e035cf6c348a49037a3a63765bded6e840e708e0b138adb6f4e619fa";
    assert_eq!(report["sigstruct"]["mrenclave"], mrenclave);
    let text = String::from_utf8(run(&["measure", "--sigstruct", signed]).stdout).unwrap();
    assert!(text.contains(mrenclave) && text.contains("the signer states"), "{text}");

    std::fs::write(path("damaged"), &std::fs::read(signed).unwrap()[1..]).unwrap();
    for (option, wanted) in
        [("--sigstruct", "1808 would be right"), ("--eif", ".eif"), ("--firmware", "whole pages")]
    {
        let arguments = ["measure", option, &path("damaged"), "--vcpu-type", "EPYC-v4"];
        let output = run(if option == "--firmware" { &arguments } else { &arguments[..3] });
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && output.stdout.is_empty(), "{option}");
        assert!(told.contains(wanted) && told.contains("damaged"), "{told}");
    }
    let mut image = [b".eif\0\x04".as_slice(), &[0; 20], &[0, 2], &[0; 256]].concat();
    image.extend([1, 1].into_iter().flat_map(u64::to_be_bytes));
    image.resize(548, 0);
    for kind in [1, 3] {
        image.extend([0, kind, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, b'x']);
    }
    std::fs::write(path("eif"), image).unwrap();
    let report = json(&["measure", "--eif", &path("eif"), "--json"]);
    assert_eq!(report["eif"]["pcr0"], report["eif"]["pcr1"]);
    assert!(report["eif"]["pcr2"].as_str().unwrap().starts_with("21b9efbc18480766"));
    // Of two kinds, or without what the digest depends on, nothing is guessed.
    for arguments in [
        ["measure", "--eif", "a", "--sigstruct", "b"].as_slice(),
        &["measure", "program", "--eif", "a"],
        &["measure", "--firmware", "a"],
        &["measure", "--kernel", "a"],
    ] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
}
