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
    assert!(text.contains(&sha384) && text.contains("not computed here"), "{text}");
    let missing = run(&["measure", "/nowhere/enclave", "--json"]);
    assert!(!missing.status.success() && missing.stdout.is_empty());
    assert!(String::from_utf8_lossy(&missing.stderr).contains("/nowhere/enclave"));
}
